//! Decides what a request asks for, by its version.
//!
//! The rules of version 2026-07-28 are those of the official SDKs: the envelope in `_meta` first, then the headers, then
//! the version, then the method.

use std::borrow::Cow;

use super::message::Request;
use super::reply::RpcError;
use super::tools::Tool;
use super::version::{Version, decoded_header};
use crate::json::{Json, Object};

const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const VERSION_HEADER: &str = "MCP-Protocol-Version";
const METHOD_HEADER: &str = "Mcp-Method";
const NAME_HEADER: &str = "Mcp-Name";

/// The headers of a request that repeat parts of its body, so that proxies need not parse the body.
#[derive(Clone, Copy, Debug, Default)]
pub struct Routing<'a> {
    /// `MCP-Protocol-Version`.
    pub version: Option<&'a str>,
    /// `Mcp-Method`.
    pub method: Option<&'a str>,
    /// `Mcp-Name`.
    pub name: Option<&'a str>,
}

/// A call that a request makes.
#[derive(Debug)]
pub enum Call<'a> {
    /// Agree on a version and introduce the server.
    Initialize(Version),
    /// Introduce the server.
    Discover,
    /// Confirm that the server works.
    Ping,
    /// List the tools.
    ListTools,
    /// Call a tool.
    CallTool(Tool, Option<Object<'a>>),
}

impl Routing<'_> {
    /// Returns the version by whose rules errors are reported if the body names none.
    pub fn version(&self) -> Version {
        match self.version {
            None => Version::UNNAMED,
            Some(name) => name.parse().unwrap_or(Version::July2026),
        }
    }

    /// Returns whether the version is one that clients name in no header or in a header alone.
    pub fn check_version(&self) -> Result<Version, RpcError> {
        match self.version {
            None => Ok(Version::UNNAMED),
            Some(name) => name.parse().map_err(|_| RpcError::unsupported_version(name)),
        }
    }
}

/// Returns the version of `request` and what the request asks for.
///
/// # Errors
/// The request violates the rules of its version.
pub fn call<'a>(routing: &Routing<'_>, request: &Request<'a>) -> (Version, Result<Call<'a>, RpcError>) {
    let meta = request.params.as_ref().and_then(|params| params.get("_meta")).and_then(Json::as_object);
    let is_enveloped = meta.as_ref().is_some_and(|meta| meta.get(PROTOCOL_VERSION).is_some());
    match routing.check_version() {
        Ok(version) if !version.is_stateless() && !is_enveloped => (version, with_session(version, request)),
        Err(error) if !is_enveloped => (routing.version(), Err(error)),
        _ => (Version::July2026, stateless(routing, meta.as_ref(), request)),
    }
}

/// Returns what a request of the versions with `initialize` asks for.
fn with_session<'a>(version: Version, request: &Request<'a>) -> Result<Call<'a>, RpcError> {
    match request.method.as_ref() {
        "initialize" => {
            let requested = request.params.as_ref().and_then(|params| params.get("protocolVersion"));
            let requested = requested.and_then(Json::as_str);
            let requested =
                requested.ok_or_else(|| RpcError::invalid_params("params.protocolVersion must be a string"))?;
            Ok(Call::Initialize(Version::agreed(&requested)))
        }
        "ping" => Ok(Call::Ping),
        "tools/list" => Ok(Call::ListTools),
        "tools/call" => tool_call(request),
        _ => Err(RpcError::method_not_found(version)),
    }
}

/// Returns what a request of version 2026-07-28 asks for.
fn stateless<'a>(
    routing: &Routing<'_>,
    meta: Option<&Object<'a>>,
    request: &Request<'a>,
) -> Result<Call<'a>, RpcError> {
    let field = |name: &'static str| {
        let value = meta.and_then(|meta| meta.get(name));
        value.ok_or_else(|| RpcError::invalid_params(format!("params._meta must have the field {name}")))
    };
    let version = field(PROTOCOL_VERSION)?;
    if field(CLIENT_CAPABILITIES)?.as_object().is_none() {
        return Err(RpcError::invalid_params(format!("params._meta: {CLIENT_CAPABILITIES} must be an object")));
    }
    let version = version.as_str();
    if version.is_none() || routing.version != version.as_deref() {
        return Err(RpcError::header_mismatch(VERSION_HEADER));
    }
    if routing.method != Some(request.method.as_ref()) {
        return Err(RpcError::header_mismatch(METHOD_HEADER));
    }
    if request.method == "tools/call" {
        let name = request.params.as_ref().and_then(|params| params.get("name")).and_then(Json::as_str);
        let header = routing.name.and_then(decoded_header);
        if name.is_some() && name != header {
            return Err(RpcError::header_mismatch(NAME_HEADER));
        }
    }
    let version = version.unwrap_or(Cow::Borrowed(""));
    if !version.parse().is_ok_and(Version::is_stateless) {
        return Err(RpcError::unsupported_version(&version));
    }
    match request.method.as_ref() {
        "server/discover" => Ok(Call::Discover),
        "tools/list" => Ok(Call::ListTools),
        "tools/call" => tool_call(request),
        _ => Err(RpcError::method_not_found(Version::July2026)),
    }
}

fn tool_call<'a>(request: &Request<'a>) -> Result<Call<'a>, RpcError> {
    let params = request.params.as_ref().ok_or_else(|| RpcError::invalid_params("params are missing"))?;
    let name = params.get("name").and_then(Json::as_str);
    let name = name.ok_or_else(|| RpcError::invalid_params("params.name must be a string"))?;
    let tool = name.parse().map_err(|_| RpcError::invalid_params("params.name is not a tool: call tools/list"))?;
    let arguments = match params.get("arguments").filter(|arguments| !arguments.is_null()) {
        None => None,
        Some(arguments) => {
            let object = arguments.as_object();
            Some(object.ok_or_else(|| RpcError::invalid_params("params.arguments must be an object"))?)
        }
    };
    Ok(Call::CallTool(tool, arguments))
}

#[cfg(test)]
mod tests {
    use super::super::message::{self, Body, Message};
    use super::*;
    use serde_json::{Value, json};

    const MODERN: &str = "2026-07-28";

    /// Returns the version and the call, or the code of the error.
    fn called(routing: Routing<'_>, method: &str, params: &Value) -> (Version, String) {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let Ok(Body::One(Ok(Message::Request(request)))) = message::parse(body.as_bytes()) else {
            panic!("a request: {body}")
        };
        let (version, call) = call(&routing, &request);
        (version, call.map_or_else(|error| error.code.to_string(), |call| format!("{call:?}")))
    }

    fn old<'a>(version: &'a str) -> Routing<'a> {
        Routing { version: Some(version), ..Routing::default() }
    }

    fn envelope(version: &Value, more: &Value) -> Value {
        let mut params = json!({ "_meta": { PROTOCOL_VERSION: version, CLIENT_CAPABILITIES: {} } });
        params.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        params
    }

    #[test]
    fn versions_with_initialize_need_no_envelope() {
        let initialize = json!({ "protocolVersion": "2025-06-18", "capabilities": {} });
        for (routing, version) in [
            (Routing::default(), Version::March2025),
            (old("2025-06-18"), Version::June2025),
            (old("2025-11-25"), Version::November2025),
        ] {
            let called = |method: &str, params: &Value| {
                let (found, call) = called(routing, method, params);
                assert_eq!(found, version);
                call
            };
            assert_eq!(called("initialize", &initialize), "Initialize(June2025)");
            assert_eq!(called("initialize", &json!({})), "-32602");
            assert_eq!(called("ping", &json!({})), "Ping");
            assert_eq!(called("tools/list", &json!({})), "ListTools");
            assert_eq!(called("tools/call", &json!({ "name": "explain_text" })), "CallTool(ExplainText, None)");
            assert_eq!(called("server/discover", &json!({})), "-32601");
            assert_eq!(called("resources/list", &json!({})), "-32601");
        }
    }

    #[test]
    fn call_of_a_tool_needs_a_name_and_an_object() {
        for params in [
            json!({}),
            json!({ "name": 1 }),
            json!({ "name": "drop_table" }),
            json!({ "name": "explain_text", "arguments": [] }),
            json!({ "name": "explain_text", "arguments": "" }),
        ] {
            assert_eq!(called(old("2025-06-18"), "tools/call", &params).1, "-32602", "{params}");
        }
    }

    #[test]
    fn stateless_version_requires_envelope_and_headers() {
        let routing = |method, name| Routing { version: Some(MODERN), method: Some(method), name };
        let params = envelope(&json!(MODERN), &json!({ "name": "explain_text" }));
        for (routing, method, params, expected) in [
            (routing("server/discover", None), "server/discover", &params, "Discover"),
            (routing("tools/list", None), "tools/list", &params, "ListTools"),
            (routing("tools/call", Some("explain_text")), "tools/call", &params, "CallTool(ExplainText, None)"),
            (
                routing("tools/call", Some("=?base64?ZXhwbGFpbl90ZXh0?=")),
                "tools/call",
                &params,
                "CallTool(ExplainText, None)",
            ),
            (routing("tools/call", Some("list_anomalies")), "tools/call", &params, "-32020"),
            (routing("tools/call", None), "tools/call", &params, "-32020"),
            (routing("tools/list", None), "tools/call", &params, "-32020"),
            (Routing { method: None, ..routing("", None) }, "tools/list", &params, "-32020"),
            (Routing { version: None, ..routing("tools/list", None) }, "tools/list", &params, "-32020"),
            (Routing { version: Some("2025-11-25"), ..routing("tools/list", None) }, "tools/list", &params, "-32020"),
            (routing("initialize", None), "initialize", &params, "-32601"),
            (routing("ping", None), "ping", &params, "-32601"),
            (routing("tools/list", None), "tools/list", &json!({}), "-32602"),
            (routing("tools/list", None), "tools/list", &json!({ "_meta": { PROTOCOL_VERSION: MODERN } }), "-32602"),
            (routing("tools/list", None), "tools/list", &envelope(&json!(1), &json!({})), "-32020"),
        ] {
            assert_eq!(
                called(routing, method, params),
                (Version::July2026, expected.to_owned()),
                "{routing:?} {params}"
            );
        }
    }

    #[test]
    fn other_versions_are_unsupported() {
        let future = Routing { version: Some("2099-01-01"), method: Some("tools/list"), name: None };
        assert_eq!(called(future, "tools/list", &envelope(&json!("2099-01-01"), &json!({}))).1, "-32022");
        assert_eq!(called(future, "tools/list", &json!({})).1, "-32022");
        assert_eq!(called(old("2024-11-05"), "tools/list", &json!({})).1, "-32022");
        let contradiction = Routing { version: Some("2025-11-25"), ..future };
        assert_eq!(called(contradiction, "tools/list", &envelope(&json!("2025-11-25"), &json!({}))).1, "-32022");
    }
}
