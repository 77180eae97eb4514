//! The connector's trait: the only way into this crate's reads.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use asuser_audit::{Intent, ReadResult, SqlResult, Unreleased};
use asuser_connector::{Connector, ConnectorError, Running};
use asuser_core::{Actor, AuditId, Catalog, DatabaseIdentity, PrincipalData, Reach, ReadSpec, Table};
use asuser_credential::LIFETIME_S_MAX;
use asuser_credential::claims::Place;
use asuser_identity::Verified;
use asuser_postgres::{Credentials, PgError};
use asuser_query::{Read, Sql};
use tokio::time::timeout_at;

use crate::PostgresError;
use crate::catalog::Known;
use crate::claims::{ClaimsCache, signed};
use crate::handover::{Got, Outlet, channel};
use crate::options::{PostgresOptions, RunAs};
use crate::person::{Keeper, Role, certified};
use crate::pool::{Lease, Owner, Pool};
use crate::print::{Statement, statement};
use crate::rows::{RowOptions, Shape, Writer};
use crate::session::Session;
use crate::transaction::{self, Begun, Failure, Identity, Source};
use crate::types::PgTable;

/// A frame may be a little longer than the largest answer: what JSON leaves out of it.
const FRAME_SLACK: usize = 64 * 1024;
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// `server_version_num` of PostgreSQL 13.
const VERSION_MIN: u32 = 130_000;
/// PostgreSQL cuts a longer `application_name`.
const APP_NAME_BYTES_MAX: usize = 63;

/// A PostgreSQL database as a service.
#[derive(Debug)]
pub struct PostgresConnector {
    pub(crate) options: PostgresOptions,
    pub(crate) pool: Pool,
    keeper: Keeper,
    known: RwLock<Option<Arc<Known>>>,
    claims: ClaimsCache,
    /// When a read last had the catalogue read anew.
    looked: Mutex<Option<Instant>>,
}

/// One transaction: who asks, and what it may take.
pub(crate) struct Asked<'a> {
    pub(crate) entry: AuditId,
    pub(crate) verified: &'a Arc<Verified>,
    pub(crate) actor: Option<&'a Actor>,
    pub(crate) role: &'a str,
    pub(crate) deadline: Instant,
    pub(crate) time_ms_max: u64,
    pub(crate) bytes_max: usize,
    /// It is somebody's own SQL, whose connection nobody else has.
    pub(crate) is_sql: bool,
}

impl Asked<'_> {
    fn principal(&self) -> &PrincipalData {
        self.verified.data()
    }
}

impl PostgresConnector {
    /// Sets the connector up. The server is asked at the first use, so that one that is down makes this service not ready, and no
    /// other.
    ///
    /// # Errors
    /// When the options make no sense.
    pub fn open(options: PostgresOptions) -> Result<Self, PostgresError> {
        options.check()?;
        let pool = Pool::new(options.connections, options.waiting_max, options.person_connections());
        Ok(Self {
            options,
            pool,
            keeper: Keeper::new(),
            known: RwLock::new(None),
            claims: ClaimsCache::new(),
            looked: Mutex::new(None),
        })
    }

    /// Reads the shape of the database anew. An unchanged catalogue is the same `Arc`.
    async fn refresh(&self) -> Result<Arc<Catalog>, PostgresError> {
        let time_ms_max = self.options.catalog_time_ms_max;
        let looked = tokio::time::timeout(Duration::from_millis(time_ms_max), self.look()).await;
        looked.unwrap_or(Err(PostgresError::Timeout { time_ms_max }))
    }

    async fn look(&self) -> Result<Arc<Catalog>, PostgresError> {
        let fresh = self.keeper.catalog(&self.options).await?;
        if fresh.server_version_num < VERSION_MIN {
            return Err(PostgresError::Unavailable("PostgreSQL 13 or later is needed".to_owned()));
        }
        for warning in &fresh.warnings {
            // A name in it is whatever somebody called a table.
            tracing::warn!(service = %self.options.service, "{}", warning.escape_debug());
        }
        let catalog = self.keep(fresh);
        if matches!(self.options.run_as, RunAs::Role) {
            // A login that is a member of thousands of roles makes the server think once per connection: not in somebody's read.
            self.pool.open_ahead(|| self.connect(None)).await?;
        }
        Ok(catalog)
    }

    /// What was read is in force from now on.
    fn keep(&self, mut fresh: Known) -> Arc<Catalog> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match known.as_ref().filter(|before| before.catalog.version == fresh.catalog.version) {
            Some(before) => fresh.catalog = Arc::clone(&before.catalog),
            None => self.keeper.forget(),
        }
        let catalog = Arc::clone(&fresh.catalog);
        *known = Some(Arc::new(fresh));
        catalog
    }

    /// Runs a read. Dropping the future, or the rest of a long result, cancels it, and its connection serves nobody else.
    async fn run(&self, intent: &Intent<Read>) -> Result<(Got, DatabaseIdentity), PostgresError> {
        let (decision, spec) = (intent.plan().decision(), intent.plan().spec());
        let time_ms_max = spec.time_ms_max;
        let asked = Asked {
            entry: intent.entry(),
            verified: decision.verified(),
            actor: decision.delegation().actor(),
            role: self.options.role_of(decision.verified().data())?,
            deadline: Instant::now() + Duration::from_millis(time_ms_max),
            time_ms_max,
            bytes_max: spec.bytes_max,
            is_sql: false,
        };
        let answered = timeout_at(asked.deadline.into(), self.with_catalog(&asked, spec)).await;
        answered.unwrap_or(Err(PostgresError::Timeout { time_ms_max }))
    }

    /// A table that changed is looked at anew; the plan still holds if its own part of the catalogue is the same.
    async fn with_catalog(&self, asked: &Asked<'_>, spec: &ReadSpec) -> Result<(Got, DatabaseIdentity), PostgresError> {
        match self.attempt(asked, spec).await {
            Err(PostgresError::SchemaChanged) if self.may_look_again() => {
                self.refresh().await?;
                self.attempt(asked, spec).await
            }
            other => other,
        }
    }

    /// Whoever asks for what has changed does not have the catalogue read more often than this.
    fn may_look_again(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let may = looked.is_none_or(|at| at.elapsed() >= LOOK_AGAIN);
        if may {
            *looked = Some(Instant::now());
        }
        may
    }

    async fn attempt(&self, asked: &Asked<'_>, spec: &ReadSpec) -> Result<(Got, DatabaseIdentity), PostgresError> {
        let known = self.known()?;
        let table = Self::table(&known, &spec.table.0)?;
        let role = self.role(asked, &known).await?;
        self.check_trust(&table)?;
        let statement = statement(spec, &table)?;
        let options = RowOptions { bigint_as_text: self.options.bigint_as_text };
        let shape = Arc::new(Shape::of(spec, &statement, options));
        let (lease, used_before) = self.lease(asked).await?;
        let got = match self.transact(asked, &role, lease, &statement, &shape, &table).await {
            Err(Failure::Lost(_)) if used_before => {
                // The server went away since; what else is idle is as dead. A read that nobody took can be sent again.
                self.pool.clear();
                let (lease, _) = self.lease(asked).await?;
                let again = self.transact(asked, &role, lease, &statement, &shape, &table).await;
                again.map_err(|failure| match failure {
                    Failure::Lost(error) | Failure::Of(error) => error,
                })
            }
            Err(Failure::Lost(error) | Failure::Of(error)) => Err(error),
            Ok(got) => Ok(got),
        };
        // The role's own statement_timeout may be the shorter one.
        let time_ms_max = asked.time_ms_max.min(role.facts.timeout_ms.unwrap_or(u64::MAX));
        got.map_err(|error| error.with_limit(time_ms_max))
    }

    async fn transact(
        &self,
        asked: &Asked<'_>,
        role: &Role,
        mut lease: Lease,
        statement: &Statement,
        shape: &Arc<Shape>,
        table: &PgTable,
    ) -> Result<(Got, DatabaseIdentity), Failure> {
        let begun = self.begin(asked, role, &mut lease, statement, Source::of(table)).await?;
        let identity = DatabaseIdentity { mode: self.options.run_as.as_str(), user: Some(begun.user) };
        let mut writer = Writer::new(Arc::clone(shape));
        let session = lease.session().ok_or_else(no_session)?;
        let full = settled(transaction::read(session, &mut writer, asked.role).await, &mut lease)?;
        let Some(mut first) = full else {
            let session = lease.session().ok_or_else(no_session)?;
            settled(transaction::end(session, asked.role).await, &mut lease)?;
            lease.busy = false;
            lease.give_back();
            let mut records = writer.finish();
            records.count = begun.count;
            return Ok((Got::Whole(records), identity));
        };
        first.count = begun.count;
        let (outlet, remainder) = channel(asked.deadline, asked.time_ms_max);
        let role = asked.role.to_owned();
        tokio::spawn(async move {
            let mut lease = lease;
            let rest = tokio::select! {
                biased;
                () = outlet.gone() => Err(PostgresError::Cancelled),
                rest = stream(&mut lease, &mut writer, &outlet, &role) => rest,
            };
            match rest {
                Ok(()) => lease.give_back(),
                Err(error) => {
                    drop(lease);
                    outlet.fail(error);
                }
            }
        });
        Ok((Got::Long(first, remainder), identity))
    }

    pub(crate) async fn begin(
        &self,
        asked: &Asked<'_>,
        role: &Role,
        lease: &mut Lease,
        statement: &Statement,
        source: Source<'_>,
    ) -> Result<Begun, Failure> {
        let options = &self.options;
        let claims = self.claims.of(asked.verified, asked.actor, asked.role);
        let app_name = app_name(asked.entry, asked.principal(), options.login_in_app_name);
        let left_ms = asked.deadline.saturating_duration_since(Instant::now()).as_millis().max(1);
        let own_ms = role.facts.timeout_ms.map_or(u128::MAX, u128::from);
        let timeout_ms = left_ms.min(own_ms);
        let session = lease.session().ok_or_else(no_session)?;
        let (session_user, taken) = match options.run_as {
            RunAs::Role => (options.target.user.as_str(), asked.role),
            RunAs::Certificate(_) => (asked.role, "none"),
        };
        let signed = options.claims_key.as_ref().map(|key| {
            let (pid, backend_start_us) = (session.client.process_id(), session.backend_start_us);
            let ends_ms = options.clock.now_ms().saturating_add(i64::try_from(timeout_ms).unwrap_or(i64::MAX));
            signed(key, &claims.map, Place { pid, backend_start_us, session_user, role: taken }, ends_ms)
        });
        let identity = Identity {
            text: &role.identity,
            login: &options.target.user,
            role: asked.role,
            claims: &claims.text,
            app_name: &app_name,
            search_path: &role.facts.search_path,
            timeout_ms: &timeout_ms.to_string(),
            nologin_roles: options.nologin_roles,
            valid_until_enforced: options.valid_until_enforced,
            settings: &role.facts.settings,
            signed: signed.as_deref(),
        };
        session.client.limit_frames(asked.bytes_max.saturating_add(FRAME_SLACK));
        lease.busy = true;
        let session = lease.session().ok_or_else(no_session)?;
        let begun = transaction::begin(session, &identity, statement, source).await;
        match &begun {
            Ok(_) => {}
            Err(Failure::Lost(_)) => lease.busy = false,
            Err(Failure::Of(error)) => lease.busy = is_running(error),
        }
        begun
    }

    pub(crate) async fn lease(&self, asked: &Asked<'_>) -> Result<(Lease, bool), PostgresError> {
        let options = &self.options;
        let key = &asked.principal().key;
        let who = Arc::new((key.issuer.to_string(), key.subject.to_string(), asked.role.to_owned()));
        let person = Owner::Person(Arc::clone(&who));
        let owner = match options.run_as {
            _ if asked.is_sql => Owner::Sql(who),
            RunAs::Role => Owner::Shared,
            RunAs::Certificate(_) => person.clone(),
        };
        self.pool.take(&owner, Some(&person), asked.role, || self.connect(Some(asked))).await
    }

    /// A new connection: the service's login, or that of whoever asks.
    async fn connect(&self, asked: Option<&Asked<'_>>) -> Result<Session, PostgresError> {
        let options = &self.options;
        let age = Duration::from_secs(options.connection_age_s_max);
        let (credentials, age) = match (&options.run_as, asked) {
            (RunAs::Role, _) => (Credentials::of(&options.target.user, options.password.clone()), age),
            (RunAs::Certificate(_), None) => return Err(PostgresError::Internal("a login for nobody".to_owned())),
            (RunAs::Certificate(authority), Some(asked)) => {
                let now_ms = options.clock.now_ms();
                let minted = authority
                    .mint(asked.role, now_ms, u32::try_from(options.connection_age_s_max).unwrap_or(LIFETIME_S_MAX))
                    .map_err(|error| PostgresError::Unavailable(error.to_string()))?;
                // The server never looks at a login again: the connection ends with the certificate or the person's token.
                let ends_ms = minted.not_after_ms.min(asked.principal().not_after_ms);
                let left = u64::try_from(ends_ms.saturating_sub(now_ms)).unwrap_or_default();
                (certified(minted, asked.role), age.min(Duration::from_millis(left)))
            }
        };
        let opened = Session::open(
            &options.target,
            &credentials,
            Instant::now() + age,
            options.prepare,
            options.claims_key.is_some(),
        );
        let mut session = opened.await.map_err(|error| match (&options.run_as, &error) {
            // The person's own login is not let in, or not by its certificate.
            (RunAs::Certificate(_), PgError::Authentication(_)) => PostgresError::Role(error.to_string()),
            (RunAs::Certificate(_), PgError::Server(server)) if server.code.starts_with("28") => {
                PostgresError::Role(error.to_string())
            }
            _ => PostgresError::Unavailable(error.to_string()),
        })?;
        if matches!(options.run_as, RunAs::Role) {
            session.warm().await?;
        }
        if asked.is_some_and(|asked| asked.is_sql) {
            session.for_sql();
        }
        Ok(session)
    }

    /// The person's role, if it may be used.
    pub(crate) async fn role(&self, asked: &Asked<'_>, known: &Known) -> Result<Arc<Role>, PostgresError> {
        let role = self.keeper.role(asked.role, &self.options, known).await?;
        match &role.refusal {
            Some(why) => Err(PostgresError::Role(why.clone())),
            None => Ok(role),
        }
    }

    pub(crate) fn known(&self) -> Result<Arc<Known>, PostgresError> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(PostgresError::NotReady)
    }

    /// The plan's table as PostgreSQL knows it; refused where the table is not the one in the catalogue.
    pub(crate) fn table(known: &Known, planned: &Arc<Table>) -> Result<Arc<PgTable>, PostgresError> {
        match known.tables.get(&planned.name) {
            Some(found) if Arc::ptr_eq(&found.table, planned) || found.table == *planned => Ok(Arc::clone(found)),
            _ => Err(PostgresError::SchemaChanged),
        }
    }

    /// Under a role that several people share, claims say who asks, and a function could say otherwise (SPEC C).
    pub(crate) fn check_trust(&self, table: &PgTable) -> Result<(), PostgresError> {
        let options = &self.options;
        if !options.role.is_shared() || (table.signed && options.claims_key.is_some()) {
            return Ok(());
        }
        let functions: Vec<String> =
            table.functions.iter().filter(|function| !options.trusted_functions.contains(*function)).cloned().collect();
        if functions.is_empty() { Ok(()) } else { Err(PostgresError::Untrusted { functions }) }
    }
}

async fn stream(lease: &mut Lease, writer: &mut Writer, outlet: &Outlet, role: &str) -> Result<(), PostgresError> {
    loop {
        let session = lease.session().ok_or_else(no_session)?;
        let full = transaction::read(session, writer, role).await;
        match settled(full, lease)? {
            Some(segment) => outlet.hand_over(segment).await?,
            None => break,
        }
    }
    let session = lease.session().ok_or_else(no_session)?;
    let ended = transaction::end(session, role).await;
    settled(ended, lease)?;
    lease.busy = false;
    outlet.end(writer.finish()).await
}

/// After an error of the server nothing runs there, and there is nothing to cancel; the connection is closed in any case.
pub(crate) fn settled<T>(result: Result<T, PostgresError>, lease: &mut Lease) -> Result<T, PostgresError> {
    if let Err(error) = &result {
        lease.busy = is_running(error);
    }
    result
}

const fn is_running(error: &PostgresError) -> bool {
    matches!(error, PostgresError::AnswerTooLarge { .. } | PostgresError::Internal(_) | PostgresError::SchemaChanged)
}

pub(crate) fn no_session() -> PostgresError {
    PostgresError::Internal("a lease without a connection".to_owned())
}

/// `asuser/<audit id>/<login>`: what `%a` shows in the server's log.
fn app_name(entry: AuditId, principal: &PrincipalData, with_login: bool) -> String {
    let mut name = format!("asuser/{entry}");
    if let Some(login) = principal.login.as_ref().filter(|_| with_login) {
        name.push('/');
        name.extend(login.as_str().chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }));
        name.truncate(APP_NAME_BYTES_MAX);
    }
    name
}

impl Connector for PostgresConnector {
    fn catalog(&self) -> Running<'_, Arc<Catalog>> {
        Box::pin(async { Ok(self.refresh().await?) })
    }

    fn reach<'a>(&'a self, verified: &'a Verified) -> Running<'a, Arc<Reach>> {
        Box::pin(async {
            let role = self.options.role_of(verified.data())?;
            let time_ms_max = self.options.catalog_time_ms_max;
            let known = self.known()?;
            let found = self.keeper.role(role, &self.options, &known);
            let role = tokio::time::timeout(Duration::from_millis(time_ms_max), found).await;
            let role = role.map_err(|_| PostgresError::Timeout { time_ms_max })??;
            match &role.refusal {
                Some(why) => Err(PostgresError::Role(why.clone()).into()),
                None => Ok(Arc::clone(&role.reach)),
            }
        })
    }

    fn read(&self, intent: Intent<Read>) -> Running<'_, Unreleased<ReadResult>> {
        Box::pin(async move {
            Ok(match self.run(&intent).await? {
                (Got::Whole(records), identity) => intent.complete(records, identity),
                (Got::Long(first, rest), identity) => intent.begun(first, Box::new(rest), identity),
            })
        })
    }

    fn sql(&self, intent: Intent<Sql>) -> Running<'_, Unreleased<SqlResult>> {
        Box::pin(async move {
            let (records, identity) = self.run_sql(&intent).await?;
            Ok(intent.complete(records, identity))
        })
    }
}

impl From<PostgresError> for ConnectorError {
    fn from(error: PostgresError) -> Self {
        let words = error.to_string();
        match error {
            PostgresError::Options(_)
            | PostgresError::Unavailable(_)
            | PostgresError::Login(_)
            | PostgresError::NotReady
            | PostgresError::SchemaChanged => Self::Unavailable(words),
            PostgresError::NoRole(why) => Self::NoRole(why),
            PostgresError::Role(why) => Self::RoleRefused(why),
            PostgresError::Denied(why) => Self::Denied(why),
            PostgresError::Untrusted { functions } => Self::UntrustedFunctions { functions },
            PostgresError::Busy { .. } => Self::Busy,
            PostgresError::Timeout { time_ms_max } => Self::Timeout { time_ms_max },
            PostgresError::AnswerTooLarge { bytes_max } => Self::AnswerTooLarge { bytes_max },
            PostgresError::TooComplex(what) => Self::TooComplex(what.to_owned()),
            PostgresError::BadValue(what) => Self::BadValue(what),
            PostgresError::Statement(words) => Self::Statement(words),
            PostgresError::Failed(words) => Self::Failed(words.to_owned()),
            PostgresError::TooCostly { cost, cost_max } => Self::TooCostly { cost, cost_max },
            PostgresError::SharedRole(role) => Self::SharedRole(role),
            PostgresError::Cancelled
            | PostgresError::Plan(_)
            | PostgresError::Refused(_)
            | PostgresError::Internal(_) => Self::Refused(words),
        }
    }
}
