//! Answers.

use lambda_http::Body;
use lambda_http::http::header::LINK;
use lambda_http::http::{HeaderValue, StatusCode};
use serde::Serialize;

/// An answer on its way to API Gateway.
pub type Response = lambda_http::Response<Body>;

/// `body` as JSON with the status 200.
pub fn ok(body: &impl Serialize) -> Response {
    json(StatusCode::OK, body)
}

/// `body` as JSON.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => with_type(status, "application/json", Body::Text(text)),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            let text = r#"{"detail":"Internal Server Error"}"#.to_owned();
            with_type(StatusCode::INTERNAL_SERVER_ERROR, "application/json", Body::Text(text))
        }
    }
}

/// The preference for a quick answer: RFC 7240, 4.1.
pub(super) const RESPOND_ASYNC: &str = "respond-async";

/// `response`, with a header that says that the caller's preference for a quick answer was followed.
pub fn as_preferred(mut response: Response) -> Response {
    set_header(&mut response, "preference-applied", RESPOND_ASYNC);
    response
}

/// An image, of which `Accept` has chosen the kind.
#[derive(Debug)]
pub enum Image {
    /// A PNG.
    Png(Vec<u8>),
    /// An SVG.
    Svg(String),
}

impl Image {
    /// The media type of [`Self::Png`].
    pub const PNG: &str = "image/png";
    /// The media type of [`Self::Svg`].
    pub const SVG: &str = "image/svg+xml";
}

/// `image` with the status 200.
pub fn image(image: Image) -> Response {
    let mut response = match image {
        Image::Png(bytes) => with_type(StatusCode::OK, Image::PNG, Body::Binary(bytes)),
        Image::Svg(text) => with_type(StatusCode::OK, Image::SVG, Body::Text(text)),
    };
    set_header(&mut response, "vary", "accept");
    response
}

/// Sets the header `name` of `response`; `value` has to be visible ASCII.
pub(super) fn set_header(response: &mut Response, name: &'static str, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}

/// `body` as JSON with the status 200, and where the next page is, if there is one.
pub fn page(body: &impl Serialize, next: Option<String>) -> Response {
    let mut response = ok(body);
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
