//! SQS in memory, by the `rustack` crates. What is queued is gone when the stack ends.

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::service::{SqsHttpConfig, SqsHttpService};
use serde_json::json;

use super::{Clients, Service};
use crate::credentials::Credentials;
use crate::template::Queue;
use crate::template::names::{ACCOUNT, REGION};

/// Creates `queues` and serves them on `listener`. Requests must be signed with `credentials`.
///
/// The queues live in the runtime that calls this, so they outlive a stop of the service.
///
/// # Errors
/// When a queue's attributes make no sense.
pub async fn start(listener: TcpListener, queues: &[Queue], credentials: &Credentials) -> Result<Service> {
    let address = listener.local_addr().context("sqs has no address")?;
    let provider = Arc::new(RustackSqs::new(SqsConfig {
        skip_signature_validation: false,
        default_region: REGION.to_owned(),
        account_id: ACCOUNT.to_owned(),
        host: address.ip().to_string(),
        port: address.port(),
    }));
    for queue in queues {
        let wanted = json!({ "QueueName": queue.name, "Attributes": queue.attributes });
        let wanted = serde_json::from_value(wanted).with_context(|| format!("the queue {}", queue.name))?;
        provider.create_queue(wanted).await.with_context(|| format!("the queue {}", queue.name))?;
    }
    let config = SqsHttpConfig {
        skip_signature_validation: false,
        region: REGION.to_owned(),
        credential_provider: Some(credentials.verifier()),
    };
    let service = SqsHttpService::new(Arc::new(RustackSqsHandler::new(provider)), config);
    Service::start_on("sqs", listener, Clients::Programs, move || service.clone())
}
