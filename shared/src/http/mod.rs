//! Requests, responses and status codes; nothing else in this crate knows them.
//!
//! [`run`] serves an endpoint and demands a scope; only what says [`run_public`] goes without, so that none is left open
//! by forgetting.

mod error;
mod guard;
pub mod keys;
mod request;
mod response;
pub mod seal;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use lambda_http::lambda_runtime::{self, LambdaEvent};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{Adapter, RequestExt, Service, service_fn};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

pub use error::Error;
pub use guard::{Caller, Guard};
pub use keys::Scope;
pub use lambda_http::http::StatusCode;
pub use request::{Parameters, Request};
pub use response::{Image, Response, as_preferred, image, json, ok, page};

use crate::deadline::Deadline;
use keys::FindKey;

/// The most time that a request takes, the lookup of its key included. Less than the function's timeout of 15 seconds, so
/// that a caller gets our response and not API Gateway's.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// What `http::Uri` refuses in a query, and `#`, which ends it.
const ILLEGAL_IN_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');
/// The header in which a caller shows its key.
const API_KEY_HEADER: &str = "x-api-key";

/// Serves the endpoint `function` for as long as the sandbox lives: a request that shows a key with `scope` goes to
/// `handler`, every other is refused.
///
/// # Errors
/// When the Lambda runtime cannot be reached.
pub async fn run<K, H, F>(
    function: &'static str,
    scope: Scope,
    guard: Guard<K>,
    handler: H,
) -> Result<(), lambda_http::Error>
where
    K: FindKey + Send + Sync,
    H: Fn(Request) -> F + Send + Sync,
    F: Future<Output = Result<Response, Error>> + Send,
{
    let (guard, handler) = (&guard, &handler);
    serve(function, |event, deadline| async move {
        let presented = event.headers().get(API_KEY_HEADER).and_then(|value| value.to_str().ok());
        match guard.admit(presented, scope, deadline).await {
            Ok(caller) => {
                let key = Some(caller.name().to_owned());
                let handled = deadline.bound(handler(Request::new(caller, event, deadline))).await;
                Answer { key, result: handled.unwrap_or(Err(Error::Overdue)) }
            }
            Err(error) => Answer { key: None, result: Err(error) },
        }
    })
    .await
}

/// Serves the endpoint `function` to anybody, without a key. The handler sees nothing of the request.
///
/// # Errors
/// When the Lambda runtime cannot be reached.
pub async fn run_public<H, F>(function: &'static str, handler: H) -> Result<(), lambda_http::Error>
where
    H: Fn() -> F + Send + Sync,
    F: Future<Output = Result<Response, Error>> + Send,
{
    let handler = &handler;
    serve(function, |_, deadline| async move {
        Answer { key: None, result: deadline.bound(handler()).await.unwrap_or(Err(Error::Overdue)) }
    })
    .await
}

/// What became of a request, and the name of the key it was made with.
struct Answer {
    key: Option<String>,
    result: Result<Response, Error>,
}

/// What API Gateway calls a request: what its access log and the line of the function have in common.
#[derive(Debug, Default, PartialEq, Eq)]
struct Called {
    /// The route's key, such as `GET /logs/{agent_id}/{user_id}`: the path itself has ids in it, which no log is to hold.
    route: Option<String>,
    gateway_request_id: Option<String>,
}

impl Called {
    fn of(event: &lambda_http::Request) -> Self {
        match event.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => {
                Self { route: context.route_key.clone(), gateway_request_id: context.request_id.clone() }
            }
            _ => Self::default(),
        }
    }
}

/// Answers events one after the other, each with its deadline, and logs a line about each, except those without a valid
/// key.
async fn serve<A, F>(function: &'static str, answer: A) -> Result<(), lambda_http::Error>
where
    A: Fn(lambda_http::Request, Deadline) -> F + Send + Sync,
    F: Future<Output = Answer> + Send,
{
    let answer = &answer;
    let mut adapter = Adapter::from(service_fn(|event: lambda_http::Request| async move {
        let started = Instant::now();
        let context = event.lambda_context();
        let deadline = Deadline::of_invocation(context.deadline(), REQUEST_LIMIT);
        let request_id = context.request_id;
        let Called { route, gateway_request_id } = Called::of(&event);
        let Answer { key, result } = answer(event, deadline).await;
        let mut response = result.unwrap_or_else(|error| {
            if let Error::Unavailable(_) | Error::Overdue | Error::Internal(_) = error {
                tracing::error!(function, request_id, cause = %error, "request failed");
            }
            error.into_response()
        });
        response::set_header(&mut response, "cache-control", "no-store");
        response::set_header(&mut response, "x-content-type-options", "nosniff");
        // API Gateway's access log has it. A stranger is not to fill this one, which is paid for by the byte.
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
            "request answered"
        );
        Ok::<_, Infallible>(response)
    }));
    // As `lambda_http::run` does, but for what it would panic over, which ends the process, before a key is looked at.
    lambda_runtime::run(service_fn(move |mut event: LambdaEvent<LambdaRequest>| {
        make_legal(&mut event.payload);
        adapter.call(event)
    }))
    .await
}

/// Encodes the bytes of a query that a caller may send as they are and `lambda_http` cannot make a URI of.
fn make_legal(request: &mut LambdaRequest) {
    if let LambdaRequest::ApiGatewayV2(request) = request {
        // It would be the scheme of the URI, whatever it is.
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

    /// An event of API Gateway with this query and scheme.
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

    /// The parameter `x` as a function gets it.
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
    fn a_forwarded_scheme_that_is_none_is_ignored() {
        assert_eq!(parameter(&event("x=1", "no scheme")).as_deref(), Some("1"));
    }

    proptest! {
        #[test]
        fn no_query_ends_the_process(query in any::<String>()) {
            let _ = parameter(&event(&query, "https"));
        }
    }

    #[test]
    fn a_request_is_logged_by_its_route_and_never_by_its_path() {
        // Form: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
        let route = "GET /summary/{agent_id}/{user_id}";
        let event = json!({
            "version": "2.0", "routeKey": route, "rawPath": "/api/summary/a/secret", "rawQueryString": "",
            "headers": { "host": "example.com" }, "pathParameters": { "agent_id": "a", "user_id": "secret" },
            "requestContext": {
                "accountId": "1", "apiId": "2", "domainName": "example.com", "requestId": "JKJaXmPLvHcESHA=",
                "routeKey": route, "stage": "api", "timeEpoch": 1_583_348_638_390_i64,
                "http": {
                    "method": "GET", "path": "/api/summary/a/secret", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1",
                    "userAgent": "curl",
                },
            },
            "isBase64Encoded": false,
        });
        let event = lambda_http::request::from_str(&event.to_string()).expect("a request");
        let expected =
            Called { route: Some(route.to_owned()), gateway_request_id: Some("JKJaXmPLvHcESHA=".to_owned()) };
        assert_eq!(Called::of(&event), expected);
    }
}
