//! The stack under test, with a method for each of its endpoints.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use uuid::Uuid;

use crate::answer::Answer;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The longest wait for an answer or a condition. It is so long that a busy machine does not fail a test.
const PATIENCE: Duration = Duration::from_secs(240);
/// The interval at which a condition is checked.
const PERIOD: Duration = Duration::from_millis(50);
const API_KEY: &str = "x-api-key";
const JSON: (&str, &str) = ("content-type", "application/json");
const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

/// A client of the stack.
///
/// It sends paths unchanged; `reqwest` would resolve `..` before sending a path.
#[derive(Clone)]
pub struct Stack {
    url: String,
    key: Option<String>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Stack {
    /// Returns the stack that the environment names, called with the key from the environment.
    pub fn connect() -> Self {
        let connector = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
        Self {
            url: variable("SIGNALS_URL").trim_end_matches('/').to_owned(),
            key: Some(variable("SIGNALS_KEY")),
            client: Client::builder(TokioExecutor::new()).build(connector),
        }
    }

    /// Returns the same stack, called with `key`.
    pub fn with_key(&self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self.clone() }
    }

    /// Returns the same stack, called without a key.
    pub fn without_key(&self) -> Self {
        Self { key: None, ..self.clone() }
    }

    /// `POST /log`.
    pub async fn post_log(&self, interaction: &Value) -> Answer {
        self.post("/log", interaction.to_string()).await
    }

    /// `POST /logs`, as a JSON array.
    pub async fn post_logs(&self, interactions: &[Value]) -> Answer {
        self.post("/logs", Value::from(interactions).to_string()).await
    }

    /// Sends an OTLP export in JSON to `path`.
    pub async fn export(&self, path: &str, export: &Value) -> Answer {
        self.post(path, export.to_string()).await
    }

    /// Records an interaction that must be accepted and returns the entry, which is in the log.
    pub async fn log(&self, interaction: &Value) -> Value {
        let answer = self.post_log(interaction).await;
        let entry = answer.json(answer.status())["logged"].clone();
        match answer.status() {
            200 => entry,
            202 => self.wait_until_logged(entry).await,
            _ => panic!("the interaction is not accepted: {answer}"),
        }
    }

    /// Waits until an entry that the stack queued, because S3 was too slow, is in the log.
    async fn wait_until_logged(&self, entry: Value) -> Value {
        let (agent, user) = (entry["agent_id"].as_str().expect("an agent"), entry["user_id"].as_str().expect("a user"));
        let query = format!("limit=100&since={0}&until={0}", entry["timestamp"].as_str().expect("a time"));
        eventually("a queued entry is in the log", async || {
            let entries = self.get_logs_where(agent, user, &query).await.list();
            entries.contains(&entry).then_some(())
        })
        .await;
        entry
    }

    /// `GET /logs/{agent_id}/{user_id}`.
    pub async fn get_logs(&self, agent: &str, user: &str) -> Answer {
        self.get(&format!("/logs/{}/{}", segment(agent), segment(user))).await
    }

    /// `GET /logs/{agent_id}/{user_id}?{query}`.
    pub async fn get_logs_where(&self, agent: &str, user: &str, query: &str) -> Answer {
        self.get(&format!("/logs/{}/{}?{query}", segment(agent), segment(user))).await
    }

    /// `GET /logs/{agent_id}/{user_id}?{query}`, by a caller that accepts `media`.
    pub async fn get_logs_as(&self, media: &str, agent: &str, user: &str, query: &str) -> Answer {
        self.get_with(&format!("/logs/{}/{}?{query}", segment(agent), segment(user)), &[("accept", media)]).await
    }

    /// `GET /logs/{agent_id}/{user_id}/{log_id}`.
    pub async fn get_log(&self, agent: &str, user: &str, log_id: &str) -> Answer {
        self.get(&format!("/logs/{}/{}/{}", segment(agent), segment(user), segment(log_id))).await
    }

    /// `POST /logs/{agent_id}/{user_id}/{log_id}/feedback`.
    pub async fn post_feedback(&self, agent: &str, user: &str, log_id: &str, body: &Value) -> Answer {
        let path = format!("/logs/{}/{}/{}/feedback", segment(agent), segment(user), segment(log_id));
        self.post(&path, body.to_string()).await
    }

    /// `GET /agents/{agent_id}/feedback?{query}`.
    pub async fn get_feedback(&self, agent: &str, query: &str) -> Answer {
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        self.get(&format!("/agents/{}/feedback{query}", segment(agent))).await
    }

    /// `GET /agents?{query}`.
    pub async fn get_agents_where(&self, query: &str) -> Answer {
        self.get(&format!("/agents?{query}")).await
    }

    /// `GET /agents/{agent_id}/users`.
    pub async fn get_users(&self, agent: &str) -> Answer {
        self.get(&format!("/agents/{}/users", segment(agent))).await
    }

    /// `GET /agents/{agent_id}/users?{query}`.
    pub async fn get_users_where(&self, agent: &str, query: &str) -> Answer {
        self.get(&format!("/agents/{}/users?{query}", segment(agent))).await
    }

    /// `GET /agents/activity?{query}`.
    pub async fn get_activity_where(&self, query: &str) -> Answer {
        self.get(&format!("/agents/activity?{query}")).await
    }

    /// `GET /agents/{agent_id}/summary?{query}`.
    pub async fn get_agent_summary_where(&self, agent: &str, query: &str) -> Answer {
        self.get(&format!("/agents/{}/summary?{query}", segment(agent))).await
    }

    /// `GET /agents/{agent_id}/activity?{query}`.
    pub async fn get_agent_activity_where(&self, agent: &str, query: &str) -> Answer {
        self.get(&format!("/agents/{}/activity?{query}", segment(agent))).await
    }

    /// `GET /agents/{agent_id}/logs?{query}`.
    pub async fn get_agent_logs_where(&self, agent: &str, query: &str) -> Answer {
        self.get(&format!("/agents/{}/logs?{query}", segment(agent))).await
    }

    /// `GET /agents/{agent_id}/visualize?{query}`, by a caller that accepts `media`.
    pub async fn get_agent_visualize_as(&self, media: &str, agent: &str, query: &str) -> Answer {
        let path = format!("/agents/{}/visualize?{query}", segment(agent));
        self.send(Method::GET, &path, &[("accept", media)], "").await
    }

    /// Waits until `total` interactions of `agent` in the time range of `query` are counted over all users.
    pub async fn wait_until_counted(&self, agent: &str, query: &str, total: u64) {
        eventually(&format!("{total} interactions with {agent} are counted"), async || {
            let counts = self.get_agent_summary_where(agent, query).await.ok()["counts"].clone();
            let counts = counts.as_object().expect("counts").values().filter_map(Value::as_u64);
            (counts.sum::<u64>() == total).then_some(())
        })
        .await;
    }

    /// `GET /summary/{agent_id}/{user_id}`.
    pub async fn get_summary(&self, agent: &str, user: &str) -> Answer {
        self.get(&format!("/summary/{}/{}", segment(agent), segment(user))).await
    }

    /// `GET /summary/{agent_id}/{user_id}?{query}`.
    pub async fn get_summary_where(&self, agent: &str, user: &str, query: &str) -> Answer {
        self.get(&format!("/summary/{}/{}?{query}", segment(agent), segment(user))).await
    }

    /// `GET /visualize/{agent_id}/{user_id}`.
    pub async fn get_visualize(&self, agent: &str, user: &str) -> Answer {
        self.get(&format!("/visualize/{}/{}", segment(agent), segment(user))).await
    }

    /// `GET /visualize/{agent_id}/{user_id}?{query}`, by a caller that accepts `media`.
    pub async fn get_visualize_as(&self, media: &str, agent: &str, user: &str, query: &str) -> Answer {
        let path = format!("/visualize/{}/{}?{query}", segment(agent), segment(user));
        self.send(Method::GET, &path, &[("accept", media)], "").await
    }

    /// `POST /classify`.
    pub async fn post_classify(&self, body: &Value) -> Answer {
        self.post("/classify", body.to_string()).await
    }

    /// `POST /event`.
    pub async fn post_event(&self, event: &Value) -> Answer {
        self.post("/event", event.to_string()).await
    }

    /// `POST /events`, as a JSON array.
    pub async fn post_events(&self, events: &[Value]) -> Answer {
        self.post("/events", Value::from(events).to_string()).await
    }

    /// `POST /events`, as NDJSON.
    pub async fn post_lines(&self, lines: impl Into<Bytes>) -> Answer {
        self.send(Method::POST, "/events", &[NDJSON], lines).await
    }

    /// `GET /events/{user_id}`.
    pub async fn get_events(&self, user: &str) -> Answer {
        self.get(&format!("/events/{}", segment(user))).await
    }

    /// `GET /events/{user_id}?{query}`.
    pub async fn get_events_where(&self, user: &str, query: &str) -> Answer {
        self.get(&format!("/events/{}?{query}", segment(user))).await
    }

    /// `GET /anomalies/{user_id}`.
    pub async fn get_anomalies(&self, user: &str) -> Answer {
        self.get(&format!("/anomalies/{}", segment(user))).await
    }

    /// `GET /anomalies/{user_id}?{query}`.
    pub async fn get_anomalies_where(&self, user: &str, query: &str) -> Answer {
        self.get(&format!("/anomalies/{}?{query}", segment(user))).await
    }

    /// `GET /health`.
    pub async fn get_health(&self) -> Answer {
        self.get("/health").await
    }

    /// Sends a GET of `path`, unchanged.
    ///
    /// If a busy stack asks for a retry, sends the request again.
    pub async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        eventually(&format!("GET {path} is answered"), async || {
            let answer = self.send(Method::GET, path, headers, "").await;
            (!answer.asks_for_another_try()).then_some(answer)
        })
        .await
    }

    /// Sends a POST of `body`, declared as JSON.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(Method::POST, path, &[JSON], body).await
    }

    /// Sends any request. `path` and `body` are sent unchanged.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let body = body.into();
        let sent = format!("{method} {path}\n{}", String::from_utf8_lossy(&body));
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(key) = &self.key {
            request = request.header(API_KEY, key);
        }
        let request = request.body(Full::new(body)).unwrap_or_else(|error| panic!("{sent}\nis no request: {error}"));
        let exchange = async {
            let (head, body) = self.client.request(request).await.map_err(|error| format!("{error:?}"))?.into_parts();
            let body = body.collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
            Ok::<_, String>((head, body))
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(Ok((head, body))) => Answer::new(sent, head.status, head.headers, body),
            Ok(Err(error)) => panic!("{sent}\nhas no answer: {error}"),
            Err(_) => panic!("{sent}\nhas no answer after {PATIENCE:?}"),
        }
    }
}

/// Waits until `found` returns `expected`, and fails with the last difference.
pub async fn eventually_equal<T: PartialEq + Debug>(what: &str, expected: &T, mut found: impl AsyncFnMut() -> T) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let last = found().await;
        if last == *expected {
            return;
        }
        if Instant::now() > deadline {
            assert_eq!(last, *expected, "{what}");
        }
        tokio::time::sleep(PERIOD).await;
    }
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

/// Returns a name that no other test and no earlier run has used.
pub fn fresh(what: &str) -> String {
    format!("{what}-{}", Uuid::now_v7().simple())
}

/// Returns `id` percent-encoded as a path segment.
pub fn segment(id: &str) -> String {
    utf8_percent_encode(id, UNRESERVED).to_string()
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `make test`, or `cargo run --bin local -- exec -- cargo test -p tests`")
    })
}
