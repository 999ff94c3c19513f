//! Interactions that are retried after a fault.

use std::sync::Arc;

use local::queues::Sqs;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::faulty::{Faulty, eventually};
use crate::proxy::Fate;

/// Returns an interaction with a client-generated id.
fn interaction(number: u32, text: &str) -> Value {
    let log_id = format!("019b796d-d6{number:02x}-7c2a-8a53-5d1c54f1a6c1");
    json!({
        "agent_id": "a", "user_id": "u", "user_input": text, "agent_output": "Sure.", "metadata": { "number": number },
        "log_id": log_id,
    })
}

async fn post(faulty: &Faulty, interaction: &Value) -> (u16, Value) {
    let (status, answer) = faulty.post("/log", interaction).await.expect("an answer");
    (status.as_u16(), answer)
}

/// Waits until the retry queue has no messages, neither visible nor in flight.
async fn drained(faulty: &Faulty) {
    let sqs = Sqs::of(&faulty.stack.description().environment).expect("SQS");
    let url = &faulty.stack.description().environment["SIGNALS_RETRY_QUEUE"];
    eventually("the queue is empty", async || (sqs.depth(url).await.ok()? == 0).then_some(())).await;
}

#[tokio::test]
async fn interaction_sent_again_after_a_fault_is_in_the_log_once() {
    let faulty = Faulty::start(2).await;
    assert_eq!(post(&faulty, &interaction(0, "thanks")).await.0, 200);

    // S3 stores the object, but every response is lost: the function queues an entry that is already stored.
    faulty.s3.decide_by(|operation| if operation == "PUT" { Fate::LoseAnswer } else { Fate::Pass });
    let (status, queued) = post(&faulty, &interaction(1, "thanks")).await;
    assert_eq!((status, &queued["status"]), (202, &json!("queued")), "{queued}");
    faulty.s3.heal();
    let (status, again) = post(&faulty, &interaction(1, "thanks")).await;
    assert_eq!((status, &again["duplicate"], &again["logged"]), (200, &json!(true), &queued["logged"]), "{again}");

    // One lost response: the SDK's own retry finds the object.
    let mut is_first = true;
    faulty.s3.decide_by(move |operation| {
        let is_lost = operation == "PUT" && std::mem::take(&mut is_first);
        if is_lost { Fate::LoseAnswer } else { Fate::Pass }
    });
    assert_eq!(post(&faulty, &interaction(2, "thanks")).await.0, 200);

    // Both attempts are queued; a third is stored directly.
    faulty.s3.decide_by(|_| Fate::Fail);
    for _ in 0..2 {
        assert_eq!(post(&faulty, &interaction(3, "thanks")).await.0, 202);
    }
    faulty.s3.heal();
    assert_eq!(post(&faulty, &interaction(3, "thanks")).await.0, 200);

    // Neither S3 nor the queue accepts the interaction.
    faulty.s3.decide_by(|_| Fate::Fail);
    faulty.sqs.decide_by(|_| Fate::Fail);
    assert_eq!(post(&faulty, &interaction(4, "thanks")).await.0, 503);
    faulty.s3.heal();
    faulty.sqs.heal();
    assert_eq!(post(&faulty, &interaction(4, "thanks")).await.0, 200);

    // Two interactions with one id are queued in an outage: one is stored and one is dropped. An interaction that is
    // queued after another is stored is dropped too.
    faulty.s3.decide_by(|_| Fate::Fail);
    for text in ["thanks", "I am angry"] {
        assert_eq!(post(&faulty, &interaction(5, text)).await.0, 202);
        assert_eq!(post(&faulty, &interaction(0, text)).await.0, 202);
    }
    faulty.s3.heal();
    eventually("the queue's are in the log", async || (faulty.list("/logs/a/u").await.len() == 6).then_some(())).await;
    drained(&faulty).await;

    let logs = faulty.list("/logs/a/u").await;
    let ids: Vec<_> = logs.iter().map(|entry| entry["log_id"].clone()).collect();
    let expected: Vec<_> = (0..6).map(|number| interaction(number, "")["log_id"].clone()).collect();
    assert_eq!(ids, expected);
    assert!(logs[..5].iter().all(|entry| entry["user_input"] == "thanks"), "{logs:?}");
    let is_whole = |(number, entry): (usize, &Value)| {
        entry["agent_output"] == "Sure." && entry["metadata"] == json!({ "number": number })
    };
    assert!(logs.iter().enumerate().all(is_whole), "{logs:?}");
    faulty.stop().await;
}

#[tokio::test]
async fn interaction_is_in_the_log_once_when_its_function_is_killed() {
    let faulty = Arc::new(Faulty::start(1).await);
    assert_eq!(post(&faulty, &interaction(0, "thanks")).await.0, 200);
    // The object is in transit when the function dies, and is stored after the caller has retried.
    let (tell_held, mut held) = mpsc::unbounded_channel();
    let mut is_first = true;
    faulty.s3.decide_by(move |operation| {
        if operation == "PUT" && std::mem::take(&mut is_first) {
            let (release, released) = oneshot::channel();
            let _taken = tell_held.send(release);
            return Fate::Hold(released);
        }
        Fate::Pass
    });
    let caller = Arc::clone(&faulty);
    let request = tokio::spawn(async move { caller.post("/log", &interaction(1, "thanks")).await });
    let release = held.recv().await.expect("a put that is held");
    assert_eq!(faulty.kill("post-log"), 1);
    let answer = request.await.expect("a caller");
    assert!(answer.is_none_or(|(status, _)| status.is_server_error()), "nobody was left to answer");
    eventually("post-log runs again", async || (!faulty.processes("post-log").is_empty()).then_some(())).await;
    let again = eventually("an answer", async || {
        let (status, answer) = faulty.post("/log", &interaction(1, "thanks")).await?;
        status.is_success().then_some(answer)
    })
    .await;
    drop(release);
    faulty.s3.heal();
    let logs = faulty.list("/logs/a/u").await;
    assert_eq!((logs.len(), &logs[1]), (2, &again["logged"]));
    let (status, third) = post(&faulty, &interaction(1, "thanks")).await;
    assert_eq!((status, &third["duplicate"]), (200, &json!(true)), "{third}");
    Arc::into_inner(faulty).expect("nobody else has it").stop().await;
}
