//! Processes end with the stack, and its data is kept.

use std::net::TcpListener;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Up, data, error_of, eventually, run, run_with, turn};

#[tokio::test]
async fn however_the_stack_ends_no_process_stays_behind() {
    let _turn = turn().await;
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        let data = data();
        let mut up = Up::start(data.path());
        // A process that is just being started still shows the program that starts it.
        eventually("two processes of ours, one of cargo lambda, several of each function", async || {
            let started = up.processes();
            let count = |name: &str| started.iter().filter(|(_, program)| program == name).count();
            let is_all = (count("local"), count("cargo-lambda")) == (2, 1);
            (is_all && count("post-log") > 1 && count("get-health") > 1).then_some(())
        })
        .await;

        up.send(signal);
        let status = up.child.wait().expect("its end");
        assert_eq!(status.success(), signal != Signal::KILL, "{signal:?}: {status}");
        // A killed function exists until the system has removed it. After a KILL, no process ends the others; they
        // detect it themselves.
        eventually("all processes end", async || up.processes().is_empty().then_some(())).await;
        for offset in [0, 1, 2, 3, 920] {
            let port = up.base + offset;
            TcpListener::bind(("127.0.0.1", port)).unwrap_or_else(|error| panic!("{signal:?}, port {port}: {error}"));
        }
    }
}

#[tokio::test]
async fn a_second_run_has_the_data_and_the_key_of_the_first() {
    let _turn = turn().await;
    let data = data();
    let first = Up::start(data.path());
    let key = first.key.clone();
    assert_eq!(first.api().log("thank you").await.status(), 200);
    assert_eq!(first.api().event().await.status(), 200);
    first.end();

    let second = Up::start(data.path());
    assert_eq!(second.key, key);
    let logs: Value = second.api().get("/logs/agent1/user1").await.json().await.expect("JSON");
    assert_eq!(logs[0]["user_input"], "thank you");
    let again: Value = second.api().event().await.json().await.expect("JSON");
    assert_eq!(again["status"], "ingested");
    second.end();
}

#[tokio::test]
async fn a_killed_run_has_lost_nothing() {
    let _turn = turn().await;
    let data = data();
    let mut first = Up::start(data.path());
    assert_eq!(first.api().log("thank you").await.status(), 200);
    first.child.kill().expect("a kill");
    first.child.wait().expect("its end");
    eventually("all processes end", async || first.processes().is_empty().then_some(())).await;

    let second = Up::start(data.path());
    let summary: Value = second.api().get("/summary/agent1/user1").await.json().await.expect("JSON");
    assert_eq!(summary["positive"], 1);
    second.end();
}

#[tokio::test]
async fn a_taken_port_is_named_before_anything_is_started() {
    let data = data();
    for (offset, what) in
        [(0, "the dashboard and the API"), (1, "DynamoDB"), (2, "S3"), (3, "SQS"), (920, "cargo lambda watch")]
    {
        let base = crate::support::port_base();
        let _taken = TcpListener::bind(("127.0.0.1", base + offset)).expect("a free port");
        let path = data.path().to_str().expect("text");
        let output = run(&["up", "--port-base", &base.to_string(), "--data", path]);
        assert_eq!(output.status.code(), Some(1));
        let expected = format!("error: port {} ({what}) is taken: ", base + offset);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.starts_with(&expected) && error.contains("--port-base"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn configuration_mistake_is_reported_once_before_startup() {
    let data = data();
    let file = data.path().join("mine.toml");
    let text = include_str!("../../../signals.toml").replace("default = 10", "default = -1");
    std::fs::write(&file, text).expect("a file");
    let (file, data) = (file.to_str().expect("text"), data.path().join("data"));
    let output = run_with(&[("SIGNALS_CONFIG", file)], &["up", "--data", data.to_str().expect("text")]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.starts_with(&format!("error: {file}:")) && error.contains("thresholds.default"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(!data.exists());
}

#[tokio::test]
async fn a_second_stack_on_the_same_data_is_refused() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let base = crate::support::port_base().to_string();
    let output = run(&["up", "--port-base", &base, "--data", data.path().to_str().expect("text")]);
    assert_eq!(output.status.code(), Some(1));
    let error = error_of(&output);
    assert!(error.contains("another stack runs on the data") && error.lines().count() == 1, "{error}");
    up.end();
}

#[tokio::test]
async fn a_function_that_is_killed_is_started_again() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let running = || up.processes().into_iter().filter(|(_, program)| program == "post-log").map(|(pid, _)| pid);
    let before: Vec<_> = running().collect();
    for &pid in &before {
        kill_process(Pid::from_raw(pid).expect("a process"), Signal::KILL).expect("a kill");
    }
    eventually("post-log runs again", async || {
        let now: Vec<_> = running().collect();
        (now.len() == before.len() && now.iter().all(|pid| !before.contains(pid))).then_some(())
    })
    .await;
    assert_eq!(up.api().log("hello").await.status(), 200);
    up.end();
}

#[tokio::test]
async fn when_cargo_lambda_watch_ends_the_stack_ends_with_its_log() {
    let _turn = turn().await;
    let data = data();
    let mut up = Up::start(data.path());
    let watch = up.processes().into_iter().find(|(_, program)| program == "cargo-lambda").expect("it runs").0;
    kill_process(Pid::from_raw(watch).expect("a process"), Signal::KILL).expect("a kill");
    assert_eq!(up.child.wait().expect("its end").code(), Some(1));
    eventually("all processes end", async || up.processes().is_empty().then_some(())).await;
}

#[tokio::test]
async fn functions_see_nothing_of_the_users_own_aws_account() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let (pid, _) = up.processes().into_iter().find(|(_, program)| program == "post-event").expect("it runs");
    let environment = std::fs::read(format!("/proc/{pid}/environ")).expect("its environment");
    let environment = String::from_utf8_lossy(&environment).into_owned();
    let variables: Vec<_> = environment.split('\0').filter(|variable| variable.starts_with("AWS_")).collect();
    let named = |name: &str| variables.iter().any(|variable| variable.starts_with(&format!("{name}=")));
    assert!(!named("AWS_PROFILE") && !named("AWS_SESSION_TOKEN"), "{variables:?}");
    assert!(named("AWS_REGION") && named("AWS_ENDPOINT_URL_DYNAMODB"), "{variables:?}");
    up.end();
}
