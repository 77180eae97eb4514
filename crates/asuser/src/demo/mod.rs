//! `asuser demo`: the product on one machine, with a company, its people and their tokens, and nothing to install. With
//! `--postgres`, the same on PostgreSQL: one that is installed, or a server of yours.
//!
//! It writes a configuration like anybody's into a folder and starts the same server that `asuser serve` starts.

mod client;
mod company;
mod issuer;
mod postgres;
mod scene;
mod witness;

use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use http::StatusCode;

use crate::config::{Loaded, ServiceKind};
use crate::running::{self, Running};
use crate::{cli, out};
use company::PEOPLE;
use issuer::DemoIssuer;
use postgres::Postgres;

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
    /// Keep the company in PostgreSQL: in the server of this URL, else in one of its own, started from what is installed here.
    ///
    /// In a server of yours it makes a schema `asuser_demo` and roles named `asuser_demo_…`, and removes them at the end; with
    /// --keep it leaves them there. The URL's user needs CREATE on the database and CREATEROLE; its password is read from the
    /// variable ASUSER_DEMO_PASSWORD.
    #[arg(long, value_name = "URL")]
    postgres: Option<Option<String>>,
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
    // From here on Ctrl-C is heard, and whatever was made is taken down before the end.
    let mut asked = tokio::spawn(running::until_asked_to_stop());
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
    let stage =
        Stage::set(&folder, arguments.postgres.as_ref().map(Option::as_deref), arguments.keep.is_some()).await?;
    let played = tokio::select! {
        played = stage.play(arguments.port) => played.map(Some),
        _ = &mut asked => Ok(None),
    };
    let held = match played {
        Ok(Some((running, held))) => {
            if !arguments.once && held {
                stage.invite(&running, temporary.is_some())?;
                asked.await??;
            }
            running.stop().await;
            Ok(held)
        }
        Ok(None) => Ok(false),
        Err(error) => Err(error),
    };
    let ended = stage.end().await;
    match held.and_then(|held| ended.map(|()| held)) {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        Err(error) if nobody_reads(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error),
    }
}

/// Writes a line. A reader that goes away (`asuser demo | head`) ends the scene, and what was made for it is still taken down.
fn say(text: impl std::fmt::Display) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

fn nobody_reads(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// What the scene is played on.
struct Stage {
    folder: PathBuf,
    issuer: DemoIssuer,
    loaded: Loaded,
    postgres: Option<Postgres>,
}

impl Stage {
    /// Makes the company in a new folder; takes a kept one as it is.
    async fn set(folder: &Path, postgres: Option<Option<&str>>, keep: bool) -> anyhow::Result<Self> {
        if let Some(url) = postgres {
            let postgres::Ready { postgres, issuer, loaded } = postgres::start(url, folder, keep).await?;
            return Ok(Self { folder: folder.to_owned(), issuer, loaded, postgres: Some(postgres) });
        }
        let issuer = prepare(folder)?;
        let loaded = Loaded::read(&folder.join("asuser.toml"))?;
        if loaded.config.service.first().is_some_and(|service| service.kind == ServiceKind::Postgres) {
            bail!("{} holds a demo on PostgreSQL: start it with --postgres, as it was made", folder.display());
        }
        Ok(Self { folder: folder.to_owned(), issuer, loaded, postgres: None })
    }

    /// Serves, and plays the scene; true if every expectation held.
    async fn play(&self, port: u16) -> anyhow::Result<(Running, bool)> {
        let running = start(&self.loaded, port).await?;
        remember(&self.folder)?;
        let held = async {
            // The scene would say for each sentence that it does not hold, and not why.
            if client::get(running.address, "/ready", "").await?.status != StatusCode::OK {
                bail!("the database is not ready for asuser: its log, above, says why and what mends it");
            }
            scene::play(&running, &self.issuer, &self.folder, self.postgres.as_ref()).await
        };
        match held.await {
            Ok(held) => Ok((running, held)),
            Err(error) => {
                running.stop().await;
                Err(error)
            }
        }
    }

    fn invite(&self, running: &Running, temporary: bool) -> anyhow::Result<()> {
        scene::invite(running.address, &self.folder, temporary, self.postgres.as_ref())
    }

    async fn end(self) -> anyhow::Result<()> {
        match self.postgres {
            Some(postgres) => postgres.end().await,
            None => Ok(()),
        }
    }
}

/// Fills a new folder, with a database of SQLite; takes a kept one as it is.
pub(crate) fn prepare(folder: &Path) -> anyhow::Result<DemoIssuer> {
    if folder.join("asuser.toml").exists() {
        return DemoIssuer::open(folder);
    }
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    company::sqlite::create(&folder.join("company.db")).context("the company's database cannot be written")?;
    let issuer = fill(folder, &company::sqlite::POLICIES)?;
    let keys = Keys { mapping: "", service: "kind = \"sqlite\"\npath = \"company.db\"".to_owned() };
    fs::write(folder.join("asuser.toml"), configuration(&keys))?;
    Ok(issuer)
}

/// Policies, and who vouches for people.
fn fill(folder: &Path, policies: &[(&str, &str)]) -> anyhow::Result<DemoIssuer> {
    for (name, text) in policies {
        let path = folder.join("policies").join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text)?;
    }
    DemoIssuer::create(folder)
}

/// What a kind of database has of its own in the configuration.
struct Keys {
    /// Of the identity provider.
    mapping: &'static str,
    service: String,
}

fn configuration(keys: &Keys) -> String {
    let Keys { mapping, service } = keys;
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
{mapping}
[identity.attributes]
region = {{ claim = "region", type = "string" }}

[[service]]
name = "db"
{service}

[[agent]]
client_id = "{agent}"
name = "Sales copilot"
may = ["db:read", "db:raw_sql"]
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
