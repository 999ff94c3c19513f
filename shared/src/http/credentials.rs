//! The API key in the headers of a request.

use std::borrow::Cow;

use aws_smithy_types::base64;
use lambda_http::http::HeaderMap;
use lambda_http::http::header::AUTHORIZATION;

/// Header that carries the API key.
const API_KEY: &str = "x-api-key";

/// Returns the key in the header `X-API-Key`.
pub(super) fn api_key(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    headers.get(API_KEY)?.to_str().ok().map(Cow::Borrowed)
}

/// Returns the key in the header `X-API-Key`, else in `Authorization`: as a bearer token, or as the password of any user
/// in Basic authentication (RFC 7617). Some SDKs can send only one of the two.
pub(super) fn key_in_any_header(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    if headers.contains_key(API_KEY) {
        return api_key(headers);
    }
    let (scheme, credentials) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let credentials = credentials.trim();
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(Cow::Borrowed(credentials)),
        "basic" => {
            let decoded = String::from_utf8(base64::decode(credentials).ok()?).ok()?;
            decoded.split_once(':').map(|(_, password)| Cow::Owned(password.to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn key_is_found_in_each_form() {
        let basic = format!("Basic {}", base64::encode("signals:sig_1"));
        let colons = format!("bAsIc {}", base64::encode(":sig:1"));
        for (value, expected) in [
            ("Bearer sig_1", Some("sig_1")),
            ("bearer  sig_1", Some("sig_1")),
            (&basic, Some("sig_1")),
            (&colons, Some("sig:1")),
            ("Basic sig_1", None),
            ("Basic c2lnXzE=", None),
            ("Digest sig_1", None),
            ("sig_1", None),
            ("", None),
        ] {
            assert_eq!(key_in_any_header(&headers(&[("authorization", value)])).as_deref(), expected, "{value:?}");
            assert_eq!(api_key(&headers(&[("authorization", value)])), None);
        }
    }

    #[test]
    fn own_header_precedes_authorization() {
        let both = headers(&[("authorization", "Bearer sig_1"), ("x-api-key", "sig_2")]);
        assert_eq!(key_in_any_header(&both).as_deref(), Some("sig_2"));
        assert_eq!(api_key(&both).as_deref(), Some("sig_2"));
        assert_eq!(key_in_any_header(&headers(&[])), None);
    }
}
