//! A flood: hundreds of events of one user at the same instant, while DynamoDB fails and functions are killed.

use local::queues::Sqs;

use crate::alerts::{Receiver, SECRET, answer};
use crate::faulty::{Faulty, eventually};
use crate::proxy::Fate;
use crate::traffic::{Traffic, scatter};

/// The number of events in the flood, a fifth of which are sent twice.
const EVENTS: usize = 300;
/// The functions to kill, in order, at equal distances during the flood.
const KILLED: [&str; 5] = ["post-events", "post-event", "evaluate-events", "retry-events", "open-episodes"];

#[tokio::test]
async fn flood_under_faults_is_stored_evaluated_and_alerted_once() {
    let receiver = Receiver::start(|_| answer(204)).await;
    let faulty = Faulty::start_with(2, &[receiver.settings(&[SECRET])]).await;
    let mut calls = 0;
    // Eight percent of the calls fail.
    faulty.dynamodb.decide_by(move |_| {
        calls += 1;
        match scatter(calls) % 100 {
            0..2 => Fate::Lose,
            2..4 => Fate::LoseAnswer,
            4..6 => Fate::Fail,
            6..8 => Fate::Throttle,
            _ => Fate::Pass,
        }
    });
    let traffic = Traffic::flood("noisy", EVENTS);
    let killing = async {
        for (number, function) in (1..).zip(KILLED) {
            let share = EVENTS * number / (KILLED.len() + 1);
            eventually("a part is accepted", async || (traffic.accepted() >= share).then_some(())).await;
            eventually("a process is killed", async || (faulty.kill(function) > 0).then_some(())).await;
        }
    };
    tokio::join!(traffic.send(&faulty), killing);
    faulty.heal();
    traffic.check(&faulty).await;

    eventually("an alert arrives", async || receiver.deliveries().pop()).await;
    let sqs = Sqs::of(&faulty.stack.description().environment).expect("SQS");
    let alerts = faulty.stack.description().environment["SIGNALS_ALERTS_QUEUE"].clone();
    eventually("all alerts are sent", async || (sqs.depth(&alerts).await.ok()? == 0).then_some(())).await;
    let deliveries = receiver.deliveries();
    let alert = deliveries[0].json();
    assert_eq!(
        (&alert["data"]["user_id"], &alert["data"]["severity"]),
        (&"noisy".into(), &"critical".into()),
        "{alert}"
    );
    let ids: Vec<_> = deliveries.iter().map(|delivery| delivery.verified(SECRET)).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "one episode, so one alert: {ids:?}");
    faulty.stop().await;
}
