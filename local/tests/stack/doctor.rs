//! `signals otlp doctor` against a running stack.

use std::path::Path;

use serde_json::Value;

use crate::support::{Up, data, eventually, signals, signals_command, turn};

/// Returns the exit code and the output of `signals otlp doctor --url URL` with this key.
async fn doctor(key: &str, url: &str, more: &[&str]) -> (Option<i32>, String) {
    let mut command = signals_command().await;
    let output = command.args(["otlp", "doctor", "--url", url]).args(more).env("SIGNALS_KEY", key).output();
    let output = output.expect("signals");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Creates a key with these scopes for the agent `shop`.
async fn key_with(data: &Path, scopes: &str) -> String {
    let name = format!("of {scopes}");
    let create = ["key", "create", "--name", &name, "--agents", "shop", "--scopes", scopes];
    let output = signals(&[&create[..], &["--data", data.to_str().expect("text")]].concat()).await;
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Returns the words in the first two columns of the checks.
fn checks(text: &str) -> Vec<(&str, &str)> {
    let checks = text.lines().take_while(|line| !line.is_empty());
    checks.map(|line| (line[..8].trim(), line[9..23].trim())).collect()
}

#[tokio::test]
async fn otlp_doctor_checks_the_running_stack() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let path = data.path().to_str().expect("text");
    for count in 1..=2 {
        let output = signals(&["otlp", "doctor", "--data", path]).await;
        let text = String::from_utf8_lossy(&output.stdout);
        let forms = ["protobuf", "protobuf, gzip", "JSON"];
        let expected: Vec<_> =
            ["reachable", "key"].into_iter().chain(forms).chain(["recorded"]).map(|check| ("ok", check)).collect();
        assert_eq!(checks(&text), expected, "{text}");
        assert_eq!(output.status.code(), Some(0));
        let endpoint = format!("\nexport OTEL_EXPORTER_OTLP_ENDPOINT={}/api\n", up.address());
        assert!(text.contains(&endpoint), "{text}");
        assert!(text.contains(&format!("\"x-api-key=$(cat {path}/api-key)\"")), "{text}");
        assert!(text.contains(&format!("grep OtlpSkipped {path}/functions.log")), "{text}");
        assert!(!text.contains(&up.key), "the key is shown");

        // All forms of a run are one turn.
        let entries: Value = up.api().get("/logs/otlp-doctor/otlp-doctor").await.json().await.expect("JSON");
        assert_eq!(entries.as_array().map(Vec::len), Some(count), "{entries}");
        assert_eq!(entries[0]["agent_output"], "The test has arrived.");
    }
    up.end();
}

#[tokio::test]
async fn otlp_doctor_names_wrong_addresses_and_keys() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let api = format!("{}/api", up.address());
    let writer = key_with(data.path(), "logs:write").await;
    let reader = key_with(data.path(), "logs:read").await;
    let agent = &["--agent", "shop"][..];

    let (code, text) = doctor(&writer, &api, agent).await;
    assert_eq!((code, checks(&text).last()), (Some(0), Some(&("skipped", "recorded"))), "{text}");
    let (code, text) = doctor(&writer, &api, &[]).await;
    assert_eq!((code, checks(&text)), (Some(1), vec![("PROBLEM", "protobuf")]), "{text}");
    assert!(text.contains("the key may not access the agent") && text.contains("--agent"), "{text}");
    let log = data.path().join("functions.log");
    eventually("the skipped call is in the log", async || {
        std::fs::read_to_string(&log).ok()?.lines().find(|line| line.contains("OtlpSkipped")).map(str::to_owned)
    })
    .await;

    for (key, expected) in [
        (reader.as_str(), "the key has no scope logs:write"),
        (&format!("sig_{}", "0".repeat(43)), "the stack does not know the key"),
        ("sig_0", "the key is not complete"),
    ] {
        let (code, text) = doctor(key, &api, agent).await;
        assert_eq!((code, checks(&text)), (Some(1), vec![("PROBLEM", "key")]), "{text}");
        assert!(text.contains(expected), "{text}");
    }

    for (url, problems, expected) in [
        (up.address(), &["reachable", "address"][..], format!("the API is at {api}\n")),
        (format!("{api}/v1/traces"), &["address"], "exporters append /v1/traces".to_owned()),
        (format!("{api}/api"), &["address"], "/api twice".to_owned()),
    ] {
        let (code, text) = doctor(&up.key, &url, &[]).await;
        let (found, rest): (Vec<_>, Vec<_>) = checks(&text).into_iter().partition(|(outcome, _)| *outcome == "PROBLEM");
        assert_eq!(found, problems.iter().map(|check| ("PROBLEM", *check)).collect::<Vec<_>>(), "{text}");
        assert!(code == Some(1) && rest.last() == Some(&("ok", "recorded")), "{text}");
        assert!(text.contains(&expected), "{text}");
        assert!(text.contains(&format!("\nexport OTEL_EXPORTER_OTLP_ENDPOINT={api}\n")), "{text}");
    }
    let https = api.replace("http://", "https://");
    let (code, text) = doctor(&up.key, &https, &[]).await;
    assert_eq!((code, checks(&text)), (Some(1), vec![("PROBLEM", "reachable")]), "{text}");
    assert!(text.contains("the local stack has no TLS: use http://"), "{text}");

    up.end();
}
