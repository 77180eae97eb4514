//! What a certificate says. In: DER. Out: [`Facts`]. Refuses what does not parse; decides nothing.

use std::fmt::Write as _;

use data_encoding::BASE64;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::CredentialError;

/// A leaf, an intermediate, a root, and one to spare.
pub(crate) const CHAIN_MAX: usize = 4;

/// What a certificate says, for people and for checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whose it is, as a distinguished name (RFC 4514 style).
    pub subject: String,
    /// The subject's common name, if it has one: a person's certificate has the database role here.
    pub common_name: Option<String>,
    /// Who signed it.
    pub issuer: String,
    /// The serial number, in hexadecimal with colons.
    pub serial: String,
    /// From when on it is valid, in milliseconds since 1970.
    pub not_before_ms: i64,
    /// Until when it is valid, in milliseconds since 1970.
    pub not_after_ms: i64,
    /// SHA-256 over the certificate, in hexadecimal with colons, as `openssl x509 -fingerprint -sha256` prints it.
    pub fingerprint: String,
    /// It may sign certificates: CA:TRUE and keyCertSign (RFC 5280 §4.2.1.9 and §4.2.1.3).
    pub authority: bool,
    /// How many authorities may stand between it and a client; none means any number.
    pub path_length: Option<u32>,
    /// Subject and issuer are the same.
    pub self_signed: bool,
}

impl Facts {
    /// Reads a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, CredentialError> {
        Ok(Self::from_parsed(&parse(certificate)?, certificate))
    }

    pub(crate) fn from_parsed(parsed: &X509Certificate<'_>, der: &[u8]) -> Self {
        let constraints = parsed.basic_constraints().ok().flatten();
        let may_sign = parsed.key_usage().ok().flatten().is_some_and(|usage| usage.value.key_cert_sign());
        let validity = parsed.validity();
        Self {
            subject: parsed.subject().to_string(),
            common_name: parsed
                .subject()
                .iter_common_name()
                .next()
                .and_then(|name| name.as_str().ok())
                .map(str::to_owned),
            issuer: parsed.issuer().to_string(),
            serial: colons(parsed.raw_serial()),
            not_before_ms: validity.not_before.timestamp().saturating_mul(1000),
            not_after_ms: validity.not_after.timestamp().saturating_mul(1000),
            fingerprint: colons(&Sha256::digest(der)),
            authority: may_sign && constraints.as_ref().is_some_and(|constraints| constraints.value.ca),
            path_length: constraints.and_then(|constraints| constraints.value.path_len_constraint),
            self_signed: parsed.subject().as_raw() == parsed.issuer().as_raw(),
        }
    }

    /// Whole days that are left at `now_ms`; negative when it has expired.
    #[must_use]
    pub const fn days_left(&self, now_ms: i64) -> i64 {
        self.not_after_ms.saturating_sub(now_ms).div_euclid(86_400_000)
    }
}

/// The certificates of a PEM text, in their order: at least one, at most [`CHAIN_MAX`].
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CredentialError> {
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        if found.len() == CHAIN_MAX {
            return Err(CredentialError::ChainTooLong(CHAIN_MAX));
        }
        found.push(certificate.map_err(|_| CredentialError::Certificate)?);
    }
    if found.is_empty() { Err(CredentialError::Certificate) } else { Ok(found) }
}

/// Nothing may follow the certificate: what two parsers read differently is refused.
pub(crate) fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CredentialError> {
    match X509Certificate::from_der(certificate) {
        Ok(([], parsed)) => Ok(parsed),
        _ => Err(CredentialError::Certificate),
    }
}

/// Whether `above` signed `below`.
pub(crate) fn signed_by(below: &CertificateDer<'_>, above: &CertificateDer<'_>) -> Result<bool, CredentialError> {
    let (below, above) = (parse(below)?, parse(above)?);
    let named = below.issuer().as_raw() == above.subject().as_raw();
    Ok(named && below.verify_signature(Some(above.public_key())).is_ok())
}

/// RFC 7468: 64 characters a line.
pub(crate) fn pem(certificate: &CertificateDer<'_>) -> String {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in certificate.chunks(48) {
        text.push_str(&BASE64.encode(line));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

fn colons(bytes: &[u8]) -> String {
    bytes.iter().enumerate().fold(String::new(), |mut text, (at, byte)| {
        // Writing to a String does not fail.
        let _ = write!(text, "{}{byte:02X}", if at == 0 { "" } else { ":" });
        text
    })
}
