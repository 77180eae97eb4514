//! `asuser demo`: the product on one machine, with a company, its people and their tokens, and nothing to install.
//!
//! It writes a configuration like anybody's into a folder and starts the same server that `asuser serve` starts.

mod client;
mod company;
mod issuer;
mod scene;

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use crate::config::Loaded;
use crate::running::{self, Running};
use crate::{cli, out};
use company::PEOPLE;
use issuer::DemoIssuer;

/// Names the folder of the demo that was started last.
const POINTER: &str = "current";
const PORTS_TRIED: u16 = 20;

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    #[command(subcommand)]
    command: Option<DemoCommand>,
    /// Play the scene, check every expectation and end: exit code 0 only if all of them held.
    #[arg(long)]
    once: bool,
    /// Keep everything in this folder (it is made if it is missing) instead of a temporary one.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// The port to listen on; a busy one picks the next.
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

#[derive(Debug, Subcommand)]
enum DemoCommand {
    /// Print an access token of one of the demo's people.
    Token {
        /// john, jane, maria or sam.
        person: String,
        /// The agent that the token names.
        #[arg(long, default_value = issuer::AGENT)]
        agent: String,
        /// The demo's folder; by default that of the demo started last.
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
    },
}

pub(crate) fn run(arguments: DemoArguments) -> anyhow::Result<ExitCode> {
    if let Some(DemoCommand::Token { person, agent, keep }) = arguments.command {
        let folder = keep.map_or_else(last_folder, Ok)?;
        out::line(token(&folder, &person, &agent)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    cli::start_log("warn");
    cli::runtime()?.block_on(play(arguments))
}

/// An access token of one of the demo's people.
pub(crate) fn token(folder: &Path, person: &str, agent: &str) -> anyhow::Result<String> {
    let Some(person) = PEOPLE.iter().find(|known| known.short == person) else {
        let known: Vec<_> = PEOPLE.iter().map(|person| person.short).collect();
        bail!("the demo knows nobody called `{person}`: it knows {}", known.join(", "));
    };
    DemoIssuer::open(folder)?.token(person, agent, Duration::from_secs(8 * 3600))
}

async fn play(arguments: DemoArguments) -> anyhow::Result<ExitCode> {
    // Lives as long as the demo: dropping it deletes the folder.
    let temporary = match arguments.keep {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("asuser-demo-").tempdir()?),
    };
    let folder = match (&arguments.keep, &temporary) {
        (Some(folder), _) => folder.clone(),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => bail!("the demo has no folder"),
    };
    let issuer = prepare(&folder)?;
    let loaded = Loaded::read(&folder.join("asuser.toml"))?;
    let running = start(&loaded, arguments.port).await?;
    remember(&folder)?;

    let held = scene::play(&running, &issuer, &folder).await?;
    if !arguments.once && held {
        scene::invite(running.address, &folder, temporary.is_some())?;
        running::until_asked_to_stop().await?;
    }
    running.stop().await;
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Fills a new folder; takes a kept one as it is.
pub(crate) fn prepare(folder: &Path) -> anyhow::Result<DemoIssuer> {
    if folder.join("asuser.toml").exists() {
        return DemoIssuer::open(folder);
    }
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    company::create(&folder.join("company.db")).context("the company's database cannot be written")?;
    for (name, text) in company::POLICIES {
        let path = folder.join("policies").join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text)?;
    }
    let issuer = DemoIssuer::create(folder)?;
    fs::write(folder.join("asuser.toml"), configuration())?;
    Ok(issuer)
}

fn configuration() -> String {
    format!(
        r#"[audit]
checkpoint_to = ["file:checkpoints"]

[[identity]]
name = "demo"
kind = "jwt"
issuer = "{issuer}"
audience = "{audience}"
jwks_file = "issuer.jwks.json"
domains = ["company.com"]

[identity.attributes]
region = {{ claim = "region", type = "string" }}

[[service]]
name = "db"
kind = "sqlite"
path = "company.db"

[[agent]]
client_id = "{agent}"
name = "Sales copilot"
may = ["db:read"]
"#,
        issuer = issuer::ISSUER,
        audience = issuer::AUDIENCE,
        agent = issuer::AGENT
    )
}

/// Listens on the port, or on the first free one after it.
async fn start(loaded: &Loaded, port: u16) -> anyhow::Result<Running> {
    for tried in port..=port.saturating_add(PORTS_TRIED) {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), tried);
        // Looked at before the audit log is opened: a busy port is no reason to write records.
        if std::net::TcpListener::bind(address).is_ok() {
            return running::start(loaded, Some(address)).await;
        }
    }
    bail!("no port from {port} to {} is free: choose another with --port", port.saturating_add(PORTS_TRIED))
}

/// Writes a file that only its owner reads.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(bytes)).with_context(|| format!("{} cannot be written", path.display()))
}

/// Where the last demo's folder is written down: in a folder that only this user can have made.
fn pointer() -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
    let user = rustix::process::geteuid().as_raw();
    let folder = std::env::temp_dir().join(format!("asuser-demo-of-{user}"));
    if !folder.exists() {
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
    }
    let found = fs::symlink_metadata(&folder)?;
    if !found.is_dir() || found.uid() != user || found.mode() & 0o077 != 0 {
        bail!("{} belongs to somebody else: name the demo's folder with --keep", folder.display());
    }
    Ok(folder.join(POINTER))
}

fn remember(folder: &Path) -> anyhow::Result<()> {
    write_private(&pointer()?, folder.canonicalize()?.as_os_str().as_encoded_bytes())
}

fn last_folder() -> anyhow::Result<PathBuf> {
    let text =
        fs::read_to_string(pointer()?).context("no demo was started: start `asuser demo`, and leave it running")?;
    Ok(PathBuf::from(text))
}
