//! Alerts, from events to the webhook's receiver.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use cli::target::StackTarget;
use http::{HeaderMap, StatusCode};
use local::queues::Sqs;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::faulty::{Faulty, event, eventually};
use crate::proxy::Fate;

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A delivery that reached the receiver.
#[derive(Clone)]
pub struct Delivery {
    headers: HeaderMap,
    body: String,
}

impl Delivery {
    /// Checks that the delivery is signed with `secret` and returns its id.
    pub fn verified(&self, secret: &str) -> String {
        let webhook = Webhook::new(secret).expect("a secret");
        webhook.verify(self.body.as_bytes(), &self.headers).expect("a good signature");
        self.headers["webhook-id"].to_str().expect("text").to_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

type Script = Arc<Mutex<Box<dyn FnMut(&str) -> Response + Send>>>;

/// A receiver that responds according to a script, which is called with the id of each alert, or with an empty text for
/// formats without an id.
#[derive(Clone)]
pub struct Receiver {
    url: String,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
}

impl Receiver {
    pub async fn start(script: impl FnMut(&str) -> Response + Send + 'static) -> Self {
        let deliveries: Arc<Mutex<Vec<Delivery>>> = Arc::default();
        let script: Script = Arc::new(Mutex::new(Box::new(script)));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let answer = async |State((deliveries, script)): State<(Arc<Mutex<Vec<Delivery>>>, Script)>,
                            request: Request| {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
            let body = String::from_utf8(body.to_vec()).expect("UTF-8");
            let id = head.headers.get("webhook-id").map(|id| id.to_str().expect("text").to_owned()).unwrap_or_default();
            deliveries.lock().expect("a list").push(Delivery { headers: head.headers, body });
            (script.lock().expect("a script"))(&id)
        };
        let app = Router::new().fallback(answer).with_state((Arc::clone(&deliveries), script));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, deliveries }
    }

    pub fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().expect("a list").clone()
    }

    /// Returns the webhook settings of this receiver.
    pub fn settings(&self, secrets: &[&str]) -> (&'static str, String) {
        ("SIGNALS_WEBHOOK", json!({ "url": self.url, "secrets": secrets }).to_string())
    }
}

pub fn answer(status: u16) -> Response {
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

fn answer_with(status: u16, name: &'static str, value: &str) -> Response {
    let mut response = answer(status);
    response.headers_mut().insert(name, value.parse().expect("a value"));
    response
}

/// Sends `count` events of `user` at the same time, `seconds` after noon.
async fn flood(faulty: &Faulty, user: &str, count: usize, seconds: i64) {
    let events = (0..count).map(|index| event(user, &format!("{seconds}-{index:03}"), "x", seconds * 1_000));
    let (status, answer) = faulty.post("/events", &events.collect()).await.expect("an answer");
    assert_eq!(status, StatusCode::MULTI_STATUS, "{answer}");
}

#[tokio::test]
async fn episode_alerts_arrive_signed_and_retry_with_the_same_id() {
    // Alerts do not follow redirects.
    let elsewhere = Receiver::start(|_| answer(200)).await;
    let target = elsewhere.url.clone();
    let mut tries: BTreeMap<String, usize> = BTreeMap::new();
    let receiver = Receiver::start(move |id| {
        let tried = tries.entry(id.to_owned()).or_default();
        *tried += 1;
        match *tried {
            1 => answer(500),
            2 => answer_with(429, "retry-after", "1"),
            3 => answer_with(307, "location", &target),
            _ => answer(204),
        }
    })
    .await;
    let faulty = Faulty::start_with(1, &[receiver.settings(&[NEW_SECRET, SECRET])]).await;

    // Two users become critical at the same time. The episode of one user ends, and another one begins.
    flood(&faulty, "maria", 16, 0).await;
    flood(&faulty, "jo", 20, 0).await;
    flood(&faulty, "maria", 18, 300).await;
    // A warning is not severe enough for an alert.
    flood(&faulty, "sam", 12, 0).await;

    let episodes = async |user: &str| faulty.list(&format!("/anomalies/{user}?group=episode")).await;
    let (maria, jo) = (episodes("maria").await, episodes("jo").await);
    assert_eq!((maria.len(), jo.len(), episodes("sam").await.len()), (2, 1, 1));
    eventually("every alert is taken", async || (receiver.deliveries().len() >= 12).then_some(())).await;
    let sqs = Sqs::of(&faulty.stack.description().environment).expect("SQS");
    let queue = faulty.stack.description().environment["SIGNALS_ALERTS_QUEUE"].clone();
    eventually("the queue is empty", async || (sqs.depth(&queue).await.ok()? == 0).then_some(())).await;

    let mut told: BTreeMap<String, Vec<Delivery>> = BTreeMap::new();
    for delivery in receiver.deliveries() {
        let id = delivery.verified(SECRET);
        assert_eq!(delivery.verified(NEW_SECRET), id);
        assert_eq!(delivery.json()["id"], json!(id));
        told.entry(id).or_default().push(delivery);
    }
    let mut found = Vec::new();
    for (id, deliveries) in &told {
        assert_eq!(deliveries.len(), 4, "{id}: it is sent until it is taken, and not again");
        assert!(deliveries.iter().all(|delivery| delivery.body == deliveries[0].body), "in the same words");
        let alert = deliveries[0].json();
        let data = &alert["data"];
        assert_eq!(data["severity"], "critical", "{alert}");
        found.push((data["user_id"].clone(), data["start"].clone()));
    }
    found.sort_by_key(|pair| format!("{pair:?}"));
    let of = |user: &str, episodes: &[Value]| {
        episodes.iter().rev().map(|episode| (json!(user), episode["start"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(found, [of("jo", &jo), of("maria", &maria)].concat(), "one for each episode");
    assert!(elsewhere.deliveries().is_empty(), "a redirect is not followed");
    faulty.stop().await;
}

#[tokio::test]
async fn open_episodes_killed_and_its_queue_away_loses_no_alert() {
    let receiver = Receiver::start(|_| answer(200)).await;
    let faulty = Faulty::start_with(1, &[receiver.settings(&[SECRET])]).await;
    faulty.sqs.decide_by(|_| Fate::Lose);
    flood(&faulty, "maria", 20, 0).await;
    eventually("it is killed at work", async || (faulty.kill("open-episodes") > 0).then_some(())).await;
    eventually("it is killed again", async || (faulty.kill("open-episodes") > 0).then_some(())).await;
    faulty.sqs.heal();
    let delivery = eventually("the alert arrives", async || receiver.deliveries().pop()).await;
    delivery.verified(SECRET);
    assert_eq!(delivery.json()["data"]["user_id"], "maria");
    let ids: Vec<_> = receiver.deliveries().iter().map(|delivery| delivery.verified(SECRET)).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "a repeat is under the same id: {ids:?}");
    faulty.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_not_tried_again() {
    let receiver = Receiver::start(|_| answer(410)).await;
    let (webhook, settings) = receiver.settings(&[SECRET]);
    let faulty = Faulty::start_with(2, &[(webhook, settings.clone())]).await;
    let mut environment = faulty.stack.description().environment.clone();
    environment.insert(webhook.to_owned(), settings);
    let sqs = Sqs::of(&faulty.stack.description().environment).expect("SQS");
    let queue = environment["SIGNALS_ALERTS_QUEUE"].clone();
    let target = StackTarget::local(&environment).expect("a stack");
    let sent = async || {
        let id = cli::alert::test(&target).await.expect("a test alert");
        eventually("it is done with", async || (sqs.depth(&queue).await.ok()? == 0).then_some(())).await;
        id
    };
    let first = sent().await;
    let delivery = receiver.deliveries().pop().expect("a delivery");
    assert_eq!(delivery.verified(SECRET), first);
    assert_eq!(delivery.json()["type"], "test");
    // There are two processes. The other one does not know that the endpoint unsubscribed and checks the table when it
    // reads the settings.
    for _ in 0..6 {
        sent().await;
    }
    assert_eq!(receiver.deliveries().len(), 1);
    faulty.stop().await;
}

/// Returns access to the stack, whose functions have these `settings` of alerts.
fn target_with(faulty: &Faulty, settings: &Value) -> StackTarget {
    let mut environment = faulty.stack.description().environment.clone();
    environment.insert("SIGNALS_WEBHOOK".to_owned(), settings.to_string());
    StackTarget::local(&environment).expect("a stack")
}

/// Returns the texts that people see first, in the order of arrival.
fn titles(receiver: &Receiver, pointer: &str) -> Vec<String> {
    let title = |delivery: &Delivery| {
        let value = delivery.json();
        value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{value}")).to_owned()
    };
    receiver.deliveries().iter().map(title).collect()
}

#[tokio::test]
async fn failing_destination_is_retried_alone() {
    let webhook = Receiver::start(|_| answer(204)).await;
    let teams = Receiver::start(|_| answer(202)).await;
    let mut posts = 0;
    let slack = Receiver::start(move |_| {
        posts += 1;
        answer(if posts % 3 == 0 { 200 } else { 500 })
    })
    .await;
    let pagerduty = Receiver::start(|_| answer(202)).await;
    let settings = json!([
        { "type": "slack", "url": slack.url },
        { "type": "webhook", "url": webhook.url, "secrets": [SECRET] },
        { "type": "teams", "url": teams.url, "agents": ["agent", "other"] },
        { "type": "pagerduty", "url": pagerduty.url, "routing_key": "k".repeat(32), "min_severity": "critical" },
        { "type": "webhook", "url": "http://127.0.0.1:9/", "secrets": [SECRET], "types": ["mood."] },
    ]);
    let folder = tempfile::TempDir::new().expect("a folder");
    let config = folder.path().join("signals.toml");
    let text = include_str!("../../../signals.toml");
    let sensitive = text.replace("min_severity = \"critical\"", "min_severity = \"warning\"");
    assert_ne!(sensitive, text);
    std::fs::write(&config, sensitive).expect("a configuration");
    let more = [("SIGNALS_WEBHOOK", settings.to_string()), ("SIGNALS_CONFIG", config.display().to_string())];
    let faulty = Faulty::start_with(1, &more).await;

    flood(&faulty, "maria", 12, 0).await;
    eventually("Slack takes the first alert", async || (slack.deliveries().len() == 3).then_some(())).await;
    flood(&faulty, "maria", 8, 1).await;
    eventually("Slack takes the second alert", async || (slack.deliveries().len() == 6).then_some(())).await;
    let environment = &faulty.stack.description().environment;
    let sqs = Sqs::of(environment).expect("SQS");
    let queue = environment["SIGNALS_ALERTS_QUEUE"].clone();
    eventually("the queue is empty", async || (sqs.depth(&queue).await.ok()? == 0).then_some(())).await;

    let kinds: Vec<_> = webhook.deliveries().iter().map(|delivery| delivery.json()["type"].clone()).collect();
    assert_eq!(kinds, ["anomaly.episode.opened", "anomaly.episode.escalated"]);
    for delivery in webhook.deliveries() {
        assert_eq!(delivery.json()["id"], delivery.verified(SECRET));
    }
    let opened = "User maria sent too many events to agent agent.";
    let escalated = "User maria sent far too many events to agent agent: critical.";
    assert_eq!(titles(&teams, "/attachments/0/content/fallbackText"), [opened, escalated]);
    assert_eq!(titles(&slack, "/text"), [opened, opened, opened, escalated, escalated, escalated]);
    assert_eq!(titles(&pagerduty, "/payload/summary"), [escalated]);
    let dashboard = &faulty.stack.description().dashboard;
    let link = format!("{dashboard}/#agent=agent&user=maria&range=all");
    assert_eq!(titles(&teams, "/attachments/0/content/actions/0/url"), [link.as_str(); 2]);
    faulty.stop().await;
}

/// Gives each fan-out the fate that `fate` returns. Returns a channel that announces the fan-outs.
fn decide_fan_outs(faulty: &Faulty, fate: fn() -> Fate) -> UnboundedReceiver<()> {
    let (sender, fan_outs) = mpsc::unbounded_channel();
    faulty.sqs.decide_by(move |operation| match operation {
        "SendMessageBatch" => {
            let _ended = sender.send(());
            fate()
        }
        _ => Fate::Pass,
    });
    fan_outs
}

#[tokio::test]
async fn interrupted_fan_out_loses_no_destination() {
    let receivers = [Receiver::start(|_| answer(204)).await, Receiver::start(|_| answer(204)).await];
    let webhook = |receiver: &Receiver| json!({ "type": "webhook", "url": receiver.url, "secrets": [SECRET] });
    let settings: Value = receivers.iter().map(webhook).collect();
    let faulty = Faulty::start_with(1, &[("SIGNALS_WEBHOOK", settings.to_string())]).await;
    let target = target_with(&faulty, &settings);
    // The messages are in the queue, and the function does not learn this.
    let mut fan_outs = decide_fan_outs(&faulty, || Fate::LoseAnswer);
    let first = cli::alert::test(&target).await.expect("a test alert");
    fan_outs.recv().await.expect("a fan-out");
    faulty.kill("send-alerts");
    // Now the messages are lost before they are in the queue.
    let mut fan_outs = decide_fan_outs(&faulty, || Fate::Lose);
    let second = cli::alert::test(&target).await.expect("a test alert");
    fan_outs.recv().await.expect("a fan-out");
    faulty.kill("send-alerts");
    faulty.sqs.heal();

    let environment = &faulty.stack.description().environment;
    let (sqs, queue) = (Sqs::of(environment).expect("SQS"), &environment["SIGNALS_ALERTS_QUEUE"]);
    eventually("the queue is empty", async || (sqs.depth(queue).await.ok()? == 0).then_some(())).await;
    for receiver in &receivers {
        let ids: BTreeSet<_> = receiver.deliveries().iter().map(|delivery| delivery.verified(SECRET)).collect();
        assert_eq!(ids, BTreeSet::from([first.clone(), second.clone()]), "both alerts arrive, perhaps more than once");
    }
    faulty.stop().await;
}

#[tokio::test]
async fn unsubscribed_destination_leaves_the_others_alone() {
    let gone = Receiver::start(|_| answer(410)).await;
    let slack = Receiver::start(|_| answer(200)).await;
    let settings = json!([
        { "type": "webhook", "url": gone.url, "secrets": [SECRET] },
        { "type": "slack", "url": slack.url },
    ]);
    let faulty = Faulty::start_with(1, &[("SIGNALS_WEBHOOK", settings.to_string())]).await;
    let environment = &faulty.stack.description().environment;
    let (sqs, queue) = (Sqs::of(environment).expect("SQS"), &environment["SIGNALS_ALERTS_QUEUE"]);
    let target = target_with(&faulty, &settings);
    for sent in 1..=6 {
        cli::alert::test(&target).await.expect("a test alert");
        eventually("it is done with", async || (sqs.depth(queue).await.ok()? == 0).then_some(())).await;
        assert_eq!((gone.deliveries().len(), slack.deliveries().len()), (1, sent));
    }
    faulty.stop().await;
}

#[tokio::test]
async fn invalid_alert_is_dead_lettered_with_reason_and_redrivable() {
    let faulty = Faulty::start(1).await;
    let environment = &faulty.stack.description().environment;
    let target = StackTarget::local(environment).expect("a stack");
    let sqs = Sqs::of(&faulty.stack.description().environment).expect("SQS");
    for (queue, dead_letters, reason) in [
        ("SIGNALS_ALERTS_QUEUE", "SIGNALS_DEAD_ALERTS_QUEUE", "message has no id"),
        ("SIGNALS_RETRY_QUEUE", "SIGNALS_DEAD_RETRIES_QUEUE", "cannot parse message at line 1"),
    ] {
        let message = json!({ "QueueUrl": environment[queue], "MessageBody": "{\"nothing\":" });
        sqs.call("SendMessage", &message).await.expect("a message sent");
        let url = &environment[dead_letters];
        eventually("it is put aside", async || (sqs.depth(url).await.ok()? == 1).then_some(())).await;
        let listed = cli::redrive::list(&target).await.expect("a list");
        assert!(listed.contains(reason) && listed.contains("{\"nothing\":"), "{listed}");
        // Back in its queue, the message is retried and dead-lettered again, because the cause is not fixed.
        let moved = cli::redrive::run(&target).await.expect("a redrive");
        assert!(moved.contains("1 from"), "{moved}");
        eventually("it is put aside again", async || (sqs.depth(url).await.ok()? == 1).then_some(())).await;
        let message = sqs.receive(url, 1).await.expect("messages").pop().expect("one");
        sqs.delete(url, &message).await.expect("it is deleted");
    }
    faulty.stop().await;
}

#[tokio::test]
async fn corrupt_episode_state_does_not_block_alerts() {
    let receiver = Receiver::start(|_| answer(204)).await;
    let faulty = Faulty::start_with(1, &[receiver.settings(&[SECRET])]).await;
    // Another version may have stored such an item.
    let target = StackTarget::local(&faulty.stack.description().environment).expect("a stack");
    let put = target.aws.dynamodb().put_item().table_name(target.name("SIGNALS_EPISODES_TABLE").expect("a table"));
    let put = put.item("user_id", AttributeValue::S("maria".to_owned()));
    let put = put.item("watch", AttributeValue::S("{\"v\":2}".to_owned()));
    put.item("version", AttributeValue::N("7".to_owned())).send().await.expect("an item");

    flood(&faulty, "maria", 16, 0).await;
    flood(&faulty, "jo", 16, 0).await;
    let alerted = eventually("both have alerts", async || {
        let deliveries = receiver.deliveries();
        let users = deliveries.iter().map(|delivery| delivery.json()["data"]["user_id"].to_string());
        let users: BTreeSet<_> = users.collect();
        (users.len() == 2).then_some(users)
    });
    assert_eq!(alerted.await, BTreeSet::from(["\"jo\"".to_owned(), "\"maria\"".to_owned()]));
    faulty.stop().await;
}
