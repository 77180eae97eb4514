//! JSON Web Keys and sets of them (RFC 7517, RFC 7518 §6, RFC 8037 §2).

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value as Json;

use super::Key;
use crate::algorithm::{Algorithm, Family};
use crate::token::json::{Object, parse_object};
use crate::token::jws::shown;

/// Of a published set, keys beyond these are not looked at.
const KEYS_READ_MAX: usize = 256;

/// Which keys a set may hold. Never both: a public key must not be usable as a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accept {
    Public,
    #[cfg(test)]
    Secret,
}

/// A set's keys; those for other uses or of unknown kinds are passed over (RFC 7517 §5).
pub(super) fn read_set(text: &str, accept: Accept) -> Result<Vec<Key>, String> {
    let set = parse_object(text.as_bytes()).map_err(|error| format!("not a JWK Set: {error}"))?;
    let keys = set.get("keys").and_then(Json::as_array).ok_or("not a JWK Set: it has no list `keys`")?;
    let mut read = Vec::new();
    let mut passed_over = Vec::new();
    for (at, jwk) in keys.iter().enumerate() {
        let jwk = jwk.as_object().ok_or_else(|| format!("key {}: an object is expected", at + 1))?;
        match read_key(jwk, accept).map_err(|error| format!("{}: {error}", label(jwk, at)))? {
            Found::Key(key) => read.push(key),
            Found::Other(why) => passed_over.push(format!("{}: {why}", label(jwk, at))),
        }
    }
    if read.is_empty() && !passed_over.is_empty() {
        return Err(format!("no key that can verify a signature ({})", passed_over.join("; ")));
    }
    Ok(read)
}

/// The keys of a published set that can be used, and what was passed over.
pub(super) fn read_published(text: &str) -> Result<(Vec<Key>, Vec<String>), String> {
    let set = parse_object(text.as_bytes()).map_err(|error| format!("not a JWK Set: {error}"))?;
    let keys = set.get("keys").and_then(Json::as_array).ok_or("not a JWK Set: it has no list `keys`")?;
    let (mut read, mut notes) = (Vec::new(), Vec::new());
    for (at, jwk) in keys.iter().enumerate().take(KEYS_READ_MAX) {
        let Some(jwk) = jwk.as_object() else {
            notes.push(format!("key {}: an object is expected", at + 1));
            continue;
        };
        match read_key(jwk, Accept::Public) {
            Ok(Found::Key(key)) => read.push(key),
            // For encryption, or of a kind that is not used here: nothing to look after.
            Ok(Found::Other(_)) => {}
            Err(error) => notes.push(format!("{}: {error}", label(jwk, at))),
        }
    }
    if read.is_empty() && notes.is_empty() {
        notes.push("it has none for signatures".into());
    }
    Ok((read, notes))
}

/// One JWK.
pub(super) fn read_one(text: &str) -> Result<Vec<Key>, String> {
    let jwk = parse_object(text.as_bytes()).map_err(|error| format!("not a JWK: {error}"))?;
    match read_key(&jwk, Accept::Public)? {
        Found::Key(key) => Ok(vec![key]),
        Found::Other(why) => Err(why),
    }
}

enum Found {
    Key(Key),
    /// Not for us, and why.
    Other(String),
}

fn read_key(jwk: &Object, accept: Accept) -> Result<Found, String> {
    let kty = text(jwk, "kty")?.ok_or("it has no `kty`")?;
    refuse_secrets(jwk, kty, accept)?;
    let kid = match text(jwk, "kid")? {
        Some("") => return Err("its `kid` is empty".into()),
        Some(kid) if kid.len() > 256 => return Err("its `kid` has more than 256 bytes".into()),
        kid => kid.map(str::to_owned),
    };
    if let Some(usage) = text(jwk, "use")?
        && usage != "sig"
    {
        return Ok(Found::Other(format!("`use` is {:?}", shown(usage))));
    }
    if let Some(operations) = jwk.get("key_ops") {
        let operations = operations.as_array().ok_or("its `key_ops` is not a list")?;
        if !operations.iter().any(|operation| operation == "verify") {
            return Ok(Found::Other("`key_ops` has no `verify`".into()));
        }
    }
    let only = match text(jwk, "alg")? {
        None => None,
        // RFC 9864 §2.2 gives EdDSA with this curve a name of its own.
        Some("Ed25519") => Some(Algorithm::EdDsa),
        Some(alg) => match Algorithm::parse(alg) {
            Some(algorithm) => Some(algorithm),
            None => return Ok(Found::Other(format!("`alg` is {:?}", shown(alg)))),
        },
    };
    let key = match kty {
        "RSA" => rsa(jwk, kid, only),
        "EC" => match text(jwk, "crv")?.ok_or("it has no `crv`")? {
            "P-256" => ec(jwk, kid, Family::P256, 32, only),
            "P-384" => ec(jwk, kid, Family::P384, 48, only),
            "P-521" => ec(jwk, kid, Family::P521, 66, only),
            curve => return Ok(Found::Other(format!("`crv` is {:?}", shown(curve)))),
        },
        "OKP" => match text(jwk, "crv")?.ok_or("it has no `crv`")? {
            "Ed25519" => Key::curve(kid, Family::Ed25519, &bytes_of(jwk, "x", 32)?, only),
            curve => return Ok(Found::Other(format!("`crv` is {:?}", shown(curve)))),
        },
        "oct" => secret(jwk, kid, only),
        kty => return Ok(Found::Other(format!("`kty` is {:?}", shown(kty)))),
    };
    let mut key = key?;
    key.x5t = text(jwk, "x5t")?.map(str::to_owned);
    key.issuer = text(jwk, "issuer")?.map(str::to_owned);
    Ok(Found::Key(key))
}

/// A file of public keys is often readable by many: whatever else is in it was disclosed. And a set with both kinds would let
/// a token turn one into the other.
fn refuse_secrets(jwk: &Object, kty: &str, accept: Accept) -> Result<(), String> {
    let symmetric = kty == "oct" || jwk.contains_key("k");
    if symmetric != (accept != Accept::Public) {
        return Err(
            "a symmetric key (`oct`) and public keys do not go together: give a shared secret by `secret`".into()
        );
    }
    // RFC 7518 §6.2.2, §6.3.2; RFC 8037 §2.
    if ["d", "p", "q", "dp", "dq", "qi", "oth"].iter().any(|name| jwk.contains_key(*name)) {
        return Err(
            "it holds a private key, which has no place here: publish only the public part, and replace the key".into(),
        );
    }
    Ok(())
}

/// RFC 7518 §6.3.1.
fn rsa(jwk: &Object, kid: Option<String>, only: Option<Algorithm>) -> Result<Key, String> {
    let number = |name: &str| {
        let bytes = bytes(jwk, name)?;
        // Some libraries write a leading zero octet (RFC 7518 §6.3.1.1 warns of them); the number is the same.
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Ok::<_, String>(bytes.get(zeros..).unwrap_or_default().to_vec())
    };
    Key::rsa(kid, &number("n")?, &number("e")?, only)
}

/// RFC 7518 §6.2.1: coordinates have the full length of the curve.
fn ec(
    jwk: &Object,
    kid: Option<String>,
    family: Family,
    length: usize,
    only: Option<Algorithm>,
) -> Result<Key, String> {
    let mut point = vec![4];
    point.extend(bytes_of(jwk, "x", length)?);
    point.extend(bytes_of(jwk, "y", length)?);
    Key::curve(kid, family, &point, only)
}

fn secret(jwk: &Object, kid: Option<String>, only: Option<Algorithm>) -> Result<Key, String> {
    let only = only.ok_or("a symmetric key must name its `alg`")?;
    Key::secret(kid, &bytes(jwk, "k")?, &[only])
}

fn bytes_of(jwk: &Object, name: &str, length: usize) -> Result<Vec<u8>, String> {
    let bytes = bytes(jwk, name)?;
    if bytes.len() == length {
        Ok(bytes)
    } else {
        Err(format!("its `{name}` has {} bytes instead of {length}", bytes.len()))
    }
}

fn bytes(jwk: &Object, name: &str) -> Result<Vec<u8>, String> {
    let text = text(jwk, name)?.ok_or_else(|| format!("it has no `{name}`"))?;
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| format!("its `{name}` is not base64url"))
}

fn text<'a>(jwk: &'a Object, name: &str) -> Result<Option<&'a str>, String> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("its `{name}` is not a text")),
    }
}

fn label(jwk: &Object, at: usize) -> String {
    match jwk.get("kid").and_then(Json::as_str) {
        Some(kid) => format!("key {} (kid {:?})", at + 1, shown(kid)),
        None => format!("key {}", at + 1),
    }
}
