//! What certificates of asuser look like: a person's, and an authority's. In: names and times. Out: parameters to be signed.

use asuser_core::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroize as _;

use crate::CredentialError;

/// A database server's clock may be behind by this much.
const BACKDATED: Duration = Duration::seconds(60);
/// Authorities are made once and by hand; the first certificate must not fail over a clock.
const AUTHORITY_BACKDATED: Duration = Duration::hours(1);
/// A year more than people remember what a key was for.
pub(crate) const YEARS_MAX: u32 = 30;
/// NAMEDATALEN - 1: what PostgreSQL keeps of a name; RFC 5280's ub-common-name (64) is above it.
const ROLE_BYTES_MAX: usize = 63;
const AUTHORITY_NAME_MAX: usize = 64;

/// The certificate of a person: the role as it is, for logging in as a client and for nothing else.
pub(crate) fn person(role: &str, now_ms: i64, until_ms: i64) -> Result<CertificateParams, CredentialError> {
    if role.is_empty() || role.len() > ROLE_BYTES_MAX || role.chars().any(char::is_control) {
        return Err(CredentialError::Role);
    }
    let mut params = named(role)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = before(time_of(now_ms)?, BACKDATED)?;
    params.not_after = time_of(until_ms)?;
    Ok(params)
}

/// The certificate of an authority. It says clientAuth too: nobody who trusts it can be shown a server that it vouches for.
pub(crate) fn authority(
    name: &str,
    years: u32,
    path_length: u8,
    now_ms: i64,
    until_ms_max: i64,
) -> Result<CertificateParams, CredentialError> {
    if name.is_empty() || name.chars().count() > AUTHORITY_NAME_MAX || name.chars().any(char::is_control) {
        return Err(CredentialError::Name);
    }
    if !(1..=YEARS_MAX).contains(&years) {
        return Err(CredentialError::Years(YEARS_MAX));
    }
    let mut params = named(name)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = before(time_of(now_ms)?, AUTHORITY_BACKDATED)?;
    let until_ms = now_ms.saturating_add(i64::from(years) * 365 * 86_400_000).min(until_ms_max);
    params.not_after = time_of(until_ms)?;
    Ok(params)
}

fn named(name: &str) -> Result<CertificateParams, CredentialError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(serial()?);
    // Two authorities of one name are told apart by it while a rotation is under way.
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// 127 random bits: positive, at most 20 octets (RFC 5280 §4.1.2.2), never zero for all that anyone will see.
fn serial() -> Result<SerialNumber, CredentialError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| CredentialError::Random)?;
    if let Some(first) = bytes.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

fn before(time: OffsetDateTime, by: Duration) -> Result<OffsetDateTime, CredentialError> {
    time.checked_sub(by).ok_or(CredentialError::Time)
}

/// Whole seconds, rounded down: a certificate never lives longer than was asked.
fn time_of(ms: i64) -> Result<OffsetDateTime, CredentialError> {
    OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)).map_err(|_| CredentialError::Time)
}

/// A day, for people.
pub(crate) fn date(ms: i64) -> String {
    time_of(ms).map_or_else(|_| "an unknown day".to_owned(), |time| time.date().to_string())
}

/// A fresh P-256 key, and the same as PEM.
pub(crate) fn new_key() -> Result<(KeyPair, Secret), CredentialError> {
    let mut key = KeyPair::generate()?;
    let pem = Secret::new(key.serialize_pem());
    key.zeroize();
    Ok((key, pem))
}
