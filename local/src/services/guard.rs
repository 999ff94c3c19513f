//! The loopback guard in front of every listener of the stack.
//!
//! Web pages open in the developer's browser can send requests to local ports. The guard rejects the requests that only
//! such pages send: a `Host` other than the listener's own address (DNS rebinding), a foreign `Origin`, a CORS preflight,
//! and a cross-site request according to `Sec-Fetch-Site`. No response allows CORS.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use serde_json::json;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const CORS_PREFIX: &str = "access-control-";

/// The clients that a listener accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// Programs and the pages that the listener serves. Other pages may link to those pages.
    OwnPages,
    /// Programs only.
    Programs,
}

/// Decides which requests reach a listener.
#[derive(Debug)]
pub(super) struct Guard {
    clients: Clients,
    ports: RwLock<BTreeSet<u16>>,
}

/// The reason why a request is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Host,
    Preflight,
    Origin,
}

impl Guard {
    /// Creates the guard of the listener on `port`.
    pub fn new(port: u16, clients: Clients) -> Self {
        Self { clients, ports: RwLock::new(BTreeSet::from([port])) }
    }

    /// Also accepts requests whose `Host` has `port`.
    pub fn accept_port(&self, port: u16) {
        self.ports.write().unwrap_or_else(PoisonError::into_inner).insert(port);
    }

    fn check(&self, head: &Parts) -> Result<(), Refusal> {
        let host = self.host(head).ok_or(Refusal::Host)?;
        let is_preflight = head.method == Method::OPTIONS && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if is_preflight {
            return Err(Refusal::Preflight);
        }
        let own = match self.clients {
            Clients::OwnPages => Some(format!("http://{host}")),
            Clients::Programs => None,
        };
        let is_own = |origin: &HeaderValue| own.as_ref().is_some_and(|own| origin.as_bytes() == own.as_bytes());
        let comes_from_here = head.headers.get_all(ORIGIN).iter().all(is_own) && self.is_same_site(head);
        if comes_from_here { Ok(()) } else { Err(Refusal::Origin) }
    }

    /// Returns the request's `Host` if there is exactly one and it is an address of the listener.
    fn host<'a>(&self, head: &'a Parts) -> Option<&'a str> {
        let mut hosts = head.headers.get_all(HOST).iter();
        let host = hosts.next()?.to_str().ok()?;
        // A request target in absolute form has a host as well (RFC 9112, 3.2.2).
        let is_own = hosts.next().is_none() && self.is_own(host);
        (is_own && head.uri.authority().is_none_or(|authority| self.is_own(authority.as_str()))).then_some(host)
    }

    fn is_own(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        let is_loopback =
            ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| authority.host().eq_ignore_ascii_case(name));
        let port = authority.port_u16().unwrap_or(80);
        let is_plain = !authority.as_str().contains('@');
        is_loopback && is_plain && self.ports.read().unwrap_or_else(PoisonError::into_inner).contains(&port)
    }

    /// Returns whether the request is from a program, from the listener's own page, or from the browser's user.
    fn is_same_site(&self, head: &Parts) -> bool {
        let value = |name: HeaderName| head.headers.get(name).map(HeaderValue::as_bytes);
        match value(SEC_FETCH_SITE) {
            None | Some(b"same-origin" | b"none") => true,
            Some(_) => {
                let is_link = value(SEC_FETCH_MODE) == Some(b"navigate") && head.method.is_safe();
                self.clients == Clients::OwnPages && is_link
            }
        }
    }

    fn refuse(&self, refusal: Refusal) -> Response<Full<Bytes>> {
        let (status, message) = match refusal {
            Refusal::Host => {
                let ports = self.ports.read().unwrap_or_else(PoisonError::into_inner);
                let port = ports.first().copied().unwrap_or_default();
                let message = format!("the Host header must be 127.0.0.1:{port}, localhost:{port} or [::1]:{port}");
                (StatusCode::MISDIRECTED_REQUEST, message)
            }
            Refusal::Preflight => (StatusCode::FORBIDDEN, "cross-origin requests are not allowed".to_owned()),
            Refusal::Origin => (StatusCode::FORBIDDEN, "requests from other web pages are not allowed".to_owned()),
        };
        let mut response = Response::new(Full::from(json!({ "message": message }).to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// A service behind a guard.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    pub guard: Arc<Guard>,
    pub inner: S,
}

impl<S, B> Service<Request<Incoming>> for Guarded<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<Either<Full<Bytes>, B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (head, body) = request.into_parts();
        if let Err(refusal) = self.guard.check(&head) {
            let response = self.guard.refuse(refusal).map(Either::Left);
            return Box::pin(async { Ok(response) });
        }
        let answer = self.inner.call(Request::from_parts(head, body));
        Box::pin(async {
            let mut response = answer.await?;
            forbid_cors(response.headers_mut());
            Ok(response.map(Either::Right))
        })
    }
}

/// Removes the CORS headers that a service itself sets.
fn forbid_cors(headers: &mut HeaderMap) {
    let names: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with(CORS_PREFIX)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(clients: Clients, method: &str, target: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut request = Request::builder().method(method).uri(target);
        for &(name, value) in headers {
            request = request.header(name, value);
        }
        Guard::new(8080, clients).check(&request.body(()).expect("a request").into_parts().0)
    }

    #[test]
    fn guard_accepts_only_loopback_hosts_with_its_own_port() {
        for host in ["127.0.0.1:8080", "localhost:8080", "LocalHost:8080", "[::1]:8080"] {
            assert_eq!(check(Clients::Programs, "GET", "/", &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example:8080",
            "127.0.0.1",
            "127.0.0.1:8081",
            "localhost.:8080",
            "localhost.evil.example:8080",
            "127.0.0.1:8080@evil.example:8080",
            "a@127.0.0.1:8080",
            "127.1:8080",
            "0.0.0.0:8080",
            "",
        ] {
            assert_eq!(check(Clients::OwnPages, "GET", "/", &[("host", host)]), Err(Refusal::Host), "{host}");
        }
        assert_eq!(check(Clients::OwnPages, "GET", "/", &[]), Err(Refusal::Host));
        let two = [("host", "127.0.0.1:8080"), ("host", "evil.example:8080")];
        assert_eq!(check(Clients::OwnPages, "GET", "/", &two), Err(Refusal::Host));
        let absolute = check(Clients::OwnPages, "GET", "http://evil.example:8080/", &[("host", "127.0.0.1:8080")]);
        assert_eq!(absolute, Err(Refusal::Host));
    }

    #[test]
    fn guard_accepts_only_the_origin_of_its_own_pages() {
        let origin = |clients, origin| check(clients, "POST", "/", &[("host", "localhost:8080"), ("origin", origin)]);
        assert_eq!(origin(Clients::OwnPages, "http://localhost:8080"), Ok(()));
        for foreign in [
            "null",
            "http://localhost:8081",
            "http://127.0.0.1:8080",
            "https://localhost:8080",
            "http://evil.example",
            "",
        ] {
            assert_eq!(origin(Clients::OwnPages, foreign), Err(Refusal::Origin), "{foreign}");
            assert_eq!(origin(Clients::Programs, foreign), Err(Refusal::Origin), "{foreign}");
        }
        assert_eq!(origin(Clients::Programs, "http://localhost:8080"), Err(Refusal::Origin));
    }

    #[test]
    fn guard_rejects_preflights_of_any_origin() {
        for clients in [Clients::OwnPages, Clients::Programs] {
            let headers = [
                ("host", "127.0.0.1:8080"),
                ("origin", "http://127.0.0.1:8080"),
                ("access-control-request-method", "POST"),
            ];
            assert_eq!(check(clients, "OPTIONS", "/", &headers), Err(Refusal::Preflight));
        }
    }

    #[test]
    fn guard_accepts_only_links_from_other_sites() {
        let fetch = |clients, method, site, mode| {
            let headers = [("host", "127.0.0.1:8080"), ("sec-fetch-site", site), ("sec-fetch-mode", mode)];
            check(clients, method, "/", &headers)
        };
        assert_eq!(fetch(Clients::OwnPages, "GET", "cross-site", "navigate"), Ok(()));
        assert_eq!(fetch(Clients::Programs, "GET", "none", "navigate"), Ok(()));
        for (clients, method, site, mode) in [
            (Clients::OwnPages, "POST", "cross-site", "navigate"),
            (Clients::OwnPages, "GET", "cross-site", "no-cors"),
            (Clients::OwnPages, "GET", "same-site", "no-cors"),
            (Clients::Programs, "GET", "cross-site", "navigate"),
            (Clients::Programs, "GET", "same-site", "navigate"),
        ] {
            assert_eq!(fetch(clients, method, site, mode), Err(Refusal::Origin), "{clients:?} {method} {site} {mode}");
        }
    }
}
