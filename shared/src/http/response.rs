//! HTTP responses.

use lambda_http::Body;
use lambda_http::http::header::LINK;
use lambda_http::http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::error::Error;
use crate::otlp::response::Rejected;
use crate::otlp::{Encoding, Skipped};

/// Response to API Gateway.
pub type Response = lambda_http::Response<Body>;

/// Returns `body` as JSON with status 200.
pub fn ok(body: &impl Serialize) -> Response {
    json(StatusCode::OK, body)
}

/// Returns `body` as JSON with the given status.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => with_type(status, JSON, Body::Text(text)),
        Err(error) => {
            tracing::error!(%error, "cannot encode response as JSON");
            let text = r#"{"detail":"Internal Server Error"}"#.to_owned();
            with_type(StatusCode::INTERNAL_SERVER_ERROR, JSON, Body::Text(text))
        }
    }
}

/// Preference for an asynchronous response: RFC 7240, 4.1.
pub(super) const RESPOND_ASYNC: &str = "respond-async";

/// Adds the header which confirms that the preference for an asynchronous response was applied.
pub fn as_preferred(mut response: Response) -> Response {
    set_header(&mut response, "preference-applied", RESPOND_ASYNC);
    response
}

/// Returns the response to an OTLP export with this `status` and `body`.
pub(super) fn export(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response {
    let body = match encoding {
        Encoding::Protobuf => Body::Binary(body),
        Encoding::Json => Body::Text(String::from_utf8_lossy(&body).into_owned()),
    };
    with_type(status, encoding.content_type(), body)
}

/// Returns the response to an OTLP export whose turns are `accepted`: `encode` writes the rejected calls, if any.
pub fn exported(
    encoding: Encoding,
    accepted: Result<Skipped, Error>,
    encode: fn(Encoding, &Rejected) -> Vec<u8>,
) -> Response {
    match accepted {
        Ok(skipped) => export(StatusCode::OK, encoding, encode(encoding, &Rejected::from(&skipped))),
        Err(error) => error.into_export_response(encoding),
    }
}

/// An image of the kind selected by `Accept`.
#[derive(Debug)]
pub enum Image {
    /// A PNG.
    Png(Vec<u8>),
    /// An SVG.
    Svg(String),
}

impl Image {
    /// Media type of [`Self::Png`].
    pub const PNG: &str = "image/png";
    /// Media type of [`Self::Svg`].
    pub const SVG: &str = "image/svg+xml";
}

/// Returns `image` with status 200.
pub fn image(image: Image) -> Response {
    vary_by_accept(match image {
        Image::Png(bytes) => with_type(StatusCode::OK, Image::PNG, Body::Binary(bytes)),
        Image::Svg(text) => with_type(StatusCode::OK, Image::SVG, Body::Text(text)),
    })
}

/// Sets the header `name` of `response`. `value` must be visible ASCII.
pub(super) fn set_header(response: &mut Response, name: &'static str, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}

/// Media type of JSON.
pub const JSON: &str = "application/json";
/// Media type of a JSON text per line.
pub const NDJSON: &str = "application/x-ndjson";
/// Media type of CSV: RFC 4180.
pub const CSV: &str = "text/csv";

/// Returns `body` as JSON with status 200, and a link to the next page if there is one.
pub fn page(body: &impl Serialize, next: Option<String>) -> Response {
    linked(ok(body), next)
}

/// Returns `body` of the type [`NDJSON`] or [`CSV`] with status 200, and a link to the next page if there is one.
///
/// Lambda encodes the body with Base64. The length of the response is then known, whereas text would take up to six bytes
/// for a byte.
pub fn page_of_lines(content_type: &'static str, body: String, next: Option<String>) -> Response {
    let content_type = if content_type == CSV { "text/csv; charset=utf-8; header=present" } else { content_type };
    linked(with_type(StatusCode::OK, content_type, Body::Binary(body.into_bytes())), next)
}

/// Adds the header which says that the response depends on the media types that the caller accepts.
pub fn vary_by_accept(mut response: Response) -> Response {
    set_header(&mut response, "vary", "accept");
    response
}

fn linked(mut response: Response, next: Option<String>) -> Response {
    if let Some(link) = next.and_then(|query| HeaderValue::try_from(format!("<{query}>; rel=\"next\"")).ok()) {
        response.headers_mut().insert(LINK, link);
    }
    response
}

fn with_type(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set_header(&mut response, "content-type", content_type);
    response
}
