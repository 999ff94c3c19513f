//! The gateway: one origin for the dashboard and the API, like CloudFront and API Gateway on AWS, and the guarded entry
//! to `cargo lambda watch`.

mod api;
mod exchange;
mod invocations;
mod pages;
mod routes;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use cli::data_folder::DataFolder;
use hyper_util::service::TowerToHyperService;

use crate::services::{Clients, Service};
use crate::template::Template;
use api::Api;
use exchange::Exchange;
use invocations::Invocations;
use pages::Pages;
use routes::Routes;

/// The services and files behind the gateway.
#[derive(Clone, Debug)]
pub struct Backend {
    /// The address of `cargo lambda watch`.
    pub functions: SocketAddr,
    /// The folder of the dashboard.
    pub pages: PathBuf,
    /// The folder of the stack's data.
    pub data: DataFolder,
}

/// Serves the dashboard and, under `/api`, the routes of `template` on `listener`.
///
/// # Errors
/// Fails if two routes of the template conflict, or the system cannot create threads.
pub fn start(listener: TcpListener, template: &Template, backend: Backend) -> Result<Service> {
    let routes = Arc::new(Routes::of(template)?);
    Service::start_on("gateway", listener, Clients::OwnPages, move || {
        // Created again at each start: the connections to the functions belong to the runtime that opened them.
        let gateway = Arc::new(Gateway {
            api: Api::new(Arc::clone(&routes), backend.functions),
            pages: Pages::new(&backend.pages),
            exchange: Exchange::new(backend.data.clone()),
        });
        TowerToHyperService::new(Router::new().fallback(answer).with_state(gateway))
    })
}

/// Forwards invocations from `listener` to `cargo lambda watch` at `upstream`.
///
/// # Errors
/// Fails if the system cannot create threads.
pub fn start_invocations(listener: TcpListener, upstream: SocketAddr) -> Result<Service> {
    Service::start_on("invocations", listener, Clients::Programs, move || {
        let invocations = Invocations::new(upstream);
        let answer = async |State(invocations): State<Invocations>, request| invocations.answer(request).await;
        TowerToHyperService::new(Router::new().fallback(answer).with_state(invocations))
    })
}

struct Gateway {
    api: Api,
    pages: Pages,
    exchange: Exchange,
}

async fn answer(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    if request.uri().path() == exchange::PATH {
        return gateway.exchange.answer(request).await;
    }
    match request.uri().path().strip_prefix("/api") {
        Some(path) if path.is_empty() || path.starts_with('/') => gateway.api.answer(request).await.into_response(),
        _ => gateway.pages.answer(request).await,
    }
}
