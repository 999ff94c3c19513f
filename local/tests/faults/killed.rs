//! Functions that are killed in the middle of their work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use crate::faulty::{Faulty, event, eventually};
use crate::proxy::Fate;
use crate::traffic::{Traffic, scatter};

/// The number of times that a function is killed, and the time that it runs in between.
const KILLS: usize = 50;
const BETWEEN_KILLS: Duration = Duration::from_millis(150);

#[tokio::test]
async fn event_is_evaluated_when_its_request_is_killed_after_storing() {
    let faulty = Arc::new(Faulty::start(1).await);
    let user = "user";
    for index in 0..10 {
        let (status, answer) =
            faulty.post("/event", &event(user, &format!("{index:02}"), "x", 0)).await.expect("an answer");
        assert_eq!((status.as_u16(), &answer["anomaly"]), (200, &json!(null)), "{answer}");
    }
    // The eleventh event is anomalous. The next query after its put is blocked, whether it comes from the request or
    // the stream, until the request is dead.
    let (tell_held, mut held) = mpsc::unbounded_channel();
    let is_put = Arc::new(AtomicBool::new(false));
    let put_seen = Arc::clone(&is_put);
    faulty.dynamodb.decide_by(move |operation| match operation {
        "PutItem" => {
            put_seen.store(true, Ordering::Relaxed);
            Fate::Pass
        }
        "Query" if put_seen.load(Ordering::Relaxed) => {
            let (release, released) = oneshot::channel();
            // The test receives only the first held call; the others are released when it is done.
            let _taken = tell_held.send(release);
            Fate::Hold(released)
        }
        _ => Fate::Pass,
    });
    let victims = faulty.processes("post-event");
    assert_eq!(victims.len(), 1);
    let caller = Arc::clone(&faulty);
    let request = tokio::spawn(async move { caller.post("/event", &event(user, "10", "x", 0)).await });
    let release = held.recv().await.expect("a query that is held");
    assert_eq!(faulty.kill("post-event"), 1);
    faulty.dynamodb.heal();
    drop((release, held));

    let anomaly = eventually("the stream has it evaluated", async || faulty.list("/anomalies/user").await.pop()).await;
    assert_eq!((&anomaly["count"], &anomaly["event_id"]), (&json!(11), &json!("10")), "{anomaly}");
    let answer = request.await.expect("a caller");
    assert!(answer.is_none_or(|(status, _)| status.is_server_error()), "nobody was left to answer");

    eventually("post-event runs again", async || (!faulty.processes("post-event").is_empty()).then_some(())).await;
    assert_ne!(faulty.processes("post-event"), victims);
    let (status, again) = faulty.post("/event", &event(user, "10", "x", 0)).await.expect("an answer");
    assert_eq!((status.as_u16(), &again["duplicate"], &again["anomaly"]), (200, &json!(true), &anomaly), "{again}");
    assert_eq!((faulty.list("/events/user").await.len(), faulty.list("/anomalies/user").await.len()), (11, 1));
    Arc::into_inner(faulty).expect("nobody else has it").stop().await;
}

#[tokio::test]
async fn functions_killed_fifty_times_lose_nothing_and_double_nothing() {
    let faulty = Faulty::start(2).await;
    // Slow enough that a kill interrupts running requests.
    faulty.dynamodb.decide_by(|_| Fate::Delay(Duration::from_millis(10)));
    let traffic = Traffic::of(1_000);
    let killing = async {
        let mut killed = 0;
        while killed < KILLS {
            tokio::time::sleep(BETWEEN_KILLS.mul_f64(0.5 + (scatter(killed) % 100) as f64 / 100.0)).await;
            let function =
                ["post-event", "evaluate-events", "retry-events", "post-events"][scatter(killed + KILLS) % 4];
            killed += usize::from(faulty.kill(function) > 0);
        }
        faulty.dynamodb.heal();
        traffic.accepted()
    };
    let ((), accepted) = tokio::join!(traffic.send(&faulty), killing);
    let unanswered =
        traffic.answers.refused.load(Ordering::Relaxed) + traffic.answers.unanswered.load(Ordering::Relaxed);
    assert!(accepted < traffic.accepted() && unanswered > 10, "the kills met work: {:?}, {accepted}", traffic.answers);
    traffic.check(&faulty).await;
    faulty.stop().await;
}
