//! Public keys in PEM blocks: `PUBLIC KEY` (RFC 7468 §13, RFC 5280 §4.1.2.7) and `RSA PUBLIC KEY` (RFC 8017 §A.1.1).

use data_encoding::BASE64;

use super::{Key, der};
use crate::algorithm::Family;

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const OID: u8 = 0x06;

/// The keys of all blocks. Text between blocks is ignored (RFC 7468 §2).
pub(super) fn read(text: &str) -> Result<Vec<Key>, String> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        let (label, body) = begun.split_once("-----").ok_or("a PEM block without a label")?;
        let (base64, after) =
            body.split_once(&format!("-----END {label}-----")).ok_or("a PEM block that does not end as it began")?;
        rest = after;
        let key = match label {
            "PUBLIC KEY" => spki(&decode(base64)?),
            "RSA PUBLIC KEY" => rsa(&decode(base64)?),
            _ => return Err(wrong_label(label)),
        };
        keys.push(key?);
    }
    Ok(keys)
}

fn wrong_label(label: &str) -> String {
    if label.contains("PRIVATE") {
        return "it holds a private key, which has no place here: `openssl pkey -pubout` gives the public one".into();
    }
    if label.contains("CERTIFICATE") {
        return "it holds a certificate: `openssl x509 -pubkey -noout` gives its public key".into();
    }
    "a PEM block of another kind than PUBLIC KEY and RSA PUBLIC KEY".into()
}

fn decode(base64: &str) -> Result<Vec<u8>, String> {
    let text: Vec<u8> = base64.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(&text).map_err(|_| "a PEM block that is not base64".into())
}

/// A SubjectPublicKeyInfo (RFC 5280 §4.1): algorithm and key.
fn spki(bytes: &[u8]) -> Result<Key, String> {
    let malformed = || "a PUBLIC KEY block that is malformed".to_owned();
    let fields = der::only(SEQUENCE, bytes).ok_or_else(malformed)?;
    let (algorithm, key) = der::expect(SEQUENCE, fields).ok_or_else(malformed)?;
    let key = der::only(BIT_STRING, key).and_then(|bits| bits.strip_prefix(&[0])).ok_or_else(malformed)?;
    let (oid, parameters) = der::expect(OID, algorithm).ok_or_else(malformed)?;
    match oid {
        // rsaEncryption (RFC 8017 §C)
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01] => rsa(key),
        // id-Ed25519 (RFC 8410 §3)
        [0x2b, 0x65, 0x70] => Key::curve(None, Family::Ed25519, key, None),
        // id-ecPublicKey (RFC 5480 §2.1.1)
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01] => {
            let (family, point_length) = match der::only(OID, parameters).ok_or_else(malformed)? {
                [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07] => (Family::P256, 65),
                [0x2b, 0x81, 0x04, 0x00, 0x22] => (Family::P384, 97),
                [0x2b, 0x81, 0x04, 0x00, 0x23] => (Family::P521, 133),
                _ => return Err("an EC key on another curve than P-256, P-384 and P-521".into()),
            };
            if key.len() != point_length || key.first() != Some(&4) {
                return Err("an EC key that is not an uncompressed point".into());
            }
            Key::curve(None, family, key, None)
        }
        _ => Err("a public key of another kind than RSA, EC and Ed25519".into()),
    }
}

fn rsa(bytes: &[u8]) -> Result<Key, String> {
    let numbers = || {
        let (n, rest) = der::unsigned(der::only(SEQUENCE, bytes)?)?;
        let (e, rest) = der::unsigned(rest)?;
        rest.is_empty().then_some((n, e))
    };
    let (n, e) = numbers().ok_or("an RSA key that is malformed")?;
    Key::rsa(None, n, e, None)
}
