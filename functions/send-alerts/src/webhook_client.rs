//! HTTP delivery of a single message.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// The outcome of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The endpoint accepted the message.
    Delivered,
    /// The endpoint has unsubscribed.
    Unsubscribed,
    /// The delivery failed and may be retried, not before `after` if the endpoint specified a pause.
    Retry {
        /// The cause of the failure.
        cause: String,
        /// The minimum time to wait before a retry.
        after: Option<Duration>,
    },
}

/// Posts webhooks. Redirects are not followed: only the operator decides where alerts go.
#[derive(Debug)]
pub struct WebhookClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

impl WebhookClient {
    /// Creates a client that waits at most `timeout` for the response status of each delivery.
    pub fn new(timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let https = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().wrap_connector(tcp);
        Self { client: Client::builder(TokioExecutor::new()).build(https), timeout }
    }

    /// Sends `request` and returns how the endpoint responded.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Delivery {
        let retry = |cause: String| Delivery::Retry { cause, after: None };
        match tokio::time::timeout(self.timeout, self.client.request(request)).await {
            Err(_) => retry(format!("no response within {:?}", self.timeout)),
            Ok(Err(error)) if error.is_connect() => retry("cannot connect".to_owned()),
            Ok(Err(_)) => retry("connection closed before the response".to_owned()),
            Ok(Ok(response)) => delivery(response.status(), response.headers()),
        }
    }
}

fn delivery(status: StatusCode, headers: &HeaderMap) -> Delivery {
    if status.is_success() {
        return Delivery::Delivered;
    }
    if status == StatusCode::GONE {
        return Delivery::Unsubscribed;
    }
    let may_request_pause = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let after = headers.get(RETRY_AFTER).filter(|_| may_request_pause);
    let after = after.and_then(|value| pause(value.to_str().ok()?, SystemTime::now()));
    Delivery::Retry { cause: format!("responded {}", status.as_u16()), after }
}

/// Parses the value of `Retry-After`, in seconds or as a date (RFC 9110, 10.2.3), as the pause from `now`.
fn pause(value: &str, now: SystemTime) -> Option<Duration> {
    match value.trim().parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok().map(|until| until.duration_since(now).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery_of(status: u16, headers: &[(&'static str, &str)]) -> Delivery {
        let headers =
            headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("a value")));
        delivery(StatusCode::from_u16(status).expect("a status"), &headers.collect())
    }

    #[test]
    fn delivery_succeeds_with_2xx_and_ends_with_410() {
        for status in [200, 201, 202, 204] {
            assert_eq!(delivery_of(status, &[]), Delivery::Delivered);
        }
        assert_eq!(delivery_of(410, &[]), Delivery::Unsubscribed);
        for status in [301, 307, 400, 401, 404, 429, 500, 503] {
            let headers = [("location", "http://elsewhere/")];
            assert_eq!(
                delivery_of(status, &headers),
                Delivery::Retry { cause: format!("responded {status}"), after: None }
            );
        }
    }

    #[test]
    fn delivery_retries_after_the_requested_pause() {
        let after = |status, value: &str| match delivery_of(status, &[("retry-after", value)]) {
            Delivery::Retry { after, .. } => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(after(429, "120"), Some(Duration::from_secs(120)));
        assert_eq!(after(503, " 7 "), Some(Duration::from_secs(7)));
        assert_eq!(after(500, "120"), None);
        assert_eq!(after(429, "soon"), None);
        let noon = httpdate::parse_http_date("Sun, 06 Nov 1994 12:00:00 GMT").expect("a date");
        assert_eq!(pause("Sun, 06 Nov 1994 12:00:30 GMT", noon), Some(Duration::from_secs(30)));
        assert_eq!(pause("Sun, 06 Nov 1994 11:59:30 GMT", noon), Some(Duration::ZERO));
    }
}
