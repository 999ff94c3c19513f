//! The dashboard's files, with the headers that CloudFront adds.

use std::path::Path;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use tower_http::services::ServeDir;

/// Allows the page to load only its own resources, and forbids embedding it in other pages.
const SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
     connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    // The browser revalidates each file, so that an edit shows at the next reload.
    (CACHE_CONTROL, "no-cache"),
    (CONTENT_SECURITY_POLICY, SECURITY_POLICY),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// The files of a folder.
pub(super) struct Pages {
    files: ServeDir,
}

impl Pages {
    pub fn new(folder: &Path) -> Self {
        Self { files: ServeDir::new(folder) }
    }

    /// Returns the file that `request` names, or `index.html` for a folder.
    pub async fn answer(&self, request: Request) -> Response {
        let mut files = self.files.clone();
        let mut response = match files.try_call(request).await {
            Ok(response) => response.into_response(),
            Err(error) => (http::StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        };
        for (name, value) in HEADERS {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deployed_page_has_the_same_security_policy() {
        let template = include_str!("../../../template.yaml");
        let unfolded = template.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(unfolded.contains(&format!("ContentSecurityPolicy: >- {SECURITY_POLICY} Override: true")));
    }
}
