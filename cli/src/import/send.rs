//! Sends batches of interactions or events until each of them has an outcome.

use std::io::Write;

use anyhow::{Context, Result, bail, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::batches::Batch;
use super::row::{Entry, Origin};
use super::tally::Tally;
use crate::client::{Client, Lines, Response};
use crate::retries::Retries;

/// An endpoint that accepts batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Logs,
    Events,
}

impl Endpoint {
    fn path(self) -> &'static str {
        match self {
            Self::Logs => "/logs",
            Self::Events => "/events",
        }
    }

    fn scope(self) -> &'static str {
        match self {
            Self::Logs => "logs:write",
            Self::Events => "events:write",
        }
    }

    /// Returns the name of the items, in the plural.
    pub fn items(self) -> &'static str {
        match self {
            Self::Logs => "interactions",
            Self::Events => "events",
        }
    }
}

/// The outcomes of a batch.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub tally: Tally,
    /// The number of attempts after the first.
    pub retries: u32,
    /// The rows that the stack did not accept, and the reasons.
    pub refused: Vec<(Origin, String)>,
}

/// The response of the stack.
#[derive(Deserialize)]
struct Results {
    results: Vec<EntryResult>,
}

#[derive(Deserialize)]
struct EntryResult {
    status: String,
    #[serde(default)]
    detail: Value,
}

/// Sends `batch` to `endpoint`, and entries that are unavailable again. Repeating a request changes nothing, because every entry has an
/// id. Calls `retrying` with the reason before each further attempt.
///
/// # Errors
/// Fails if the stack rejects the request as a whole, or remains unavailable.
pub(crate) async fn send(
    client: &Client,
    endpoint: Endpoint,
    batch: Batch,
    mut retries: Retries,
    retrying: impl Fn(&str),
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut left = batch;
    loop {
        let lines = lines(endpoint, &left).context("cannot compress a request")?;
        let (reason, retry_after) = match client.post_lines(endpoint.path(), lines).await {
            Ok(response) if response.status == StatusCode::MULTI_STATUS => {
                let count = left.len();
                left = outcome.add(endpoint, left, &response)?;
                if left.is_empty() {
                    return Ok(outcome);
                }
                if left.len() < count {
                    retries.reset();
                }
                let (waiting, items) = (left.len(), endpoint.items());
                (format!("the stack cannot store {waiting} of {count} {items} at the moment"), None)
            }
            Ok(response) if response.is_transient() => (response.to_string(), response.retry_after()),
            Ok(response) => bail!(rejection(endpoint, &response)),
            Err(failure) => (failure.to_string(), None),
        };
        outcome.retries += 1;
        retrying(&reason);
        retries.wait(&reason, retry_after).await?;
    }
}

impl Outcome {
    /// Counts the results in `response` to a request with `entries`. Returns the entries to send again.
    fn add(&mut self, endpoint: Endpoint, entries: Vec<Entry>, response: &Response) -> Result<Vec<Entry>> {
        let Results { results } =
            serde_json::from_slice(&response.body).with_context(|| format!("unexpected response: {response}"))?;
        ensure!(
            results.len() == entries.len(),
            "unexpected response: {} results for {} {}",
            results.len(),
            entries.len(),
            endpoint.items()
        );
        let mut left = Vec::new();
        for (entry, EntryResult { status, detail }) in entries.into_iter().zip(results) {
            match status.as_str() {
                "ok" | "ingested" => self.tally.stored += 1,
                "duplicate" => self.tally.duplicates += 1,
                "queued" => self.tally.queued += 1,
                "unavailable" => left.push(entry),
                "conflict" => {
                    self.tally.conflicts += 1;
                    self.refused.push((entry.origin, format!("conflict: {}", reason(&detail))));
                }
                "invalid" | "forbidden" => {
                    self.tally.refused += 1;
                    self.refused.push((entry.origin, format!("{status}: {}", reason(&detail))));
                }
                _ => bail!("unexpected response: a result with the status {status:?}; is this version too old?"),
            }
        }
        Ok(left)
    }
}

/// Returns the reason in the `detail` of a result: a text, or a list of errors of fields.
fn reason(detail: &Value) -> String {
    let of_field = |error: &Value| {
        let steps = error["loc"].as_array().map(Vec::as_slice).unwrap_or_default();
        let field = steps.iter().skip(2).filter_map(Value::as_str).collect::<Vec<_>>().join(".");
        format!("{field}: {}", error["msg"].as_str().unwrap_or_default())
    };
    match detail {
        Value::String(text) => text.clone(),
        Value::Array(errors) => errors.iter().map(of_field).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}

/// Returns what is wrong with a request that must not be repeated.
fn rejection(endpoint: Endpoint, response: &Response) -> String {
    let advice = match response.status {
        StatusCode::UNAUTHORIZED => "the stack does not know the API key",
        StatusCode::FORBIDDEN => &format!("the API key needs the scope {}", endpoint.scope()),
        StatusCode::NOT_FOUND => &format!("the stack has no POST {}: update it to this version", endpoint.path()),
        _ => "the stack rejects the request",
    };
    format!("{advice}: {response}")
}

/// Returns the bodies of `entries`, compressed if `endpoint` accepts compressed lines.
fn lines(endpoint: Endpoint, entries: &[Entry]) -> std::io::Result<Lines> {
    let text: String = entries.iter().flat_map(|entry| [entry.body.as_str(), "\n"]).collect();
    if endpoint == Endpoint::Events {
        return Ok(Lines { is_compressed: false, body: text.into() });
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes())?;
    Ok(Lines { is_compressed: true, body: encoder.finish()?.into() })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::Read;
    use std::time::Duration;

    use flate2::read::GzDecoder;
    use serde_json::json;
    use shared::aws::CaBundle;
    use shared::ids::{AgentId, UserId};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use uuid::Uuid;

    use super::*;
    use crate::client::ApiAccess;

    fn entries(count: u64) -> Batch {
        let entry = |line: u64| Entry {
            origin: Origin { file: 0, line },
            agent_id: AgentId::try_from("a").expect("an agent"),
            user_id: UserId::try_from("u").expect("a user"),
            millis: 0,
            log_id: Uuid::from_u128(line.into()),
            body: json!({ "line": line }).to_string(),
        };
        (1..=count).map(entry).collect()
    }

    /// Reads a request and returns the lines of its body.
    async fn receive(stream: &mut tokio::net::TcpStream) -> Vec<u64> {
        let mut bytes = Vec::new();
        let head = loop {
            let _count = stream.read_buf(&mut bytes).await.expect("a request");
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
        assert!(text.starts_with("post /logs http/1.1") && text.contains("content-encoding: gzip"), "{text}");
        assert!(text.contains("x-api-key: key") && text.contains("content-type: application/x-ndjson"), "{text}");
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let length = length.parse::<usize>().expect("a number");
        while bytes.len() < head + length {
            let _count = stream.read_buf(&mut bytes).await.expect("a body");
        }
        let mut lines = String::new();
        GzDecoder::new(&bytes[head..]).read_to_string(&mut lines).expect("gzip");
        let line = |line| serde_json::from_str::<Value>(line).expect("JSON")["line"].as_u64().expect("a number");
        lines.lines().map(line).collect()
    }

    /// Sends `count` entries to a server that gives `answers`, one per connection. An empty answer closes the connection.
    /// Returns the result, the lines of each request, and the reasons of retries.
    async fn exchange(count: u64, answers: &[(u16, &str, Value)]) -> (Result<Outcome>, Vec<Vec<u64>>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let access = ApiAccess {
            address: format!("http://{}", listener.local_addr().expect("an address")),
            key: "key".to_owned(),
            authorities: CaBundle::default(),
        };
        let client = Client::new(&access).expect("a client");
        let (requests, reasons) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let server = async {
            for (status, headers, body) in answers {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let lines = receive(&mut stream).await;
                requests.borrow_mut().push(lines);
                if *status != 0 {
                    let body = body.to_string();
                    let length = body.len();
                    let text = format!(
                        "HTTP/1.1 {status} x\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                    );
                    stream.write_all(text.as_bytes()).await.expect("an answer");
                }
            }
        };
        let retries = Retries::starting_with(Duration::from_millis(1));
        let sent = send(&client, Endpoint::Logs, entries(count), retries, |reason| {
            reasons.borrow_mut().push(reason.to_owned())
        });
        let (outcome, ()) = tokio::join!(sent, server);
        (outcome, requests.into_inner(), reasons.into_inner())
    }

    fn results(statuses: &[&str]) -> Value {
        let result = |status: &&str| match *status {
            "invalid" => {
                json!({ "status": "invalid", "detail": [{ "loc": ["body", 3, "user_id"], "msg": "too long" }] })
            }
            "conflict" | "forbidden" => json!({ "status": status, "detail": "because" }),
            status => json!({ "status": status }),
        };
        json!({ "results": statuses.iter().map(result).collect::<Vec<_>>() })
    }

    #[tokio::test]
    async fn every_outcome_is_counted_and_refusals_are_described() {
        let statuses = ["ok", "duplicate", "ok", "queued", "conflict", "invalid", "forbidden"];
        let (outcome, requests, reasons) = exchange(7, &[(207, "", results(&statuses))]).await;
        let Outcome { tally, retries, refused } = outcome.expect("an outcome");
        assert_eq!(tally, Tally { stored: 2, duplicates: 1, queued: 1, conflicts: 1, refused: 2 });
        let refused: Vec<_> = refused.iter().map(|(origin, reason)| (origin.line, reason.as_str())).collect();
        assert_eq!(refused, [(5, "conflict: because"), (6, "invalid: user_id: too long"), (7, "forbidden: because")]);
        assert_eq!((requests, reasons.len(), retries), (vec![(1..=7).collect::<Vec<_>>()], 0, 0));
    }

    #[tokio::test]
    async fn unavailable_entries_alone_are_sent_again() {
        let answers = [
            (207, "", results(&["ok", "unavailable", "unavailable"])),
            (207, "", results(&["unavailable", "duplicate"])),
            (207, "", results(&["ok"])),
        ];
        let (outcome, requests, reasons) = exchange(3, &answers).await;
        assert_eq!(outcome.expect("an outcome").tally, Tally { stored: 2, duplicates: 1, ..Tally::default() });
        assert_eq!(requests, [vec![1, 2, 3], vec![2, 3], vec![2]]);
        assert_eq!(reasons[0], "the stack cannot store 2 of 3 interactions at the moment");
    }

    #[tokio::test]
    async fn request_is_sent_again_when_throttled_failed_or_cut_off() {
        let none = || json!(null);
        let answers = [
            (429, "retry-after: 0\r\n", none()),
            (503, "", json!({ "detail": "later" })),
            (500, "", none()),
            (0, "", none()),
            (207, "", results(&["ok"])),
        ];
        let (outcome, requests, reasons) = exchange(1, &answers).await;
        let outcome = outcome.expect("an outcome");
        assert_eq!((outcome.tally.stored, outcome.retries), (1, 4));
        assert_eq!(requests, vec![vec![1]; 5]);
        assert_eq!((reasons.len(), reasons[1].as_str()), (4, "503 {\"detail\":\"later\"}"));
    }

    #[tokio::test]
    async fn request_is_sent_at_most_eight_times() {
        let answers = vec![(503, "", json!({ "detail": "later" })); 8];
        let (outcome, requests, _) = exchange(1, &answers).await;
        let error = outcome.expect_err("given up").to_string();
        assert_eq!((requests.len(), error.as_str()), (8, "503 {\"detail\":\"later\"} (8 attempts)"));
    }

    #[tokio::test]
    async fn rejections_are_final_and_say_what_to_do() {
        for (status, advice) in [
            (401, "does not know the API key"),
            (403, "needs the scope logs:write"),
            (404, "has no POST /logs"),
            (413, "rejects the request: 413 {\"detail\":\"no\"}"),
        ] {
            let (outcome, requests, _) = exchange(1, &[(status, "", json!({ "detail": "no" }))]).await;
            let error = outcome.expect_err("rejected").to_string();
            assert!(error.contains(advice) && requests.len() == 1, "{error}");
        }
    }

    #[tokio::test]
    async fn unexpected_results_are_errors() {
        for body in [json!({}), results(&["ok"]), results(&["ok", "perhaps"])] {
            let (outcome, _, _) = exchange(2, &[(207, "", body)]).await;
            assert!(outcome.expect_err("unexpected").to_string().starts_with("unexpected response: "));
        }
    }
}
