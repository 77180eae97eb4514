//! What every access token must say (RFC 7519 §4.1, RFC 9068 §4), whoever issued it.
//!
//! In: the claims of a token whose signature is good. Out: subject, actor, times, scope. Refuses what is missing, ill-typed, not in force,
//! not for us, or no access token.

use asuser_core::{Actor, ActorId, Assurance, Problem, Reason, Subject};
use serde_json::Value as Json;

use super::hidden::is_hidden;
use super::json::Object;
use super::jws::shown;
use super::profile::{Audience, Profile};

/// Identifiers are short (OpenID Connect Core §2 bounds `sub` likewise).
const ID_BYTES_MAX: usize = 255;
/// Agents that acted one through another, the current one included.
const ACTORS_MAX: usize = 5;
/// Times from here on are not exact in other readers of JSON.
const TIME_S_END: i64 = 1 << 53;

const NO_ACCESS_TOKEN: &str = "this is no access token: send the access token, not the ID, refresh or logout token";

/// When a token is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) exp_s: i64,
    nbf_s: Option<i64>,
    iat_s: Option<i64>,
    leeway_ms: i64,
}

impl Times {
    /// Reads `exp`, `nbf` and `iat` (RFC 7519 §4.1.4 to §4.1.6). Whole numbers of seconds only.
    pub(crate) fn read(
        claims: &Object,
        profile: &Profile,
        leeway_s: u32,
        lifetime_s_max: Option<u32>,
    ) -> Result<Self, Problem> {
        let missing = |name: &str| {
            Problem::new(Reason::NotInForce, format!("the token has no `{name}`: ask your identity provider to set it"))
        };
        let exp_s = seconds(claims, "exp")?.ok_or_else(|| missing("exp"))?;
        let iat_s = seconds(claims, "iat")?;
        if (profile.iat_required || lifetime_s_max.is_some()) && iat_s.is_none() {
            return Err(missing("iat"));
        }
        let lifetime_s = iat_s.map(|iat_s| exp_s - iat_s);
        if lifetime_s.is_some_and(|lifetime_s| lifetime_s <= 0) {
            return Err(Problem::new(Reason::NotInForce, "the token expired before it was issued: ask for a new one"));
        }
        if let (Some(lifetime_s), Some(max)) = (lifetime_s, lifetime_s_max)
            && lifetime_s > i64::from(max)
        {
            return Err(Problem::new(
                Reason::NotInForce,
                "the token lives too long: ask for one with a shorter lifetime",
            )
            .detail(format!("issued for {lifetime_s} s; lifetime_s_max = {max}")));
        }
        Ok(Self { exp_s, nbf_s: seconds(claims, "nbf")?, iat_s, leeway_ms: i64::from(leeway_s) * 1000 })
    }

    /// Whether the token is in force at `now_ms`; also asked of a remembered verdict, so none outlives its token.
    pub(crate) fn check(&self, now_ms: i64) -> Result<(), Problem> {
        let late = now_ms.saturating_sub(self.leeway_ms);
        let early = now_ms.saturating_add(self.leeway_ms);
        let problem = |message: &str, name: &str, at_s: i64| {
            let off_s = now_ms / 1000 - at_s;
            let detail = format!(
                "`{name}` is {at_s}, now is {} ({off_s:+} s), leeway {} s",
                now_ms / 1000,
                self.leeway_ms / 1000
            );
            Problem::new(Reason::NotInForce, message).detail(detail)
        };
        // RFC 7519 §4.1.4: not "on or after" exp.
        if late >= self.exp_s.saturating_mul(1000) {
            return Err(problem("the token has expired: ask for a new one", "exp", self.exp_s));
        }
        for (name, at_s) in [("nbf", self.nbf_s), ("iat", self.iat_s)] {
            if let Some(at_s) = at_s
                && early < at_s.saturating_mul(1000)
            {
                return Err(problem("the token is not valid yet: wait, or have the clocks checked", name, at_s));
            }
        }
        Ok(())
    }
}

/// A NumericDate (RFC 7519 §2) as a whole number of seconds. Fractions, exponents and texts are refused, so that no two readers differ.
fn seconds(claims: &Object, name: &str) -> Result<Option<i64>, Problem> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_i64() {
            Some(seconds) if (0..TIME_S_END).contains(&seconds) => Ok(Some(seconds)),
            _ => Err(bad_claim(name, "a whole number of seconds since 1970 is expected")),
        },
    }
}

/// A claim that must be a non-empty text without characters that cannot be seen, at most 255 bytes.
pub(crate) fn identifier<'a>(claims: &'a Object, name: &str) -> Result<Option<&'a str>, Problem> {
    claims.get(name).map(|value| identifier_value(value, name)).transpose()
}

fn identifier_value<'a>(value: &'a Json, name: &str) -> Result<&'a str, Problem> {
    match value {
        Json::String(text) if text.is_empty() => Err(bad_claim(name, "it is empty")),
        Json::String(text) if text.len() > ID_BYTES_MAX => Err(bad_claim(name, "it has more than 255 bytes")),
        Json::String(text) if text.chars().any(is_hidden) => {
            Err(bad_claim(name, "it holds characters that cannot be seen"))
        }
        Json::String(text) => Ok(text),
        _ => Err(bad_claim(name, "a text is expected")),
    }
}

/// `sub`, or the claim that the mapping names instead; `sub` must be there in either case, unless the profile knows better. With
/// tenants: `oid.tid`, both GUIDs, in lower case.
pub(crate) fn subject(claims: &Object, claim: &str, profile: &Profile) -> Result<Subject, Problem> {
    let required = |name: &str| identifier(claims, name)?.ok_or_else(|| bad_claim(name, "it is missing"));
    if profile.sub_required || claim == "sub" {
        required("sub")?;
    }
    if !profile.has_tenants {
        return Ok(required(claim)?.into());
    }
    let guid = |name: &str| match required(name)? {
        guid if is_guid(guid) => Ok(guid.to_ascii_lowercase()),
        _ => Err(bad_claim(name, "a GUID is expected")),
    };
    Ok(format!("{}.{}", guid("oid")?, guid("tid")?).into())
}

/// The tenant in `tid` must be the one that `iss` names: all tenants of a cloud share its keys.
pub(crate) fn tenant(claims: &Object, profile: &Profile) -> Result<(), Problem> {
    if !profile.has_tenants {
        return Ok(());
    }
    let tid = identifier(claims, "tid")?.ok_or_else(|| bad_claim("tid", "it is missing"))?;
    let iss = identifier(claims, "iss")?.unwrap_or_default();
    if iss.split('/').any(|part| part.eq_ignore_ascii_case(tid)) {
        return Ok(());
    }
    Err(bad_claim("tid", "it names another tenant than the issuer does"))
}

/// Eight, four, four, four and twelve hexadecimal digits (RFC 9562 §4).
pub(crate) fn is_guid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == lengths.len()
        && parts
            .iter()
            .zip(lengths)
            .all(|(part, length)| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The agent: `act` (RFC 8693 §4.1), else the client; and the client, where `act` names another one.
pub(crate) fn actor(claims: &Object, profile: &Profile) -> Result<(Option<Actor>, Option<ActorId>), Problem> {
    let mut chain = act_chain(claims)?.into_iter();
    let client = client(claims, profile)?.map(ActorId::from);
    let (id, client) = match chain.next() {
        Some(id) => (Some(id.clone()), client.filter(|client| *client != id)),
        None => (client, None),
    };
    Ok((id.map(|id| Actor { id, assurance: Assurance::Token, chain: chain.collect() }), client))
}

/// The subjects of nested `act` claims, the current actor first.
fn act_chain(claims: &Object) -> Result<Vec<ActorId>, Problem> {
    let mut chain = Vec::new();
    let mut next = claims.get("act");
    while let Some(act) = next {
        if chain.len() == ACTORS_MAX {
            return Err(bad_claim("act", "more than five agents act one through another"));
        }
        let act = act.as_object().ok_or_else(|| bad_claim("act", "an object is expected"))?;
        let sub = identifier(act, "sub")?.ok_or_else(|| bad_claim("act", "it names no `sub`"))?;
        chain.push(sub.into());
        next = act.get("act");
    }
    Ok(chain)
}

/// The client that the token was issued to. Claims that name different ones are refused: one of them is wrong.
fn client<'a>(claims: &'a Object, profile: &Profile) -> Result<Option<&'a str>, Problem> {
    let mut found = None;
    for name in profile.client {
        match (found, identifier(claims, name)?) {
            (None, client) => found = client,
            (Some(first), Some(other)) if first != other => {
                return Err(bad_claim(name, "it names another client than the claim before it"));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// One value of `aud` must be one of ours (RFC 7519 §4.1.3, RFC 9068 §4).
pub(crate) fn audience(claims: &Object, ours: &[String], profile: &Profile) -> Result<(), Problem> {
    profile.check_graph(claims)?;
    if profile.audience == Audience::AudOrClient && !claims.contains_key("aud") {
        let client = identifier(claims, "client_id")?.ok_or_else(|| bad_claim("client_id", "it is missing"))?;
        return one_of(&[client], ours, "client_id");
    }
    let named: Vec<&str> = match claims.get("aud") {
        None => return Err(bad_claim("aud", "it is missing")),
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(list)) if !list.is_empty() => list
            .iter()
            .map(|value| value.as_str().ok_or_else(|| bad_claim("aud", "a list of texts is expected")))
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(bad_claim("aud", "a text or a list of texts is expected")),
    };
    one_of(&named, ours, "aud")
}

fn one_of(named: &[&str], ours: &[String], claim: &str) -> Result<(), Problem> {
    if named.iter().any(|named| ours.iter().any(|our| our == named)) {
        return Ok(());
    }
    let named: Vec<String> = named.iter().take(5).map(|named| format!("{:?}", shown(named))).collect();
    Err(Problem::new(
        Reason::WrongAudience,
        "the token was made for another service: ask for one with this service's audience",
    )
    .detail(format!("`{claim}` is {}; expected is {ours:?}", named.join(", "))))
}

/// Refuses ID, refresh and logout tokens, and tokens without the claims that the profile demands.
pub(crate) fn access_token(claims: &Object, profile: &Profile) -> Result<(), Problem> {
    let other = |detail: String| Err(Problem::new(Reason::WrongTokenType, NO_ACCESS_TOKEN).detail(detail));
    // OpenID Connect Core §2 and §3.3.2.11: only ID tokens hold these.
    for name in ["nonce", "at_hash", "c_hash", "s_hash"] {
        if claims.contains_key(name) && !profile.is_id_token {
            return other(format!("it has `{name}`, the mark of an ID token"));
        }
    }
    // OpenID Connect Back-Channel Logout §2.4, RFC 8417 §2.2.
    if claims.contains_key("events") {
        return other("it has `events`, the mark of a logout or security event token".into());
    }
    // Keycloak: `typ` Bearer, ID, Refresh, Offline, Logout. Cognito: `token_use` access, id.
    for name in ["typ", "token_use", "token_type"] {
        const ACCESS: [&str; 5] = ["access", "access_token", "bearer", "at+jwt", "jwt"];
        match claims.get(name) {
            None => {}
            Some(Json::String(kind)) if ACCESS.iter().any(|access| kind.eq_ignore_ascii_case(access)) => {}
            Some(kind) => return other(format!("the claim `{name}` is {}", shown(&kind.to_string()))),
        }
    }
    for (name, values) in profile.access_values {
        if !claims.get(*name).and_then(Json::as_str).is_some_and(|value| values.contains(&value)) {
            return other(format!(
                "the claim `{name}` is not {}, as in an access token of {}",
                values.join(" or "),
                profile.name
            ));
        }
    }
    for marks in profile.access_marks {
        if !marks.iter().any(|name| claims.contains_key(*name)) {
            return other(format!(
                "it has no `{}`, which access tokens of {} have",
                marks.join("` or `"),
                profile.name
            ));
        }
    }
    for name in profile.required {
        identifier(claims, name)?
            .ok_or_else(|| bad_claim(name, &format!("it is missing, and the profile {} demands it", profile.name)))?;
    }
    Ok(())
}

/// Refuses a token that is bound to a key (RFC 7800 §3.1, RFC 8705 §3.1, RFC 9449 §6.1): as long as no proof is checked, it must not pass
/// as a bearer token.
pub(crate) fn binding(claims: &Object) -> Result<(), Problem> {
    if claims.contains_key("cnf") {
        return Err(Problem::new(
            Reason::UnprovenBinding,
            "the token is bound to a key (`cnf`) whose proof is not checked here: ask for a plain bearer token",
        ));
    }
    Ok(())
}

/// The scope tokens (RFC 8693 §4.2: a text with blanks; some providers send a list). An ill-typed scope is refused: read as absent
/// it would be no limit.
pub(crate) fn scope(claims: &Object, profile: &Profile) -> Result<Option<Vec<String>>, Problem> {
    let mut found: Option<Vec<String>> = None;
    for name in profile.scope {
        let tokens: Vec<String> = match claims.get(*name) {
            None => continue,
            Some(Json::String(text)) => text.split(' ').filter(|token| !token.is_empty()).map(str::to_owned).collect(),
            Some(Json::Array(list)) => list
                .iter()
                .map(|token| {
                    token.as_str().map(str::to_owned).ok_or_else(|| bad_claim(name, "a list of texts is expected"))
                })
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(bad_claim(name, "a text is expected")),
        };
        if found.as_ref().is_some_and(|first| *first != tokens) {
            return Err(bad_claim(name, "two claims give different scopes"));
        }
        found = Some(tokens);
    }
    Ok(found)
}

/// A claim that is missing or ill-formed. Names the claim, never its value.
pub(crate) fn bad_claim(name: &str, what: &str) -> Problem {
    Problem::new(Reason::BadClaim, format!("the token's claim `{name}` is not acceptable: {what}"))
}
