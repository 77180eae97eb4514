//! Authorities that live as long as the test, and what they sign.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// A certificate authority with a fresh key (ECDSA P-256).
pub struct TestCa(CertifiedIssuer<'static, KeyPair>);

impl std::fmt::Debug for TestCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TestCa")
    }
}

impl TestCa {
    /// A new one.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = named(name, Vec::new());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, key()).expect("an authority can be made"))
    }

    /// Its certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server's certificate and key, PEM, for 127.0.0.1 and localhost.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn server(&self) -> (String, String) {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        self.sign(named("localhost", names), ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's certificate and key, PEM, for a database role.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn client(&self, role: &str) -> (String, String) {
        self.sign(named(role, Vec::new()), ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        params.extended_key_usages = vec![usage];
        let key = key();
        let certificate = params.signed_by(&key, &self.0).expect("a certificate can be signed");
        (certificate.pem(), key.serialize_pem())
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}

fn named(common_name: &str, alternatives: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(alternatives).expect("the names are sound");
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}
