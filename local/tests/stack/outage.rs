//! Outages: a store stops and restarts while the functions run.

use std::collections::BTreeMap;

use local::ports::Ports;
use local::services::Service;
use local::stack::{Options, Stack};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::support::{Api, PROGRAM, data, eventually, root, turn};

async fn start(data: &tempfile::TempDir) -> Stack {
    let options = Options {
        root: root(),
        template: root().join("template.yaml"),
        data: data.path().to_owned(),
        ports: Ports::Free,
        profile: "dev".to_owned(),
        processes: 2,
        program: PROGRAM.into(),
        overrides: BTreeMap::new(),
    };
    Stack::start(&options).await.expect("a stack")
}

/// Requests the health endpoint until it returns `expected`, because its responses are cached for some seconds.
async fn health(api: &Api, expected: &Value) {
    eventually(&format!("health says {expected}"), async || {
        let answer = api.get("/health").await;
        let status = if expected["status"] == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (answer.status() == status && answer.json::<Value>().await.ok().as_ref() == Some(expected)).then_some(())
    })
    .await;
}

/// Checks that, while `service` is stopped, `call` returns one of `refusals` and health names the service. Afterwards,
/// both work again.
async fn outage(api: &Api, service: &Service, name: &str, refusals: &[u16], call: impl AsyncFn() -> Response) {
    assert_eq!(call().await.status(), StatusCode::OK);
    health(api, &json!({ "status": "ok" })).await;

    service.stop().await;
    // More calls than processes, so that each process handles one.
    for _ in 0..4 {
        let answer = call().await;
        assert!(refusals.contains(&answer.status().as_u16()), "{answer:?}");
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = answer.headers()["retry-after"].to_str().expect("text").parse::<u32>();
            assert!(seconds.is_ok(), "{answer:?}");
            assert!(answer.json::<Value>().await.expect("JSON").get("detail").is_some());
        }
    }
    let mut expected = json!({ "status": "unavailable", "dynamodb": "ok", "s3": "ok" });
    expected[name] = json!("unavailable");
    health(api, &expected).await;

    service.start().expect("the port is still free");
    eventually("the call succeeds again", async || (call().await.status() == StatusCode::OK).then_some(())).await;
    health(api, &json!({ "status": "ok" })).await;
}

#[tokio::test]
async fn without_dynamodb_events_wait_and_health_says_why() {
    let _turn = turn().await;
    let data = data();
    let stack = start(&data).await;
    let api = Api::new(stack.description().api.clone(), stack.api_key());
    // 503 if the key is not cached.
    outage(&api, &stack.dynamodb, "dynamodb", &[503, 202], async || api.event().await).await;
    stack.stop().await;
}

#[tokio::test]
async fn without_s3_interactions_wait_and_health_says_why() {
    let _turn = turn().await;
    let data = data();
    let stack = start(&data).await;
    let api = Api::new(stack.description().api.clone(), stack.api_key());
    outage(&api, &stack.s3, "s3", &[202], async || api.log("hello").await).await;
    stack.stop().await;
}
