//! What the database is told of the person: claims as PostgREST and Supabase policies read them (`request.jwt.claims`), and the
//! same signed, for `asuser.claims()` (docs/signed-claims.md).
//!
//! In: a verified principal and the agent. Out: JSON text. The inbound token is not in it.

use std::sync::Arc;

use asuser_core::{Actor, ActorId, PrincipalData};
use asuser_credential::claims::{ClaimsKey, Place};
use asuser_identity::Verified;
use quick_cache::sync::Cache;
use serde_json::{Map, Value as Json, json};

/// Verdicts whose claims are kept.
const CACHED: usize = 1_000;

/// The value of the setting `asuser.claims`: the claims, signed for one transaction of one connection.
pub(crate) fn signed(key: &ClaimsKey, claims: &Map<String, Json>, place: Place<'_>, expires_ms: i64) -> String {
    let mut claims = claims.clone();
    claims.insert("delegation".to_owned(), "".into());
    claims.insert("exp_ms".to_owned(), expires_ms.into());
    key.sign(place, &Json::Object(claims).to_string())
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
    fn what_is_signed_ends_when_the_statement_does() {
        let key = ClaimsKey::random(1).unwrap();
        let place = Place { pid: 1, backend_start_us: 2, session_user: "asuser_login", role: "web" };
        // An attribute of that name says nothing of the end.
        let claims = json!({ "iss": "https://i.example", "sub": "u-1", "exp_ms": 1 });
        let text = signed(&key, claims.as_object().unwrap(), place, 1_700_000_030_000);
        let payload: Json = serde_json::from_str(text.splitn(4, '.').last().unwrap()).unwrap();
        assert_eq!((&payload["exp_ms"], &payload["delegation"]), (&json!(1_700_000_030_000_i64), &json!("")));
        assert_eq!(payload["sub"], "u-1");
    }
}
