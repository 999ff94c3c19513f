//! Shared helpers: clients of the embedded services.

use std::sync::LazyLock;

use local::credentials::Credentials;
use local::services::Service;
use local::template::names::REGION;
use shared::aws::{Aws, CaBundle, Settings};

/// The credentials of the embedded stores under test.
pub static CREDENTIALS: LazyLock<Credentials> = LazyLock::new(|| Credentials::generate().expect("randomness"));

/// Returns the clients that the functions use, connected to `service`.
pub fn aws(service: &Service) -> Aws {
    aws_with(service, &CREDENTIALS)
}

/// Like [`aws`], with other `credentials`.
pub fn aws_with(service: &Service, credentials: &Credentials) -> Aws {
    Aws::new(Settings {
        region: REGION.to_owned(),
        credentials: credentials.for_sdk(),
        dynamodb_endpoint: Some(service.endpoint()),
        s3_endpoint: Some(service.endpoint()),
        sqs_endpoint: Some(service.endpoint()),
        ssm_endpoint: None,
        authorities: CaBundle::default(),
    })
}

/// Returns a listener on a free port of 127.0.0.1.
pub fn port() -> std::net::TcpListener {
    local::services::bind(0).expect("a free port")
}
