//! The front: one origin for the dashboard and the API, as CloudFront and API Gateway are on AWS.

mod api;
mod pages;
mod routes;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;

use crate::services::Service;
use crate::template::Template;
use api::Api;
use pages::Pages;
use routes::Routes;

/// What the front stands before.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Where `cargo lambda watch` listens.
    pub functions: SocketAddr,
    /// The folder of the dashboard.
    pub pages: PathBuf,
}

/// Serves the dashboard and, under `/api`, the routes of `template` on `listener`.
///
/// # Errors
/// When two routes of the template contradict each other, or the system gives no threads.
pub fn start(listener: TcpListener, template: &Template, backend: Backend) -> Result<Service> {
    let routes = Arc::new(Routes::of(template)?);
    Service::start_on("front", listener, move |listener| {
        // Made anew at each start: the connections to the functions belong to the runtime that opened them.
        let front = Arc::new(Front {
            api: Api::new(Arc::clone(&routes), backend.functions),
            pages: Pages::new(&backend.pages),
        });
        async move {
            let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
            // It ends with the runtime and with nothing else.
            drop(axum::serve(listener, Router::new().fallback(answer).with_state(front)).await);
        }
    })
}

struct Front {
    api: Api,
    pages: Pages,
}

async fn answer(State(front): State<Arc<Front>>, request: Request) -> Response {
    match request.uri().path().strip_prefix("/api") {
        Some(path) if path.is_empty() || path.starts_with('/') => front.api.answer(request).await.into_response(),
        _ => front.pages.answer(request).await,
    }
}
