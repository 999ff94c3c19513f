//! A proxy in front of the stores that counts the forwarded calls and their consumed capacity.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use local::credentials::Credentials;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;

/// The calls to the stores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The number of calls of each operation, such as `s3:PutObject`.
    pub calls: BTreeMap<String, u32>,
    /// Read request units of DynamoDB.
    pub read_units: f64,
    /// Write request units of DynamoDB.
    pub write_units: f64,
}

/// A proxy for one store. All proxies of a stack add to the same reading.
pub struct Meter {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// The store behind a proxy.
struct Target {
    address: SocketAddr,
    credentials: Credentials,
}

struct Shared {
    service: &'static str,
    target: OnceLock<Target>,
    reading: Arc<Mutex<Reading>>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Meter {
    /// Starts a proxy for `service` that adds to `reading`; [`Self::lead_to`] sets the store.
    pub async fn start(service: &'static str, reading: &Arc<Mutex<Reading>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let shared = Arc::new(Shared {
            service,
            target: OnceLock::new(),
            reading: Arc::clone(reading),
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
        });
        let meter = Self { address: listener.local_addr().expect("an address"), shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = service_fn(|request| pass_on(&shared, request));
                    let _ended = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
                });
            }
        });
        meter
    }

    /// Returns the address of the proxy.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Forwards calls to `endpoint` from now on; signs the calls that the proxy changes with `credentials`.
    pub fn lead_to(&self, endpoint: &str, credentials: &Credentials) {
        let address = endpoint.strip_prefix("http://").and_then(|address| address.parse().ok()).expect("an address");
        let target = Target { address, credentials: credentials.clone() };
        assert!(self.shared.target.set(target).is_ok(), "one target");
    }
}

async fn pass_on(shared: &Shared, request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    let Some(target) = shared.target.get() else {
        // The stack is still starting and checks whether its functions respond.
        let mut away = Response::default();
        *away.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return Ok(away);
    };
    let (mut head, body) = request.into_parts();
    let operation = operation(&head);
    let body = body.collect().await?.to_bytes();
    let is_dynamodb = shared.service == "dynamodb";
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = format!("http://{}{path}", target.address).parse().expect("an address");
    let request = if is_dynamodb {
        target.ask_for_capacity(&head, &body).map(Full::from)
    } else {
        Request::from_parts(head, Full::new(body))
    };
    let answer = shared.client.request(request).await.expect("an answer");
    let (head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut reading = shared.reading.lock().unwrap_or_else(PoisonError::into_inner);
    *reading.calls.entry(format!("{}:{operation}", shared.service)).or_default() += 1;
    if is_dynamodb {
        let units = consumed(&serde_json::from_slice(&body).expect("JSON"));
        match operation.as_str() {
            "BatchGetItem" | "GetItem" | "Query" => reading.read_units += units,
            "PutItem" | "UpdateItem" | "TransactWriteItems" => reading.write_units += units,
            other => panic!("whether {other} reads or writes is not known"),
        }
    }
    Ok(Response::from_parts(head, Full::new(body)))
}

/// Returns the name of the operation that a request calls, as in IAM and the price lists.
fn operation(head: &Parts) -> String {
    let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    if let Some(operation) = target.and_then(|target| target.rsplit('.').next()) {
        return operation.to_owned();
    }
    let is_list = head.uri.query().is_some_and(|query| query.contains("list-type=2"));
    match head.method {
        Method::PUT => "PutObject",
        Method::GET if is_list => "ListObjectsV2",
        Method::GET => "GetObject",
        Method::HEAD => "HeadBucket",
        _ => panic!("an operation of S3 that is not known: {} {}", head.method, head.uri),
    }
    .to_owned()
}

impl Target {
    /// Returns the DynamoDB request of `head` and `body` with `ReturnConsumedCapacity`. The request is signed again
    /// because the caller's signature covers the body.
    fn ask_for_capacity(&self, head: &Parts, body: &[u8]) -> Request<String> {
        let mut body: Value = serde_json::from_slice(body).expect("a request of DynamoDB is JSON");
        body["ReturnConsumedCapacity"] = "TOTAL".into();
        let mut request = Request::post(&head.uri).body(body.to_string()).expect("a request");
        for name in ["content-type", "x-amz-target"] {
            request.headers_mut().insert(name, head.headers[name].clone());
        }
        self.credentials.sign("dynamodb", &mut request).expect("a signature");
        request
    }
}

fn consumed(answer: &Value) -> f64 {
    match &answer["ConsumedCapacity"] {
        Value::Array(tables) => tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum(),
        table => table["CapacityUnits"].as_f64().expect("what it consumed"),
    }
}
