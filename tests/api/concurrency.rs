//! Many concurrent events, some sent twice, over many connections: the anomalies depend only on the set of events.

use std::collections::BTreeMap;

use futures_util::stream::{StreamExt, iter};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::event_set::{Random, Stored, anomalies, listed, mixed, wait_for_anomalies};
use crate::events::SECOND;
use crate::pages::follow;
use crate::stack::{Stack, eventually_equal, fresh};

const CONNECTIONS: usize = 32;
/// The maximum number of events that an anomaly counts.
const MAX_ITEMS: u64 = 100;

/// Checks that `user` has exactly `events` and exactly their anomalies, without repetitions.
async fn assert_is_what_was_sent(stack: &Stack, user: &str, events: &[Stored]) {
    let pages = follow("limit=17", async |query| stack.get_events_where(user, query).await).await;
    let mut found: Vec<_> = pages.concat().iter().map(|event| event["event_id"].to_string()).collect();
    let mut expected: Vec<_> = events.iter().map(|event| json!(event.event_id).to_string()).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "each event once");
    wait_for_anomalies(stack, user, events).await;
}

#[tokio::test]
async fn shuffled_and_repeated_events_have_the_anomalies_of_the_set() {
    let stack = Stack::connect();
    let mut random = Random::new(300);
    let users: Vec<_> = (0..5).map(|_| fresh("user")).collect();
    let events: Vec<_> = (0..5).map(|user| mixed(41 + user, 60)).collect();
    let mut bodies: Vec<Value> =
        users.iter().zip(&events).flat_map(|(user, events)| events.iter().map(|event| event.body(user))).collect();
    assert_eq!(bodies.len(), 300);
    random.shuffle(&mut bodies);
    bodies.extend_from_within(..60);
    random.shuffle(&mut bodies);

    let answers: Vec<Answer> =
        iter(&bodies).map(|body| stack.post_event(body)).buffer_unordered(CONNECTIONS).collect().await;
    let queued: Vec<_> = bodies.iter().zip(&answers).filter(|(_, answer)| answer.status() == 202).collect();
    let stored = answers.iter().filter(|answer| answer.status() != 202);
    let duplicates = stored.filter(|answer| answer.ok()["duplicate"] == true).count();
    // Either of the two attempts may have been queued.
    assert!((60 - queued.len().min(60)..=60 + queued.len()).contains(&duplicates), "{duplicates}, {}", queued.len());
    for (body, answer) in queued {
        stack.wait_until_stored(body, &answer.json(202)["event_id"]).await;
    }
    for (user, events) in users.iter().zip(&events) {
        assert_is_what_was_sent(&stack, user, events).await;
    }
}

#[tokio::test]
async fn concurrent_batches_and_events_have_the_anomalies_of_the_set() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut events = mixed(51, 90);
    Random::new(52).shuffle(&mut events);
    let batches = events.chunks(9).map(|chunk| {
        let bodies: Vec<_> = chunk.iter().map(|event| event.body(&user)).collect();
        let (stack, size) = (&stack, chunk.len());
        async move {
            if bodies[0].to_string().len() % 2 == 0 {
                return stack.store_events(&bodies).await;
            }
            let single = iter(&bodies).map(async |body| stack.store_event(body).await);
            single.buffer_unordered(size).collect().await
        }
    });
    let answers: Vec<Vec<Value>> = iter(batches).buffer_unordered(CONNECTIONS).collect().await;
    assert!(answers.concat().iter().all(|answer| answer["status"] == "ingested"), "{answers:?}");
    assert_is_what_was_sent(&stack, &user, &events).await;
}

#[tokio::test]
async fn late_events_raise_the_counts_of_later_events() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut events: Vec<_> = (0..40).map(|index| Stored::new(format!("{index:02}"), "x", index * SECOND / 4)).collect();
    events.reverse();
    // The later half is sent first, in sequence, so that every event of the earlier half is late.
    for event in &events[..20] {
        stack.ingest(&event.body(&user)).await;
    }
    let before = listed(&stack.get_anomalies(&user).await.list());
    assert_eq!(before, anomalies(&user, &events[..20]));
    let late = iter(&events[20..]).map(async |event| stack.ingest(&event.body(&user)).await);
    late.buffer_unordered(CONNECTIONS).collect::<Vec<_>>().await;
    assert_is_what_was_sent(&stack, &user, &events).await;
    let after = listed(&stack.get_anomalies(&user).await.list());
    assert!(before.iter().all(|(id, anomaly)| after[id]["count"].as_u64() >= anomaly["count"].as_u64()), "{after:?}");
    assert!(before.iter().any(|(id, anomaly)| after[id]["count"].as_u64() > anomaly["count"].as_u64()), "{after:?}");
}

#[tokio::test]
async fn flood_evaluates_every_event_and_counts_up_to_100() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let events: Vec<_> = (0..250).map(|index| Stored::new(format!("{index:03}"), "x", index % 3)).collect();
    let bodies: Vec<_> = events.iter().map(|event| event.body(&user)).collect();
    stack.store_events(&bodies[..120]).await;
    let singles = iter(&bodies[120..]).map(async |body| stack.ingest(body).await);
    singles.buffer_unordered(CONNECTIONS).collect::<Vec<_>>().await;

    let verdicts = |anomalies: BTreeMap<String, Value>| -> BTreeMap<String, (Value, Option<u64>)> {
        let count = |anomaly: &Value| anomaly["count"].as_u64().map(|count| count.min(MAX_ITEMS));
        anomalies.into_iter().map(|(id, anomaly)| (id, (anomaly["severity"].clone(), count(&anomaly)))).collect()
    };
    let found = async || {
        let pages = follow("limit=100", async |query| stack.get_anomalies_where(&user, query).await).await;
        verdicts(listed(&pages.concat()))
    };
    eventually_equal("every event from the eleventh on is an anomaly", &verdicts(anomalies(&user, &events)), found)
        .await;
}
