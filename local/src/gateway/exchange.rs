//! Exchanges the single-use code of a dashboard link for the stack's API key.

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use cli::data_folder::DataFolder;
use cli::link;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::{Value, json};

/// The path of the endpoint. A stack on AWS does not have it.
pub(super) const PATH: &str = "/local/exchange";
/// The maximum body size, in bytes. The request body is a short JSON object.
const MAX_BODY_BYTES: usize = 1_024;

/// The endpoint that exchanges codes for keys.
pub(super) struct Exchange {
    data: DataFolder,
}

#[derive(Deserialize)]
struct ExchangeRequest {
    code: String,
}

impl Exchange {
    pub fn new(data: DataFolder) -> Self {
        Self { data }
    }

    /// Responds to `{"code": …}` with `{"key": …}`.
    pub async fn answer(&self, request: Request) -> Response {
        if request.method() != Method::POST {
            return answer(StatusCode::METHOD_NOT_ALLOWED, &json!({ "detail": "use POST" }));
        }
        let Some(ExchangeRequest { code }) = read(request.into_body()).await else {
            return answer(
                StatusCode::UNPROCESSABLE_ENTITY,
                &json!({ "detail": "the body must be {\"code\": \"…\"}" }),
            );
        };
        match link::exchange(&self.data, &code) {
            Some(key) => answer(StatusCode::OK, &json!({ "key": key })),
            None => answer(StatusCode::GONE, &json!({ "detail": "the code is unknown, was used, or has expired" })),
        }
    }
}

async fn read(body: Body) -> Option<ExchangeRequest> {
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await.ok()?.to_bytes();
    serde_json::from_slice(&body).ok()
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body.to_string()).into_response()
}
