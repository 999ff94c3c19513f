//! S3 over SQLite: the `s3s` crate implements the protocol, [`store`] stores the objects.
//!
//! It supports only the operations that the suite uses: PutObject with `If-None-Match: *`, GetObject with a range,
//! HeadObject, DeleteObject, DeleteObjects, ListObjectsV2 and HeadBucket. All other operations return `NotImplemented`.

mod listing;
mod object;
mod operations;
pub mod store;

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::Result;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;

use super::{Clients, Service};
use crate::credentials::Credentials;
pub(crate) use object::ENCODED;
use operations::Operations;
use store::Store;

/// Serves `store` on `listener`. Requests must be signed with `credentials`.
///
/// # Errors
/// Fails if the system cannot create threads.
pub fn start(listener: TcpListener, store: impl Into<Arc<Store>>, credentials: &Credentials) -> Result<Service> {
    let (id, secret) = credentials.pair();
    let mut builder = S3ServiceBuilder::new(Operations::new(store.into()));
    builder.set_auth(SimpleAuth::from_single(id, secret));
    let service = builder.build();
    Service::start_on("s3", listener, Clients::Programs, move || service.clone())
}
