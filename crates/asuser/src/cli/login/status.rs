//! Who is signed in, as asuser itself says.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use asuser_core::{Clock as _, Secret, SystemClock};
use asuser_fetch::{Client, Request};
use chrono::DateTime;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use serde_json::Value as Json;

use super::address::{Address, Limits};
use super::kept::Kept;
use super::session::{NoToken, Session};
use super::store::{Place, TokenStore};
use super::words::clean;
use crate::out;

/// What asuser makes of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    subject: String,
    issuer: String,
    login: Option<String>,
    actors: Vec<String>,
    pub(super) expires_ms: Option<i64>,
}

impl Person {
    fn parse(body: &[u8]) -> Option<Self> {
        let document: Json = serde_json::from_slice(body).ok()?;
        let principal = document.get("principal")?;
        let text = |name: &str| principal.get(name).and_then(Json::as_str).map(clean);
        let actors = document.get("actors").and_then(Json::as_array).into_iter().flatten();
        Some(Self {
            subject: text("subject")?,
            issuer: text("issuer")?,
            login: text("login"),
            actors: actors.filter_map(|actor| actor.get("id")?.as_str().map(clean)).collect(),
            expires_ms: document.get("expires_ms").and_then(Json::as_i64),
        })
    }
}

/// Asks asuser whose token this is.
pub(super) async fn whoami(asuser: &Client, address: &Address, token: &Secret) -> anyhow::Result<Person> {
    let request = Request::get(address.at("/whoami")?).header(AUTHORIZATION, bearer(token)?);
    let answer = asuser.send(request).await?;
    if answer.status == 200 {
        return Person::parse(&answer.body).with_context(|| format!("the answer of {} is not asuser's", answer.url));
    }
    let document: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
    let words = document.pointer("/error/message").and_then(Json::as_str).map_or_else(String::new, clean);
    let reason = document.pointer("/error/reason").and_then(Json::as_str).map_or_else(String::new, clean);
    bail!("{} does not accept the token ({} {reason}): {words}", address.as_str(), answer.status)
}

/// `Authorization`, marked so that it is shown nowhere.
pub(crate) fn bearer(token: &Secret) -> anyhow::Result<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).context("the token cannot be sent")?;
    value.set_sensitive(true);
    Ok(value)
}

/// Who is signed in, through whom, for what, and for how long.
pub(super) fn report(kept: &Kept, person: &Person, now_ms: i64) -> String {
    let Person { subject, issuer, login, actors, .. } = person;
    let mut text = format!("{} takes you for {}", kept.url, login.as_deref().unwrap_or(subject));
    let _ = write!(text, " (subject {subject} of {issuer})");
    if !actors.is_empty() {
        let _ = write!(text, ", asking through {}", actors.join(", "));
    }
    if !kept.scope.is_empty() {
        let _ = write!(text, "\nscope: {}", clean(&kept.scope));
    }
    let until = kept.expires_ms.and_then(DateTime::from_timestamp_millis);
    match until {
        Some(until) => {
            let minutes = kept.expires_ms.unwrap_or(now_ms).saturating_sub(now_ms).max(0) / 60_000;
            let _ = write!(text, "\nthe token is good until {} ({minutes} min)", until.format("%Y-%m-%d %H:%M:%SZ"));
        }
        None => text.push_str("\nhow long the token is good is not known"),
    }
    text.push_str(match kept.refresh_token {
        Some(_) => ", and is renewed by itself",
        None => "; there is no refresh token: then you sign in again",
    });
    text
}

/// Where tokens are, for a person to read.
pub(super) fn place(store: &TokenStore, url: &str, place: Place) -> String {
    match place {
        Place::Keyring => "the keyring".to_owned(),
        Place::File => store.path(url).display().to_string(),
    }
}

/// `asuser login --status`. Exit code 0: somebody is signed in, and asuser accepts the token.
pub(super) async fn status(url: &Address, store: TokenStore, ca_pem: Option<&[u8]>) -> anyhow::Result<ExitCode> {
    let Some(session) = Session::open(url, store.clone(), ca_pem)? else {
        out::line(format_args!("nobody is signed in at {0}: run `asuser login --url {0}`", url.as_str()))?;
        return Ok(ExitCode::FAILURE);
    };
    let token = match session.token(None).await {
        Ok(token) => token,
        Err(NoToken::SignIn(why) | NoToken::Passing(why)) => bail!(why),
    };
    let asuser = url.client(Limits::SMALL, ca_pem)?;
    let person = whoami(&asuser, url, &token).await?;
    let (kept, where_kept) = session.kept().await;
    out::line(report(&kept, &person, SystemClock.now_ms()))?;
    out::line(format_args!("kept in {}", place(&store, url.as_str(), where_kept)))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::super::kept::sample;
    use super::*;

    const BODY: &[u8] = br#"{"principal":{"issuer":"https://l.example","subject":"u1","login":"alice\u001b[2J"},
        "actors":[{"id":"asuser-cli"}],"expires_ms":600000}"#;

    #[test]
    fn a_report_names_the_person_and_no_token() {
        let person = Person::parse(BODY).unwrap();
        let text = report(&sample("https://d.example"), &person, 400_000);
        assert!(text.starts_with(
            "https://d.example takes you for alice[2J (subject u1 of https://l.example), asking through asuser-cli"
        ));
        assert!(text.contains("until 1970-01-01 00:16:40Z (10 min), and is renewed by itself"), "{text}");
        assert!(!text.contains("access-1") && !text.contains("refresh-1"));
        let bare = Kept { expires_ms: None, refresh_token: None, ..sample("https://d.example") };
        assert!(report(&bare, &person, 0).contains("not known; there is no refresh token"));
    }

    #[test]
    fn what_is_not_asusers_answer_is_not_believed() {
        for body in [&b""[..], b"{}", b"null", br#"{"principal":{}}"#, br#"{"principal":{"subject":1,"issuer":"x"}}"#] {
            assert_eq!(Person::parse(body), None);
        }
    }
}
