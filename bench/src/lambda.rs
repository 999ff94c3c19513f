//! Replaces the Lambda platform: sandboxes, each a function's process with its Runtime API.
//!
//! The API: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Slot, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::StatusCode;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

/// Maximum time for a function to request work or to respond.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time until the deadline that a function receives.
const TIME_LIMIT: Duration = Duration::from_secs(15);

/// One process of a function.
pub struct Sandbox {
    child: Child,
    api: JoinHandle<()>,
    work: mpsc::Sender<Work>,
    /// Time from the start of the process to its first request for work.
    pub start: Duration,
}

struct Work {
    event: Bytes,
    answer: oneshot::Sender<Result<Bytes, String>>,
}

struct Api {
    waiting: Mutex<mpsc::Receiver<Work>>,
    asked: Slot<Option<oneshot::Sender<Instant>>>,
    under_way: Slot<Option<oneshot::Sender<Result<Bytes, String>>>>,
    number: AtomicU64,
}

impl Sandbox {
    /// Starts `program` and waits until it requests work.
    pub async fn start(program: &Path, environment: &BTreeMap<String, String>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (work, waiting) = mpsc::channel(1);
        let (asked, first) = oneshot::channel();
        let state = Api {
            waiting: Mutex::new(waiting),
            asked: Slot::new(Some(asked)),
            under_way: Slot::default(),
            number: AtomicU64::new(0),
        };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(failure))
            .route("/2018-06-01/runtime/init/error", post(failure))
            .with_state(Arc::new(state));
        let api = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the Runtime API stopped: {error}");
            }
        });
        let mut command = Command::new(program);
        command.env_clear().envs(environment).env("AWS_LAMBDA_RUNTIME_API", address.to_string());
        command.env("AWS_LAMBDA_FUNCTION_NAME", "bench").env("AWS_LAMBDA_FUNCTION_VERSION", "1");
        command.env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256").env("AWS_LAMBDA_LOG_LEVEL", "INFO");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let first = tokio::time::timeout(PATIENCE, first).await;
        let first = first.ok().and_then(Result::ok);
        let asked_at = first.with_context(|| format!("{} did not ask for work", program.display()))?;
        Ok(Self { child, api, work, start: asked_at.duration_since(started) })
    }

    /// Invokes the function with `event`. Returns the response and its duration.
    pub async fn invoke(&self, event: Bytes) -> Result<(Duration, Bytes)> {
        let (answer, answered) = oneshot::channel();
        let started = Instant::now();
        if self.work.send(Work { event, answer }).await.is_err() {
            bail!("the function is gone");
        }
        let answered = tokio::time::timeout(PATIENCE, answered).await;
        let took = started.elapsed();
        match answered.context("the function does not answer")?.context("the function is gone")? {
            Ok(body) => Ok((took, body)),
            Err(error) => bail!("the function failed: {error}"),
        }
    }

    /// Stops the process and waits until it has ended, so that it cannot disturb the next one.
    pub async fn stop(mut self) -> Result<()> {
        self.child.kill().await.context("the function cannot be ended")
    }

    /// The function's process.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the function has ended")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.api.abort();
    }
}

fn take<T>(slot: &Slot<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

async fn next(State(api): State<Arc<Api>>) -> Response {
    if let Some(asked) = take(&api.asked) {
        // The receiver is gone if starting the process timed out.
        let _ = asked.send(Instant::now());
    }
    let Some(work) = api.waiting.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    *api.under_way.lock().unwrap_or_else(PoisonError::into_inner) = Some(work.answer);
    let id = format!("00000000-0000-4000-8000-{:012x}", api.number.fetch_add(1, Ordering::Relaxed));
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + TIME_LIMIT;
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:bench".to_owned()),
        ("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000;Sampled=0".to_owned()),
    ];
    (headers, work.event).into_response()
}

async fn response(State(api): State<Arc<Api>>, body: Bytes) -> StatusCode {
    if let Some(answer) = take(&api.under_way) {
        let _ = answer.send(Ok(body));
    }
    StatusCode::ACCEPTED
}

async fn failure(State(api): State<Arc<Api>>, body: Bytes) -> StatusCode {
    let text = String::from_utf8_lossy(&body).into_owned();
    eprintln!("a function reports an error: {text}");
    if let Some(answer) = take(&api.under_way) {
        let _ = answer.send(Err(text));
    }
    StatusCode::ACCEPTED
}
