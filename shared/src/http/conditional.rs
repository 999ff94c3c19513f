//! Responses that a caller may keep, and requests on the condition that a response has changed (RFC 9110, 8.8.3 and
//! 13.1.2).

use lambda_http::Body;
use lambda_http::http::header::{ETAG, IF_NONE_MATCH};
use lambda_http::http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::request::Request;
use super::response::{self, Response};

/// Caching of a response that never changes. A cache may show erased data for this hour, so the time is short, and no
/// shared cache may keep the response.
const CACHING: &str = "private, immutable, max-age=3600";
/// Number of bytes of the hash in an entity tag.
const TAG_BYTES: usize = 16;

/// Returns `json`, which never changes, with an entity tag and with status 200, or only the tag with status 304 if the
/// caller already has that content.
pub fn immutable(request: &Request, json: &RawValue) -> Response {
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(json.get())[..TAG_BYTES]));
    let mut response = if has(request.headers(), &tag) {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        response::ok(&json)
    };
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response::set_header(&mut response, "cache-control", CACHING);
    // Callers with different keys may share a private cache, and the response depends on the key.
    response::set_header(&mut response, "vary", "x-api-key");
    response
}

/// Returns whether `If-None-Match` contains `tag`, by weak comparison.
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tag_is_found_in_a_list_and_by_weak_comparison() {
        let found = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_NONE_MATCH, HeaderValue::from_str(value).expect("a header"));
            }
            has(&headers, "\"ab\"")
        };
        for values in [&["\"ab\""][..], &["W/\"ab\""], &["\"x\", \"ab\""], &["\"x\"", "W/\"y\",\"ab\""], &["*"]] {
            assert!(found(values), "{values:?}");
        }
        for values in [&[][..], &[""], &["ab"], &["\"abc\""], &["w/\"ab\""], &["\"AB\""]] {
            assert!(!found(values), "{values:?}");
        }
    }
}
