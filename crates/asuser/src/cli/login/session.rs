//! A sign-in in use: gives an access token that is good, renewing it when it is about to end or was refused.
//!
//! Many ask at once, in several processes. Whoever renews holds a lock and looks first whether another has done so already: most refresh
//! tokens work but once, and a server that sees one twice takes it for stolen. A renewal that has begun runs to its end, whoever stops
//! waiting for it.

use std::sync::Arc;

use anyhow::Context as _;
use asuser_core::{Clock as _, Secret, SystemClock};
use asuser_fetch::{Client, Url};
use tokio::sync::Mutex;

use super::address::Address;
use super::endpoint::{self, Refused};
use super::kept::Kept;
use super::store::{Place, Stamp, TokenStore};

/// An access token is renewed before its end: the request that it goes with takes some time too.
const MARGIN_MS: i64 = 60_000;
/// An asuser that refuses what was just renewed will refuse the next one too: the authorization server is not asked each time.
const RENEWED_APART_MS: i64 = 60_000;

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoToken {
    /// A person must act; the words say how.
    SignIn(String),
    /// It may do next time.
    Passing(String),
}

/// A kept sign-in.
#[derive(Debug)]
pub(crate) struct Session {
    url: String,
    http: Client,
    store: TokenStore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    kept: Kept,
    place: Place,
    /// Of the file that says so. `None`: another one may be there.
    stamp: Option<Stamp>,
    /// A refresh token of which the server said that it is no good: it is not asked again.
    spent: Option<Secret>,
    renewed_ms: Option<i64>,
}

impl Session {
    /// The sign-in at an asuser, if there is one.
    pub(crate) fn open(
        address: &Address,
        store: TokenStore,
        ca_pem: Option<&[u8]>,
    ) -> anyhow::Result<Option<Arc<Self>>> {
        let url = address.as_str().to_owned();
        let stamp = store.stamp(&url);
        let Some((kept, place)) = store.read(&url)? else { return Ok(None) };
        let http = address.provider_client(ca_pem)?;
        Ok(Some(Arc::new(Self {
            url,
            http,
            store,
            state: Mutex::new(State { kept, place, stamp, spent: None, renewed_ms: None }),
        })))
    }

    /// What is known of it.
    pub(crate) async fn kept(&self) -> (Kept, Place) {
        let state = self.state.lock().await;
        (state.kept.clone(), state.place)
    }

    /// An access token that is not known to be over, and is not the one that asuser refused.
    pub(crate) async fn token(self: &Arc<Self>, refused: Option<Secret>) -> Result<Secret, NoToken> {
        let session = Arc::clone(self);
        // A task of its own: who asked may go away while the answer with the only good refresh token is under way.
        let renewing = tokio::spawn(async move { session.fresh(refused.as_ref()).await });
        renewing.await.unwrap_or_else(|_| Err(NoToken::Passing("the sign-in could not be renewed".into())))
    }

    /// Waits for a renewal under way.
    pub(crate) async fn settle(&self) {
        drop(self.state.lock().await);
    }

    async fn fresh(&self, refused: Option<&Secret>) -> Result<Secret, NoToken> {
        let mut state = self.state.lock().await;
        let is_refused = |kept: &Kept| refused == Some(&kept.access_token);
        // Signed out, or in as somebody else: that counts from now on, not when the token ends.
        if state.stamp.is_none() || self.store.stamp(&self.url) != state.stamp {
            self.read(&mut state).await?;
        }
        if !is_refused(&state.kept) && !state.kept.ends_within(MARGIN_MS, now_ms()) {
            return Ok(state.kept.access_token.clone());
        }
        let passing = |error: anyhow::Error| NoToken::Passing(format!("{error:#}"));
        let _lock = self.blocking(|store, url| store.lock(&url)).await.map_err(passing)?;
        self.read(&mut state).await?;
        // Another process has renewed it, or the person has signed in again.
        if !is_refused(&state.kept) && !state.kept.ends_within(MARGIN_MS, now_ms()) {
            return Ok(state.kept.access_token.clone());
        }
        if is_refused(&state.kept) && state.renewed_ms.is_some_and(|at| now_ms().saturating_sub(at) < RENEWED_APART_MS)
        {
            return Err(self.sign_in("asuser refuses the token, although it is new"));
        }
        let still_good = !is_refused(&state.kept) && !state.kept.ends_within(0, now_ms());
        match self.renew(&mut state).await {
            Ok(()) => Ok(state.kept.access_token.clone()),
            Err(_) if still_good => Ok(state.kept.access_token.clone()),
            Err(why) => Err(why),
        }
    }

    async fn read(&self, state: &mut State) -> Result<(), NoToken> {
        // Before the look into it: what comes in between is seen the next time.
        state.stamp = None;
        let stamp = self.store.stamp(&self.url);
        let found = self.blocking(|store, url| store.read(&url)).await;
        match found.map_err(|error| NoToken::Passing(format!("{error:#}")))? {
            Some((kept, place)) => (state.kept, state.place, state.stamp) = (kept, place, stamp),
            None => return Err(self.sign_in("nobody is signed in any more")),
        }
        Ok(())
    }

    async fn renew(&self, state: &mut State) -> Result<(), NoToken> {
        let Some(refresh_token) = state.kept.refresh_token.clone() else {
            return Err(self.sign_in("the sign-in is over"));
        };
        if state.spent.as_ref() == Some(&refresh_token) {
            return Err(self.sign_in("the sign-in is over"));
        }
        let passing = |why: String| NoToken::Passing(format!("the sign-in could not be renewed: {why}"));
        let endpoint: Url = state.kept.token_endpoint.parse().map_err(|error| passing(format!("{error}")))?;
        let Kept { client, resource, .. } = &state.kept;
        let renewed =
            endpoint::refresh(&self.http, &endpoint, client, &refresh_token, resource.as_deref(), now_ms()).await;
        let tokens = renewed.map_err(|refused| match refused {
            Refused::Grant(why) => {
                state.spent = Some(refresh_token);
                self.sign_in(&format!("the sign-in is over: {why}"))
            }
            Refused::Other(why) => passing(why),
        })?;
        state.renewed_ms = Some(now_ms());
        let kept = &mut state.kept;
        kept.access_token = tokens.access_token;
        kept.expires_ms = tokens.expires_ms;
        // RFC 6749 §6: without a new one the old one stays.
        kept.refresh_token = tokens.refresh_token.or_else(|| kept.refresh_token.take());
        let (kept, place) = (state.kept.clone(), state.place);
        match self.blocking(move |store, _| store.write(&kept, place)).await {
            Ok(()) => state.stamp = self.store.stamp(&self.url),
            // It goes on in this process; the next one has to sign in.
            Err(error) => tracing::warn!(error = format!("{error:#}"), "the renewed sign-in cannot be kept"),
        }
        Ok(())
    }

    fn sign_in(&self, why: &str) -> NoToken {
        NoToken::SignIn(format!("{why}: run `asuser login --url {}`", self.url))
    }

    /// Files, locks and the keyring's program, off the runtime's threads.
    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&TokenStore, String) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let (store, url) = (self.store.clone(), self.url.clone());
        tokio::task::spawn_blocking(move || act(&store, url)).await.context("it was stopped")?
    }
}

fn now_ms() -> i64 {
    SystemClock.now_ms()
}
