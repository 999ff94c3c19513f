//! Handles requests of assistants.

use shared::config::Limits;
use shared::http::{self, Error, Request, Response};
use shared::mcp::Tools;

/// Dependencies of the handler, created once per sandbox.
pub struct Context {
    pub tools: Tools,
    pub limits: Limits,
    /// Origin of a website whose pages may call the endpoint.
    pub allowed_origin: Option<String>,
}

/// Answers a message of the Model Context Protocol.
pub async fn handle(context: &Context, request: Request) -> Result<Response, Error> {
    let Context { tools, limits, allowed_origin } = context;
    Box::pin(http::mcp(tools, limits.max_body_bytes, allowed_origin.as_deref(), &request)).await
}
