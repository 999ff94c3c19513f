//! How large an answer of Lambda's is.

/// Bytes that `json` has within the JSON in which Lambda wraps an answer: every character that is escaped there takes two.
/// A wrapped answer has 6 MB at most: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
pub fn escaped_bytes(json: &str) -> usize {
    json.len() + json.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | b'\t')).count()
}
