//! A certificate authority's certificate and key, checked against each other. In: PEM. Out: a [`Signer`]. Refuses a pair that does
//! not belong together, one that is no authority, is not in force, or may sign more or less than its place allows.

use asuser_core::Secret;
use rcgen::{Issuer, KeyPair, PublicKeyData as _};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroize as _;

use crate::facts::{self, Facts, parse};
use crate::{CredentialError, shape};

/// What an authority signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signs {
    /// People's certificates, and no authority: path length 0.
    People,
    /// Authorities below it.
    Authorities,
}

pub(crate) struct Signer {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pub(crate) facts: Facts,
    /// What a client sends after its own certificate: this authority's and those above it, without the root.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    not_before_ms: i64,
    /// Until when every certificate up to the root is valid.
    pub(crate) not_after_ms: i64,
}

impl Signer {
    pub(crate) fn load(
        certificate_pem: &[u8],
        key_pem: &Secret,
        signs: Signs,
        now_ms: i64,
    ) -> Result<Self, CredentialError> {
        let certificates = facts::certificates(certificate_pem)?;
        let own = certificates.first().ok_or(CredentialError::Certificate)?;
        let all = certificates.iter().map(Facts::of).collect::<Result<Vec<_>, _>>()?;
        let own_facts = all.first().ok_or(CredentialError::Certificate)?.clone();
        if !all.iter().all(|facts| facts.authority) {
            return Err(CredentialError::NotAuthority);
        }
        match (signs, own_facts.path_length) {
            (Signs::People, Some(0)) | (Signs::Authorities, None | Some(1..)) => {}
            (Signs::People, _) => return Err(CredentialError::SignsAuthorities),
            (Signs::Authorities, Some(0)) => return Err(CredentialError::SignsNoAuthorities),
        }
        check_chain(&certificates, &all)?;
        let key = key_of(own, key_pem)?;
        let signer = Self {
            issuer: Issuer::from_ca_cert_der(own, key)?,
            facts: own_facts,
            not_before_ms: all.iter().map(|facts| facts.not_before_ms).max().unwrap_or(i64::MAX),
            not_after_ms: all.iter().map(|facts| facts.not_after_ms).min().unwrap_or(i64::MIN),
            chain: certificates
                .iter()
                .zip(&all)
                .filter(|(_, facts)| !facts.self_signed)
                .map(|(c, _)| c.clone())
                .collect(),
        };
        signer.in_force(now_ms)?;
        signer.self_check(own, now_ms)?;
        Ok(signer)
    }

    pub(crate) fn in_force(&self, now_ms: i64) -> Result<(), CredentialError> {
        if now_ms < self.not_before_ms {
            return Err(CredentialError::NotYetValid(shape::date(self.not_before_ms)));
        }
        if now_ms >= self.not_after_ms {
            return Err(CredentialError::Expired(shape::date(self.not_after_ms)));
        }
        Ok(())
    }

    /// The name is written anew from what was parsed; a certificate whose issuer differs by a byte would never verify, and would be
    /// noticed by the first person only.
    fn self_check(&self, own: &CertificateDer<'_>, now_ms: i64) -> Result<(), CredentialError> {
        let (params, key) = (shape::person("self-check", now_ms, now_ms.saturating_add(1000))?, KeyPair::generate()?);
        let signed = params.signed_by(&key, &self.issuer)?;
        let (own, signed) = (parse(own)?, parse(signed.der())?);
        let same_name = signed.issuer().as_raw() == own.subject().as_raw();
        let verifies = signed.verify_signature(Some(own.public_key())).is_ok();
        if same_name && verifies { Ok(()) } else { Err(CredentialError::SelfCheck) }
    }
}

/// Each is signed by the one after it, which may have as many authorities below it.
fn check_chain(certificates: &[CertificateDer<'_>], facts: &[Facts]) -> Result<(), CredentialError> {
    for pair in certificates.windows(2) {
        let [below, above] = pair else { continue };
        if !facts::signed_by(below, above)? {
            return Err(CredentialError::Chain);
        }
    }
    let roomy = |(below, facts): (usize, &Facts)| facts.path_length.is_none_or(|most| below <= most as usize);
    if facts.iter().enumerate().all(roomy) { Ok(()) } else { Err(CredentialError::Chain) }
}

/// Whether the key is the certificate's.
pub(crate) fn belong_together(certificate: &CertificateDer<'_>, key_pem: &Secret) -> Result<(), CredentialError> {
    key_of(certificate, key_pem).map(drop)
}

/// The certificate's key as the library holds it for signing; the encoded copies are wiped.
fn key_of(certificate: &CertificateDer<'_>, pem: &Secret) -> Result<KeyPair, CredentialError> {
    let mut der = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| CredentialError::Key)?;
    let key = KeyPair::try_from(&der).map_err(|_| CredentialError::Key);
    der.zeroize();
    let mut key = key?;
    key.zeroize();
    let own = parse(certificate)?;
    if key.subject_public_key_info() == own.public_key().raw { Ok(key) } else { Err(CredentialError::KeyOfAnother) }
}
