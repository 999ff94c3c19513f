//! Credentials that sign requests to the embedded stores: random, one secret per data folder.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use cli::data_folder::{random_hex, write_private};
use rustack_auth::StaticCredentialProvider;

use crate::template::names::REGION;

/// The access key id of every stack; not a secret.
const ACCESS_KEY_ID: &str = "local";
const ID_VARIABLE: &str = "AWS_ACCESS_KEY_ID";
const SECRET_VARIABLE: &str = "AWS_SECRET_ACCESS_KEY";
/// The length of the secret, in hexadecimal digits.
const SECRET_DIGITS: usize = 64;

/// An access key id and its secret.
#[derive(Clone)]
pub struct Credentials {
    access_key_id: String,
    secret_access_key: String,
}

impl Credentials {
    /// Generates new credentials.
    ///
    /// # Errors
    /// Fails if the system's random number generator fails.
    pub fn generate() -> Result<Self> {
        Ok(Self { access_key_id: ACCESS_KEY_ID.to_owned(), secret_access_key: random_hex()? })
    }

    /// Reads the secret from the file at `path`, or generates and stores a new one if the file has none.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn load_or_create(path: &Path) -> Result<Self> {
        let secret = std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        if secret.len() == SECRET_DIGITS {
            return Ok(Self { access_key_id: ACCESS_KEY_ID.to_owned(), secret_access_key: secret });
        }
        let credentials = Self::generate()?;
        write_private(path, &format!("{}\n", credentials.secret_access_key))?;
        Ok(credentials)
    }

    /// Reads the credentials from a stack's `environment`.
    ///
    /// # Errors
    /// Fails if the environment lacks a variable.
    pub fn of(environment: &BTreeMap<String, String>) -> Result<Self> {
        let variable = |name: &str| environment.get(name).cloned().with_context(|| format!("{name} is not set"));
        Ok(Self { access_key_id: variable(ID_VARIABLE)?, secret_access_key: variable(SECRET_VARIABLE)? })
    }

    /// Returns the environment variables that hold the credentials.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        [(ID_VARIABLE, self.access_key_id.clone()), (SECRET_VARIABLE, self.secret_access_key.clone())]
    }

    /// Returns the credentials in the form of the AWS SDK.
    pub fn for_sdk(&self) -> aws_credential_types::Credentials {
        aws_credential_types::Credentials::new(&self.access_key_id, &self.secret_access_key, None, None, "local")
    }

    /// Returns the provider that a server verifies signatures with.
    pub(crate) fn verifier(&self) -> Arc<StaticCredentialProvider> {
        Arc::new(StaticCredentialProvider::new([(self.access_key_id.clone(), self.secret_access_key.clone())]))
    }

    /// Returns the access key id and the secret.
    pub(crate) fn pair(&self) -> (&str, &str) {
        (&self.access_key_id, &self.secret_access_key)
    }

    /// Signs `request` to the AWS service `service` with Signature Version 4.
    ///
    /// # Errors
    /// Fails if the request cannot be signed, for example because its URI has no host.
    pub fn sign(&self, service: &str, request: &mut http::Request<String>) -> Result<()> {
        let identity = self.for_sdk().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .context("cannot sign the request")?
            .into();
        let headers = request.headers().iter();
        let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let body = SignableBody::Bytes(request.body().as_bytes());
        let signable = SignableRequest::new(request.method().as_str(), request.uri().to_string(), headers, body);
        let signed =
            sign(signable.context("cannot sign the request")?, &parameters).context("cannot sign the request")?;
        let (instructions, _) = signed.into_parts();
        instructions.apply_to_request_http1x(request);
        Ok(())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secret_file_is_reused_and_readable_by_its_owner_only() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("store-secret");
        let first = Credentials::load_or_create(&path).expect("credentials");
        assert_eq!(Credentials::load_or_create(&path).expect("credentials").pair(), first.pair());
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        let other = Credentials::load_or_create(&folder.path().join("other")).expect("credentials");
        assert_ne!(other.pair(), first.pair());
        assert!(!format!("{first:?}").contains(first.pair().1));
    }
}
