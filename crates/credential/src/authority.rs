//! The certificate authority: makes itself once, then mints a certificate for each login of a person.

use std::fmt;

use asuser_core::Secret;
use rcgen::KeyPair;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroize as _;

use crate::signer::{Signer, Signs};
use crate::{CredentialError, Facts, facts, shape};

/// The longest that a minted certificate lives, whatever is asked: PostgreSQL never looks at it again after the login, and no
/// connection grows older than this.
pub const LIFETIME_S_MAX: u32 = 600;

/// asuser's own certificate authority, checked and ready to mint. Its key is printed nowhere.
pub struct CertificateAuthority(Signer);

/// A certificate authority as it was made: what goes into the files.
pub struct NewAuthority {
    /// The certificate, as PEM.
    pub certificate_pem: String,
    /// Its private key, as PEM (PKCS #8).
    pub key_pem: Secret,
}

/// A certificate for one login of one person, with its key. Both live in memory only.
pub struct ClientCertificate {
    /// The person's certificate.
    pub certificate: CertificateDer<'static>,
    /// What to send after it: the authorities up to the root, without the root. Empty under a root of asuser's own.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the certificate, made for it.
    pub key: PrivateKeyDer<'static>,
    /// When it ends, in milliseconds since 1970; never later than was asked.
    pub not_after_ms: i64,
}

impl CertificateAuthority {
    /// Takes the authority's certificate (followed by those above it, if there are any) and its key.
    ///
    /// Refuses what does not belong together, what is no authority, is not in force at `now_ms`, may sign further authorities (path
    /// length other than 0), or signs what does not verify.
    pub fn load(certificate_pem: &[u8], key_pem: &Secret, now_ms: i64) -> Result<Self, CredentialError> {
        Signer::load(certificate_pem, key_pem, Signs::People, now_ms).map(Self)
    }

    /// Makes a certificate for `role`, exactly as it is written, valid from a minute ago for at most `lifetime_s_max` seconds, never
    /// longer than [`LIFETIME_S_MAX`] or than the authority itself.
    pub fn mint(&self, role: &str, now_ms: i64, lifetime_s_max: u32) -> Result<ClientCertificate, CredentialError> {
        let Signer { issuer, chain, not_after_ms, .. } = &self.0;
        self.0.in_force(now_ms)?;
        let lifetime_ms = i64::from(lifetime_s_max.min(LIFETIME_S_MAX)) * 1000;
        let until_ms = now_ms.saturating_add(lifetime_ms).min(*not_after_ms).div_euclid(1000).saturating_mul(1000);
        if until_ms <= now_ms {
            return Err(CredentialError::NoLifetime);
        }
        let params = shape::person(role, now_ms, until_ms)?;
        let mut pair = KeyPair::generate()?;
        let certificate = params.signed_by(&pair, issuer)?.der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        pair.zeroize();
        Ok(ClientCertificate { certificate, chain: chain.clone(), key, not_after_ms: until_ms })
    }

    /// What the authority's own certificate says.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// Until when it can mint, in milliseconds since 1970: the first end of any certificate up to the root.
    #[must_use]
    pub const fn not_after_ms(&self) -> i64 {
        self.0.not_after_ms
    }

    /// Makes a root that mints by itself: path length 0.
    pub fn init(name: &str, years: u32, now_ms: i64) -> Result<NewAuthority, CredentialError> {
        root(name, years, 0, now_ms)
    }

    /// Makes a root that is kept offline and signs an authority for each node: path length 1.
    pub fn init_offline_root(name: &str, years: u32, now_ms: i64) -> Result<NewAuthority, CredentialError> {
        root(name, years, 1, now_ms)
    }

    /// Makes a node's authority under a root that is kept offline. It does not outlive the root.
    pub fn init_intermediate(
        name: &str,
        years: u32,
        root_certificate_pem: &[u8],
        root_key_pem: &Secret,
        now_ms: i64,
    ) -> Result<NewAuthority, CredentialError> {
        let root = Signer::load(root_certificate_pem, root_key_pem, Signs::Authorities, now_ms)?;
        let params = shape::authority(name, years, 0, now_ms, root.not_after_ms)?;
        let (key, key_pem) = shape::new_key()?;
        let mut certificate_pem = params.signed_by(&key, &root.issuer)?.pem();
        // An intermediate above it travels with it; the root does not, since the database has it.
        for above in &root.chain {
            certificate_pem.push_str(&facts::pem(above));
        }
        Ok(NewAuthority { certificate_pem, key_pem })
    }
}

fn root(name: &str, years: u32, path_length: u8, now_ms: i64) -> Result<NewAuthority, CredentialError> {
    let params = shape::authority(name, years, path_length, now_ms, i64::MAX)?;
    let (key, key_pem) = shape::new_key()?;
    Ok(NewAuthority { certificate_pem: params.self_signed(&key)?.pem(), key_pem })
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority").field("facts", &self.0.facts).finish_non_exhaustive()
    }
}
impl fmt::Debug for NewAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewAuthority").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}
impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").field("not_after_ms", &self.not_after_ms).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
