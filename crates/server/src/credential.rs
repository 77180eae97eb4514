//! Headers: who asks, and whether the request is framed so that nobody in between can read it differently.
//!
//! Identity comes from the verified credential alone: `X-User`, `X-Forwarded-User`, `X-Role`, cookies and the like are not read (ID-01).

use asuser_core::{AuditId, Problem, Reason, RequestId, Secret};
use asuser_identity::Credential;
use http::request::Parts;
use http::{HeaderMap, Version, header};

const SESSION_TOKEN: &str = "x-dreamfactory-session-token";
const API_KEY: &str = "x-dreamfactory-api-key";

/// `Authorization: Bearer` (RFC 6750 §2.1) or its synonym. Two different credentials are refused, not ranked.
pub(crate) fn bearer(parts: &Parts) -> Result<Option<Credential>, Problem> {
    let mut found: Option<&str> = None;
    for value in parts.headers.get_all(header::AUTHORIZATION) {
        let text = value.to_str().map_err(|_| malformed())?;
        let (scheme, token) = text.split_once(' ').ok_or_else(malformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Problem::new(
                Reason::MalformedCredential,
                "only `Authorization: Bearer <token>` is accepted here",
            ));
        }
        keep(&mut found, token.trim())?;
    }
    for value in parts.headers.get_all(SESSION_TOKEN) {
        keep(&mut found, value.to_str().map_err(|_| malformed())?.trim())?;
    }
    match found {
        Some("") => Err(malformed()),
        found => Ok(found.map(|token| Credential::Bearer(Secret::new(token.to_owned())))),
    }
}

fn keep<'a>(found: &mut Option<&'a str>, token: &'a str) -> Result<(), Problem> {
    match found.replace(token) {
        None => Ok(()),
        Some(_) => {
            let message = "more than one credential: send the user's token once, as `Authorization: Bearer <token>`";
            Err(Problem::new(Reason::MisplacedCredential, message))
        }
    }
}

fn malformed() -> Problem {
    Problem::new(
        Reason::MalformedCredential,
        "the credential is malformed: send `Authorization: Bearer <the user's token>`",
    )
}

/// The agent's own credential.
pub(crate) fn agent_key(parts: &Parts) -> Option<Secret> {
    // A key that is no text, or that comes twice, is no key that anybody registered: it must not pass for "no key".
    let mut keys = parts.headers.get_all(API_KEY).iter();
    let key = keys.next()?;
    let text = key.to_str().ok().filter(|_| keys.next().is_none()).unwrap_or_default();
    Some(Secret::new(text.to_owned()))
}

/// Refuses what an intermediary could read in another way (HT-01).
pub(crate) fn framing(parts: &Parts) -> Result<(), Problem> {
    let bad = |message: &str| Err(Problem::new(Reason::BadRequest, message));
    let times = |name: header::HeaderName| parts.headers.get_all(name).iter().count();
    if times(header::HOST) > 1 || (times(header::HOST) == 0 && parts.version == Version::HTTP_11) {
        return bad("exactly one `Host` header is needed");
    }
    if parts.uri.scheme().is_some() || parts.uri.authority().is_some() {
        return bad("the request target must be a path");
    }
    Ok(())
}

/// Refuses a body where none is read: it is where a second request could hide.
pub(crate) fn no_body(headers: &HeaderMap) -> Result<(), Problem> {
    if has_body(headers) {
        return Err(Problem::new(Reason::BadRequest, "a body is not accepted here: use query parameters"));
    }
    Ok(())
}

/// Refuses what does not say that it is JSON. A page without permission cannot send that (it is no "simple" request).
pub(crate) fn json_body(headers: &HeaderMap) -> Result<(), Problem> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let media = types.next().and_then(|value| value.to_str().ok()).filter(|_| types.next().is_none());
    let media = media.map(|value| value.split_once(';').map_or(value, |(media, _)| media).trim());
    let coded = headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding.as_bytes() != b"identity");
    if coded || !media.is_some_and(|media| media.eq_ignore_ascii_case("application/json")) {
        let message = "the body must be `Content-Type: application/json`, without a content coding";
        return Err(Problem::new(Reason::UnsupportedMediaType, message));
    }
    Ok(())
}

/// Refuses a credential in the URL, which is logged everywhere (MC-04).
pub(crate) fn refuse_in_query(query: &str) -> Result<(), Problem> {
    let parameters = crate::rest::parameters(query)?;
    Ok(asuser_query::dialect::refuse_credentials(&parameters)?)
}

/// The caller's name for the request where it is harmless text, else a name of ours (HT-02: no line can be forged with it).
pub(crate) fn request_id(parts: &Parts) -> RequestId {
    let harmless = |text: &&str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let given = parts.headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(harmless);
    match given {
        Some(text) => text.into(),
        None => AuditId::random().map_or_else(|_| "unnamed".into(), |id| id.to_string().into()),
    }
}

/// Whether a body comes.
pub(crate) fn has_body(headers: &HeaderMap) -> bool {
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    headers.contains_key(header::TRANSFER_ENCODING) || lengths.into_iter().any(|length| length.as_bytes() != b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut builder = http::Request::get("/whoami");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }
    fn token(headers: &[(&str, &str)]) -> Result<Option<String>, Reason> {
        let credential = bearer(&parts(headers)).map_err(|problem| problem.reason)?;
        Ok(credential.map(|credential| match credential {
            Credential::Bearer(secret) => secret.expose().to_owned(),
            other => panic!("{other:?}"),
        }))
    }

    #[test]
    fn one_credential_from_either_header() {
        assert_eq!(token(&[]), Ok(None));
        assert_eq!(token(&[("authorization", "Bearer a.b.c")]), Ok(Some("a.b.c".into())));
        assert_eq!(token(&[("authorization", "bearer  a.b.c ")]), Ok(Some("a.b.c".into())));
        assert_eq!(token(&[("x-dreamfactory-session-token", "a.b.c")]), Ok(Some("a.b.c".into())));
        assert_eq!(token(&[("cookie", "token=a"), ("x-user", "jane"), ("x-forwarded-user", "jane")]), Ok(None));
    }

    #[test]
    fn more_or_other_credentials_are_refused() {
        let twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
        assert_eq!(token(&twice), Err(Reason::MisplacedCredential));
        let both = [("authorization", "Bearer a"), ("x-dreamfactory-session-token", "b")];
        assert_eq!(token(&both), Err(Reason::MisplacedCredential));
        for wrong in ["Basic am9objpwdw==", "Bearer", "Bearer ", "a.b.c", ""] {
            assert_eq!(token(&[("authorization", wrong)]), Err(Reason::MalformedCredential), "{wrong}");
        }
    }

    #[test]
    fn an_agent_key_sent_twice_is_not_no_key() {
        assert!(agent_key(&parts(&[])).is_none());
        assert_eq!(agent_key(&parts(&[(API_KEY, "k")])).unwrap().expose(), "k");
        assert_eq!(agent_key(&parts(&[(API_KEY, "k"), (API_KEY, "l")])).unwrap().expose(), "");
    }

    #[test]
    fn framing_is_unambiguous_or_refused() {
        assert!(framing(&parts(&[("host", "h")])).is_ok());
        assert!(
            framing(&parts(&[("host", "h"), ("content-length", "0"), ("content-type", "application/json")])).is_ok()
        );
        for wrong in [&[][..], &[("host", "h"), ("host", "h")]] {
            assert!(framing(&parts(wrong)).is_err(), "{wrong:?}");
        }
        for wrong in [&[("content-length", "5")][..], &[("transfer-encoding", "chunked")]] {
            assert!(no_body(&parts(wrong).headers).is_err(), "{wrong:?}");
        }
        assert!(no_body(&parts(&[("content-length", "0")]).headers).is_ok());
    }

    #[test]
    fn a_body_is_json_and_says_so() {
        let json = |pairs: &[(&str, &str)]| json_body(&parts(pairs).headers).is_ok();
        assert!(json(&[("content-type", "application/json")]));
        assert!(json(&[("content-type", "Application/JSON; charset=utf-8"), ("content-encoding", "identity")]));
        for wrong in [
            &[][..],
            &[("content-type", "text/plain")],
            &[("content-type", "application/jsonp")],
            &[("content-type", "text/plain; application/json")],
            &[("content-type", "application/json"), ("content-type", "text/plain")],
            &[("content-type", "application/json"), ("content-encoding", "gzip")],
        ] {
            assert!(!json(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_credential_in_the_url_is_refused_as_one() {
        assert!(refuse_in_query("a=b").is_ok());
        for wrong in ["access_token=x", "a=b&token=", "api%5Fkey=x"] {
            assert_eq!(refuse_in_query(wrong).unwrap_err().reason, Reason::MisplacedCredential, "{wrong}");
        }
    }
}
