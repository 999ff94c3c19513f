//! Replies to clients: results and JSON-RPC errors.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::message::{InvalidMessage, RequestId};
use super::version::Version;

const PARSE_ERROR: i32 = -32_700;
const INVALID_REQUEST: i32 = -32_600;
const METHOD_NOT_FOUND: i32 = -32_601;
const INVALID_PARAMS: i32 = -32_602;
const INTERNAL_ERROR: i32 = -32_603;
const HEADER_MISMATCH: i32 = -32_020;
const UNSUPPORTED_VERSION: i32 = -32_022;

/// A JSON-RPC error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RpcError {
    /// Code of JSON-RPC or of the protocol.
    pub code: i32,
    message: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Versions>,
}

/// Data of the error for an unsupported version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Versions {
    supported: Vec<&'static str>,
    requested: String,
}

impl RpcError {
    fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// Creates the error for a body that is not JSON.
    pub fn parse(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(PARSE_ERROR, message)
    }

    /// Creates the error for JSON that is not a message.
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(INVALID_REQUEST, message)
    }

    /// Creates the error for a method that the version does not have.
    pub fn method_not_found(version: Version) -> Self {
        Self::new(METHOD_NOT_FOUND, format!("this server does not have the method in version {}", version.name()))
    }

    /// Creates the error for parameters of a method that are missing or invalid.
    pub fn invalid_params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }

    /// Creates the error for a header that is missing or contradicts the body.
    pub fn header_mismatch(header: &'static str) -> Self {
        Self::new(HEADER_MISMATCH, format!("the header {header} must have the value of the body"))
    }

    /// Creates the error for a version that the server does not have.
    pub fn unsupported_version(requested: &str) -> Self {
        let data = Versions { supported: Version::names(), requested: requested.to_owned() };
        Self { data: Some(data), ..Self::new(UNSUPPORTED_VERSION, "this server does not support the protocol version") }
    }

    /// Creates the error for a failure of the server.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(INTERNAL_ERROR, message)
    }
}

/// The reply to one message.
#[derive(Debug)]
pub struct Reply {
    /// Id of the request, or `None` if it could not be read.
    pub id: Option<RequestId>,
    /// The result as JSON, or the error.
    pub outcome: Result<Box<RawValue>, RpcError>,
    /// Version of the request.
    pub version: Version,
}

/// Kind of a reply, which determines the status of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// A result, or an error that clients expect in a successful response.
    Successful,
    /// The request is not a message of the protocol.
    Invalid,
    /// The method does not exist.
    NotFound,
}

impl Reply {
    /// Creates the reply to the request `id`.
    pub fn new(id: RequestId, version: Version, outcome: Result<Box<RawValue>, RpcError>) -> Self {
        Self { id: Some(id), outcome, version }
    }

    /// Creates the reply to a message that cannot be read.
    pub fn invalid(InvalidMessage { id, error }: InvalidMessage, version: Version) -> Self {
        Self { id, outcome: Err(error), version }
    }

    /// Returns the kind of the reply.
    ///
    /// Versions before 2026-07-28 require no status for errors, and their clients read the body of a successful response
    /// only. So these clients get errors about a method with status 200.
    pub fn kind(&self) -> ReplyKind {
        let Err(error) = &self.outcome else { return ReplyKind::Successful };
        match error.code {
            PARSE_ERROR | INVALID_REQUEST | HEADER_MISMATCH | UNSUPPORTED_VERSION => ReplyKind::Invalid,
            INVALID_PARAMS if self.version.is_stateless() => ReplyKind::Invalid,
            METHOD_NOT_FOUND if self.version.is_stateless() => ReplyKind::NotFound,
            _ => ReplyKind::Successful,
        }
    }
}

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Response<'a> {
            jsonrpc: &'static str,
            id: Option<&'a RawValue>,
            #[serde(skip_serializing_if = "Option::is_none")]
            result: Option<&'a RawValue>,
            #[serde(skip_serializing_if = "Option::is_none")]
            error: Option<&'a RpcError>,
        }
        let (result, error) = match &self.outcome {
            Ok(result) => (Some(&**result), None),
            Err(error) => (None, Some(error)),
        };
        Response { jsonrpc: "2.0", id: self.id.as_ref().map(RequestId::json), result, error }.serialize(serializer)
    }
}

/// The response to a body.
#[derive(Debug)]
pub enum Answer {
    /// The body has no request, so there is no reply.
    Accepted,
    /// The reply to one message.
    One(Reply),
    /// The replies to the requests of a batch.
    Batch(Vec<Reply>),
}

/// A result with the fields that its version requires.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versioned<'a, T> {
    #[serde(flatten)]
    result: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_scope: Option<&'static str>,
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    meta: Option<Meta>,
}

#[derive(Serialize)]
struct Meta {
    #[serde(rename = "io.modelcontextprotocol/serverInfo")]
    server_info: ServerInfo,
}

/// Name and version of the server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ServerInfo {
    name: &'static str,
    title: &'static str,
    version: &'static str,
}

impl ServerInfo {
    /// Information about this server.
    pub const OWN: Self = Self { name: "signals", title: "Signals", version: env!("CARGO_PKG_VERSION") };
}

/// Time for which a client may cache a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// The result must not be cached.
    Never,
    /// The result is the same for all callers until the next deployment, and may be cached for this many milliseconds.
    Public(u32),
}

/// Encodes `result` with the fields that `version` requires.
///
/// # Errors
/// When the result is not JSON.
pub fn encode(result: &impl Serialize, version: Version, caching: Caching) -> Result<Box<RawValue>, RpcError> {
    let is_stateless = version.is_stateless();
    let (ttl_ms, cache_scope) = match caching {
        Caching::Public(millis) if is_stateless => (Some(millis), Some("public")),
        _ => (None, None),
    };
    let versioned = Versioned {
        result,
        result_type: is_stateless.then_some("complete"),
        ttl_ms,
        cache_scope,
        meta: is_stateless.then_some(Meta { server_info: ServerInfo::OWN }),
    };
    to_raw_value(&versioned).map_err(|error| {
        tracing::error!(%error, "cannot encode result as JSON");
        RpcError::internal("Internal Server Error")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn value(result: &RawValue) -> Value {
        serde_json::from_str(result.get()).expect("JSON")
    }

    #[test]
    fn result_has_the_fields_of_its_version() {
        #[derive(Serialize)]
        struct Own<'a> {
            raw: &'a RawValue,
        }
        let raw = RawValue::from_string("[1.10]".to_owned()).expect("JSON");
        let own = Own { raw: &raw };
        let old = encode(&own, Version::November2025, Caching::Public(5)).expect("JSON");
        assert_eq!(old.get(), r#"{"raw":[1.10]}"#);
        let meta = json!({ "io.modelcontextprotocol/serverInfo": ServerInfo::OWN });
        let new = encode(&own, Version::July2026, Caching::Never).expect("JSON");
        assert_eq!(value(&new), json!({ "raw": [1.1], "resultType": "complete", "_meta": meta }));
        let cached = encode(&own, Version::July2026, Caching::Public(5)).expect("JSON");
        assert_eq!((&value(&cached)["ttlMs"], &value(&cached)["cacheScope"]), (&json!(5), &json!("public")));
    }

    #[test]
    fn errors_have_a_status_where_clients_expect_it() {
        let kind = |version, error| Reply { id: None, outcome: Err(error), version }.kind();
        for (error, old, new) in [
            (RpcError::parse(""), ReplyKind::Invalid, ReplyKind::Invalid),
            (RpcError::invalid_request(""), ReplyKind::Invalid, ReplyKind::Invalid),
            (RpcError::header_mismatch(""), ReplyKind::Invalid, ReplyKind::Invalid),
            (RpcError::unsupported_version("x"), ReplyKind::Invalid, ReplyKind::Invalid),
            (RpcError::invalid_params(""), ReplyKind::Successful, ReplyKind::Invalid),
            (RpcError::method_not_found(Version::July2026), ReplyKind::Successful, ReplyKind::NotFound),
        ] {
            assert_eq!(kind(Version::June2025, error.clone()), old, "{error:?}");
            assert_eq!(kind(Version::July2026, error.clone()), new, "{error:?}");
        }
    }

    #[test]
    fn unsupported_version_names_the_supported_ones() {
        let reply = Reply { id: None, outcome: Err(RpcError::unsupported_version("1")), version: Version::UNNAMED };
        let reply = json!(reply);
        assert_eq!((&reply["id"], &reply["error"]["code"]), (&Value::Null, &json!(-32_022)));
        assert_eq!(reply["error"]["data"], json!({ "supported": Version::names(), "requested": "1" }));
    }
}
