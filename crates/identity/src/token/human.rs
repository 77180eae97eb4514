//! Is a human behind the token? (law 1)
//!
//! In: claims. Refuses every token that any known provider gives to a program acting for itself. All of it is applied under every profile: a mark
//! that a provider does not use costs nothing. A profile adds the claims that only people's tokens have.

use asuser_core::{Problem, Reason};
use serde_json::Value as Json;

use super::claims::identifier;
use super::json::Object;
use super::profile::Profile;

/// The claims in which providers name the client: RFC 9068, OpenID Connect, Entra v1 and AD FS, Okta.
const CLIENTS: [&str; 4] = ["client_id", "azp", "appid", "cid"];

/// Refuses a machine's token. `subject` is the principal's key; `login` and `address` are what the mapping names so.
pub(crate) fn check(
    claims: &Object,
    subject: &str,
    login: Option<&str>,
    address: Option<&str>,
    profile: &Profile,
) -> Result<(), Problem> {
    for name in profile.human_marks {
        if !has(claims, name) {
            return Err(machine(format!("it has no `{name}`, which every person's token of {} has", profile.name)));
        }
    }
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
    let names: Vec<&str> =
        ["preferred_username", "username"].iter().filter_map(|name| text(claims, name)).chain(login).collect();
    if names.iter().chain(&[sub, subject]).any(|name| is_service_account(name)) {
        return Err(machine("the user is a service account (service-account-…)"));
    }
    if is_lightweight_service_account(claims) {
        return Err(machine("it says where a client called from (`clientHost`, `clientAddress`) and names no user"));
    }
    let addresses = text(claims, "email").into_iter().chain(address);
    if names.iter().copied().chain(addresses).chain([sub, subject]).any(is_google_service_account) {
        return Err(machine("the address is a service account's (gserviceaccount.com)"));
    }
    if is_entra_app_only(claims) {
        return Err(machine("`oid` equals `sub` and no scope was delegated: an application acts for itself"));
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

/// Keycloak: what the client scope `service_account` adds; lightweight access tokens lack `preferred_username`. A user's has it.
fn is_lightweight_service_account(claims: &Object) -> bool {
    let any = |names: &[&str]| names.iter().any(|name| claims.contains_key(*name));
    any(&["clientHost", "clientAddress"])
        && (any(&CLIENTS) || any(&["clientId"]))
        && text(claims, "preferred_username").is_none()
}

/// Google Cloud: the address of a service account is in a domain of its own.
fn is_google_service_account(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.strip_suffix("gserviceaccount.com").is_some_and(|start| start.ends_with(['.', '@']))
}

/// Entra: where an application acts for itself, `sub` is its object id, and permissions come as `roles`, never as `scp`. `idtyp`,
/// which says it outright, is an optional claim. A user's `sub` is pairwise (v1, v2), or the token has `scp` (Azure AD B2C).
fn is_entra_app_only(claims: &Object) -> bool {
    let same =
        text(claims, "oid").is_some_and(|oid| text(claims, "sub").is_some_and(|sub| oid.eq_ignore_ascii_case(sub)));
    same && CLIENTS.iter().any(|name| claims.contains_key(*name))
        && !["scp", "scope"].iter().any(|name| has(claims, name))
}

/// A text that says something.
fn text<'a>(claims: &'a Object, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str().filter(|text| !text.trim().is_empty())
}

/// A text, or a list with a text, that says something.
fn has(claims: &Object, name: &str) -> bool {
    claims.get(name).is_some_and(|value| any_text(value, &|text| !text.trim().is_empty()))
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
