//! `asuser login`: a person signs in at their own machine, so that agents on it can ask for them.
//!
//! In: an asuser's address, and a browser. Out: tokens for that asuser, kept for `asuser mcp`. Shows no token. Refuses an authorization
//! server without PKCE (S256), an answer that is not of this sign-in, and a token that asuser itself does not accept.

pub(crate) mod address;
mod authorize;
mod browser;
mod discovery;
pub(crate) mod endpoint;
pub(crate) mod kept;
mod keyring;
mod loopback;
pub(crate) mod session;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod words;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use asuser_core::{Clock as _, SystemClock};
use asuser_fetch::Client;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::out;
use address::{Address, Limits, read_ca};
use authorize::{Asked, Attempt, Expected};
use discovery::{Provider, Resource};
use endpoint::{Exchange, Tokens};
use kept::{ClientAuth, Kept, OauthClient};
use loopback::Loopback;
use store::{TokenStore, Wanted};

/// A person has to find a password, and perhaps a second factor.
const PATIENCE: Duration = Duration::from_secs(300);
/// Ended by Ctrl-C, as shells say it.
const INTERRUPTED: u8 = 130;
/// It does PKCE without saying so, knows no `resource`, and shows its consent page to people who may not consent.
const ENTRA: &str = "https://login.microsoftonline.com/";

#[derive(Debug, Args)]
pub(super) struct LoginArguments {
    #[command(flatten)]
    at: At,
    /// Say who is signed in, and for how long.
    #[arg(long, conflicts_with_all = ["client_id", "scope", "no_browser", "issuer", "redirect", "no_resource", "resource", "assume_pkce"])]
    status: bool,
    /// The client that the authorization server knows asuser by; without it, asuser registers itself if it may.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The scopes, separated by blanks; by default what asuser says it needs, and renewal if there is such a scope.
    #[arg(long)]
    scope: Option<String>,
    /// The authorization server, if asuser accepts several.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Open no browser: the address is printed.
    #[arg(long)]
    no_browser: bool,
    /// Where the tokens are kept.
    #[arg(long, value_enum, default_value = "auto")]
    store: Wanted,
    /// Where the browser comes back to, as registered for the client; port 0 is any.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:0/callback")]
    redirect: String,
    /// What the token is to be for, if not the asuser at --url.
    #[arg(long, value_name = "URI")]
    resource: Option<String>,
    /// Do not say what the token is to be for (RFC 8707): some authorization servers refuse that.
    #[arg(long, conflicts_with = "resource")]
    no_resource: bool,
    /// The authorization server does PKCE (S256), although it does not say so.
    #[arg(long)]
    assume_pkce: bool,
}

/// Which asuser.
#[derive(Debug, Clone, Args)]
pub(super) struct At {
    /// The asuser, such as https://asuser.example.com.
    #[arg(long, env = "ASUSER_URL")]
    pub(super) url: Address,
    /// Certificates (PEM) to trust besides the system's.
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
}

pub(super) fn run(arguments: &LoginArguments) -> anyhow::Result<ExitCode> {
    super::start_log("error");
    let runtime = super::runtime()?;
    let code = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).context("Ctrl-C cannot be waited for")?;
        tokio::select! {
            done = act(arguments) => done,
            _ = interrupt.recv() => {
                out::line("\nthe sign-in was given up")?;
                Ok(ExitCode::from(INTERRUPTED))
            }
        }
    });
    // A keyring that waits for its password does not hold the end up.
    runtime.shutdown_background();
    code
}

async fn act(arguments: &LoginArguments) -> anyhow::Result<ExitCode> {
    let At { url, ca } = &arguments.at;
    let ca = read_ca(ca.as_deref())?;
    let store = TokenStore::of_person()?;
    if arguments.status {
        return status::status(url, store, ca.as_deref()).await;
    }
    let asuser = url.client(Limits::SMALL, ca.as_deref())?;
    let http = url.provider_client(ca.as_deref())?;
    let resource = discovery::resource(&asuser, url).await?;
    let issuer = discovery::choose(&resource, arguments.issuer.as_deref())?;
    let assume_pkce = arguments.assume_pkce || issuer.starts_with(ENTRA);
    let provider = discovery::provider(&http, issuer, assume_pkce).await?;

    let signed_in = sign_in(arguments, &http, &resource, &provider).await?;
    // asuser's own word, before anything is kept: a token that it does not accept is of no use.
    let person = status::whoami(&asuser, url, &signed_in.access_token).await?;
    let kept = Kept { expires_ms: signed_in.expires_ms.or(person.expires_ms), ..signed_in };
    let report = status::report(&kept, &person, SystemClock.now_ms());
    let wanted = arguments.store;
    let (place, why_not) = tokio::task::spawn_blocking(move || {
        // Not while another process renews what was there.
        let _lock = store.lock(&kept.url)?;
        store.keep(&kept, wanted).map(|(place, why)| (status::place(&store, &kept.url, place), why))
    })
    .await
    .context("the tokens were not kept")??;
    out::line(report)?;
    if let Some(why) = why_not {
        out::line(format_args!("no keyring is used: {why:#}"))?;
    }
    out::line(format_args!("kept in {place}; `asuser logout --url {}` ends it", url.as_str()))?;
    Ok(ExitCode::SUCCESS)
}

async fn sign_in(
    arguments: &LoginArguments,
    http: &Client,
    resource: &Resource,
    provider: &Provider,
) -> anyhow::Result<Kept> {
    let loopback = Loopback::listen(&arguments.redirect).await?;
    let redirect = loopback.redirect.clone();
    let scope = arguments.scope.clone().unwrap_or_else(|| default_scope(resource, provider));
    let client = client(arguments, http, provider, &redirect, &scope).await?;
    let is_entra = provider.issuer.starts_with(ENTRA);
    let says_resource = !arguments.no_resource && (!is_entra || arguments.resource.is_some());
    let target = arguments.resource.as_deref().unwrap_or(&resource.identifier);
    let target = Some(target).filter(|_| says_resource);
    let attempt = Attempt::new()?;
    let asked = Asked {
        client_id: &client.id,
        redirect: &redirect,
        scope: &scope,
        resource: target,
        // OpenID Connect Core §11: without it, no refresh token.
        prompt: (scope.split(' ').any(|scope| scope == "offline_access") && !is_entra).then_some("consent"),
    };
    let address = authorize::url(&provider.authorization_endpoint, asked, &attempt);
    out::line(format_args!("sign in here:\n\n  {address}\n"))?;
    if !arguments.no_browser && !browser::open(&address) {
        out::line("no browser could be opened: open the address yourself, on this machine")?;
    }
    let expected = Expected {
        path: loopback.path.clone(),
        state: attempt.state.clone(),
        issuer: provider.issuer.clone(),
        says_issuer: provider.says_issuer,
    };
    let code = match tokio::time::timeout(PATIENCE, loopback.wait(expected)).await {
        Ok(code) => code?,
        Err(_) => bail!("nobody signed in within {} minutes", PATIENCE.as_secs() / 60),
    };
    let exchange = Exchange { client: &client, code: &code, redirect: &redirect, attempt: &attempt, resource: target };
    let tokens = exchange.send(http, &provider.token_endpoint, SystemClock.now_ms()).await?;
    let target = target.map(str::to_owned);
    Ok(kept(&arguments.at.url, provider, client, target, scope, tokens))
}

fn kept(
    url: &Address,
    provider: &Provider,
    client: OauthClient,
    resource: Option<String>,
    asked: String,
    tokens: Tokens,
) -> Kept {
    Kept {
        url: url.as_str().to_owned(),
        issuer: provider.issuer.clone(),
        token_endpoint: provider.token_endpoint.text(),
        revocation_endpoint: provider.revocation_endpoint.as_ref().map(asuser_fetch::Url::text),
        client,
        resource,
        // RFC 6749 §5.1: left out where it is what was asked for.
        scope: tokens.scope.unwrap_or(asked),
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        expires_ms: tokens.expires_ms,
    }
}

/// What asuser needs, and what OpenID providers want to hear for a refresh token, as far as this one knows it.
fn default_scope(resource: &Resource, provider: &Provider) -> String {
    let known = |name: &&str| provider.scopes.iter().any(|scope| scope == name);
    let mut scopes: Vec<&str> = resource.scopes.iter().map(String::as_str).collect();
    scopes.extend(
        ["openid", "offline_access"].iter().filter(|name| known(name) && !resource.scopes.iter().any(|s| s == *name)),
    );
    scopes.join(" ")
}

async fn client(
    arguments: &LoginArguments,
    http: &Client,
    provider: &Provider,
    redirect: &str,
    scope: &str,
) -> anyhow::Result<OauthClient> {
    if let Some(id) = &arguments.client_id {
        return Ok(OauthClient { id: id.clone(), auth: ClientAuth::None, secret: None });
    }
    match &provider.registration_endpoint {
        Some(endpoint) => endpoint::register(http, endpoint, redirect, scope).await,
        None => bail!(
            "`{}` registers no client by itself. Have a public (native) client registered there: redirect address {}, grants \
             authorization_code and refresh_token, PKCE S256, no secret; then name it with --client-id",
            provider.issuer,
            arguments.redirect.replacen(":0/", "/", 1)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scopes_that_the_server_knows_are_added() {
        let resource = |scopes: &[&str]| Resource {
            identifier: String::new(),
            issuers: Vec::new(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        let provider = |scopes: &[&str]| Provider {
            issuer: String::new(),
            authorization_endpoint: "https://l.example/a".parse().unwrap(),
            token_endpoint: "https://l.example/t".parse().unwrap(),
            registration_endpoint: None,
            revocation_endpoint: None,
            says_issuer: false,
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        assert_eq!(
            default_scope(&resource(&["db:read"]), &provider(&["openid", "offline_access"])),
            "db:read openid offline_access"
        );
        assert_eq!(default_scope(&resource(&["db:read"]), &provider(&[])), "db:read");
        assert_eq!(default_scope(&resource(&["openid"]), &provider(&["openid"])), "openid");
        assert_eq!(default_scope(&resource(&[]), &provider(&[])), "");
    }
}
