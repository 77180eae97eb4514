//! Who runs an operator's command. Another type than the gateway's principals: it is made from a login at the database, and no plan,
//! decision or audit entry can be made from it (law 1).

use asuser_postgres::{Client, Credentials, PgError, Row, Target};

use crate::OpsError;

/// Each statement of a tool, in milliseconds; an index or a count may not hold anybody up for longer.
const STATEMENT_MS_MAX: u32 = 30_000;
const LOCK_MS_MAX: u32 = 5_000;

/// A logged-in operator.
#[derive(Debug)]
pub struct Operator {
    client: Client,
    version: u32,
    name: String,
    superuser: bool,
}

impl Operator {
    /// Logs in and pins what the session must not take from the database's settings.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses the login, or is older than PostgreSQL 13.
    pub async fn connect(target: &Target, credentials: &Credentials) -> Result<Self, OpsError> {
        let mut client = Client::connect(target, credentials).await.map_err(OpsError::Connect)?;
        // Names are printed with their schema and nobody's schema stands before pg_catalog.
        let pinned = format!(
            "SET search_path = pg_catalog, pg_temp; SET statement_timeout = {STATEMENT_MS_MAX}; SET lock_timeout = {LOCK_MS_MAX}; \
             SET row_security = on; SET standard_conforming_strings = on; SET bytea_output = hex; SET quote_all_identifiers = off"
        );
        client.execute(&pinned).await.map_err(OpsError::Connect)?;
        let sql = "SELECT current_setting('server_version_num'), current_user, \
                   (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)";
        let rows = client.query(sql, &[]).await.map_err(OpsError::Connect)?;
        let row = rows.first().ok_or(OpsError::Answer("asking who this is"))?;
        let version = row.get(0).and_then(|text| text.parse().ok()).ok_or(OpsError::Answer("asking the version"))?;
        if version < 130_000 {
            return Err(OpsError::Refused("PostgreSQL 13 or later is needed".to_owned()));
        }
        let name = row.get(1).ok_or(OpsError::Answer("asking who this is"))?.to_owned();
        let superuser = row.get(2) == Some("t");
        Ok(Self { client, version, name, superuser })
    }

    /// `server_version_num`, such as 150018.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }
    /// The operator's own role.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    pub(crate) const fn is_superuser(&self) -> bool {
        self.superuser
    }
    /// Says good-bye.
    pub async fn close(self) {
        self.client.close().await;
    }

    /// Rows of a catalogue.
    pub(crate) async fn rows(
        &mut self,
        doing: &'static str,
        sql: &str,
        values: &[Option<&str>],
    ) -> Result<Vec<Row>, OpsError> {
        self.client.query(sql, values).await.map_err(|error| OpsError::Statement { doing, error })
    }
    /// The same, where the server may say no and the tool goes on.
    pub(crate) async fn try_rows(&mut self, sql: &str, values: &[Option<&str>]) -> Result<Vec<Row>, PgError> {
        self.client.query(sql, values).await
    }
    /// Statements, one transaction.
    pub(crate) async fn run(&mut self, doing: &'static str, sql: &str) -> Result<(), OpsError> {
        self.client.execute(sql).await.map_err(|error| OpsError::Statement { doing, error })
    }
    /// Statements in one transaction of their own, or none of them.
    pub(crate) async fn run_all(&mut self, doing: &'static str, statements: &[String]) -> Result<(), OpsError> {
        self.run(doing, "BEGIN").await?;
        for sql in statements {
            if let Err(error) = self.client.execute(sql).await {
                // The transaction is void whether or not this is heard.
                let _ = self.client.execute("ROLLBACK").await;
                return Err(OpsError::Statement { doing, error });
            }
        }
        self.run(doing, "COMMIT").await
    }
}
