//! What several tests need: clients of the embedded services.

use aws_credential_types::Credentials;
use local::credentials::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use local::services::Service;
use local::template::names::REGION;
use shared::aws::{Aws, CaBundle, Settings};

/// The clients that the functions use, pointed at `service`.
pub fn aws(service: &Service) -> Aws {
    Aws::new(Settings {
        region: REGION.to_owned(),
        credentials: Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "test"),
        dynamodb_endpoint: Some(service.endpoint()),
        s3_endpoint: Some(service.endpoint()),
        sqs_endpoint: Some(service.endpoint()),
        ssm_endpoint: None,
        authorities: CaBundle::default(),
    })
}

/// A free port of 127.0.0.1 to serve on.
pub fn port() -> std::net::TcpListener {
    local::services::bind(0).expect("a free port")
}
