//! `asuser mcp`: MCP over standard input and output, for clients that start a program instead of connecting to an address.
//!
//! In: JSON-RPC messages, one a line. Out: the answers of an asuser, one a line; standard output holds nothing else. The token comes from
//! a file, from `ASUSER_TOKEN`, or from `asuser login`; without one it does not start. It is sent to that asuser and nowhere else.

mod answer;
mod message;
mod pipes;
mod relay;
mod stdio;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::login::At;
use super::login::address::{Limits, read_ca};
use relay::Relay;
use token::Source;

/// A statement may take long; asuser's own limits end it before. Rows of 8 MiB come twice, as data and as text.
const REQUEST: Limits = Limits { timeout: Duration::from_secs(300), body_bytes_max: 32 << 20 };
/// There is no token to begin with.
const NO_TOKEN: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct McpArguments {
    #[command(flatten)]
    at: At,
    /// Speak MCP on standard input and output. There is no other way yet: over HTTP, clients connect to the server's /mcp themselves.
    #[arg(long, required = true)]
    stdio: bool,
    /// A file with the token, which only you can read. Read anew when it changes. Without it: ASUSER_TOKEN, else `asuser login`.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub(super) fn run(arguments: &McpArguments) -> anyhow::Result<ExitCode> {
    super::start_log("warn");
    let At { url, ca } = &arguments.at;
    let ca = read_ca(ca.as_deref())?;
    let source = match Source::find(url, arguments.token_file.as_deref(), ca.as_deref()) {
        Ok(source) => source,
        Err(error) => {
            tracing::error!("{error:#}");
            return Ok(ExitCode::from(NO_TOKEN));
        }
    };
    let relay = Relay::new(url, url.client(REQUEST, ca.as_deref())?, source)?;
    let runtime = super::runtime()?;
    let ended = runtime.block_on(stdio::serve(relay));
    // The thread that reads standard input may wait for ever.
    runtime.shutdown_background();
    ended
}
