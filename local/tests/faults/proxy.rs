//! An HTTP proxy before a store, which passes calls on, or does something else to them.

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

/// What becomes of a call.
#[derive(Debug)]
pub enum Fate {
    /// The store gets it and its answer comes back.
    Pass,
    /// As [`Self::Pass`], but later.
    Delay(Duration),
    /// The store gets it when the other end of the channel says so, or is gone.
    Hold(oneshot::Receiver<()>),
    /// The connection is closed and the store never hears of it.
    Lose,
    /// The store does it, and the connection is closed before the answer comes back.
    LoseAnswer,
    /// The store says that something is wrong with it.
    Fail,
    /// The store says that it is asked too much.
    Throttle,
    /// Nobody answers, ever.
    Swallow,
}

type Judge = Box<dyn FnMut(&str) -> Fate + Send>;

/// A proxy on a port of its own.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: OnceLock<SocketAddr>,
    judge: Mutex<Judge>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Proxy {
    /// Starts a proxy that passes everything on, once [`Self::lead_to`] has said where to.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let shared = Arc::new(Shared {
            target: OnceLock::new(),
            judge: Mutex::new(Box::new(|_| Fate::Pass)),
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
        });
        let proxy = Self { address: listener.local_addr().expect("an address"), shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(&shared, request));
                    // It ends with an error when a call was lost, as it should.
                    let _ended = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
                });
            }
        });
        proxy
    }

    /// Where callers find it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Passes calls on to `endpoint` from now on.
    pub fn lead_to(&self, endpoint: &str) {
        let address = endpoint.strip_prefix("http://").and_then(|address| address.parse().ok()).expect("an address");
        self.shared.target.set(address).expect("one target");
    }

    /// Lets `judge` decide the fate of each call from now on. It is told the operation: `PutItem` and the like of DynamoDB
    /// and SQS, the HTTP method of S3.
    pub fn judge_by(&self, judge: impl FnMut(&str) -> Fate + Send + 'static) {
        *self.shared.judge.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(judge);
    }

    /// Passes every call on from now on.
    pub fn heal(&self) {
        self.judge_by(|_| Fate::Pass);
    }
}

/// A call that the store was not to answer. To return it closes the connection.
#[derive(Debug, thiserror::Error)]
#[error("lost")]
struct Lost;

async fn answer(shared: &Shared, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Lost> {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = match target.and_then(|target| target.rsplit('.').next()) {
        Some(operation) => operation.to_owned(),
        None => request.method().to_string(),
    };
    let fate = (shared.judge.lock().unwrap_or_else(PoisonError::into_inner))(&operation);
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
        Fate::Swallow => std::future::pending().await,
    }
    pass_on(shared, request).await
}

fn target_is_json(request: &Request<Incoming>) -> bool {
    request.headers().contains_key("x-amz-target")
}

async fn pass_on(shared: &Shared, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Lost> {
    let target = shared.target.get().ok_or(Lost)?;
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = format!("http://{target}{path}").parse().map_err(|_| Lost)?;
    let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
    let answer = shared.client.request(Request::from_parts(head, Full::new(body))).await.map_err(|_| Lost)?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
    Ok(Response::from_parts(head, Full::new(body)))
}

/// An error as the AWS protocols write it.
fn failure(status: StatusCode, code: &str) -> Response<Full<Bytes>> {
    let body = match status {
        StatusCode::SERVICE_UNAVAILABLE => format!("<Error><Code>{code}</Code><Message>injected</Message></Error>"),
        _ => format!("{{\"__type\":\"com.amazonaws.dynamodb.v20120810#{code}\",\"message\":\"injected\"}}"),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
