//! Requests and responses of the Model Context Protocol, transport "Streamable HTTP":
//! <https://modelcontextprotocol.io/specification/2026-07-28/basic/transports>.

use lambda_http::Body;

use super::StatusCode;
use super::error::{self, Error};
use super::request::Request;
use super::response::{self, Response};
use crate::config::ByteLimit;
use crate::mcp::reply::ReplyKind;
use crate::mcp::server::{self, Outage};
use crate::mcp::{Answer, Reply, Routing, Tools};

/// Answers `request`, whose body has at most `limit` bytes, with `tools`. Browsers may send requests only from the pages of
/// the stack itself and of `allowed_origin`.
///
/// # Errors
/// The request is not one that the protocol allows, or the body is not JSON or too large.
pub async fn mcp(
    tools: &Tools,
    limit: ByteLimit,
    allowed_origin: Option<&str>,
    request: &Request,
) -> Result<Response, Error> {
    // Against DNS rebinding, as the specification requires. Programs send no origin. Pages of the stack are recognised by
    // a header that no page can set, because CloudFront replaces `Host`. Under a foreign name that resolves to the stack,
    // neither the certificates on AWS nor the guard of the local stack accept a connection.
    let is_own_page = || request.header("sec-fetch-site") == Some("same-origin");
    if request.header("origin").is_some_and(|origin| Some(origin) != allowed_origin && !is_own_page()) {
        return Err(Error::ForeignOrigin);
    }
    if !request.is_post() {
        return Err(Error::OnlyPost);
    }
    if !request.accepts("application/json") {
        return Err(Error::NotAcceptable);
    }
    let body = request.json_body(limit)?;
    let routing = Routing {
        version: request.header("mcp-protocol-version"),
        method: request.header("mcp-method"),
        name: request.header("mcp-name"),
    };
    match server::answer(tools, request.caller(), &routing, body).await {
        Ok(answer) => Ok(answered(&answer)),
        Err(outage) => {
            let Outage { reply, failure } = *outage;
            tracing::error!(cause = %failure, "failed to call tool");
            Ok(if failure.is_transient {
                error::retryable(response::json(StatusCode::SERVICE_UNAVAILABLE, &reply))
            } else {
                response::json(StatusCode::INTERNAL_SERVER_ERROR, &reply)
            })
        }
    }
}

fn answered(answer: &Answer) -> Response {
    match answer {
        Answer::Accepted => {
            let mut response = Response::new(Body::Empty);
            *response.status_mut() = StatusCode::ACCEPTED;
            response
        }
        Answer::One(reply) => response::json(status(reply), reply),
        Answer::Batch(replies) => response::ok(replies),
    }
}

fn status(reply: &Reply) -> StatusCode {
    match reply.kind() {
        ReplyKind::Successful => StatusCode::OK,
        ReplyKind::Invalid => StatusCode::BAD_REQUEST,
        ReplyKind::NotFound => StatusCode::NOT_FOUND,
    }
}
