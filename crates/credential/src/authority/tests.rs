use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};

use super::*;
use crate::{certificates, facts};

const NOW_MS: i64 = 1_800_000_000_123;
const YEAR_MS: i64 = 365 * 86_400_000;

fn load(new: &NewAuthority) -> CertificateAuthority {
    CertificateAuthority::load(new.certificate_pem.as_bytes(), &new.key_pem, NOW_MS).unwrap()
}

fn own() -> (NewAuthority, CertificateAuthority) {
    let new = CertificateAuthority::init("asuser", 5, NOW_MS).unwrap();
    let authority = load(&new);
    (new, authority)
}

/// What a TLS server that trusts these roots makes of the certificate.
fn judged(roots: &[&str], client: &ClientCertificate, now_ms: i64) -> Result<(), Error> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add_parsable_certificates(certificates(root.as_bytes()).unwrap());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider).build().unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(now_ms).unwrap()));
    verifier.verify_client_cert(&client.certificate, &client.chain, now).map(drop)
}

#[test]
fn a_server_that_trusts_the_authority_accepts_and_no_other() {
    let (new, authority) = own();
    let (other, _) = own();
    let client = authority.mint("ann@example.com", NOW_MS, 120).unwrap();
    assert_eq!(judged(&[&new.certificate_pem], &client, NOW_MS), Ok(()));
    assert_eq!(judged(&[&new.certificate_pem, &other.certificate_pem], &client, NOW_MS), Ok(()));
    // The other has the same name.
    let refused = judged(&[&other.certificate_pem], &client, NOW_MS);
    assert!(matches!(refused, Err(Error::InvalidCertificate(_))), "{refused:?}");
}

#[test]
fn a_certificate_lives_from_a_minute_ago_to_when_it_was_asked_to_end() {
    let (new, authority) = own();
    let client = authority.mint("ann", NOW_MS, 120).unwrap();
    assert_eq!(client.not_after_ms, 1_800_000_120_000);
    let facts = Facts::of(&client.certificate).unwrap();
    assert_eq!((facts.not_before_ms, facts.not_after_ms), (1_799_999_940_000, client.not_after_ms));
    let at = |ms| judged(&[&new.certificate_pem], &client, ms);
    assert_eq!(at(1_799_999_940_000), Ok(()));
    assert_eq!(at(1_800_000_120_000), Ok(()));
    assert!(matches!(
        at(1_800_000_121_000),
        Err(Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }))
    ));
    assert!(matches!(
        at(1_799_999_939_000),
        Err(Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }))
    ));
}

#[test]
fn nothing_lives_longer_than_ten_minutes_or_than_the_authority() {
    let (_, authority) = own();
    let long = authority.mint("ann", NOW_MS, u32::MAX).unwrap();
    assert_eq!(long.not_after_ms, 1_800_000_600_000);
    let end_ms = authority.not_after_ms();
    let last = authority.mint("ann", end_ms - 30_000, 120).unwrap();
    assert_eq!(last.not_after_ms, end_ms);
    assert!(matches!(authority.mint("ann", end_ms, 120), Err(CredentialError::Expired(_))));
    assert!(matches!(authority.mint("ann", end_ms - 1, 0), Err(CredentialError::NoLifetime)));
    assert!(matches!(authority.mint("ann", NOW_MS - 2 * 3_600_000, 120), Err(CredentialError::NotYetValid(_))));
    for odd in [i64::MIN, i64::MAX, 0] {
        assert!(authority.mint("ann", odd, 120).is_err());
    }
}

#[test]
fn it_is_for_clients_that_log_in_and_for_nothing_else() {
    let (_, authority) = own();
    let client = authority.mint("ann", NOW_MS, 60).unwrap();
    let parsed = facts::parse(&client.certificate).unwrap();
    let extended = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.client_auth && !extended.any && !extended.server_auth && !extended.code_signing);
    assert!(extended.other.is_empty());
    let usage = parsed.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.digital_signature() && !usage.value.key_cert_sign());
    assert_eq!(usage.value.flags, 1);
    assert!(!parsed.is_ca() && parsed.subject_alternative_name().unwrap().is_none());
    assert!(client.chain.is_empty());
}

#[test]
fn the_role_is_the_common_name_exactly() {
    let (_, authority) = own();
    let longest = "é".repeat(31);
    for role in ["ann", "ann@example.com", r#"O'Neill "x", CN=postgres+\/;"#, " ann ", "Ünï", "用户", &longest] {
        let client = authority.mint(role, NOW_MS, 60).unwrap();
        let parsed = facts::parse(&client.certificate).unwrap();
        let names: Vec<_> = parsed.subject().iter_common_name().map(|name| name.as_slice()).collect();
        assert_eq!(names, [role.as_bytes()]);
        assert_eq!(parsed.subject().iter_attributes().count(), 1);
    }
}

#[test]
fn what_cannot_be_a_role_is_refused() {
    let (_, authority) = own();
    let long = "é".repeat(32);
    for role in ["", "ann\0", "\0", "a\nb", "a\u{7f}", "a\u{85}b", &long, &"x".repeat(64)] {
        assert!(matches!(authority.mint(role, NOW_MS, 60), Err(CredentialError::Role)), "{role:?}");
    }
    assert!(authority.mint(&"x".repeat(63), NOW_MS, 60).is_ok());
}

#[test]
fn each_has_its_own_key_and_serial_and_the_key_fits() {
    let (_, authority) = own();
    let (one, two) = (authority.mint("ann", NOW_MS, 60).unwrap(), authority.mint("ann", NOW_MS, 60).unwrap());
    assert_ne!(one.key.secret_der(), two.key.secret_der());
    assert_ne!(Facts::of(&one.certificate).unwrap().serial, Facts::of(&two.certificate).unwrap().serial);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let accepts = |certificate: &CertificateDer<'static>, key: &PrivateKeyDer<'static>| {
        let builder =
            ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(RootCertStore::empty());
        builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).is_ok()
    };
    assert!(accepts(&one.certificate, &one.key));
    assert!(!accepts(&one.certificate, &two.key));
}

#[test]
fn no_key_is_printed() {
    let (new, authority) = own();
    let client = authority.mint("ann", NOW_MS, 60).unwrap();
    let printed = format!("{new:?} {authority:?} {client:?}");
    let (_, body) = new.key_pem.expose().split_once('\n').unwrap();
    assert!(!printed.contains(body.lines().next().unwrap()));
    assert!(!printed.contains("PRIVATE") && !printed.contains("key_pem") && printed.contains("CN=asuser"));
}

#[test]
fn an_authority_and_a_key_that_do_not_belong_together_are_refused() {
    let (new, _) = own();
    let (other, _) = own();
    let load = |certificate: &str, key: &str| {
        CertificateAuthority::load(certificate.as_bytes(), &Secret::new(key.to_owned()), NOW_MS).map(drop)
    };
    let (certificate, key) = (new.certificate_pem.as_str(), new.key_pem.expose());
    assert!(load(certificate, key).is_ok());
    assert!(matches!(load(certificate, other.key_pem.expose()), Err(CredentialError::KeyOfAnother)));
    assert!(matches!(load(certificate, "no key"), Err(CredentialError::Key)));
    assert!(matches!(load(certificate, certificate), Err(CredentialError::Key)));
    assert!(matches!(load("no certificate", key), Err(CredentialError::Certificate)));
    assert!(matches!(load(key, key), Err(CredentialError::Certificate)));
    assert!(matches!(load(&certificate.repeat(5), key), Err(CredentialError::ChainTooLong(_))));
    let cut = certificate.replacen("MII", "MIJ", 1);
    assert!(load(&cut, key).is_err());
}

#[test]
fn what_is_no_authority_or_too_much_of_one_is_refused() {
    let root = CertificateAuthority::init_offline_root("root", 5, NOW_MS).unwrap();
    let refused = CertificateAuthority::load(root.certificate_pem.as_bytes(), &root.key_pem, NOW_MS);
    assert!(matches!(refused, Err(CredentialError::SignsAuthorities)));
    let signed_by_own = |change: fn(&mut rcgen::CertificateParams)| {
        let mut params = shape::authority("x", 1, 0, NOW_MS, i64::MAX).unwrap();
        change(&mut params);
        let (key, key_pem) = shape::new_key().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        CertificateAuthority::load(certificate.as_bytes(), &key_pem, NOW_MS).map(drop)
    };
    assert!(signed_by_own(|_| {}).is_ok());
    for no_authority in [
        |params: &mut rcgen::CertificateParams| params.is_ca = rcgen::IsCa::NoCa,
        |params: &mut rcgen::CertificateParams| params.is_ca = rcgen::IsCa::ExplicitNoCa,
        |params: &mut rcgen::CertificateParams| params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature],
    ] {
        assert!(matches!(signed_by_own(no_authority), Err(CredentialError::NotAuthority)));
    }
    let unconstrained = signed_by_own(|p| p.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    assert!(matches!(unconstrained, Err(CredentialError::SignsAuthorities)));
}

#[test]
fn an_authority_is_loaded_only_while_it_is_in_force() {
    let new = CertificateAuthority::init("asuser", 1, NOW_MS).unwrap();
    let at = |ms| CertificateAuthority::load(new.certificate_pem.as_bytes(), &new.key_pem, ms).map(drop);
    assert!(at(NOW_MS).is_ok());
    // Clocks differ: an hour is forgiven.
    assert!(at(NOW_MS - 3_500_000).is_ok());
    assert!(matches!(at(NOW_MS - 3_700_000), Err(CredentialError::NotYetValid(_))));
    assert!(at(NOW_MS + YEAR_MS - 2000).is_ok());
    let expired = at(NOW_MS + YEAR_MS).unwrap_err();
    assert!(expired.to_string().contains("expired on 2028-01-15"), "{expired}");
}

#[test]
fn an_authority_under_an_offline_root_sends_its_own_certificate_along() {
    let root = CertificateAuthority::init_offline_root("root", 5, NOW_MS).unwrap();
    let under = |years| {
        CertificateAuthority::init_intermediate("node-1", years, root.certificate_pem.as_bytes(), &root.key_pem, NOW_MS)
    };
    let node = under(1).unwrap();
    let authority = load(&node);
    let client = authority.mint("ann", NOW_MS, 60).unwrap();
    assert_eq!(client.chain, certificates(node.certificate_pem.as_bytes()).unwrap());
    assert_eq!(judged(&[&root.certificate_pem], &client, NOW_MS), Ok(()));
    let alone = ClientCertificate { chain: Vec::new(), ..authority.mint("ann", NOW_MS, 60).unwrap() };
    assert!(judged(&[&root.certificate_pem], &alone, NOW_MS).is_err());
    // It does not outlive the root.
    assert_eq!(
        load(&under(30).unwrap()).not_after_ms(),
        Facts::of(&certificates(root.certificate_pem.as_bytes()).unwrap()[0]).unwrap().not_after_ms
    );
    // A file that holds the root too is well, and the root is not sent.
    let both = format!("{}{}", node.certificate_pem, root.certificate_pem);
    let authority = CertificateAuthority::load(both.as_bytes(), &node.key_pem, NOW_MS).unwrap();
    assert_eq!(authority.mint("ann", NOW_MS, 60).unwrap().chain.len(), 1);
    // In another order, or with a stranger, it is no chain.
    let (stranger, _) = own();
    let strange = format!("{}{}", node.certificate_pem, stranger.certificate_pem);
    assert!(matches!(
        CertificateAuthority::load(strange.as_bytes(), &node.key_pem, NOW_MS),
        Err(CredentialError::Chain)
    ));
}

#[test]
fn an_authority_that_mints_signs_no_authority() {
    let (new, _) = own();
    let below =
        CertificateAuthority::init_intermediate("x", 1, new.certificate_pem.as_bytes(), &new.key_pem, NOW_MS).map(drop);
    assert!(matches!(below, Err(CredentialError::SignsNoAuthorities)));
}

#[test]
fn names_and_years_of_authorities_have_limits() {
    let init = |name: &str, years| CertificateAuthority::init(name, years, NOW_MS).map(drop);
    assert!(init(&"é".repeat(64), 30).is_ok());
    for name in ["", "a\0", "a\nb", &"x".repeat(65)] {
        assert!(matches!(init(name, 1), Err(CredentialError::Name)));
    }
    for years in [0, 31, u32::MAX] {
        assert!(matches!(init("x", years), Err(CredentialError::Years(30))));
    }
    assert!(matches!(CertificateAuthority::init("x", 1, i64::MAX), Err(CredentialError::Time)));
}

#[test]
fn a_name_of_another_kind_of_string_is_signed_under_as_it_is() {
    // Other tools write PrintableString, and names of several parts.
    let mut params = shape::authority("x", 1, 0, NOW_MS, i64::MAX).unwrap();
    let printable = rcgen::DnValue::PrintableString("Example Ltd".try_into().unwrap());
    params.distinguished_name.push(rcgen::DnType::OrganizationName, printable);
    params.distinguished_name.push(rcgen::DnType::CountryName, "CH");
    let (key, key_pem) = shape::new_key().unwrap();
    let certificate_pem = params.self_signed(&key).unwrap().pem();
    let authority = load(&NewAuthority { certificate_pem: certificate_pem.clone(), key_pem });
    let client = authority.mint("ann", NOW_MS, 60).unwrap();
    assert_eq!(judged(&[&certificate_pem], &client, NOW_MS), Ok(()));
}
