//! An HTTP proxy in front of a store that forwards calls or injects faults.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The outcome of a call.
#[derive(Debug)]
pub enum Fate {
    /// Forwards the call and its response.
    Pass,
    /// Like [`Self::Pass`], but delayed.
    Delay(Duration),
    /// Forwards the call when the other end of the channel sends a message or is dropped.
    Hold(oneshot::Receiver<()>),
    /// Closes the connection without forwarding the call.
    Lose,
    /// Forwards the call, and closes the connection before the response returns.
    LoseAnswer,
    /// Responds with a server error.
    Fail,
    /// Responds with a throttling error.
    Throttle,
    /// Responds with an error of DynamoDB that no retry changes.
    Reject,
    /// Never responds.
    Swallow,
}

type Decide = Box<dyn FnMut(&str, &str) -> Fate + Send>;

/// A proxy on its own port.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: OnceLock<SocketAddr>,
    decide: Mutex<Decide>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Proxy {
    /// Starts a proxy that forwards all calls, once [`Self::lead_to`] has set the target.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let shared = Arc::new(Shared {
            target: OnceLock::new(),
            decide: Mutex::new(Box::new(|_, _| Fate::Pass)),
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
        });
        let proxy = Self { address: listener.local_addr().expect("an address"), shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(&shared, request));
                    // Serving a connection ends with an error if a call is lost, as intended.
                    let _ended = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
                });
            }
        });
        proxy
    }

    /// Returns the address of the proxy.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Forwards calls to `endpoint` from now on.
    pub fn lead_to(&self, endpoint: &str) {
        let address = endpoint.strip_prefix("http://").and_then(|address| address.parse().ok()).expect("an address");
        self.shared.target.set(address).expect("one target");
    }

    /// Lets `decide` choose the fate of each call from now on. Its argument is the operation: `PutItem` and the like for
    /// DynamoDB and SQS, the HTTP method for S3.
    pub fn decide_by(&self, mut decide: impl FnMut(&str) -> Fate + Send + 'static) {
        self.decide_by_body(move |operation, _| decide(operation));
    }

    /// Does the same as [`Self::decide_by`] with the body of the call as a second argument.
    pub fn decide_by_body(&self, decide: impl FnMut(&str, &str) -> Fate + Send + 'static) {
        *self.shared.decide.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(decide);
    }

    /// Forwards all calls from now on.
    pub fn heal(&self) {
        self.decide_by(|_| Fate::Pass);
    }
}

/// A call without a response. Returning this error closes the connection.
#[derive(Debug, thiserror::Error)]
#[error("lost")]
struct Lost;

async fn answer(shared: &Shared, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Lost> {
    let (head, body) = request.into_parts();
    let request = Request::from_parts(head, body.collect().await.map_err(|_| Lost)?.to_bytes());
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = match target.and_then(|target| target.rsplit('.').next()) {
        Some(operation) => operation.to_owned(),
        None => request.method().to_string(),
    };
    let body = String::from_utf8_lossy(request.body());
    let fate = (shared.decide.lock().unwrap_or_else(PoisonError::into_inner))(&operation, &body);
    match fate {
        Fate::Pass => {}
        Fate::Delay(delay) => tokio::time::sleep(delay).await,
        Fate::Hold(released) => drop(released.await),
        Fate::Lose => return Err(Lost),
        Fate::LoseAnswer => {
            let _lost = pass_on(shared, request).await;
            return Err(Lost);
        }
        Fate::Fail => return Ok(failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError")),
        Fate::Throttle if target_is_json(&request) => {
            return Ok(failure(StatusCode::BAD_REQUEST, "ProvisionedThroughputExceededException"));
        }
        Fate::Throttle => return Ok(failure(StatusCode::SERVICE_UNAVAILABLE, "SlowDown")),
        Fate::Reject => return Ok(failure(StatusCode::BAD_REQUEST, "ValidationException")),
        Fate::Swallow => std::future::pending().await,
    }
    pass_on(shared, request).await
}

fn target_is_json(request: &Request<Bytes>) -> bool {
    request.headers().contains_key("x-amz-target")
}

async fn pass_on(shared: &Shared, request: Request<Bytes>) -> Result<Response<Full<Bytes>>, Lost> {
    let target = shared.target.get().ok_or(Lost)?;
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = format!("http://{target}{path}").parse().map_err(|_| Lost)?;
    let answer = shared.client.request(Request::from_parts(head, Full::new(body))).await.map_err(|_| Lost)?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
    Ok(Response::from_parts(head, Full::new(body)))
}

/// Returns an error in the format of the AWS protocols.
fn failure(status: StatusCode, code: &str) -> Response<Full<Bytes>> {
    let body = match status {
        StatusCode::SERVICE_UNAVAILABLE => format!("<Error><Code>{code}</Code><Message>injected</Message></Error>"),
        _ => format!("{{\"__type\":\"com.amazonaws.dynamodb.v20120810#{code}\",\"message\":\"injected\"}}"),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
