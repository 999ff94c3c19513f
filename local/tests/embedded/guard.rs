//! Sends requests of foreign web pages and unsigned requests to every listener.

use std::net::SocketAddr;
use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use cli::data_folder::DataFolder;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use local::credentials::Credentials;
use local::gateway::{self, Backend};
use local::queues::Sqs;
use local::services::dynamodb::Changes;
use local::services::s3::store::{Existing, Store};
use local::services::{Service, dynamodb, s3, sqs};
use local::template::Template;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{CREDENTIALS, aws, aws_with, port};

const TEMPLATE: &str = r#"
Resources:
  F:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: f } }
    Properties:
      Timeout: 5
      Events: { Route: { Type: HttpApi, Properties: { Method: ANY, Path: "/f" } } }
  Keys:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
  Queue: { Type: AWS::SQS::Queue }
"#;
const BUCKET: &str = "logs";
const OBJECT: &str = "secret";

/// One listener of each kind that a stack has.
struct Listeners {
    dynamodb: Service,
    s3: Service,
    sqs: Service,
    gateway: Service,
    invocations: Service,
    _folder: TempDir,
}

impl Listeners {
    async fn start() -> Self {
        let folder = TempDir::with_prefix("signals-test-").expect("a folder");
        let sqs_port = port();
        let endpoint = format!("http://{}", sqs_port.local_addr().expect("an address"));
        let template = Template::parse(TEMPLATE, &endpoint).expect("a template");
        let database = dynamodb::open(&folder.path().join("dynamodb"), &template.tables).expect("a database");
        let store = Store::open(&folder.path().join("s3"), &[BUCKET.to_owned()]).expect("a store");
        store.put(BUCKET, OBJECT, None, b"what a user said", Existing::Keep).expect("an object");
        // Replaces `cargo lambda watch`, which has no access control.
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let functions: SocketAddr = listener.local_addr().expect("an address");
        tokio::spawn(async { axum::serve(listener, Router::new().fallback(async || "invoked")).await });
        let data = DataFolder::create(&folder.path().join("data")).expect("a data folder");
        let backend = Backend { functions, pages: folder.path().to_owned(), data };
        std::fs::write(folder.path().join("index.html"), "<!doctype html>").expect("a page");
        Self {
            dynamodb: dynamodb::start(port(), &database, &CREDENTIALS, &Changes::default()).expect("DynamoDB"),
            s3: s3::start(port(), store, &CREDENTIALS).expect("S3"),
            sqs: sqs::start(sqs_port, &template.queues, &CREDENTIALS).await.expect("SQS"),
            gateway: gateway::start(port(), &template, backend).expect("the gateway"),
            invocations: gateway::start_invocations(port(), functions).expect("invocations"),
            _folder: folder,
        }
    }

    fn all(&self) -> [&Service; 5] {
        [&self.dynamodb, &self.s3, &self.sqs, &self.gateway, &self.invocations]
    }
}

struct Answer {
    status: u16,
    body: String,
    allows_cors: bool,
}

/// Sends `method path` to `service` with `headers`. A `host` in `headers` replaces the correct one.
async fn ask(service: &Service, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let client: Client<HttpConnector, Full<bytes::Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut request = http::Request::builder().method(method).uri(format!("{}{path}", service.endpoint()));
    for &(name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::from(body.to_owned())).expect("a request");
    let answer = tokio::time::timeout(Duration::from_secs(30), client.request(request)).await;
    let (head, body) = answer.expect("in time").expect("an answer").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Answer {
        status: head.status.as_u16(),
        body: String::from_utf8_lossy(&body).into_owned(),
        allows_cors: head.headers.keys().any(|name| name.as_str().starts_with("access-control-")),
    }
}

#[tokio::test]
async fn listeners_reject_foreign_hosts() {
    let listeners = Listeners::start().await;
    for service in listeners.all() {
        for host in ["evil.example".to_owned(), format!("evil.example:{}", service.port()), "127.0.0.1:1".to_owned()] {
            let answer = ask(service, "GET", "/", &[("host", &host)], "").await;
            assert_eq!(answer.status, 421, "{service:?} {host}");
            assert!(answer.body.contains(&format!("127.0.0.1:{}", service.port())), "{}", answer.body);
        }
        for host in ["localhost", "[::1]"] {
            let answer = ask(service, "GET", "/", &[("host", &format!("{host}:{}", service.port()))], "").await;
            assert_ne!(answer.status, 421, "{service:?} {host}");
        }
    }
}

#[tokio::test]
async fn listeners_reject_foreign_origins_and_preflights() {
    let listeners = Listeners::start().await;
    for service in listeners.all() {
        for headers in [
            &[("origin", "https://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "http://127.0.0.1:1")],
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
            &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")],
        ] {
            for method in ["GET", "POST"] {
                let answer = ask(service, method, "/", headers, "{}").await;
                assert_eq!((answer.status, answer.allows_cors), (403, false), "{service:?} {method} {headers:?}");
            }
        }
        let preflight = [
            ("origin", "https://evil.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "x-amz-target,content-type,authorization,x-amz-date"),
        ];
        let answer = ask(service, "OPTIONS", "/", &preflight, "").await;
        assert_eq!((answer.status, answer.allows_cors), (403, false), "{service:?}");
        assert!(!ask(service, "GET", "/", &[], "").await.allows_cors, "{service:?}");
    }
}

#[tokio::test]
async fn gateway_accepts_its_own_pages_and_links_to_them() {
    let listeners = Listeners::start().await;
    let origin = listeners.gateway.endpoint();
    let own = [("origin", origin.as_str()), ("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")];
    let answer = ask(&listeners.gateway, "POST", "/api/f", &own, "{}").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "invoked"));
    let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
    assert_eq!(ask(&listeners.gateway, "GET", "/", &link, "").await.status, 200);
}

#[tokio::test]
async fn invocations_accept_programs_and_reject_pages() {
    let listeners = Listeners::start().await;
    let path = "/2015-03-31/functions/f/invocations";
    let answer = ask(&listeners.invocations, "POST", path, &[], "{}").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "invoked"));
    let own = listeners.invocations.endpoint();
    for origin in ["null", own.as_str()] {
        let answer = ask(&listeners.invocations, "POST", path, &[("origin", origin)], "{}").await;
        assert_eq!(answer.status, 403, "{origin}");
    }
    for path in ["/.rt/f/2018-06-01/runtime/invocation/next", "/.rt/2018-06-01/runtime/init/error"] {
        assert_eq!(ask(&listeners.invocations, "GET", path, &[], "").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn dynamodb_rejects_requests_without_a_valid_signature() {
    let listeners = Listeners::start().await;
    let others = Credentials::generate().expect("randomness");
    let put = |credentials: &Credentials| {
        let client = aws_with(&listeners.dynamodb, credentials).dynamodb();
        client.put_item().table_name("signals-Keys").item("id", AttributeValue::S("planted".to_owned())).send()
    };
    let error = put(&others).await.expect_err("another secret").into_service_error();
    assert_eq!(error.code(), Some("InvalidSignatureException"), "{error:?}");
    let headers = [
        ("x-amz-target", "DynamoDB_20120810.Scan"),
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-date", "20260101T000000Z"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=00",
        ),
    ];
    for headers in [&headers[..], &headers[..3]] {
        let body = json!({ "TableName": "signals-Keys" }).to_string();
        let answer = ask(&listeners.dynamodb, "POST", "/", headers, &body).await;
        assert_eq!(answer.status, 403, "{}", answer.body);
    }
    let client = aws(&listeners.dynamodb).dynamodb();
    let found = client.scan().table_name("signals-Keys").send().await.expect("a Scan");
    assert_eq!(found.count(), 0);
    put(&CREDENTIALS).await.expect("a PutItem");
}

#[tokio::test]
async fn sqs_rejects_requests_without_a_valid_signature() {
    let listeners = Listeners::start().await;
    let others = Credentials::generate().expect("randomness");
    let ours = Sqs::new(listeners.sqs.endpoint(), CREDENTIALS.clone());
    let message = json!({ "QueueUrl": ours.url("signals-Queue"), "MessageBody": "planted" });
    Sqs::new(listeners.sqs.endpoint(), others).call("SendMessage", &message).await.expect_err("another secret");
    let headers = [("x-amz-target", "AmazonSQS.SendMessage"), ("content-type", "application/x-amz-json-1.0")];
    let answer = ask(&listeners.sqs, "POST", "/", &headers, &message.to_string()).await;
    assert!(answer.status >= 400, "{}", answer.body);
    assert_eq!(ours.depth(&ours.url("signals-Queue")).await.expect("an answer"), 0);
    ours.call("SendMessage", &message).await.expect("a message sent");
}

#[tokio::test]
async fn s3_rejects_requests_without_a_valid_signature() {
    let listeners = Listeners::start().await;
    let others = Credentials::generate().expect("randomness");
    let get = |credentials: &Credentials| {
        aws_with(&listeners.s3, credentials).s3().get_object().bucket(BUCKET).key(OBJECT).send()
    };
    let error = get(&others).await.expect_err("another secret").into_service_error();
    assert_eq!(aws_sdk_s3::error::ProvideErrorMetadata::code(&error), Some("SignatureDoesNotMatch"), "{error:?}");
    for path in [format!("/{BUCKET}/{OBJECT}"), format!("/{BUCKET}?list-type=2")] {
        let answer = ask(&listeners.s3, "GET", &path, &[], "").await;
        assert_eq!(answer.status, 403, "{path}");
    }
    get(&CREDENTIALS).await.expect("an object");
}
