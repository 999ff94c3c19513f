//! A minimal function: the baseline of start time, memory, and the runtime's share of a request.

use std::convert::Infallible;

use lambda_http::{Request, Response, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    lambda_http::run(service_fn(|_: Request| async { Ok::<_, Infallible>(Response::new("{}".to_owned())) })).await
}
