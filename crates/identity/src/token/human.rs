//! Is a human behind the token? (law 1)
//!
//! In: claims. Refuses every token that any known provider gives to a program acting for itself. Applied under every profile: a mark that
//! a provider does not use costs nothing.

use asuser_core::{Problem, Reason};
use serde_json::Value as Json;

use super::claims::identifier;
use super::json::Object;

/// The claims in which providers name the client: RFC 9068, OpenID Connect, Entra v1 and AD FS, Okta.
const CLIENTS: [&str; 4] = ["client_id", "azp", "appid", "cid"];

/// Refuses a machine's token. `subjects` are the values that would make the principal's key, `login` the mapped login.
pub(crate) fn check(claims: &Object, subject: &str, login: Option<&str>) -> Result<(), Problem> {
    let sub = identifier(claims, "sub")?.unwrap_or(subject);
    for name in CLIENTS {
        // Client credentials: the subject is the client itself (RFC 9068 §2.2, last paragraph on `sub`).
        let client = identifier(claims, name)?;
        if client.is_some_and(|client| client.eq_ignore_ascii_case(sub) || client.eq_ignore_ascii_case(subject)) {
            return Err(machine(format!("`sub` is the client itself (`{name}`)")));
        }
    }
    for subject in [sub, subject] {
        // Auth0: client credentials.
        if subject.ends_with("@clients") {
            return Err(machine("`sub` ends with @clients"));
        }
    }
    // Keycloak: the user that stands for a client's service account.
    let user_names = ["preferred_username", "username"].into_iter().filter_map(|name| claims.get(name)?.as_str());
    if user_names.chain(login).chain([sub, subject]).any(is_service_account) {
        return Err(machine("the user is a service account (service-account-…)"));
    }
    // Entra: `user`, `app`, `device`. What is not a user is none.
    if let Some(kind) = claims.get("idtyp")
        && kind.as_str() != Some("user")
    {
        return Err(machine("`idtyp` is not `user`"));
    }
    // Auth0 and others: the grant by which the token was obtained (RFC 6749 §4.4).
    for name in ["gty", "grant_type"] {
        if claims.get(name).is_some_and(|grant| any_text(grant, &is_client_credentials)) {
            return Err(machine(format!("`{name}` says client credentials")));
        }
    }
    Ok(())
}

fn is_service_account(name: &str) -> bool {
    const PREFIX: &str = "service-account-";
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

fn is_client_credentials(grant: &str) -> bool {
    ["client-credentials", "client_credentials"].iter().any(|name| grant.eq_ignore_ascii_case(name))
}

fn any_text(value: &Json, test: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Json::String(text) => test(text),
        Json::Array(list) => list.iter().filter_map(Json::as_str).any(test),
        _ => false,
    }
}

fn machine(detail: impl Into<String>) -> Problem {
    Problem::new(
        Reason::MachineToken,
        "the token belongs to a program and no person is behind it: send the token of the user you act for",
    )
    .detail(detail)
}
