//! A stack with proxies between its functions and its stores, and a client of its API.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use local::ports::Ports;
use local::stack::{Options, Stack};
use reqwest::{Client, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::proxy::{Fate, Proxy};
use crate::traffic::scatter;

/// 2026-01-02T12:00:00Z; all events are later.
pub const NOON_MILLIS: i64 = 1_767_355_200_000;
/// The maximum time to wait for an expected condition.
const PATIENCE: Duration = Duration::from_secs(600);
/// The polling interval of a condition.
const PERIOD: Duration = Duration::from_millis(20);

/// The stack, its proxies, and a client of its API.
pub struct Faulty {
    pub stack: Stack,
    pub dynamodb: Proxy,
    pub s3: Proxy,
    pub sqs: Proxy,
    client: Client,
    _data: TempDir,
}

impl Faulty {
    /// Starts a stack with `processes` per function. All proxies forward calls.
    pub async fn start(processes: u16) -> Self {
        Self::start_with(processes, &[]).await
    }

    /// Like [`Self::start`], with additional environment variables for the functions.
    pub async fn start_with(processes: u16, more: &[(&str, String)]) -> Self {
        let (dynamodb, s3, sqs) = (Proxy::start().await, Proxy::start().await, Proxy::start().await);
        let data = TempDir::with_prefix("signals-test-").expect("a folder");
        let overrides = [
            ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.endpoint()),
            ("AWS_ENDPOINT_URL_S3", s3.endpoint()),
            ("AWS_ENDPOINT_URL_SQS", sqs.endpoint()),
        ];
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let template = impatient(&root.join("template.yaml"), data.path());
        let options = Options {
            root: root.to_owned(),
            template,
            data: data.path().to_owned(),
            ports: Ports::Free,
            profile: "dev".to_owned(),
            processes,
            program: env!("CARGO_BIN_EXE_local").into(),
            overrides: overrides.iter().chain(more).map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        };
        let stack = Stack::start(&options).await.expect("a stack");
        dynamodb.lead_to(&stack.dynamodb.endpoint());
        s3.lead_to(&stack.s3.endpoint());
        sqs.lead_to(&stack.sqs.endpoint());
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(40)).build().expect("a client");
        Self { stack, dynamodb, s3, sqs, client, _data: data }
    }

    /// Makes a fifth of the calls to DynamoDB and SQS fail or take longer, in every way that a proxy knows.
    pub fn fail_a_little(&self) {
        for (proxy, salt) in [(&self.dynamodb, 1), (&self.sqs, 2)] {
            let mut calls = 0;
            proxy.decide_by(move |_| {
                calls += 1;
                match scatter(calls + 1_000_003 * salt) % 100 {
                    0..3 => Fate::Lose,
                    3..6 => Fate::LoseAnswer,
                    6..9 => Fate::Fail,
                    9..12 => Fate::Throttle,
                    12..20 => Fate::Delay(Duration::from_millis(50)),
                    20 => Fate::Swallow,
                    _ => Fate::Pass,
                }
            });
        }
    }

    /// Makes every call to DynamoDB and SQS pass again.
    pub fn heal(&self) {
        self.dynamodb.heal();
        self.sqs.heal();
    }

    /// Posts `body` and returns the response's status and JSON, or `None` without a response.
    pub async fn post(&self, path: &str, body: &Value) -> Option<(StatusCode, Value)> {
        self.post_with(path, body, &[]).await
    }

    /// Like [`Self::post`], with additional headers.
    pub async fn post_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Option<(StatusCode, Value)> {
        let url = format!("{}{path}", self.stack.description().api);
        let mut request = self.client.post(url).header("x-api-key", self.stack.api_key()).json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.ok()?;
        Some((answer.status(), answer.json().await.ok()?))
    }

    /// Gets `path`; returns the response's status and JSON, or `None` without a response.
    pub async fn get(&self, path: &str) -> Option<(StatusCode, Value)> {
        let url = format!("{}{path}", self.stack.description().api);
        let response = self.client.get(url).header("x-api-key", self.stack.api_key()).send().await.ok()?;
        Some((response.status(), response.json().await.ok()?))
    }

    /// Like [`Self::get`], repeated until the store responds in time.
    pub async fn get_available(&self, path: &str) -> (StatusCode, Value) {
        loop {
            match self.get(path).await {
                None | Some((StatusCode::SERVICE_UNAVAILABLE, _)) => {}
                Some(answer) => return answer,
            }
        }
    }

    /// Returns the array at `path`, from all its pages.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let (mut items, mut query) = (Vec::new(), String::new());
        loop {
            let url = format!("{}{path}{query}", self.stack.description().api);
            let answer = self.client.get(url).header("x-api-key", self.stack.api_key()).send().await;
            let answer = answer.expect("an answer");
            // On a busy machine a healthy store can take longer than a call may.
            if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
                continue;
            }
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            let link = answer.headers().get("link").and_then(|link| link.to_str().ok()).map(str::to_owned);
            items.extend(answer.json::<Vec<Value>>().await.expect("an array"));
            match link.as_deref().and_then(|link| link.strip_prefix('<')?.split_once('>')) {
                Some((next, _)) => query = next.to_owned(),
                None => return items,
            }
        }
    }

    /// Returns the processes of all functions: program and id.
    pub fn functions(&self) -> Vec<(String, i32)> {
        let functions =
            std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions")).expect("functions");
        let names = functions.map(|folder| folder.expect("a folder").file_name().to_string_lossy().into_owned());
        names.flat_map(|name| self.processes(&name).into_iter().map(move |pid| (name.clone(), pid))).collect()
    }

    /// The processes of `function`.
    /// Returns the processes of `function`.
    pub fn processes(&self, function: &str) -> Vec<i32> {
        let mark = format!("AWS_ENDPOINT_URL_DYNAMODB={}", self.dynamodb.endpoint());
        let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
            let is_it = program.is_some_and(|program| program.ends_with(function));
            let environment = || std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            is_it && environment().split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes())
        })
        .collect()
    }

    /// Kills every process of `function` at once, like a sandbox that dies.
    pub fn kill(&self, function: &str) -> usize {
        let processes = self.processes(function);
        for &pid in &processes {
            // A process that has just ended is gone as well.
            let _gone = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
        }
        processes.len()
    }

    /// Stops the stack.
    pub async fn stop(self) {
        self.stack.stop().await;
    }
}

/// Writes the template with shorter timeouts to `folder`. By default, a killed function's request ends only with its
/// timeout, and its messages stay hidden even longer: minutes that the test would have to wait.
fn impatient(template: &Path, folder: &Path) -> PathBuf {
    let mut text = std::fs::read_to_string(template).expect("the template");
    for (patient, impatient) in [
        ("Timeout: 15", "Timeout: 12"),
        ("Timeout: 30", "Timeout: 12"),
        ("Timeout: 60", "Timeout: 12"),
        ("VisibilityTimeout: 180", "VisibilityTimeout: 15"),
    ] {
        assert!(text.contains(patient), "{patient} is not in the template");
        text = text.replace(patient, impatient);
    }
    let path = folder.join("impatient.yaml");
    std::fs::write(&path, text).expect("a template");
    path
}

/// Waits until `condition` returns a value.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(PERIOD).await;
    }
}

/// Returns an event of `user`, `millis` after the fixed noon.
pub fn event(user: &str, id: &str, signal_type: &str, millis: i64) -> Value {
    json!({
        "user_id": user,
        "agent_id": "agent",
        "signal_type": signal_type,
        "timestamp": NOON_MILLIS + millis,
        "event_id": id,
    })
}
