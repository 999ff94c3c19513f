//! Recovery through the stream of stored events.

use shared::aws::{Aws, Settings};
use shared::config::Config;
use shared::env::{self, EVENTS_TABLE};
use shared::integrity::store::PutEvent;
use shared::integrity::{Event, EventTable, ReceivedEvent};
use shared::time::Timestamp;

use crate::events::{at, event};
use crate::stack::{Stack, eventually, fresh};

/// Stores an event without evaluating it, like a request whose sandbox dies after storing.
async fn store_and_die(user: &str) {
    let config = Config::load().expect("a configuration");
    let settings = Settings::from_env().unwrap_or_else(|error| panic!("to store events: {error}"));
    let name = env::required(EVENTS_TABLE).unwrap_or_else(|error| panic!("to store events: {error}"));
    let table = EventTable::new(Aws::new(settings).dynamodb(), name);
    let event = Event::parse(event(user, "x", at(0)).to_string().as_bytes()).expect("an event").into_unchecked();
    let event = ReceivedEvent::new(event, Timestamp::now(), &config.detection);
    table.put(&event, None).await.expect("the event is stored");
}

#[tokio::test]
async fn event_whose_request_died_is_still_evaluated() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for _ in 0..11 {
        store_and_die(&user).await;
    }
    let anomalies = eventually("it is evaluated", async || {
        let anomalies = stack.get_anomalies(&user).await.list();
        (!anomalies.is_empty()).then_some(anomalies)
    })
    .await;
    assert_eq!(anomalies.len(), 1, "{anomalies:?}");
    assert_eq!(anomalies[0]["count"], 11, "{anomalies:?}");
}
