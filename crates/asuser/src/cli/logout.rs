//! `asuser logout`: ends what `asuser login` began.

use std::process::ExitCode;

use anyhow::Context as _;
use asuser_fetch::Url;
use clap::Args;

use super::login::At;
use super::login::address::{Address, read_ca};
use super::login::endpoint;
use super::login::kept::Kept;
use super::login::store::TokenStore;
use crate::out;

#[derive(Debug, Args)]
pub(super) struct LogoutArguments {
    #[command(flatten)]
    at: At,
}

pub(super) fn run(arguments: &LogoutArguments) -> anyhow::Result<ExitCode> {
    super::start_log("error");
    let runtime = super::runtime()?;
    let code = runtime.block_on(end(&arguments.at));
    runtime.shutdown_background();
    code
}

/// What is kept is deleted in any case. Exit code 1 if the authorization server could not be told.
async fn end(At { url, ca }: &At) -> anyhow::Result<ExitCode> {
    let (ca, store) = (read_ca(ca.as_deref())?, TokenStore::of_person()?);
    let address = url.as_str().to_owned();
    let forget = move || {
        // Whoever renews the tokens would write them back.
        let _lock = store.lock(&address)?;
        let kept = store.read(&address);
        anyhow::Ok((store.delete(&address)?, kept))
    };
    let (was_there, kept) = tokio::task::spawn_blocking(forget).await.context("nothing was deleted")??;
    if !was_there {
        out::line(format_args!("nobody is signed in at {}", url.as_str()))?;
        return Ok(ExitCode::SUCCESS);
    }
    out::line(format_args!("the tokens for {} are deleted from this machine", url.as_str()))?;
    let told = match kept {
        Ok(Some((kept, _))) => revoke(url, &kept, ca.as_deref()).await,
        Ok(None) => Ok("there was none left to revoke".to_owned()),
        Err(error) => Err(error.context("what they were cannot be read, so none was revoked")),
    };
    match told {
        Ok(words) => {
            out::line(words)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(error.context("they may be good until they end by themselves")),
    }
}

/// The refresh token first: with it goes, at most servers, all that came from it (RFC 7009 §2.1).
async fn revoke(url: &Address, kept: &Kept, ca_pem: Option<&[u8]>) -> anyhow::Result<String> {
    let Some(revocation) = &kept.revocation_endpoint else {
        return Ok(format!("{} cannot revoke tokens: they end by themselves", kept.issuer));
    };
    let (http, revocation): (_, Url) = (url.provider_client(ca_pem)?, revocation.parse()?);
    if let Some(token) = &kept.refresh_token {
        endpoint::revoke(&http, &revocation, &kept.client, token, "refresh_token").await?;
    }
    let access = endpoint::revoke(&http, &revocation, &kept.client, &kept.access_token, "access_token").await;
    Ok(match (access, &kept.refresh_token) {
        (Ok(()), _) => format!("and revoked at {}", kept.issuer),
        // RFC 7009 §2.2.1: a server need not be able to revoke access tokens that it does not keep.
        (Err(_), Some(_)) => {
            format!("and the refresh token is revoked at {}; the access token ends by itself", kept.issuer)
        }
        (Err(error), None) => return Err(error),
    })
}
