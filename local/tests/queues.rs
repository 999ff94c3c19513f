//! What a caller was told is safe has to be somewhere for as long as it is not stored: a queue must not drop a message before
//! it gives it up.

use std::path::Path;
use std::time::Duration;

use local::template::Template;
use serde_json::Value;
use shared::queue::LONGEST_PAUSE;

#[test]
fn every_message_is_given_up_before_its_queue_forgets_it_and_can_still_be_sent_back() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let template = Template::load(&root.join("template.yaml"), "http://127.0.0.1:1").expect("a template");
    let retention = |attributes: &std::collections::BTreeMap<String, String>| {
        Duration::from_secs(attributes["MessageRetentionPeriod"].parse().expect("seconds"))
    };
    let mut checked = 0;
    for queue in &template.queues {
        let Some(policy) = queue.attributes.get("RedrivePolicy") else { continue };
        let policy: Value = serde_json::from_str(policy).expect("JSON");
        let tries = policy["maxReceiveCount"].as_u64().and_then(|tries| u32::try_from(tries).ok()).expect("a number");
        let target = policy["deadLetterTargetArn"].as_str().expect("a queue");
        let dead_letters = template.queues.iter().find(|other| target.ends_with(&format!(":{}", other.name)));
        let given_up = LONGEST_PAUSE * tries;
        assert!(given_up < retention(&queue.attributes), "{} forgets a message before it is given up", queue.name);
        // There a message is as old as it was: SQS counts from when it was first sent.
        let kept = retention(&dead_letters.expect("the queue of dead letters").attributes);
        assert!(
            given_up + Duration::from_secs(3 * 24 * 60 * 60) < kept,
            "nobody has time to send {}'s back",
            queue.name
        );
        checked += 1;
    }
    assert_eq!(checked, 2);
}
