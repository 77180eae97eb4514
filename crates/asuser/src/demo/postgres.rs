//! The demo on PostgreSQL. In: the address of a server, or none. Out: a [`Postgres`] with the company in it, and the configuration
//! of a service on it. Refuses to touch anything on somebody's server that it did not make itself.

mod given;
mod installed;
mod own;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use asuser_core::Secret;
use asuser_postgres::{Client, Credentials, Target};

use super::company::postgres::{Names, POLICIES};
use super::issuer::DemoIssuer;
use crate::config::{Loaded, ServiceConfig, ServiceKind};
use crate::wiring;

/// Read from the environment: a command line is seen by others.
const PASSWORD: &str = "ASUSER_DEMO_PASSWORD";

/// A server with the company in it.
pub(super) struct Postgres {
    pub(super) names: Names,
    /// Where the company is, as whoever owns it.
    admin: Login,
    /// The same, as asuser itself goes there.
    login: Login,
    place: Place,
}

enum Place {
    /// Ends when it is dropped.
    Own { server: own::Server },
    /// The connection holds a lock, so that no other demo is here meanwhile.
    Given { _lock: Client, keep: bool },
}

/// Where to go, and as whom.
struct Login {
    target: Target,
    password: Option<Secret>,
}

impl Login {
    async fn connect(&self) -> Result<Client, asuser_postgres::PgError> {
        Client::connect(&self.target, &Credentials::of(&*self.target.user, self.password.clone())).await
    }
}

/// A database that is ready, with the configuration in its folder.
pub(super) struct Ready {
    pub(super) postgres: Postgres,
    pub(super) issuer: DemoIssuer,
    pub(super) loaded: Loaded,
}

enum Source<'a> {
    Given(&'a str),
    Own(own::Plan),
}

/// Takes up a server (starts one where no URL is given), with the company in it. What was kept in the folder is taken as it is.
pub(super) async fn start(url: Option<&str>, folder: &Path, keep: bool) -> anyhow::Result<Ready> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let folder = folder.canonicalize()?;
    let kept = folder.join("asuser.toml").exists();
    let (source, address) = match url {
        Some(url) => (Source::Given(url), given::service_url(url)?),
        None => {
            let plan = own::Plan::of(&folder, kept, keep)?;
            let address = plan.address.clone();
            (Source::Own(plan), address)
        }
    };
    let (issuer, files) = prepare(&folder, url.is_some(), &address)?;
    let loaded = files.read(&address)?;
    let service = loaded.config.service.first().context("the configuration has no service")?;
    let postgres = match source {
        Source::Given(url) => given::start(url, &loaded, service, keep).await?,
        Source::Own(plan) => own::start(plan, &loaded, service).await?,
    };
    match files.finish() {
        Ok(loaded) => Ok(Ready { postgres, issuer, loaded }),
        Err(error) => {
            postgres.end().await?;
            Err(error)
        }
    }
}

/// The folder's configuration; it has its name once everything that it speaks of is there.
struct Files {
    now: PathBuf,
    finished: PathBuf,
}

impl Files {
    fn read(&self, address: &str) -> anyhow::Result<Loaded> {
        let loaded = Loaded::read(&self.now)?;
        let service = loaded.config.service.first();
        if service
            .is_none_or(|service| service.kind != ServiceKind::Postgres || service.url.as_deref() != Some(address))
        {
            bail!(
                "{} is of a demo on another database than {address}: name another folder with --keep",
                self.now.display()
            );
        }
        Ok(loaded)
    }

    fn finish(self) -> anyhow::Result<Loaded> {
        if self.now != self.finished {
            std::fs::rename(&self.now, &self.finished)?;
        }
        Loaded::read(&self.finished)
    }
}

fn prepare(folder: &Path, given: bool, address: &str) -> anyhow::Result<(DemoIssuer, Files)> {
    let finished = folder.join("asuser.toml");
    if finished.exists() {
        return Ok((DemoIssuer::open(folder)?, Files { now: finished.clone(), finished }));
    }
    let now = folder.join("asuser.toml.new");
    if given {
        super::write_private(&folder.join("login.password"), given::new_password()?.as_bytes())?;
    }
    let keys = if given { given::keys(address) } else { own::keys(address) };
    let issuer = super::fill(folder, &POLICIES)?;
    std::fs::write(&now, super::configuration(&keys))?;
    Ok((issuer, Files { now, finished }))
}

/// asuser's own login, as the configuration has it.
fn login(loaded: &Loaded, service: &ServiceConfig) -> anyhow::Result<Login> {
    Ok(Login {
        target: wiring::postgres::target(loaded, service)?,
        password: wiring::postgres::password(loaded, service)?,
    })
}

impl Postgres {
    /// A connection of the company's owner.
    pub(super) async fn as_owner(&self) -> anyhow::Result<Client> {
        self.admin.connect().await.context("the demo's database cannot be reached")
    }

    /// A connection of asuser's own login, which may do nothing until it takes somebody's role.
    pub(super) async fn as_login(&self) -> anyhow::Result<Client> {
        self.login.connect().await.context("the demo's database cannot be reached")
    }

    /// How to look into the database without asuser.
    pub(super) fn psql(&self) -> String {
        let Target { hosts, user, database, .. } = &self.admin.target;
        match hosts.first() {
            Some(asuser_postgres::Host::Unix(folder, port)) => {
                format!("psql -h {} -p {port} -U {user} {database}", folder.display())
            }
            Some(asuser_postgres::Host::Tcp(host, port)) => format!("psql -h {host} -p {port} -U {user} {database}"),
            None => String::new(),
        }
    }

    /// The server's log, where it is the demo's own.
    pub(super) fn log(&self) -> Option<&Path> {
        match &self.place {
            Place::Own { server } => Some(server.log()),
            Place::Given { .. } => None,
        }
    }

    /// Leaves nothing behind, or says what.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        match self.place {
            Place::Own { server } => {
                drop(server);
                Ok(())
            }
            Place::Given { keep, .. } => given::end(&self.admin, keep).await,
        }
    }
}
