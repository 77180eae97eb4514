//! What asuser makes of a caller's credential, told to that caller: the same on every face.

use asuser_core::Actor;
use asuser_delegation::Delegation;
use asuser_identity::Verified;
use serde_json::{Value as Json, json};

/// The person, through whom they ask, and within which limits.
pub(crate) fn identity(verified: &Verified, delegation: &Delegation) -> Json {
    let data = verified.data();
    let actors: Vec<_> = delegation.actors().iter().map(actor).collect();
    let limit = |(whose, may): (String, Vec<String>)| json!({ "of": whose, "may": may });
    json!({
        "principal": {
            "issuer": data.key.issuer,
            "subject": data.key.subject,
            "provider": data.provider,
            "login": data.login,
            "email": data.email,
            "name": data.name,
            "groups": data.groups,
            "attributes": data.attributes,
        },
        "scope": data.scope,
        "actors": actors,
        "limits": delegation.describe().into_iter().map(limit).collect::<Vec<_>>(),
        "expires_ms": data.not_after_ms,
    })
}

fn actor(actor: &Actor) -> Json {
    json!({ "id": actor.id, "assurance": actor.assurance, "chain": actor.chain })
}
