//! `asuser whoami`.

use std::io::Read as _;
use std::process::ExitCode;

use anyhow::Context as _;
use asuser_core::{Clock as _, Secret, SystemClock};
use asuser_identity::Credential;
use clap::Args;

use super::ConfigFile;
use crate::config::Loaded;
use crate::{out, wiring};

#[derive(Debug, Args)]
pub(super) struct WhoamiArguments {
    /// The token; `-` reads it from standard input, where no process list shows it.
    #[arg(long, value_name = "TOKEN", default_value = "-", env = "ASUSER_TOKEN", hide_env_values = true)]
    token: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn run(arguments: WhoamiArguments) -> anyhow::Result<ExitCode> {
    super::start_log("error");
    let mut token = arguments.token;
    if token == "-" {
        token.clear();
        // No token is longer than what the server accepts in a request head.
        std::io::stdin()
            .lock()
            .take(64 * 1024)
            .read_to_string(&mut token)
            .context("no token came on standard input")?;
    }
    let loaded = Loaded::read(&arguments.file.config)?;
    let credential = Credential::Bearer(Secret::new(token.trim().to_owned()));
    let (identities, now_ms) = (wiring::identities(&loaded)?, SystemClock.now_ms());
    super::runtime()?.block_on(identities.refresh(now_ms));
    let explanation = identities.explain(&credential, now_ms);
    if arguments.json {
        out::line(serde_json::to_string_pretty(&explanation)?)?;
    } else {
        out::line(explanation.to_string().trim_end())?;
    }
    Ok(if explanation.accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
