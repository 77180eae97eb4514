//! Whom to trust: the system's authorities, and those of a file.

use std::sync::{Arc, OnceLock};

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::FetchError;

/// A configuration that trusts the system's authorities and these besides. Certificates and names are always verified.
pub(crate) fn config(more: Option<&[u8]>) -> Result<Arc<ClientConfig>, FetchError> {
    let mut roots = system().clone();
    for certificate in more.into_iter().flat_map(CertificateDer::pem_slice_iter) {
        let unusable = |why: String| FetchError::Setup(format!("the CA file cannot be used: {why}"));
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if more.is_some_and(|more| CertificateDer::pem_slice_iter(more).next().is_none()) {
        return Err(FetchError::Setup("the CA file cannot be used: it holds no certificate in PEM form".into()));
    }
    let setup = |error: rustls::Error| FetchError::Setup(format!("TLS cannot be set up: {error}"));
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(setup)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The system's authorities, read once.
fn system() -> &'static RootCertStore {
    static SYSTEM: OnceLock<RootCertStore> = OnceLock::new();
    SYSTEM.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "some of the system's certificate authorities cannot be read");
        }
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            tracing::warn!("the system names no certificate authorities (Debian: ca-certificates): only configured ones are trusted");
        }
        roots
    })
}
