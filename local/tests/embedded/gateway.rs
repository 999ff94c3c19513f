use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use cli::data_folder::DataFolder;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use hyper_util::service::TowerToHyperService;
use local::gateway::{self, Backend};
use local::services::{Clients, Service};
use local::template::Template;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::port;

const TEMPLATE: &str = r#"
Resources:
  PostLog:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: post-log } }
    Properties:
      Timeout: 15
      Events: { Route: { Type: HttpApi, Properties: { Method: POST, Path: "/log" } } }
  GetLogs:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: get-logs } }
    Properties:
      Timeout: 1
      Events: { Route: { Type: HttpApi, Properties: { Method: GET, Path: "/logs/{agent_id}/{user_id}" } } }
"#;

struct Gateway {
    service: Service,
    functions: Service,
    pages: TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Gateway {
    fn start() -> Self {
        let functions = Service::start_on("functions", port(), Clients::Programs, || {
            TowerToHyperService::new(Router::new().fallback(function))
        });
        let functions = functions.expect("the stand-in for the functions");
        let pages = TempDir::new().expect("a folder");
        fs::write(pages.path().join("index.html"), "<!doctype html>").expect("a page");
        fs::write(pages.path().join("script.js"), "'use strict'").expect("a script");
        fs::create_dir(pages.path().join("vendor")).expect("a folder");
        fs::write(pages.path().join("vendor/style.css"), "a {}").expect("a style");
        let template = Template::parse(TEMPLATE, "").expect("a template");
        let address = SocketAddr::from(([127, 0, 0, 1], functions.port()));
        let data = DataFolder::create(&pages.path().join("data")).expect("a data folder");
        let backend = Backend { functions: address, pages: pages.path().to_owned(), data };
        let service = gateway::start(port(), &template, backend).expect("the gateway");
        Self { service, functions, pages }
    }

    /// Sends a request whose target is sent byte by byte, unchanged.
    async fn send(&self, method: Method, target: &str, headers: &[(&str, &[u8])], body: impl Into<Bytes>) -> Answer {
        let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let uri: Uri = format!("{}{target}", self.service.endpoint()).parse().expect("a target");
        let mut request = Request::builder().method(method).uri(uri);
        for &(name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        let (head, body) = client.request(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    async fn get(&self, target: &str) -> Answer {
        self.send(Method::GET, target, &[], "").await
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{:?} is no JSON", self.body))
    }

    fn header(&self, name: impl Into<HeaderName>) -> Option<&str> {
        self.headers.get(name.into()).and_then(|value| value.to_str().ok())
    }
}

/// Replaces `cargo lambda watch`: echoes the request, or does what the header `x-do` says.
async fn function(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    match head.headers.get("x-do").and_then(|value| value.to_str().ok()) {
        // The emulator's report of an error that a function returned.
        Some("fail") => {
            let report = json!({ "errorType": "Broken", "errorMessage": "secret" }).to_string();
            (StatusCode::INTERNAL_SERVER_ERROR, Body::from(report)).into_response()
        }
        // The emulator's report of its own error.
        Some("choke") => {
            let report = json!({ "type": "about:blank", "status": 500, "title": "Internal Server Error" }).to_string();
            (StatusCode::INTERNAL_SERVER_ERROR, report).into_response()
        }
        Some("unavailable") => {
            let headers = [("content-type", "application/json"), ("retry-after", "2"), ("keep-alive", "timeout=5")];
            (StatusCode::SERVICE_UNAVAILABLE, headers, json!({ "detail": "s3" }).to_string()).into_response()
        }
        Some("hang") => std::future::pending().await,
        Some("png") => ([("content-type", "image/png")], &b"\x89PNG\xff"[..]).into_response(),
        _ => {
            let values = |name: &HeaderName| {
                head.headers.get_all(name).iter().map(|value| value.to_str().expect("text")).collect::<Vec<_>>()
            };
            let headers: Value = head
                .headers
                .keys()
                .map(|name| (name.to_string(), json!(values(name))))
                .collect::<serde_json::Map<_, _>>()
                .into();
            let told = json!({
                "method": head.method.as_str(),
                "target": head.uri.path_and_query().map(|target| target.as_str()),
                "headers": headers,
                "body": String::from_utf8_lossy(&body),
                "bytes": body.len(),
            });
            ([("content-type", "application/json")], told.to_string()).into_response()
        }
    }
}

#[tokio::test]
async fn path_and_query_reach_the_function_as_they_were_sent() {
    let gateway = Gateway::start();
    for target in [
        "/logs/agent1/user1",
        "/logs/a/%E6%97%A5%E6%9C%AC%20%E8%AF%AD?limit=3",
        "/logs/a/a%20b+c&d=e;f",
        "/logs/a/a%2Fb",
        "/logs/a/a%252Fb",
        "/logs/a/..",
        "/logs/a/%2e%2e",
        "/logs/a/%zz?x=%&y=a+b&&z",
        "/logs/a/b?",
    ] {
        let answer = gateway.get(&format!("/api{target}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{target}");
        assert_eq!(answer.json()["target"], target);
    }
}

#[tokio::test]
async fn function_receives_the_body_and_no_connection_headers() {
    let gateway = Gateway::start();
    let headers: &[(&str, &[u8])] = &[
        ("x-api-key", b"sig_x"),
        ("content-type", b"application/json"),
        ("connection", b"x-private"),
        ("x-private", b"1"),
        ("te", b"trailers"),
        ("x-several", b"a"),
        ("x-several", b"b"),
        ("cookie", b"a=1"),
        ("cookie", b"b=2"),
        ("x-latin", b"f\xfcr"),
    ];
    let told = gateway.send(Method::POST, "/api/log", headers, "{\"a\":\"日\"}").await.json();
    assert_eq!((&told["method"], &told["body"]), (&json!("POST"), &json!("{\"a\":\"日\"}")));
    let seen = &told["headers"];
    assert_eq!(seen["x-api-key"], json!(["sig_x"]));
    assert_eq!(seen["content-type"], json!(["application/json"]));
    assert_eq!(seen["x-several"], json!(["a,b"]));
    assert_eq!(seen["cookie"], json!(["a=1; b=2"]));
    for gone in ["x-private", "te", "x-latin", "transfer-encoding"] {
        assert_eq!(seen.get(gone), None, "{gone}");
    }
}

#[tokio::test]
async fn gateway_drops_headers_of_the_lambda_runtime() {
    let gateway = Gateway::start();
    let headers: &[(&str, &[u8])] = &[
        ("lambda-runtime-client-context", b"{"),
        ("Lambda-Runtime-Cognito-Identity", b"{"),
        ("lambda-runtime-aws-request-id", b"evil"),
        ("lambda-runtime-of-tomorrow", b"1"),
        ("x-kept", b"1"),
    ];
    let told = gateway.send(Method::POST, "/api/log", headers, "{}").await.json();
    let seen = told["headers"].as_object().expect("headers");
    assert_eq!(seen["x-kept"], json!(["1"]));
    assert_eq!(seen.keys().find(|name| name.starts_with("lambda-")), None);
}

#[tokio::test]
async fn gateway_forwards_idempotency_keys_that_are_not_ascii() {
    let gateway = Gateway::start();
    let told = gateway.send(Method::POST, "/api/log", &[("idempotency-key", "clé".as_bytes())], "{}").await.json();
    // The function rejects a percent sign in an id.
    assert_eq!(told["headers"]["idempotency-key"], json!(["cl%C3%A9"]));
}

#[tokio::test]
async fn gateway_exchanges_a_code_for_the_key_once() {
    let gateway = Gateway::start();
    let data = DataFolder::at(&gateway.pages.path().join("data"));
    std::fs::write(data.api_key(), "sig_x\n").expect("a key");
    let link = cli::link::create(&data, &gateway.service.endpoint(), &[]).expect("a link");
    let (_, code) = link.split_once("#code=").expect("a code");
    let exchange = || gateway.send(Method::POST, "/local/exchange", &[], json!({ "code": code }).to_string());
    let answer = exchange().await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({ "key": "sig_x" })));
    assert_eq!(answer.header(http::header::CACHE_CONTROL), Some("no-store"));
    assert_eq!(exchange().await.status, StatusCode::GONE);
    assert_eq!(gateway.get("/local/exchange").await.status, StatusCode::METHOD_NOT_ALLOWED);
    let answer = gateway.send(Method::POST, "/local/exchange", &[], "{}").await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_is_not_called_text() {
    let gateway = Gateway::start();
    let headers: &[(&str, &[u8])] = &[("content-type", b"application/json; charset=utf-8")];
    let told = gateway.send(Method::POST, "/api/log", headers, &b"{\"a\":\"\xff\"}"[..]).await.json();
    assert_eq!(told["headers"]["content-type"], json!(["Application/json; charset=utf-8"]));
    assert_eq!(told["bytes"], 9);
}

#[tokio::test]
async fn an_unknown_path_or_method_is_answered_as_by_api_gateway() {
    let gateway = Gateway::start();
    for (method, target) in [
        (Method::GET, "/api"),
        (Method::GET, "/api/"),
        (Method::GET, "/api/none"),
        (Method::GET, "/api/log"),
        (Method::DELETE, "/api/log"),
        (Method::POST, "/api/log/"),
        (Method::GET, "/api/logs/a"),
        (Method::GET, "/api/logs/a/b/c"),
        (Method::OPTIONS, "/api/log"),
    ] {
        let answer = gateway.send(method.clone(), target, &[], "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {target}");
        assert_eq!(answer.json(), json!({ "message": "Not Found" }));
        assert_eq!(answer.header(CONTENT_TYPE), Some("application/json"));
    }
}

#[tokio::test]
async fn a_body_of_ten_mebibytes_is_the_longest() {
    let gateway = Gateway::start();
    let longest = 10 * 1024 * 1024;
    let answer = gateway.send(Method::POST, "/api/log", &[], vec![b'x'; longest]).await;
    assert_eq!(answer.json()["bytes"], longest);
    let answer = gateway.send(Method::POST, "/api/log", &[], vec![b'x'; longest + 1]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.json(), json!({ "message": "Request Entity Too Large" }));
}

#[tokio::test]
async fn failed_function_returns_internal_error_without_its_reason() {
    let gateway = Gateway::start();
    for how in ["fail", "choke", "hang"] {
        let answer = gateway.send(Method::GET, "/api/logs/a/b", &[("x-do", how.as_bytes())], "").await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{how}");
        assert_eq!(answer.json(), json!({ "message": "Internal Server Error" }), "{how}");
    }
}

#[tokio::test]
async fn a_functions_own_answer_is_passed_on_whatever_it_is() {
    let gateway = Gateway::start();
    let answer = gateway.send(Method::GET, "/api/logs/a/b", &[("x-do", b"unavailable")], "").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((answer.header(http::header::RETRY_AFTER), answer.json()), (Some("2"), json!({ "detail": "s3" })));
    assert_eq!(answer.headers.get("keep-alive"), None);
    let answer = gateway.send(Method::GET, "/api/logs/a/b", &[("x-do", b"png")], "").await;
    assert_eq!(answer.header(CONTENT_TYPE), Some("image/png"));
    assert_eq!(&answer.body[..], b"\x89PNG\xff");
}

#[tokio::test]
async fn without_functions_the_service_is_unavailable_and_it_recovers() {
    let gateway = Gateway::start();
    assert_eq!(gateway.get("/api/logs/a/b").await.status, StatusCode::OK);
    gateway.functions.stop().await;
    let answer = gateway.get("/api/logs/a/b").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json(), json!({ "message": "Service Unavailable" }));
    gateway.functions.start().expect("the port is still free");
    assert_eq!(gateway.get("/api/logs/a/b").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_dashboard_is_served_with_the_headers_of_cloudfront() {
    let gateway = Gateway::start();
    for (target, content_type) in [
        ("/", "text/html"),
        ("/index.html", "text/html"),
        ("/?agent=a", "text/html"),
        ("/script.js", "text/javascript"),
        ("/vendor/style.css", "text/css"),
    ] {
        let answer = gateway.get(target).await;
        assert_eq!(answer.status, StatusCode::OK, "{target}");
        assert_eq!(answer.header(CONTENT_TYPE), Some(content_type), "{target}");
        for (name, value) in [
            ("cache-control", "no-cache"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            (
                "content-security-policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
                 connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
        ] {
            assert_eq!(answer.headers.get(name).and_then(|header| header.to_str().ok()), Some(value), "{target}");
        }
    }
}

#[tokio::test]
async fn nothing_outside_the_dashboards_folder_is_served() {
    let gateway = Gateway::start();
    for target in ["/none", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "/vendor/../../Cargo.toml", "/apix"] {
        let answer = gateway.get(target).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{target}");
    }
    let answer = gateway.send(Method::POST, "/index.html", &[], "").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_function_may_take_as_long_as_the_template_says() {
    let gateway = Gateway::start();
    let hang: &[(&str, &[u8])] = &[("x-do", b"hang")];
    let started = std::time::Instant::now();
    gateway.send(Method::GET, "/api/logs/a/b", hang, "").await;
    assert!(started.elapsed() >= Duration::from_secs(1));
}
