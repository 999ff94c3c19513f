//! Custom certificate authorities.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, TrustAnchor};

use crate::env;

/// Certificate authorities trusted in addition to Mozilla's: those of a TLS-inspecting proxy, or of an AWS endpoint
/// within a company.
#[derive(Clone, Debug, Default)]
pub struct CaBundle(Vec<TrustAnchor<'static>>);

/// The file named by `AWS_CA_BUNDLE` is unusable.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the file {path} named by {variable}: {cause}", variable = env::CA_BUNDLE, path = path.display())]
pub struct CaBundleError {
    path: PathBuf,
    cause: String,
}

impl CaBundle {
    /// Reads the PEM file named by `AWS_CA_BUNDLE`. If the variable is not set, the bundle is empty.
    ///
    /// The variable: <https://docs.aws.amazon.com/sdkref/latest/guide/feature-gen-config.html>.
    ///
    /// # Errors
    /// When the file cannot be read, or contains no usable certificate.
    pub fn from_env() -> Result<Self, CaBundleError> {
        env::optional(env::CA_BUNDLE).map_or_else(|| Ok(Self::default()), |path| Self::read(path.as_ref()))
    }

    fn read(path: &Path) -> Result<Self, CaBundleError> {
        let unusable = |cause: String| CaBundleError { path: path.to_owned(), cause };
        let text = std::fs::read(path).map_err(|error| unusable(format!("cannot read it: {error}")))?;
        let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
        let certificates = certificates.map_err(|error| unusable(format!("not PEM: {error}")))?;
        // Real-world bundles contain some invalid certificates, which are skipped.
        let mut roots = RootCertStore::empty();
        let (usable, invalid) = roots.add_parsable_certificates(certificates);
        if usable == 0 {
            return Err(unusable(format!("found no usable certificate and {invalid} invalid ones")));
        }
        Ok(Self(roots.roots))
    }

    /// Returns these authorities and Mozilla's.
    pub fn with_webpki_roots(&self) -> RootCertStore {
        webpki_roots::TLS_SERVER_ROOTS.iter().chain(&self.0).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Uri;
    use rcgen::{CertifiedKey, KeyPair};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tower_service::Service;

    use super::*;
    use crate::aws::Http;

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), content).expect("written");
        file
    }

    /// Creates a self-signed certificate as PEM, and the server configuration that presents it.
    fn identity() -> (String, ServerConfig) {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth();
        (cert.pem(), config.with_single_cert(vec![cert.into()], key).expect("they belong together"))
    }

    #[tokio::test]
    async fn endpoint_is_trusted_only_with_its_bundle() {
        let (pem, config) = identity();
        let listener = TcpListener::bind(("localhost", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let uri: Uri = format!("https://localhost:{port}").parse().expect("an address");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that does not trust the certificate aborts the handshake.
                let _ = acceptor.accept(stream).await;
            }
        });
        let bundle = CaBundle::read(file(&pem).path()).expect("a bundle");
        let connected = async |bundle: &CaBundle| Http::new(bundle).connector().call(uri.clone()).await.map(drop);
        connected(&bundle).await.expect("trusted");
        let refused = connected(&CaBundle::default()).await.expect_err("nobody vouches for it");
        assert!(format!("{refused:?}").contains("UnknownIssuer"), "{refused:?}");
    }

    #[test]
    fn bundle_error_names_the_variable_and_the_reason() {
        let nothing = tempfile::tempdir().expect("a folder").path().join("missing.pem");
        let (empty, key) = (file("# no certificate\n"), file(&KeyPair::generate().expect("a key").serialize_pem()));
        let broken = file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        for (path, reason) in [
            (nothing.as_path(), "cannot read it"),
            (empty.path(), "found no usable certificate and 0 invalid ones"),
            (key.path(), "found no usable certificate and 0 invalid ones"),
            (broken.path(), "found no usable certificate and 1 invalid ones"),
        ] {
            let error = CaBundle::read(path).expect_err("of no use").to_string();
            assert!(error.contains("AWS_CA_BUNDLE") && error.contains(reason), "{error}");
        }
    }
}
