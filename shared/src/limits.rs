//! Limits of Lambda responses.

/// Returns the size of `json` within the JSON in which Lambda wraps a response, where every escaped character takes two
/// bytes. A wrapped response is limited to 6 MB:
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
pub fn escaped_len(json: &str) -> usize {
    json.len() + json.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | b'\t')).count()
}
