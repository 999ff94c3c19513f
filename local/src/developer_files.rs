//! Files for using cargo-lambda with the running stack.

use std::collections::BTreeMap;

use anyhow::Result;
use cli::data_folder::{DataFolder, write_private};
use serde_json::json;

/// Writes the functions' `environment` for `cargo lambda watch --env-file`, and an event with `api_key` for
/// `cargo lambda invoke post-log --data-file`.
///
/// # Errors
/// Fails if the data folder cannot be written.
pub fn write(data: &DataFolder, environment: &BTreeMap<String, String>, api_key: &str) -> Result<()> {
    write_private(&data.environment(), &lines(environment))?;
    write_private(&data.example_event(), &example_event(api_key))
}

/// Returns a line for each variable.
fn lines(environment: &BTreeMap<String, String>) -> String {
    environment.iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect()
}

/// Returns `value` as shells and `cargo lambda watch` read it. Line breaks become spaces, which mean the same in JSON.
fn quoted(value: &str) -> String {
    let value = value.replace(['\n', '\r'], " ");
    if value.chars().all(|c| c.is_ascii_alphanumeric() || "/.:-_+*,@".contains(c)) {
        value
    } else if value.contains('\'') {
        format!("\"{}\"", value.replace('\\', r"\\").replace('"', "\\\""))
    } else {
        format!("'{value}'")
    }
}

/// Returns an event of API Gateway: `POST /log` of an interaction.
fn example_event(api_key: &str) -> String {
    let interaction = json!({ "agent_id": "support", "user_id": "maria", "user_input": "Thanks, that was great" });
    let event = json!({
        "version": "2.0",
        "routeKey": "POST /log",
        "rawPath": "/log",
        "rawQueryString": "",
        "headers": { "content-type": "application/json", "x-api-key": api_key },
        "requestContext": {
            "routeKey": "POST /log",
            "stage": "$default",
            "requestId": "example",
            "timeEpoch": 0,
            "http": {
                "method": "POST",
                "path": "/log",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "cargo-lambda",
            },
        },
        "body": interaction.to_string(),
        "isBase64Encoded": false,
    });
    format!("{event:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_has_a_line_per_variable() {
        let variables = [("B", "http://x/y"), ("A", "{\"a\":\n\"b c\"}"), ("C", "it's \"x\""), ("D", "")];
        let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            lines(&BTreeMap::from(environment)),
            "A='{\"a\": \"b c\"}'\nB=http://x/y\nC=\"it's \\\"x\\\"\"\nD=\n"
        );
    }
}
