//! An accepted item must exist somewhere until it is stored: a queue must not drop a message before the message is
//! dead-lettered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use local::template::{Function, Template};
use serde_json::Value;
use shared::queue::{MAX_PAUSE, MAX_REQUESTED_PAUSE};

/// The time that operators have to redrive a message from the dead-letter queue.
const TIME_TO_REDRIVE: Duration = Duration::from_secs(3 * 24 * 60 * 60);

#[test]
fn messages_are_dead_lettered_before_expiry_and_can_be_redriven() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let template = Template::load(&root.join("template.yaml"), "http://127.0.0.1:1").expect("a template");
    let seconds = |attributes: &BTreeMap<String, String>, name: &str| {
        Duration::from_secs(attributes[name].parse().expect("seconds"))
    };
    let mut checked = Vec::new();
    for queue in &template.queues {
        let Some(policy) = queue.attributes.get("RedrivePolicy") else { continue };
        let policy: Value = serde_json::from_str(policy).expect("JSON");
        let tries = policy["maxReceiveCount"].as_u64().and_then(|tries| u32::try_from(tries).ok()).expect("a number");
        let target = policy["deadLetterTargetArn"].as_str().expect("a queue");
        let dead_letters = template.queues.iter().find(|other| target.ends_with(&format!(":{}", other.name)));
        let is_consumer = |function: &&Function| function.queues.iter().any(|source| source.url.ends_with(&queue.name));
        let consumer = template.functions.iter().find(is_consumer).expect("a function that works the queue off");
        // Only alerts wait as long as the receiver requests. A function that dies leaves its messages hidden.
        let pause = if consumer.name == "send-alerts" { MAX_REQUESTED_PAUSE } else { MAX_PAUSE };
        let pause = pause.max(seconds(&queue.attributes, "VisibilityTimeout"));
        let given_up = (pause + consumer.timeout) * tries;
        let retention = seconds(&queue.attributes, "MessageRetentionPeriod");
        assert!(given_up < retention, "{} forgets a message before it is given up", queue.name);
        // The age of a message is kept in the dead-letter queue: SQS counts from the first send.
        let kept = seconds(&dead_letters.expect("the queue of dead letters").attributes, "MessageRetentionPeriod");
        assert!(given_up + TIME_TO_REDRIVE < kept, "nobody has time to send {}'s back", queue.name);
        checked.push(&consumer.name);
    }
    let consumers = template.functions.iter().filter(|function| !function.queues.is_empty());
    assert_eq!(BTreeSet::from_iter(checked), consumers.map(|function| &function.name).collect());
}
