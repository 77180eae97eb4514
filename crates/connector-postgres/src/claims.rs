//! What the database is told of the person: claims as PostgREST and Supabase policies read them (`request.jwt.claims`), and the
//! same signed, for `asuser.claims()` (docs/signed-claims.md).
//!
//! In: a verified principal and the agent. Out: JSON text. The inbound token is not in it.

use std::sync::Arc;

use asuser_core::{Actor, ActorId, PrincipalData, Secret};
use asuser_identity::Verified;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit as _, Mac as _};
use quick_cache::sync::Cache;
use serde_json::{Map, Value as Json, json};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::PostgresError;

/// Verdicts whose claims are kept.
const CACHED: usize = 1_000;

/// The key of signed claims, as `asuser install` makes it: `v1.<id>.<64 hexadecimal digits>`.
pub struct ClaimsKey {
    id: u32,
    key: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for ClaimsKey {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClaimsKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What binds signed claims to one transaction of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound<'a> {
    pub(crate) process_id: i32,
    pub(crate) backend_start: &'a str,
    pub(crate) session_user: &'a str,
    /// `current_setting('role')`
    pub(crate) role: &'a str,
    pub(crate) expires_ms: i64,
}

impl ClaimsKey {
    /// Reads the key file's line.
    ///
    /// # Errors
    /// Where it has another form.
    pub fn parse(text: &Secret) -> Result<Self, PostgresError> {
        let refused =
            || PostgresError::Options("the claims key is not of the form that `asuser install` writes".to_owned());
        let mut parts = text.expose().trim().splitn(3, '.');
        let (Some("v1"), Some(id), Some(hex)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(refused());
        };
        let id = id.parse().ok().filter(|id| *id > 0).ok_or_else(refused)?;
        let bytes = Zeroizing::new(HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).map_err(|_| refused())?);
        let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| refused())?;
        Ok(Self { id, key: Zeroizing::new(key) })
    }

    /// The claims with the signature that `asuser.claims()` checks.
    pub(crate) fn sign(&self, claims: &Map<String, Json>, bound: Bound<'_>) -> Result<String, PostgresError> {
        let mut claims = claims.clone();
        claims.insert("delegation".to_owned(), "".into());
        claims.insert("exp_ms".to_owned(), bound.expires_ms.into());
        self.sign_payload(&Json::Object(claims).to_string(), bound)
    }

    fn sign_payload(&self, payload: &str, bound: Bound<'_>) -> Result<String, PostgresError> {
        let Bound { process_id, backend_start, session_user, role, .. } = bound;
        let mut mac = <Hmac<Sha256>>::new_from_slice(self.key.as_slice())
            .map_err(|_| PostgresError::Internal("the claims key has a wrong length".to_owned()))?;
        let message = format!("asuser.claims/1\n{process_id}\n{backend_start}\n{session_user}\0{role}\0{payload}");
        mac.update(message.as_bytes());
        Ok(format!("v1.{}.{}.{payload}", self.id, HEXLOWER.encode(&mac.finalize().into_bytes())))
    }
}

/// The claims of one person through one agent in one role, as they were made for the last read.
#[derive(Debug)]
pub(crate) struct Claims {
    verified: Arc<Verified>,
    actor: Option<ActorId>,
    role: String,
    pub(crate) map: Map<String, Json>,
    pub(crate) text: String,
}

/// Claims that were made before: people ask more than once under one token.
#[derive(Debug)]
pub(crate) struct ClaimsCache(Cache<usize, Arc<Claims>>);

impl ClaimsCache {
    pub(crate) fn new() -> Self {
        Self(Cache::new(CACHED))
    }

    /// The claims of this very verdict. It is held with them, so that no other can come to lie at its address.
    pub(crate) fn of(&self, verified: &Arc<Verified>, actor: Option<&Actor>, role: &str) -> Arc<Claims> {
        let place = Arc::as_ptr(verified).addr();
        let is_it = |claims: &Arc<Claims>| {
            Arc::ptr_eq(&claims.verified, verified)
                && claims.actor.as_ref() == actor.map(|actor| &actor.id)
                && claims.role == role
        };
        if let Some(known) = self.0.get(&place).filter(is_it) {
            return known;
        }
        let map = claims(verified.data(), actor, role);
        let text = Json::Object(map.clone()).to_string();
        let verified = Arc::clone(verified);
        let made =
            Arc::new(Claims { verified, actor: actor.map(|actor| actor.id.clone()), role: role.to_owned(), map, text });
        self.0.insert(place, Arc::clone(&made));
        made
    }
}

/// The claims. Attributes stand beside the standard ones and replace none.
fn claims(principal: &PrincipalData, actor: Option<&Actor>, role: &str) -> Map<String, Json> {
    let mut claims = Map::new();
    for (name, value) in &principal.attributes {
        claims.insert(name.clone(), json!(value));
    }
    let texts = [
        ("iss", Some(principal.key.issuer.as_str())),
        ("sub", Some(principal.key.subject.as_str())),
        ("role", Some(role)),
        ("login", principal.login.as_ref().map(|login| login.as_str())),
        ("email", principal.email.as_deref()),
        ("name", principal.name.as_deref()),
    ];
    for (name, value) in texts {
        match value {
            Some(value) => claims.insert(name.to_owned(), value.into()),
            // An attribute of this name does not stand in for what the provider did not say.
            None => claims.remove(name),
        };
    }
    claims.insert("groups".to_owned(), json!(principal.groups));
    claims.insert("exp".to_owned(), principal.not_after_ms.div_euclid(1_000).into());
    match actor {
        Some(actor) => claims.insert("act".to_owned(), json!({ "sub": actor.id })),
        None => claims.remove("act"),
    };
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_the_format_says() {
        let line = format!("v1.1.{}", (0..32).map(|byte| format!("{byte:02x}")).collect::<String>());
        let key = ClaimsKey::parse(&Secret::new(line)).unwrap();
        let bound = Bound {
            process_id: 4242,
            backend_start: "1700000000123456",
            session_user: "asuser_login",
            role: "authenticated",
            expires_ms: 1_700_000_030_000,
        };
        // The vector of docs/signed-claims.md.
        let payload = r#"{"iss":"https://i.example","sub":"u-1","delegation":"","exp_ms":1700000030000}"#;
        let mac = "fbf276765683af6e8bb6e621fb21855cf51e30a98191baae341563f3d7b9455f";
        assert_eq!(key.sign_payload(payload, bound).unwrap(), format!("v1.1.{mac}.{payload}"));
        let claims = json!({ "iss": "https://i.example", "sub": "u-1", "exp_ms": 1 });
        let signed = key.sign(claims.as_object().unwrap(), bound).unwrap();
        let signed: Json = serde_json::from_str(signed.splitn(4, '.').last().unwrap()).unwrap();
        assert_eq!((&signed["exp_ms"], &signed["delegation"]), (&json!(1_700_000_030_000_i64), &json!("")));
        assert!(!format!("{key:?}").contains("0102"));
        for bad in ["", "v1.1.00", "v2.1.00", "v1.0.00", "v1.x.00"] {
            assert!(ClaimsKey::parse(&Secret::new(bad.to_owned())).is_err());
        }
    }
}
