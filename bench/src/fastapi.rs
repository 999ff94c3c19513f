//! Compares the endpoints with a FastAPI service.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gate::figures::Programs;
use reqwest::{Client, Method};
use serde::Serialize;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::case::Case;
use crate::endpoints::{ENDPOINTS, Endpoint, LOGS, NOISE, Request, noise};
use crate::process;
use crate::stores::{AGENT, Stores, entry};
use crate::throughput;

const PATIENCE: Duration = Duration::from_secs(30);
const CONNECTIONS: [usize; 2] = [1, 8];

/// Requests per second of one endpoint with a log of one length.
#[derive(Debug, Serialize)]
pub struct Row {
    endpoint: &'static str,
    logs: u32,
    connections: usize,
    ours: f64,
    fastapi: f64,
    /// Bare calls per second of the same number of processes.
    bare_calls: Option<f64>,
}

/// The results of the comparison.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Milliseconds from the start of the process to its first response.
    start: f64,
    memory_bytes: u64,
    rows: Vec<Row>,
}

/// The running FastAPI service.
struct Service {
    child: Child,
    address: String,
    client: Client,
    start: Duration,
    _folder: TempDir,
}

impl Service {
    async fn start(root: &Path, uvicorn: &Path) -> Result<Self> {
        let folder = TempDir::with_prefix("signals-fastapi-")?;
        for (user, count) in LOGS {
            let logs = folder.path().join("logs").join(AGENT);
            std::fs::create_dir_all(&logs)?;
            let mut lines = Vec::new();
            for number in 0..count {
                lines.extend(entry(user, number)?.1);
            }
            std::fs::write(logs.join(format!("{user}.jsonl")), lines)?;
        }
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = Command::new(uvicorn);
        command.args(["app:app", "--host", "127.0.0.1", "--port", &port.to_string(), "--log-level", "warning"]);
        command.current_dir(root.join("bench/fastapi")).env("DATA", folder.path());
        command.stdin(Stdio::null()).kill_on_drop(true);
        let client = Client::builder().no_proxy().build()?;
        let address = format!("http://127.0.0.1:{port}");
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {}", uvicorn.display()))?;
        while client.get(format!("{address}/health")).send().await.is_err() {
            if started.elapsed() > PATIENCE {
                bail!("the FastAPI service does not start");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(Self { child, address, client, start: started.elapsed(), _folder: folder })
    }

    async fn ask(&self, endpoint: Endpoint, request: &Request) -> Result<()> {
        let method = if request.method == "GET" { Method::GET } else { Method::POST };
        let mut sent = self.client.request(method, format!("{}{}", self.address, request.path));
        if let Some(body) = &request.body {
            sent = sent.header("content-type", "application/json").body(body.clone());
        }
        let response = sent.send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        if endpoint.expects(status.as_u16()) {
            return Ok(());
        }
        bail!("FastAPI answers {status} to {}: {}", request.path, String::from_utf8_lossy(&body))
    }

    async fn rate(&self, endpoint: Endpoint, user: &str, connections: usize) -> Result<f64> {
        static NUMBER: AtomicU32 = AtomicU32::new(1_000);
        let ask = async || {
            self.ask(endpoint, &endpoint.request(user, NUMBER.fetch_add(1, Ordering::Relaxed))).await.map(|()| 1)
        };
        ask().await?;
        throughput::per_second((0..connections).map(|_| ask)).await
    }
}

/// Measures both services, alternating for each endpoint.
pub async fn compare(root: &Path, uvicorn: PathBuf, programs: &Programs, stores: &Stores) -> Result<Comparison> {
    let service = Service::start(root, &uvicorn).await?;
    let pid = service.child.id().context("the FastAPI service has ended")?;
    let (endpoint, request) = noise();
    for _ in 0..NOISE {
        service.ask(endpoint, &request).await?;
    }
    let mut rows = Vec::new();
    for endpoint in ENDPOINTS {
        eprintln!("comparing {} with FastAPI's", endpoint.name);
        let reads_logs = matches!(endpoint.name, "get-logs" | "get-summary" | "get-visualize");
        for (user, logs) in [("reader-0", 0)].into_iter().chain(LOGS) {
            if logs > 0 && !reads_logs {
                continue;
            }
            let case = Case { endpoint, programs, stores, user };
            for connections in CONNECTIONS {
                let ours = throughput::of_function(case, connections).await?;
                let fastapi = service.rate(endpoint, user, connections).await?;
                let bare_calls =
                    if endpoint.calls_aws() { Some(throughput::of_bare_calls(case, connections).await?) } else { None };
                rows.push(Row { endpoint: endpoint.name, logs, connections, ours, fastapi, bare_calls });
            }
        }
    }
    let start = service.start.as_secs_f64() * 1e3;
    Ok(Comparison { start, memory_bytes: process::peak_memory(pid)?, rows })
}

impl Comparison {
    /// Renders Markdown; `table` renders a table from a title, columns and rows.
    pub fn table(&self, table: impl Fn(&str, &[&str], Vec<Vec<String>>) -> String) -> String {
        let columns = [
            "Endpoint",
            "logs there",
            "connections",
            "Signals, per second",
            "FastAPI, per second",
            "ratio",
            "bare calls, per second",
        ];
        let rows = self.rows.iter().map(|row| {
            vec![
                row.endpoint.to_owned(),
                row.logs.to_string(),
                row.connections.to_string(),
                format!("{:.0}", row.ours),
                format!("{:.0}", row.fastapi),
                format!("{:.1}", row.ours / row.fastapi),
                row.bare_calls.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.0}")),
            ]
        });
        let (start, memory) = (self.start, self.memory_bytes as f64 / 1e6);
        let text = table("Comparison with FastAPI", &columns, rows.collect());
        format!("{text}\nFastAPI: {start:.0} ms from its start to its first answer, {memory:.0} MB resident.\n")
    }
}
