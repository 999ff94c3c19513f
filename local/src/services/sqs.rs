//! SQS in memory, provided by the `rustack` crates. Queued messages are lost when the stack ends.

use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::body::SqsResponseBody;
use rustack_sqs_http::dispatch::SqsHandler;
use rustack_sqs_http::service::{SqsHttpConfig, SqsHttpService};
use rustack_sqs_model::error::SqsError;
use rustack_sqs_model::operations::SqsOperation;
use serde_json::{Value, json};

use super::{Clients, Service};
use crate::credentials::Credentials;
use crate::template::Queue;
use crate::template::names::{ACCOUNT, REGION};

/// Creates `queues` and serves them on `listener`. Requests must be signed with `credentials`.
///
/// The queues live in the runtime that calls this function, so they outlive a stop of the service.
///
/// # Errors
/// Fails if a queue's attributes are invalid.
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
    let handler = GroupedMessages(RustackSqsHandler::new(provider));
    let service = SqsHttpService::new(Arc::new(handler), config);
    Service::start_on("sqs", listener, Clients::Programs, move || service.clone())
}

/// Accepts messages with a `MessageGroupId` on standard queues, as SQS does and the emulator does not. Here every group
/// is served in order of arrival; SQS's fairness between groups is not emulated.
struct GroupedMessages(RustackSqsHandler);

impl SqsHandler for GroupedMessages {
    fn handle_operation(
        &self,
        operation: SqsOperation,
        body: Bytes,
    ) -> Pin<Box<dyn Future<Output = Result<http::Response<SqsResponseBody>, SqsError>> + Send>> {
        let body = match operation {
            SqsOperation::SendMessage | SqsOperation::SendMessageBatch => without_groups(body),
            _ => body,
        };
        self.0.handle_operation(operation, body)
    }
}

fn without_groups(body: Bytes) -> Bytes {
    const GROUP: &str = "MessageGroupId";
    let Ok(Value::Object(mut request)) = serde_json::from_slice(&body) else { return body };
    request.remove(GROUP);
    let entries = request.get_mut("Entries").and_then(Value::as_array_mut);
    entries.into_iter().flatten().filter_map(Value::as_object_mut).for_each(|entry| {
        entry.remove(GROUP);
    });
    Value::Object(request).to_string().into()
}
