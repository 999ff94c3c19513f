//! S3 over SQLite: the `s3s` crate speaks the protocol, [`store`] keeps the objects.
//!
//! It does what the suite calls and no more: PutObject with `If-None-Match: *`, GetObject with a range, HeadObject,
//! DeleteObject, DeleteObjects, ListObjectsV2 and HeadBucket. Everything else answers `NotImplemented`.

mod listing;
mod operations;
pub mod store;

use std::net::TcpListener;

use anyhow::Result;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;

use super::{Service, serve_http};
use crate::credentials::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use operations::Operations;
use store::Store;

/// Serves `store` on `listener`.
///
/// # Errors
/// When the system gives no threads.
pub fn start(listener: TcpListener, store: Store) -> Result<Service> {
    let mut builder = S3ServiceBuilder::new(Operations::new(store));
    // Without it the crate answers a signed request with 501.
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
    let service = builder.build();
    Service::start_on("s3", listener, move |listener| serve_http(listener, service.clone()))
}
