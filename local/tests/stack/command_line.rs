//! The output and exit codes of `local`, and the keys that `signals` manages.

use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Api, PROGRAM, Up, data, error_of, eventually, root, run, signals, turn};

#[tokio::test]
async fn up_prints_addresses_when_all_endpoints_respond() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let (address, key, base) = (up.address(), up.key.as_str(), up.base);
    let file = data.path().join("api-key");
    let start = format!("Dashboard  {address}/#code=");
    let (code, rest) = up.printed[0].strip_prefix(&start).and_then(|link| link.split_once(' ')).expect("a link");
    assert_eq!(rest.trim_start(), format!("API  {address}/api      key in {}", file.display()));
    assert!(!up.printed.concat().contains(key), "{:?}", up.printed);
    assert!(up.printed[1].contains("make link"), "{}", up.printed[1]);
    assert!(up.printed[2].ends_with(&format!("127.0.0.1:{}", base + 920)), "{}", up.printed[2]);
    assert!(up.printed[3].contains("functions.log"), "{}", up.printed[3]);
    let another = run(&["link", "--data", data.path().to_str().expect("text")]);
    let another = String::from_utf8_lossy(&another.stdout).trim().to_owned();
    assert!(another.starts_with(&format!("{address}/#code=")) && !another.contains(code), "{another}");
    assert_eq!(up.api().get("/health").await.json::<Value>().await.expect("JSON"), json!({ "status": "ok" }));
    let page = reqwest::get(&address).await.expect("an answer");
    assert_eq!(page.headers()["content-type"], "text/html");
    up.end();
}

#[tokio::test]
async fn key_grants_its_scopes_until_revoked() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let path = data.path().to_str().expect("text");
    let key = async |arguments: &[&str]| {
        let output = signals(&[&["key"], arguments, &["--data", path]].concat()).await;
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned(), error_of(&output))
    };
    let (made, secret, _) =
        key(&["create", "--name", "ci", "--scopes", "events:write", "--agents", "agent1,agent 2"]).await;
    assert!(made && secret.starts_with("sig_"), "{secret}");
    let api = Api::new(format!("{}/api", up.address()), &secret);
    assert_eq!(api.event().await.status(), 200);
    assert_eq!(api.log("hello").await.status(), 403);
    let other =
        json!({ "agent_id": "agent3", "user_id": "u", "signal_type": "x", "timestamp": "2026-01-01T00:00:00Z" });
    assert_eq!(api.post("/event", &other).await.status(), 403);

    let (made, expired, _) =
        key(&["create", "--name", "old", "--scopes", "logs:read", "--agents", "*", "--expires", "2020-01-01"]).await;
    assert!(made);
    let api = Api::new(format!("{}/api", up.address()), &expired);
    assert_eq!(api.get("/summary/agent1/user1").await.status(), 401);

    let (_, list, _) = key(&["list"]).await;
    let row = |name: &str| list.lines().find(|line| line.starts_with(name)).map(str::to_owned);
    assert!(!list.contains("sig_"), "{list}");
    let ci = row("ci ").expect("a row");
    assert!(ci.contains("events:write") && ci.contains("agent 2,agent1") && ci.ends_with("never"), "{ci}");
    assert!(row("old ").expect("a row").ends_with("expired"), "{list}");
    assert!(row("local ").is_some(), "{list}");

    let hash = ci.split_whitespace().nth(1).expect("a hash");
    assert_eq!(key(&["revoke", hash]).await, (true, "revoked ci".to_owned(), String::new()));
    let (found, _, error) = key(&["revoke", "ci"]).await;
    assert!(!found && error.contains("no key has the name"), "{error}");
    up.end();
}

#[tokio::test]
async fn exec_runs_a_command_on_its_own_stack_and_returns_its_code() {
    let _turn = turn().await;
    let script = r#"
        [ "$(curl -s "$SIGNALS_DASHBOARD/api/health")" = '{"status":"ok"}' ] || exit 1
        [ "$(curl -s -o /dev/null -w '%{http_code}' -H "X-API-Key: $SIGNALS_KEY" "$SIGNALS_URL/summary/a/b")" = 200 ] || exit 2
        [ -n "$SIGNALS_EVENTS_TABLE" ] && [ -n "$SIGNALS_LOG_BUCKET" ] && [ -n "$AWS_ENDPOINT_URL_S3" ] || exit 3
        echo "in $1"
        exit 42
    "#;
    let output = run(&["exec", "--", "sh", "-c", script, "sh", "two words"]);
    assert_eq!(output.status.code(), Some(42), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "in two words\n");
}

#[tokio::test]
async fn exec_without_a_program_to_run_fails_and_says_so() {
    let _turn = turn().await;
    let output = run(&["exec", "--", "/no/such/program"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(error_of(&output).contains("/no/such/program"), "{}", error_of(&output));
}

#[tokio::test]
async fn exec_passes_an_interruption_on_and_takes_its_stack_down() {
    let _turn = turn().await;
    let data = data();
    let ready = data.path().join("ready");
    let mut child = Command::new(PROGRAM)
        .args(["exec", "--", "sh", "-c", "echo $SIGNALS_URL > \"$0.new\" && mv \"$0.new\" \"$0\"; exec sleep 600"])
        .arg(&ready)
        .current_dir(root())
        .stdout(Stdio::null())
        .spawn()
        .expect("local exec");
    let url = eventually("the command runs", async || std::fs::read_to_string(&ready).ok()).await;
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
    rustix::process::kill_process(pid, Signal::TERM).expect("a signal sent");
    assert_eq!(child.wait().expect("its end").code(), Some(128 + 15));
    assert!(reqwest::get(format!("{}/health", url.trim())).await.is_err(), "the stack is gone");
}
