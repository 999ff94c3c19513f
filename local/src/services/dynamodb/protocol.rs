//! The DynamoDB protocol over HTTP: signed JSON requests, one operation each
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html>).
//!
//! The server of the `dynoxide` crate is not used: it verifies no signatures, allows CORS from every origin, and accepts
//! connections itself, so the guard cannot be put in front of it.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use dynoxide::{Database, DynoxideError};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use rustack_auth::{AuthError, StaticCredentialProvider, hash_payload, verify_sigv4};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Changes;

/// DynamoDB's limit for a request, in bytes.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;
const TARGET: &str = "x-amz-target";
const TARGET_PREFIX: &str = "DynamoDB_20120810.";
const CONTENT: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");

/// Serves requests to a database.
#[derive(Clone)]
pub(super) struct Protocol {
    pub database: Database,
    pub verifier: Arc<StaticCredentialProvider>,
    pub changes: Changes,
}

/// The reason why a request failed.
enum Failure {
    TooLong,
    NotFound,
    Signature(AuthError),
    UnknownOperation,
    Database(DynoxideError),
}

impl From<DynoxideError> for Failure {
    fn from(error: DynoxideError) -> Self {
        Self::Database(error)
    }
}

impl Protocol {
    /// Responds to `request`.
    pub async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (status, body) = match self.run(request).await {
            Ok(body) => (StatusCode::OK, body),
            Err(failure) => failure.answer(),
        };
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, CONTENT);
        Ok(response)
    }

    async fn run(&self, request: Request<Incoming>) -> Result<String, Failure> {
        let (head, body) = request.into_parts();
        if head.method != Method::POST || head.uri.path() != "/" {
            return Err(Failure::NotFound);
        }
        let body = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(|_| Failure::TooLong)?.to_bytes();
        verify_sigv4(&head, &hash_payload(&body), &*self.verifier).map_err(Failure::Signature)?;
        let operation = operation(&head).ok_or(Failure::UnknownOperation)?;
        let answer = self.call(operation, &body);
        if !is_read(operation) {
            self.changes.notify();
        }
        answer
    }

    /// Runs `operation`. Supports the operations that the functions and the command line use.
    fn call(&self, operation: &str, body: &[u8]) -> Result<String, Failure> {
        let database = &self.database;
        match operation {
            "BatchGetItem" => call(body, |request| database.batch_get_item(request)),
            "BatchWriteItem" => call(body, |request| database.batch_write_item(request)),
            "DeleteItem" => call(body, |request| database.delete_item(request)),
            "DescribeTable" => call(body, |request| database.describe_table(request)),
            "DescribeTimeToLive" => call(body, |request| database.describe_time_to_live(request)),
            "GetItem" => call(body, |request| database.get_item(request)),
            "ListTables" => call(body, |request| database.list_tables(request)),
            "PutItem" => call(body, |request| database.put_item(request)),
            "Query" => call(body, |request| database.query(request)),
            "Scan" => call(body, |request| database.scan(request)),
            "TransactGetItems" => call(body, |request| database.transact_get_items(request)),
            "TransactWriteItems" => call(body, |request| database.transact_write_items(request)),
            "UpdateItem" => call(body, |request| database.update_item(request)),
            _ => Err(Failure::UnknownOperation),
        }
    }
}

fn operation(head: &Parts) -> Option<&str> {
    head.headers.get(TARGET)?.to_str().ok()?.strip_prefix(TARGET_PREFIX)
}

fn is_read(operation: &str) -> bool {
    ["BatchGet", "Describe", "Get", "List", "Query", "Scan", "TransactGet"]
        .iter()
        .any(|name| operation.starts_with(name))
}

fn call<Q, A>(body: &[u8], run: impl FnOnce(Q) -> dynoxide::Result<A>) -> Result<String, Failure>
where
    Q: DeserializeOwned,
    A: Serialize,
{
    let request =
        serde_json::from_slice(body).map_err(|error| DynoxideError::SerializationException(error.to_string()))?;
    let answer = run(request)?;
    Ok(serde_json::to_string(&answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))?)
}

impl Failure {
    fn answer(self) -> (StatusCode, String) {
        let refusal = |status, kind: &str, message: &str| {
            (status, json!({ "__type": format!("com.amazon.coral.service#{kind}"), "message": message }).to_string())
        };
        match self {
            Self::TooLong => {
                refusal(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", "the request exceeds 16 MiB")
            }
            Self::NotFound => refusal(StatusCode::NOT_FOUND, "UnknownOperationException", "use POST /"),
            Self::Signature(error) => {
                let message = format!(
                    "{error}: sign the request with the stack's AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which are in \
                     stack.json in the data folder"
                );
                refusal(StatusCode::FORBIDDEN, "InvalidSignatureException", &message)
            }
            Self::UnknownOperation => {
                let message = "the local DynamoDB supports only the operations that Signals uses";
                refusal(StatusCode::BAD_REQUEST, "UnknownOperationException", message)
            }
            Self::Database(error) => {
                let status = StatusCode::from_u16(error.status_code()).unwrap_or(StatusCode::BAD_REQUEST);
                (status, error.to_json())
            }
        }
    }
}
