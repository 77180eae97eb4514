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
const REFUSED: Duration = Duration::from_millis(500);

/// A role, as it was when it was read.
#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) facts: RoleFacts,
    pub(crate) identity: IdentityText,
    pub(crate) reach: Arc<Reach>,
    /// Why nobody may be it.
    pub(crate) refusal: Option<String>,
    at: Instant,
}

/// A connection of the service's login, and until when it may be used.
struct Kept {
    client: Client,
    ends: Instant,
}

/// The service's own login.
pub(crate) struct Keeper {
    client: Mutex<Option<Kept>>,
    roles: Cache<String, Arc<Role>>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

impl Role {
    /// A refusal is looked at again soon, so that what was mended holds.
    fn is_fresh(&self) -> bool {
        self.at.elapsed() < if self.refusal.is_none() { FRESH } else { REFUSED }
    }
}

impl Keeper {
    pub(crate) fn new() -> Self {
        Self { client: Mutex::new(None), roles: Cache::new(ROLES_MAX) }
    }

    /// The catalogue, if the login is what it must be.
    pub(crate) async fn catalog(&self, options: &PostgresOptions) -> Result<Known, PostgresError> {
        let mut guard = self.connected(options).await?;
        let mut kept = guard.take().ok_or_else(gone)?;
        let powers = matches!(options.run_as, RunAs::Role);
        roles::login_is_powerless(&mut kept.client, &options.target.user, powers).await?;
        let known = catalog::read(&mut kept.client, &options.service, &options.schemas).await?;
        *guard = Some(kept);
        Ok(known)
    }

    /// What is known of a role.
    pub(crate) async fn role(
        &self,
        name: &str,
        options: &PostgresOptions,
        known: &Known,
    ) -> Result<Arc<Role>, PostgresError> {
        if let Some(role) = self.roles.get(name).filter(|role| role.is_fresh()) {
            return Ok(role);
        }
        let mut guard = self.connected(options).await?;
        // Somebody else may have asked while this one waited.
        if let Some(role) = self.roles.get(name).filter(|role| role.is_fresh()) {
            return Ok(role);
        }
        let mut kept = guard.take().ok_or_else(gone)?;
        let question = RoleQuestion { path: &options.schemas };
        let facts = roles::read(&mut kept.client, name, &question).await?;
        *guard = Some(kept);
        drop(guard);
        let mode = match options.run_as {
            RunAs::Role => Mode::Role,
            RunAs::Certificate(_) => Mode::Login,
        };
        let identity = IdentityText::new(mode, &facts.settings, options.claims_key.is_some());
        let reach = Arc::new(reach(&facts, known));
        let refusal = refusal(name, &facts, options);
        let role = Arc::new(Role { facts, identity, reach, refusal, at: Instant::now() });
        self.roles.insert(name.to_owned(), Arc::clone(&role));
        Ok(role)
    }

    /// Forgets what roles were: the catalogue changed.
    pub(crate) fn forget(&self) {
        self.roles.clear();
    }

    /// A connection that answers.
    async fn connected(&self, options: &PostgresOptions) -> Result<MutexGuard<'_, Option<Kept>>, PostgresError> {
        let mut guard = self.client.lock().await;
        if let Some(kept) = guard.as_mut()
            && (kept.ends <= Instant::now() || kept.client.query("SELECT 1", &[]).await.is_err())
        {
            *guard = None;
        }
        if guard.is_none() {
            let mut client = Client::connect(&options.target, &credentials(options)?).await.map_err(unavailable)?;
            client.execute("SET search_path = pg_catalog, pg_temp; SET default_transaction_read_only = on; SET statement_timeout = '30s'").await?;
            let ends =
                Instant::now() + Duration::from_secs(options.connection_age_s_max.min(u64::from(LIFETIME_S_MAX)));
            *guard = Some(Kept { client, ends });
        }
        Ok(guard)
    }
}

/// The service's own login: by password, else by certificate.
pub(crate) fn credentials(options: &PostgresOptions) -> Result<Credentials, PostgresError> {
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

/// Why nobody may be this role here, if so: what the identity statement would say, and what it cannot see.
fn refusal(name: &str, facts: &RoleFacts, options: &PostgresOptions) -> Option<String> {
    let takes = matches!(options.run_as, RunAs::Role);
    if facts.refusal.is_some() {
        facts.refusal.clone()
    } else if !facts.can_login && !options.nologin_roles {
        Some(format!("`{name}` cannot log in"))
    } else if facts.expired && options.valid_until_enforced {
        Some(format!("`{name}` has expired"))
    } else if takes && !facts.settable {
        Some(format!("`{name}` cannot be taken by `{}`", options.target.user))
    } else {
        None
    }
}

/// What the role can read, in the catalogue's words.
fn reach(facts: &RoleFacts, known: &Known) -> Reach {
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
