//! JSON-RPC messages from clients.
//!
//! Format: <https://www.jsonrpc.org/specification>, without `null` as an id and with `params` that are always an object.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::reply::RpcError;
use crate::json::{Json, Object};

/// Maximum number of messages in a batch.
const MAX_BATCH: usize = 10;

/// The id of a request as written: a string or a number.
#[derive(Clone, Debug)]
pub struct RequestId(Box<RawValue>);

impl RequestId {
    fn of(json: Json<'_>) -> Option<Self> {
        let is_id = json.as_str().is_some() || json.as_number().is_some();
        is_id.then(|| RawValue::from_string(json.text().to_owned()).ok()).flatten().map(Self)
    }

    /// Returns the JSON of the id.
    pub fn json(&self) -> &RawValue {
        &self.0
    }
}

/// A message from a client.
#[derive(Clone, Debug)]
pub enum Message<'a> {
    /// A request, which needs a reply.
    Request(Request<'a>),
    /// A notification, or a response to a request that a server never sends. Neither gets a reply.
    NoReply(NoReply),
}

/// Kind of a message without a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoReply {
    /// A notification.
    Notification,
    /// A response.
    Response,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The id, which the reply repeats.
    pub id: RequestId,
    /// Name of the method.
    pub method: Cow<'a, str>,
    /// Parameters of the method.
    pub params: Option<Object<'a>>,
}

/// A message that cannot be read, with its id if there is one.
#[derive(Debug)]
pub struct InvalidMessage {
    /// The id.
    pub id: Option<RequestId>,
    /// The error.
    pub error: RpcError,
}

/// The body of a request.
#[derive(Debug)]
pub enum Body<'a> {
    /// One message.
    One(Result<Message<'a>, InvalidMessage>),
    /// Several messages, which only [`Version::March2025`](super::version::Version::March2025) has.
    Batch(Vec<Result<Message<'a>, InvalidMessage>>),
}

/// Parses the body of a request.
///
/// # Errors
/// The body is not JSON within the limits of [`Json`], or a batch is empty or too long.
pub fn parse(body: &[u8]) -> Result<Body<'_>, RpcError> {
    let json = Json::parse(body).map_err(|error| RpcError::parse(format!("the body is not valid JSON: {error}")))?;
    let Some(items) = json.as_array() else { return Ok(Body::One(message(json))) };
    if items.is_empty() || items.len() > MAX_BATCH {
        return Err(RpcError::invalid_request(format!("a batch must have 1 to {MAX_BATCH} messages")));
    }
    Ok(Body::Batch(items.into_iter().map(message).collect()))
}

fn message(json: Json<'_>) -> Result<Message<'_>, InvalidMessage> {
    let invalid = |id: Option<&RequestId>, why: &'static str| InvalidMessage {
        id: id.cloned(),
        error: RpcError::invalid_request(why),
    };
    let object = json.as_object().ok_or_else(|| invalid(None, "a message must be a JSON object"))?;
    let id = match object.get("id") {
        Some(id) => Some(RequestId::of(id).ok_or_else(|| invalid(None, "id must be a string or a number"))?),
        None => None,
    };
    let invalid = |why| invalid(id.as_ref(), why);
    if object.get("jsonrpc").and_then(Json::as_str).as_deref() != Some("2.0") {
        return Err(invalid("jsonrpc must be \"2.0\""));
    }
    let Some(method) = object.get("method") else {
        let is_response = object.get("result").is_some() || object.get("error").is_some();
        return if is_response { Ok(Message::NoReply(NoReply::Response)) } else { Err(invalid("method is missing")) };
    };
    let method = method.as_str().ok_or_else(|| invalid("method must be a string"))?;
    let params = match object.get("params") {
        Some(params) => Some(params.as_object().ok_or_else(|| invalid("params must be an object"))?),
        None => None,
    };
    Ok(match id {
        Some(id) => Message::Request(Request { id, method, params }),
        None => Message::NoReply(NoReply::Notification),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the kind of the message, or the code of the error and the id.
    fn kind(body: &str) -> String {
        match parse(body.as_bytes()) {
            Err(error) => error.code.to_string(),
            Ok(Body::Batch(messages)) => format!("{} messages", messages.len()),
            Ok(Body::One(Ok(Message::Request(request)))) => {
                format!("request {} {} {}", request.id.json(), request.method, request.params.is_some())
            }
            Ok(Body::One(Ok(Message::NoReply(kind)))) => format!("{kind:?}"),
            Ok(Body::One(Err(InvalidMessage { id, error }))) => {
                format!("{} {}", error.code, id.map_or("null".to_owned(), |id| id.json().to_string()))
            }
        }
    }

    #[test]
    fn message_is_read_by_its_kind() {
        for (body, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "request 1 ping false"),
            (r#"{"jsonrpc":"2.0","id":"\u0061","method":"\u0061","params":{}}"#, "request \"\\u0061\" a true"),
            (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, "Notification"),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "Response"),
            (r#"[{"jsonrpc":"2.0","method":"a"},1]"#, "2 messages"),
        ] {
            assert_eq!(kind(body), expected, "{body}");
        }
    }

    #[test]
    fn invalid_message_is_refused_with_its_id() {
        for (body, expected) in [
            ("", "-32700"),
            ("{", "-32700"),
            ("\u{feff}{}", "-32700"),
            ("[]", "-32600"),
            (&format!("[{}1]", "1,".repeat(MAX_BATCH)), "-32600"),
            ("1", "-32600 null"),
            ("{}", "-32600 null"),
            (r#"{"jsonrpc":"2.0","id":1}"#, "-32600 1"),
            (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, "-32600 1"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "-32600 null"),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, "-32600 null"),
            (r#"{"jsonrpc":"2.0","id":1,"method":1}"#, "-32600 1"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, "-32600 1"),
        ] {
            assert_eq!(kind(body), expected, "{body}");
        }
    }
}
