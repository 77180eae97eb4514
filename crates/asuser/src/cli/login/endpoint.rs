//! What is asked of an authorization server directly: a client (RFC 7591), tokens (RFC 6749), their end (RFC 7009).
//!
//! In: a code or a refresh token. Out: tokens. What a server says of an error is shown without what a terminal would obey.

use std::fmt;

use anyhow::{Context as _, bail, ensure};
use asuser_core::Secret;
use asuser_fetch::{Answer, Client, FetchError, Request, Url};
use serde_json::{Value as Json, json};

use super::authorize::Attempt;
use super::kept::{ClientAuth, OauthClient};
use super::words::clean;

/// A request's head has 64 KiB at asuser.
pub(crate) const TOKEN_BYTES_MAX: usize = 32 * 1024;

/// What a token endpoint gave.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    pub(crate) access_token: Secret,
    pub(crate) refresh_token: Option<Secret>,
    pub(crate) expires_ms: Option<i64>,
    pub(crate) scope: Option<String>,
}

/// Why it gave none.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It says that the grant is no good (any more): a person must sign in again.
    Grant(String),
    /// Anything else: it may do so next time.
    Other(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grant(why) | Self::Other(why) => f.write_str(why),
        }
    }
}
impl std::error::Error for Refused {}
impl From<FetchError> for Refused {
    fn from(error: FetchError) -> Self {
        Self::Other(error.to_string())
    }
}

/// A code for tokens (RFC 6749 §4.1.3, RFC 7636 §4.5).
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) client: &'a OauthClient,
    pub(crate) code: &'a Secret,
    pub(crate) redirect: &'a str,
    pub(crate) attempt: &'a Attempt,
    pub(crate) resource: Option<&'a str>,
}

impl Exchange<'_> {
    pub(crate) async fn send(&self, http: &Client, endpoint: &Url, now_ms: i64) -> Result<Tokens, Refused> {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", self.code.expose()),
            ("redirect_uri", self.redirect),
            ("code_verifier", self.attempt.verifier.expose()),
        ];
        fields.extend(self.resource.map(|resource| ("resource", resource)));
        read(&http.send(request(endpoint, self.client, fields)).await?, now_ms)
    }
}

/// A refresh token for tokens (RFC 6749 §6).
pub(crate) async fn refresh(
    http: &Client,
    endpoint: &Url,
    client: &OauthClient,
    refresh_token: &Secret,
    resource: Option<&str>,
    now_ms: i64,
) -> Result<Tokens, Refused> {
    let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
    fields.extend(resource.map(|resource| ("resource", resource)));
    read(&http.send(request(endpoint, client, fields)).await?, now_ms)
}

/// Ends a token (RFC 7009). A server that does not know it has nothing to end.
pub(crate) async fn revoke(
    http: &Client,
    endpoint: &Url,
    client: &OauthClient,
    token: &Secret,
    kind: &str,
) -> anyhow::Result<()> {
    let fields = vec![("token", token.expose()), ("token_type_hint", kind)];
    let answer = http.send(request(endpoint, client, fields)).await?;
    ensure!(answer.status == 200, "{} answers {}{}", answer.url, answer.status, reason(&answer));
    Ok(())
}

/// A form with the client's own word for who it is.
fn request<'a>(endpoint: &Url, client: &'a OauthClient, mut fields: Vec<(&'a str, &'a str)>) -> Request {
    let secret = client.secret.as_ref();
    match (client.auth, secret) {
        (ClientAuth::ClientSecretBasic, Some(secret)) => {
            Request::form(endpoint.clone(), &fields).basic(&client.id, secret)
        }
        (ClientAuth::ClientSecretPost, Some(secret)) => {
            fields.extend([("client_id", client.id.as_str()), ("client_secret", secret.expose())]);
            Request::form(endpoint.clone(), &fields)
        }
        _ => {
            fields.push(("client_id", &client.id));
            Request::form(endpoint.clone(), &fields)
        }
    }
}

/// RFC 6749 §5
fn read(answer: &Answer, now_ms: i64) -> Result<Tokens, Refused> {
    let other = |why: &str| Refused::Other(format!("the answer of {} cannot be used: {why}", answer.url));
    if !(200..300).contains(&answer.status) {
        let document: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
        let why = format!("{} answers {}{}", answer.url, answer.status, reason(answer));
        // RFC 6749 §5.2: invalid, expired, revoked, or of another client.
        let is_over =
            matches!(document.get("error").and_then(Json::as_str), Some("invalid_grant" | "interaction_required"));
        return Err(if is_over { Refused::Grant(why) } else { Refused::Other(why) });
    }
    let document: Json = serde_json::from_slice(&answer.body).map_err(|_| other("it is no JSON"))?;
    let text = |name: &str| document.get(name).and_then(Json::as_str).map(str::to_owned);
    if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer")) {
        return Err(other("its token is no bearer token"));
    }
    let token = |name: &str| text(name).map(Secret::new).filter(|token| !token.expose().is_empty());
    let access_token = token("access_token").ok_or_else(|| other("there is no access token in it"))?;
    check_token(access_token.expose()).map_err(|error| other(&error.to_string()))?;
    // Some servers write the number as a text.
    let expires_s =
        document.get("expires_in").and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok()));
    let expires_ms = expires_s.map(|seconds| now_ms.saturating_add(seconds.max(0).saturating_mul(1000)));
    Ok(Tokens { access_token, refresh_token: token("refresh_token"), expires_ms, scope: text("scope") })
}

/// What a server says of its refusal.
fn reason(answer: &Answer) -> String {
    let document: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
    let words = |name: &str| document.get(name).and_then(Json::as_str).map(clean).filter(|words| !words.is_empty());
    match (words("error"), words("error_description")) {
        (Some(error), Some(description)) => format!(" (`{error}`: {description})"),
        (Some(error), None) => format!(" (`{error}`)"),
        _ => String::new(),
    }
}

/// RFC 6750 §2.1: what a bearer token is made of. Anything else could not be sent, or would be read as something else.
pub(crate) fn check_token(token: &str) -> anyhow::Result<()> {
    ensure!(!token.is_empty(), "the token is empty");
    ensure!(token.len() <= TOKEN_BYTES_MAX, "the token has more than {TOKEN_BYTES_MAX} bytes");
    let is_one = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    ensure!(token.bytes().all(is_one), "it holds characters that no bearer token has (a blank, a quote, a line break)");
    Ok(())
}

/// Makes asuser known as a client (RFC 7591), for this sign-in and its renewals.
pub(crate) async fn register(
    http: &Client,
    endpoint: &Url,
    redirect: &str,
    scope: &str,
) -> anyhow::Result<OauthClient> {
    let mut asked = json!({
        "client_name": "asuser",
        "application_type": "native",
        "redirect_uris": [redirect],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    if let Some(asked) = asked.as_object_mut().filter(|_| !scope.is_empty()) {
        asked.insert("scope".to_owned(), scope.into());
    }
    let answer = http.send(Request::json(endpoint.clone(), &asked)).await?;
    if !matches!(answer.status, 200 | 201) {
        bail!(
            "the authorization server registers no client by itself: {} answers {}{}; have one registered, and name it with --client-id",
            answer.url,
            answer.status,
            reason(&answer)
        );
    }
    let document: Json = serde_json::from_slice(&answer.body).with_context(|| format!("{} is no JSON", answer.url))?;
    registered(&document)
}

/// RFC 7591 §3.2.1: the server may have chosen otherwise than asked.
fn registered(document: &Json) -> anyhow::Result<OauthClient> {
    let id = document.get("client_id").and_then(Json::as_str).unwrap_or_default();
    ensure!(!id.is_empty(), "the authorization server registered a client without an id");
    let secret = document.get("client_secret").and_then(Json::as_str).map(|secret| Secret::new(secret.to_owned()));
    let method = document.get("token_endpoint_auth_method").and_then(Json::as_str);
    let auth = match (method, &secret) {
        (Some("none"), _) | (None, None) => ClientAuth::None,
        (Some("client_secret_post"), Some(_)) => ClientAuth::ClientSecretPost,
        // RFC 7591 §2: the default.
        (Some("client_secret_basic") | None, Some(_)) => ClientAuth::ClientSecretBasic,
        (Some(method), _) => bail!("the authorization server wants the client to authenticate by `{}`", clean(method)),
    };
    Ok(OauthClient { id: id.to_owned(), auth, secret: secret.filter(|_| auth != ClientAuth::None) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            url: "https://l.example/token".parse().unwrap(),
            status,
            headers: http::HeaderMap::new(),
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn tokens_are_read() {
        let body =
            r#"{"access_token":"a.b-c","token_type":"bearer","expires_in":60,"refresh_token":"r","scope":"db:read"}"#;
        let tokens = read(&answer(200, body), 1000).unwrap();
        assert_eq!((tokens.access_token.expose(), tokens.expires_ms), ("a.b-c", Some(61_000)));
        assert_eq!((tokens.refresh_token.unwrap().expose(), tokens.scope.as_deref()), ("r", Some("db:read")));
        let bare = read(&answer(200, r#"{"access_token":"a","token_type":"Bearer","expires_in":"60"}"#), 0).unwrap();
        assert_eq!((bare.refresh_token, bare.expires_ms), (None, Some(60_000)));
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_shown() {
        for body in [
            "",
            "<html>",
            "{}",
            r#"{"access_token":"secret-1"}"#,
            r#"{"access_token":"secret-1","token_type":"DPoP"}"#,
            r#"{"access_token":"","token_type":"Bearer"}"#,
            r#"{"access_token":7,"token_type":"Bearer"}"#,
            r#"{"access_token":"secret-1\r\nX: y","token_type":"Bearer"}"#,
            r#"{"access_token":"secret 1","token_type":"Bearer"}"#,
        ] {
            let error = read(&answer(200, body), 0).unwrap_err();
            assert!(matches!(error, Refused::Other(_)) && !error.to_string().contains("secret"), "{error}");
        }
        let long = format!(r#"{{"access_token":"{}","token_type":"Bearer"}}"#, "a".repeat(TOKEN_BYTES_MAX + 1));
        assert!(read(&answer(200, &long), 0).is_err());
    }

    #[test]
    fn a_grant_that_is_over_differs_from_a_bad_day() {
        let over =
            read(&answer(400, r#"{"error":"invalid_grant","error_description":"used\u001b twice"}"#), 0).unwrap_err();
        assert!(
            matches!(&over, Refused::Grant(why) if why.ends_with("answers 400 (`invalid_grant`: used twice)")),
            "{over}"
        );
        for (status, body) in
            [(500, ""), (429, r#"{"error":"slow_down"}"#), (401, r#"{"error":"invalid_client"}"#), (400, "<html>")]
        {
            assert!(matches!(read(&answer(status, body), 0).unwrap_err(), Refused::Other(_)), "{status}");
        }
    }

    #[test]
    fn a_registered_client_is_what_the_server_says() {
        let auth = |document: Json| registered(&document).map(|client| (client.auth, client.secret.is_some())).ok();
        assert_eq!(auth(json!({"client_id": "a"})), Some((ClientAuth::None, false)));
        assert_eq!(
            auth(json!({"client_id": "a", "client_secret": "s", "token_endpoint_auth_method": "none"})),
            Some((ClientAuth::None, false))
        );
        assert_eq!(auth(json!({"client_id": "a", "client_secret": "s"})), Some((ClientAuth::ClientSecretBasic, true)));
        assert_eq!(
            auth(json!({"client_id": "a", "client_secret": "s", "token_endpoint_auth_method": "client_secret_post"})),
            Some((ClientAuth::ClientSecretPost, true))
        );
        for wrong in [
            json!({}),
            json!({"client_id": ""}),
            json!({"client_id": "a", "token_endpoint_auth_method": "private_key_jwt"}),
            json!({"client_id": "a", "token_endpoint_auth_method": "client_secret_basic"}),
        ] {
            assert_eq!(auth(wrong.clone()), None, "{wrong}");
        }
    }
}
