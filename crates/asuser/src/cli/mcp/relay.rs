//! Takes one message to asuser, and brings back the answer.
//!
//! In: a message. Out: the lines for the client. A token that asuser refuses is replaced once, if there is another: a 401 says that
//! nothing was done.

use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use asuser_core::Secret;
use asuser_fetch::{Answer, Client, Request, Url};
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderName, HeaderValue};

use super::answer::lines;
use super::message::{Headers, INTERNAL_ERROR, INVALID_REQUEST, Message, NO_CREDENTIAL, error};
use super::token::Source;
use crate::cli::login::address::Address;
use crate::cli::login::session::NoToken;
use crate::cli::login::status::bearer;

const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const KINDS: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// The way to one asuser.
#[derive(Debug)]
pub(super) struct Relay {
    address: Address,
    endpoint: Url,
    http: Client,
    source: Source,
    /// The revision that the last `initialize` agreed on.
    agreed: Mutex<Option<String>>,
}

/// Why there is no answer.
enum Failed {
    NoToken(NoToken),
    Other(anyhow::Error),
}

impl Relay {
    pub(super) fn new(address: &Address, http: Client, source: Source) -> anyhow::Result<Self> {
        let endpoint = address.at("/mcp").context("the address has no /mcp")?;
        Ok(Self { address: address.clone(), endpoint, http, source, agreed: Mutex::new(None) })
    }

    /// The lines that answer a request. There is always one with its id.
    pub(super) async fn request(&self, message: &Message) -> Vec<String> {
        let id = &message.id;
        let Some(headers) = message.headers(self.agreed().as_deref()) else {
            return vec![error(id, INVALID_REQUEST, "`method` or the version holds characters that no header can")];
        };
        match self.exchange(message, &headers).await {
            Ok(answer) => {
                let advice = (answer.status == 401).then(|| self.source.advice(&self.address));
                let read = lines(&answer, id, advice.as_deref());
                if message.method == "initialize" && read.agreed.is_some() {
                    *self.agreed.lock().unwrap_or_else(PoisonError::into_inner) = read.agreed;
                }
                read.lines
            }
            Err(Failed::NoToken(NoToken::SignIn(why))) => vec![error(id, NO_CREDENTIAL, &why)],
            Err(Failed::NoToken(NoToken::Passing(why))) => vec![error(id, INTERNAL_ERROR, &why)],
            Err(Failed::Other(why)) => vec![error(id, INTERNAL_ERROR, &format!("asuser was not reached: {why:#}"))],
        }
    }

    /// Passes a notification on. Nobody is told if it does not arrive.
    pub(super) async fn notify(&self, message: &Message) {
        let Some(headers) = message.headers(self.agreed().as_deref()) else { return };
        match self.exchange(message, &headers).await {
            Ok(answer) if answer.status < 300 => {}
            Ok(answer) => tracing::warn!(status = answer.status, "asuser refuses a notification"),
            Err(Failed::NoToken(NoToken::SignIn(why) | NoToken::Passing(why))) => tracing::warn!("{why}"),
            Err(Failed::Other(why)) => tracing::warn!("asuser was not reached: {why:#}"),
        }
    }

    /// Waits until the program can end.
    pub(super) async fn settle(&self) {
        self.source.settle().await;
    }

    async fn exchange(&self, message: &Message, headers: &Headers) -> Result<Answer, Failed> {
        let token = self.source.token().await.map_err(Failed::NoToken)?;
        let answer = self.send(message, headers, &token).await.map_err(Failed::Other)?;
        if answer.status != 401 {
            return Ok(answer);
        }
        match self.source.after(&token).await {
            Some(other) => self.send(message, headers, &other).await.map_err(Failed::Other),
            None => Ok(answer),
        }
    }

    async fn send(&self, message: &Message, headers: &Headers, token: &Secret) -> anyhow::Result<Answer> {
        let mut request = Request::json(self.endpoint.clone(), &message.body)
            .header(ACCEPT, KINDS)
            .header(AUTHORIZATION, bearer(token)?);
        let Headers { version, method, name } = headers;
        for (header, value) in [(VERSION, version), (METHOD, method), (NAME, name)] {
            if let Some(value) = value {
                request = request.header(header, value.clone());
            }
        }
        Ok(self.http.send(request).await?)
    }

    fn agreed(&self) -> Option<String> {
        self.agreed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
