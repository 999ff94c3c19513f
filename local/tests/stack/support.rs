//! A stack under test and its clients.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use cli::data_folder::DataFolder;
use cli::target::StackTarget;
use futures_util::stream::{self, StreamExt};
use local::ports::WATCH_OFFSET;
use local::toolchain;
use reqwest::{Client, Response};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use shared::env::LOG_BUCKET;
use tempfile::TempDir;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_local");
/// The maximum time to wait for an expected condition.
const PATIENCE: Duration = Duration::from_secs(240);
/// The number of lines that `up` prints when the stack is ready.
const PRINTED: usize = 4;
/// The polling interval of a condition.
const PERIOD: Duration = Duration::from_millis(20);

/// The workspace's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Limits the number of concurrent stacks. A stack has some forty processes.
static STACKS: Semaphore = Semaphore::const_new(2);

/// Waits for permission to run a stack.
pub async fn turn() -> SemaphorePermit<'static> {
    STACKS.acquire().await.expect("the semaphore is never closed")
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

/// Returns a port for which the ports of a stack above it are free too. All are below the range that the system assigns
/// itself.
pub fn port_base() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() % 900).expect("small") * 10;
    let is_free = |base: &u16| {
        [0, 1, 2, 3, WATCH_OFFSET].iter().all(|offset| TcpListener::bind(("127.0.0.1", base + offset)).is_ok())
    };
    let candidates = std::iter::repeat_with(|| 12_000 + (offset + NEXT.fetch_add(10, Ordering::Relaxed)) % 15_000);
    candidates.take(500).find(is_free).expect("free ports")
}

/// A running `local up` with all its child processes.
pub struct Up {
    pub child: Child,
    pub base: u16,
    pub key: String,
    /// The lines that were printed until the stack was ready.
    pub printed: Vec<String>,
    mark: String,
}

impl Up {
    /// Starts a stack on the data in `data` and waits until the stack has printed its addresses.
    pub fn start(data: &Path) -> Self {
        let base = port_base();
        let mark = format!("SIGNALS_TEST_MARK={base}-{}", data.display());
        let (name, value) = mark.split_once('=').expect("a variable");
        let mut child = Command::new(PROGRAM)
            .args(["up", "--port-base", &base.to_string(), "--data"])
            .arg(data)
            .current_dir(root())
            .env(name, value)
            .env("AWS_PROFILE", "somebody")
            .env("AWS_SESSION_TOKEN", "somebody's")
            .stdout(Stdio::piped())
            .spawn()
            .expect("local up");
        let mut printed = Vec::new();
        for line in BufReader::new(child.stdout.take().expect("its output")).lines() {
            printed.push(line.expect("text"));
            if printed.len() == PRINTED {
                break;
            }
        }
        assert_eq!(printed.len(), PRINTED, "it is not ready: {printed:?}");
        let key = std::fs::read_to_string(data.join("api-key")).expect("the key").trim().to_owned();
        Self { child, base, key, printed, mark }
    }

    /// Returns the address of the dashboard.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.base)
    }

    /// Returns a client of the API with the user's key.
    pub fn api(&self) -> Api {
        Api::new(format!("{}/api", self.address()), &self.key)
    }

    pub fn send(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, signal).expect("a signal sent");
    }

    /// Asks the stack to end and waits until it has ended.
    pub fn end(mut self) {
        self.send(Signal::TERM);
        assert!(self.child.wait().expect("its end").success());
    }

    /// Returns the id and program of all processes that the stack has started, including its own. They are identified
    /// by their environment.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter_map(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
            let mut variables = environment.split(|&byte| byte == 0);
            variables.any(|variable| variable == self.mark.as_bytes()).then_some(())?;
            let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
            Some((pid, program.file_name()?.to_string_lossy().trim_end_matches(" (deleted)").to_owned()))
        })
        .collect()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Runs `local` with `arguments` until it ends.
pub fn run(arguments: &[&str]) -> Output {
    run_with(&[], arguments)
}

/// Like [`run`], with these environment variables.
pub fn run_with(environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    let environment = environment.iter().copied();
    Command::new(PROGRAM).args(arguments).envs(environment).current_dir(root()).output().expect("local")
}

/// Returns a command for the operator's program `signals`. Cargo builds the program, because it is in another package.
pub async fn signals_command() -> Command {
    static PATH: OnceCell<PathBuf> = OnceCell::const_new();
    let build = async || {
        let built = toolchain::build(&root(), "dev", &["signals".to_owned()]).await.expect("signals is built");
        built[0].path.clone()
    };
    let mut command = Command::new(PATH.get_or_init(build).await);
    command.current_dir(root());
    command
}

/// Runs `signals` with `arguments` until it ends.
pub async fn signals(arguments: &[&str]) -> Output {
    signals_command().await.args(arguments).output().expect("signals")
}

/// Returns the standard error of `output` after cargo's own lines.
pub fn error_of(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().filter(|line| line.starts_with("error: ")).collect::<Vec<_>>().join("\n")
}

/// Returns the keys and lines of all log objects on S3 of the stack on `data`, read without the API.
pub async fn stored_lines(data: &Path) -> Vec<(String, String)> {
    let running = DataFolder::at(data).running().expect("a running stack");
    let target = StackTarget::local(&running.environment).expect("a stack");
    let (s3, bucket) = (target.aws.s3(), target.name(LOG_BUCKET).expect("a bucket"));
    let mut pages = s3.list_objects_v2().bucket(&bucket).prefix("logs/").into_paginator().send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.expect("a page");
        keys.extend(page.contents().iter().map(|object| object.key().expect("a key").to_owned()));
    }
    let lines = async |key: String| {
        let object = s3.get_object().bucket(&bucket).key(&key).send().await.expect("an object");
        let body = object.body.collect().await.expect("a body").into_bytes();
        let line = |line: &str| (key.clone(), line.to_owned());
        std::str::from_utf8(&body).expect("UTF-8").lines().map(line).collect::<Vec<_>>()
    };
    let objects: Vec<_> = stream::iter(keys).map(lines).buffered(8).collect().await;
    objects.concat()
}

/// A client of the API.
pub struct Api {
    client: Client,
    url: String,
    key: String,
}

impl Api {
    pub fn new(url: String, key: &str) -> Self {
        Self { client: Client::builder().no_proxy().build().expect("a client"), url, key: key.to_owned() }
    }

    pub async fn get(&self, path: &str) -> Response {
        let request = self.client.get(format!("{}{path}", self.url)).header("x-api-key", &self.key);
        request.send().await.expect("an answer")
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        let request = self.client.post(format!("{}{path}", self.url)).header("x-api-key", &self.key).json(body);
        request.send().await.expect("an answer")
    }

    /// Posts `body` with a preference for an asynchronous response.
    pub async fn post_async(&self, path: &str, body: &Value) -> Response {
        let request = self.client.post(format!("{}{path}", self.url)).header("x-api-key", &self.key).json(body);
        request.header("prefer", "respond-async").send().await.expect("an answer")
    }

    pub async fn log(&self, input: &str) -> Response {
        self.post("/log", &json!({ "agent_id": "agent1", "user_id": "user1", "user_input": input })).await
    }

    pub async fn event(&self) -> Response {
        let timestamp = "2026-01-01T00:00:00Z";
        let event =
            json!({ "agent_id": "agent1", "user_id": "user1", "signal_type": "positive", "timestamp": timestamp });
        self.post("/event", &event).await
    }
}

/// Creates a folder for a stack's data.
pub fn data() -> TempDir {
    TempDir::with_prefix("signals-test-").expect("a folder")
}
