//! What is known of a role for a minute: whether it may be used, its own settings, and what it can read. Read over the service's own
//! login, which sees the catalogue and no table.

use std::sync::Arc;
use std::time::{Duration, Instant};

use asuser_core::{ColumnIx, Reach, ReachedColumns};
use asuser_credential::{ClientCertificate, LIFETIME_S_MAX};
use asuser_postgres::{Client, Credentials, PgError};
use quick_cache::sync::Cache;
use tokio::sync::{Mutex, MutexGuard};

use crate::catalog::Known;
use crate::options::{PostgresOptions, RunAs};
use crate::roles::{self, Readable, RoleFacts, RoleQuestion};
use crate::transaction::{IdentityText, Mode};
use crate::types::{PgColumn, PgTable};
use crate::{PostgresError, catalog};

/// Roles remembered at a time.
const ROLES_MAX: usize = 10_000;
/// SPEC C: settings of a role are at most a minute old.
const FRESH: Duration = Duration::from_secs(60);

/// A role, as it was when it was read.
#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) facts: RoleFacts,
    pub(crate) identity: IdentityText,
    pub(crate) reach: Arc<Reach>,
    at: Instant,
}

/// The service's own login.
pub(crate) struct Keeper {
    client: Mutex<Option<Client>>,
    roles: Cache<String, Arc<Role>>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

impl Keeper {
    pub(crate) fn new() -> Self {
        Self { client: Mutex::new(None), roles: Cache::new(ROLES_MAX) }
    }

    /// The catalogue, if the login is what it must be.
    pub(crate) async fn catalog(&self, options: &PostgresOptions) -> Result<Known, PostgresError> {
        let mut guard = self.connected(options).await?;
        let mut client = guard.take().ok_or_else(gone)?;
        let powers = matches!(options.run_as, RunAs::Role);
        roles::login_is_powerless(&mut client, &options.target.user, powers).await?;
        let known = catalog::read(&mut client, &options.service, &options.schemas).await?;
        *guard = Some(client);
        Ok(known)
    }

    /// What is known of a role.
    pub(crate) async fn role(
        &self,
        name: &str,
        options: &PostgresOptions,
        known: &Known,
    ) -> Result<Arc<Role>, PostgresError> {
        if let Some(role) = self.roles.get(name).filter(|role| role.at.elapsed() < FRESH) {
            return Ok(role);
        }
        let mut guard = self.connected(options).await?;
        // Somebody else may have asked while this one waited.
        if let Some(role) = self.roles.get(name).filter(|role| role.at.elapsed() < FRESH) {
            return Ok(role);
        }
        let mut client = guard.take().ok_or_else(gone)?;
        let question = RoleQuestion { path: &options.schemas };
        let facts = roles::read(&mut client, name, &question).await?;
        *guard = Some(client);
        drop(guard);
        let mode = match options.run_as {
            RunAs::Role => Mode::Role,
            RunAs::Certificate(_) => Mode::Login,
        };
        let identity = IdentityText::new(mode, &facts.settings, options.claims_key.is_some());
        let reach = Arc::new(reach(&facts, known));
        let role = Arc::new(Role { facts, identity, reach, at: Instant::now() });
        self.roles.insert(name.to_owned(), Arc::clone(&role));
        Ok(role)
    }

    /// Forgets what roles were: the catalogue changed.
    pub(crate) fn forget(&self) {
        self.roles.clear();
    }

    /// A connection that answers.
    async fn connected(&self, options: &PostgresOptions) -> Result<MutexGuard<'_, Option<Client>>, PostgresError> {
        let mut guard = self.client.lock().await;
        if let Some(client) = guard.as_mut()
            && client.query("SELECT 1", &[]).await.is_err()
        {
            *guard = None;
        }
        if guard.is_none() {
            let mut client = Client::connect(&options.target, &credentials(options)?).await.map_err(unavailable)?;
            client.execute("SET search_path = pg_catalog, pg_temp; SET default_transaction_read_only = on; SET statement_timeout = '30s'").await?;
            *guard = Some(client);
        }
        Ok(guard)
    }
}

/// The service's own login: by password, else by certificate.
fn credentials(options: &PostgresOptions) -> Result<Credentials, PostgresError> {
    let user = &options.target.user;
    match (&options.run_as, &options.password) {
        (RunAs::Certificate(authority), None) => {
            let minted = authority
                .mint(user, options.clock.now_ms(), LIFETIME_S_MAX)
                .map_err(|error| PostgresError::Unavailable(error.to_string()))?;
            Ok(certified(minted, user))
        }
        _ => Ok(Credentials::of(user, options.password.clone())),
    }
}

/// What the role can read, in the catalogue's words. A role that may not be used reaches all: the read then says why it does not.
fn reach(facts: &RoleFacts, known: &Known) -> Reach {
    if facts.refusal.is_some() {
        return Reach::Everything;
    }
    let columns = |table: &PgTable| {
        Some(match facts.readable.get(&table.oid)? {
            Readable::All => ReachedColumns::All,
            some @ Readable::Columns(_) => {
                let place = |(at, column): (usize, &PgColumn)| {
                    some.holds(column.number).then(|| u16::try_from(at).ok().map(ColumnIx)).flatten()
                };
                ReachedColumns::Some(table.columns.iter().enumerate().filter_map(place).collect())
            }
        })
    };
    Reach::Tables(known.tables.iter().filter_map(|(name, table)| Some((name.clone(), columns(table)?))).collect())
}

/// A login by certificate.
pub(crate) fn certified(minted: ClientCertificate, user: &str) -> Credentials {
    let chain = std::iter::once(minted.certificate).chain(minted.chain).collect();
    Credentials { user: user.to_owned(), password: None, certificate: Some((chain, minted.key)) }
}

fn unavailable(error: PgError) -> PostgresError {
    PostgresError::Unavailable(error.to_string())
}

fn gone() -> PostgresError {
    PostgresError::Internal("the service's own connection is gone".to_owned())
}
