//! HTTP layer: requests, responses and status codes, which no other module of this crate knows.
//!
//! [`run`] serves an endpoint and requires a scope. Only [`run_public`] serves without a scope, so an endpoint cannot
//! become public by an omission.

mod batch;
mod conditional;
mod credentials;
mod encoding;
mod error;
mod mcp;
mod request;
mod response;

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use lambda_http::http::header::CACHE_CONTROL;
use lambda_http::http::{HeaderMap, HeaderValue};
use lambda_http::lambda_runtime::{self, LambdaEvent};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{Adapter, RequestExt, Service, service_fn};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

pub use batch::{Refusal, Refused, check_items, require_stored};
pub use conditional::immutable;
pub use error::Error;
pub use lambda_http::http::StatusCode;
pub use mcp::mcp;
pub use request::{Parameters, Request};
pub use response::{
    CSV, Image, JSON, NDJSON, Response, as_preferred, exported, image, json, ok, page, page_of_lines, vary_by_accept,
};

use crate::auth::{Authenticator, FindKey, Scope};
use crate::deadline::Deadline;

/// Time limit of a request, including the key lookup. Shorter than the function's timeout of 15 seconds, so that a
/// caller gets our response and not API Gateway's.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Header in which the gateway of the local stack passes the route key.
pub const LOCAL_ROUTE: &str = "x-signals-route";
/// Route key of all events that `cargo lambda watch` creates. `template.yaml` has no such route, so callers of a stack on
/// AWS cannot choose the route in the log with [`LOCAL_ROUTE`].
const LOCAL_ROUTE_KEY: &str = "$default";
/// Characters that `http::Uri` rejects in a query, and `#`, which ends the query.
const ILLEGAL_IN_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

/// Serves the endpoint `function` for the lifetime of the sandbox: passes requests whose key has `scope` to `handler`
/// and rejects all others.
pub async fn run<K, H, F>(
    function: &'static str,
    scope: Scope,
    authenticator: Authenticator<K>,
    handler: H,
) -> Result<(), lambda_http::Error>
where
    K: FindKey + Send + Sync,
    H: Fn(Request) -> F + Send + Sync,
    F: Future<Output = Result<Response, Error>> + Send,
{
    run_with(function, scope, authenticator, credentials::api_key, handler).await
}

/// Does the same as [`run`] for an endpoint of clients that may only be able to send the key in the header
/// `Authorization`: OpenTelemetry exporters and assistants.
pub async fn run_with_authorization<K, H, F>(
    function: &'static str,
    scope: Scope,
    authenticator: Authenticator<K>,
    handler: H,
) -> Result<(), lambda_http::Error>
where
    K: FindKey + Send + Sync,
    H: Fn(Request) -> F + Send + Sync,
    F: Future<Output = Result<Response, Error>> + Send,
{
    run_with(function, scope, authenticator, credentials::key_in_any_header, handler).await
}

async fn run_with<K, H, F>(
    function: &'static str,
    scope: Scope,
    authenticator: Authenticator<K>,
    presented: fn(&HeaderMap) -> Option<Cow<'_, str>>,
    handler: H,
) -> Result<(), lambda_http::Error>
where
    K: FindKey + Send + Sync,
    H: Fn(Request) -> F + Send + Sync,
    F: Future<Output = Result<Response, Error>> + Send,
{
    let (authenticator, handler) = (&authenticator, &handler);
    serve(function, |event, deadline| async move {
        let presented = presented(event.headers());
        match authenticator.authenticate(presented.as_deref(), scope, deadline).await {
            Ok(caller) => {
                let key = Some(caller.name().to_owned());
                let handled = deadline.bound(handler(Request::new(caller, event, deadline))).await;
                Handled { key, result: handled.unwrap_or(Err(Error::Overdue)) }
            }
            Err(error) => Handled { key: None, result: Err(error.into()) },
        }
    })
    .await
}

/// Serves the public endpoint `function`, without a key. The handler does not receive the request, which has no
/// parameters.
pub async fn run_public<H, F>(function: &'static str, handler: H) -> Result<(), lambda_http::Error>
where
    H: Fn() -> F + Send + Sync,
    F: Future<Output = Result<Response, Error>> + Send,
{
    let handler = &handler;
    serve(function, |event, deadline| async move {
        let unknown = request::unknown_parameters(&event, &[]);
        if !unknown.is_empty() {
            return Handled { key: None, result: Err(unknown.into()) };
        }
        Handled { key: None, result: deadline.bound(handler()).await.unwrap_or(Err(Error::Overdue)) }
    })
    .await
}

/// Outcome of a request, with the name of its key.
struct Handled {
    key: Option<String>,
    result: Result<Response, Error>,
}

/// Request identifiers of API Gateway, shared by its access log and the log line of the function.
#[derive(Debug, Default, PartialEq, Eq)]
struct GatewayRequest {
    /// Route key, such as `GET /logs/{agent_id}/{user_id}`. The path itself contains ids, which must not be logged.
    route: Option<String>,
    gateway_request_id: Option<String>,
}

impl GatewayRequest {
    fn of(event: &lambda_http::Request) -> Self {
        match event.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => {
                let mut route = context.route_key.clone();
                if route.as_deref() == Some(LOCAL_ROUTE_KEY)
                    && let Some(key) = event.headers().get(LOCAL_ROUTE).and_then(|key| key.to_str().ok())
                {
                    route = Some(key.to_owned());
                }
                Self { route, gateway_request_id: context.request_id.clone() }
            }
            _ => Self::default(),
        }
    }
}

/// Handles events one after the other, each with its deadline, and logs a line for each event except those without a
/// valid key.
async fn serve<H, F>(function: &'static str, handle: H) -> Result<(), lambda_http::Error>
where
    H: Fn(lambda_http::Request, Deadline) -> F + Send + Sync,
    F: Future<Output = Handled> + Send,
{
    let handle = &handle;
    let mut adapter = Adapter::from(service_fn(|event: lambda_http::Request| async move {
        let started = Instant::now();
        let context = event.lambda_context();
        let deadline = Deadline::of_invocation(context.deadline(), REQUEST_LIMIT);
        let request_id = context.request_id;
        let GatewayRequest { route, gateway_request_id } = GatewayRequest::of(&event);
        let Handled { key, result } = handle(event, deadline).await;
        let mut response = result.unwrap_or_else(|error| {
            if let Error::Unavailable(_) | Error::Overdue | Error::Internal(_) = error {
                tracing::error!(function, request_id, cause = %error, "failed to handle request");
            }
            error.into_response()
        });
        let caching = response.headers_mut().entry(CACHE_CONTROL);
        caching.or_insert(HeaderValue::from_static("no-store"));
        response::set_header(&mut response, "x-content-type-options", "nosniff");
        // API Gateway's access log has this request. Unauthenticated callers must not fill this log, which is billed by
        // the byte.
        if response.status() == StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        tracing::info!(
            function,
            route,
            request_id,
            gateway_request_id,
            key,
            status = response.status().as_u16(),
            outcome = outcome(response.status()),
            milliseconds = started.elapsed().as_secs_f64() * 1e3,
            "handled request"
        );
        Ok::<_, Infallible>(response)
    }));
    // Works like `lambda_http::run`, except for events that would make it panic and end the process before the key
    // check.
    lambda_runtime::run(service_fn(move |mut event: LambdaEvent<LambdaRequest>| {
        make_legal(&mut event.payload);
        adapter.call(event)
    }))
    .await
}

/// Percent-encodes the bytes of a query that a caller may send unencoded and that `lambda_http` cannot put into a URI.
fn make_legal(request: &mut LambdaRequest) {
    if let LambdaRequest::ApiGatewayV2(request) = request {
        // The header's value would become the scheme of the URI, even if invalid.
        request.headers.remove("x-forwarded-proto");
        if let Some(query) = &mut request.raw_query_string {
            *query = utf8_percent_encode(query, ILLEGAL_IN_QUERY).to_string();
        }
    }
}

fn outcome(status: StatusCode) -> &'static str {
    match status.as_u16() {
        500.. => "failed",
        400..=499 => "refused",
        _ => "done",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// Creates an API Gateway event with this query and scheme. Format:
    /// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>.
    fn event(query: &str, scheme: &str) -> Value {
        json!({
            "version": "2.0", "routeKey": "GET /agents", "rawPath": "/api/agents", "rawQueryString": query,
            "headers": { "host": "example.com", "x-forwarded-proto": scheme },
            "requestContext": {
                "accountId": "1", "apiId": "2", "domainName": "example.com", "requestId": "JKJaXmPLvHcESHA=",
                "routeKey": "GET /agents", "stage": "api", "timeEpoch": 1_583_348_638_390_i64,
                "http": {
                    "method": "GET", "path": "/api/agents", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1",
                    "userAgent": "curl",
                },
            },
            "isBase64Encoded": false,
        })
    }

    /// Returns the parameter `x` as a function receives it.
    fn parameter(event: &Value) -> Option<String> {
        let mut request: LambdaRequest = serde_json::from_value(event.clone()).expect("an event");
        make_legal(&mut request);
        let request = lambda_http::Request::from(request);
        request.query_string_parameters_ref()?.first("x").map(str::to_owned)
    }

    #[test]
    fn queries_keep_characters_that_no_uri_may_have() {
        for character in (0..128_u8).map(char::from).filter(|character| !"%&+".contains(*character)) {
            let found = parameter(&event(&format!("x=a{character}b"), "https"));
            assert_eq!(found.as_deref(), Some(format!("a{character}b").as_str()), "{character:?}");
        }
        assert_eq!(parameter(&event("x=%22%E6%97%A5 日", "https")).as_deref(), Some("\"日 日"));
    }

    #[test]
    fn invalid_forwarded_scheme_is_ignored() {
        assert_eq!(parameter(&event("x=1", "no scheme")).as_deref(), Some("1"));
    }

    proptest! {
        #[test]
        fn any_query_is_accepted(query in any::<String>()) {
            let _ = parameter(&event(&query, "https"));
        }
    }

    #[test]
    fn gateway_request_has_the_route_and_not_the_path() {
        let mut event = event("", "https");
        let route = "GET /summary/{agent_id}/{user_id}";
        event["requestContext"]["routeKey"] = route.into();
        event["rawPath"] = "/api/summary/a/secret".into();
        event["requestContext"]["http"]["path"] = "/api/summary/a/secret".into();
        let event = lambda_http::request::from_str(&event.to_string()).expect("a request");
        let expected =
            GatewayRequest { route: Some(route.to_owned()), gateway_request_id: Some("JKJaXmPLvHcESHA=".to_owned()) };
        assert_eq!(GatewayRequest::of(&event), expected);
    }
}
