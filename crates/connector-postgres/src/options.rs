//! How a PostgreSQL service is set up.

use std::collections::BTreeSet;
use std::sync::Arc;

use asuser_connector::RoleMapping;
use asuser_core::{Clock, PrincipalData, ProviderName, Secret, ServiceName, SystemClock};
use asuser_credential::CertificateAuthority;
use asuser_credential::claims::ClaimsKey;
use asuser_postgres::{Credentials, Target};

use crate::PostgresError;

/// How the session becomes the person.
#[derive(Debug)]
pub enum RunAs {
    /// One login without rights takes the person's role for each transaction: `current_user` is the person.
    Role,
    /// asuser's own authority certifies the person's login for minutes: `session_user` is the person.
    Certificate(Box<CertificateAuthority>),
}

impl RunAs {
    /// As the configuration and the audit name it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Certificate(_) => "certificate",
        }
    }
}

/// How a PostgreSQL service is set up.
pub struct PostgresOptions {
    /// The service that the catalogue belongs to.
    pub service: ServiceName,
    /// Where it is; its user is the login for the catalogue and, in mode `role`, for everyone.
    pub target: Target,
    /// That login's password, if it has one.
    pub password: Option<Secret>,
    /// How the session becomes the person.
    pub run_as: RunAs,
    /// Which role a person has.
    pub role: RoleMapping,
    /// Whose word counts for roles; `None`: that of every provider.
    pub role_providers: Option<BTreeSet<ProviderName>>,
    /// Whose tables are served; those of the first have bare names. Also the `search_path` of people whose role sets none.
    pub schemas: Vec<String>,
    /// Connections for people's reads: 1 to 1,000.
    pub connections: usize,
    /// Reads that may wait for a connection: 1 to 10,000.
    pub waiting_max: usize,
    /// Connections that one person may use at a time: 1 to 64; `None`: 2 in mode `certificate`, else a quarter of all, at least 2.
    pub person_connections_max: Option<usize>,
    /// A connection is not used longer: 1 to 86,400 s. In mode `certificate` it is 600 s at most, and certificates live so long.
    pub connection_age_s_max: u64,
    /// Keep statements prepared. A pooler between asuser and the server needs `false`.
    pub prepare: bool,
    /// int8 and numeric as JSON texts instead of numbers, for readers that know doubles only.
    pub bigint_as_text: bool,
    /// A role that cannot log in may be used.
    pub nologin_roles: bool,
    /// A role whose `VALID UNTIL` has passed may not be used. (PostgreSQL itself means the password alone by it.)
    pub valid_until_enforced: bool,
    /// Functions that may run under a role that several people share: `schema.name(arguments)`.
    pub trusted_functions: BTreeSet<String>,
    /// Signs the claims for `asuser.claims()`.
    pub claims_key: Option<ClaimsKey>,
    /// The login stands in `application_name`, besides the audit id.
    pub login_in_app_name: bool,
    /// Submitted SQL that the planner expects to cost more is refused; `None`: it is not asked.
    pub sql_cost_max: Option<u64>,
    /// At most this long for reading the catalogue, in milliseconds.
    pub catalog_time_ms_max: u64,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl PostgresOptions {
    /// Mode `role`, 16 connections, 256 waiting reads, schema `public`.
    #[must_use]
    pub fn new(service: ServiceName, target: Target, role: RoleMapping) -> Self {
        Self {
            service,
            target,
            password: None,
            run_as: RunAs::Role,
            nologin_roles: matches!(role, RoleMapping::Constant(_) | RoleMapping::Groups(_)),
            role,
            role_providers: None,
            schemas: vec!["public".to_owned()],
            connections: 16,
            waiting_max: 256,
            person_connections_max: None,
            connection_age_s_max: 600,
            prepare: true,
            bigint_as_text: false,
            valid_until_enforced: true,
            trusted_functions: BTreeSet::new(),
            claims_key: None,
            login_in_app_name: true,
            sql_cost_max: Some(10_000_000),
            catalog_time_ms_max: 10_000,
            clock: Arc::new(SystemClock),
        }
    }

    /// How many connections one person may use at a time.
    pub(crate) fn person_connections(&self) -> usize {
        self.person_connections_max.unwrap_or(match self.run_as {
            RunAs::Role => (self.connections / 4).max(2),
            RunAs::Certificate(_) => 2,
        })
    }

    /// The login's own credentials: its password, else (mode `certificate`) a certificate of minutes.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn login_credentials(&self) -> Result<Credentials, PostgresError> {
        crate::person::credentials(self)
    }

    /// The person's role.
    pub(crate) fn role_of<'a>(&'a self, principal: &'a PrincipalData) -> Result<&'a str, PostgresError> {
        let provider = &principal.provider;
        if self.role_providers.as_ref().is_some_and(|providers| !providers.contains(provider)) {
            return Err(PostgresError::NoRole(format!(
                "the word of the provider \"{provider}\" gives no role here (role_providers)"
            )));
        }
        let role = self.role.role(principal).map_err(|why| PostgresError::NoRole(why.to_string()))?;
        if role == self.target.user {
            return Err(PostgresError::NoRole("the person's role would be asuser's own login".to_owned()));
        }
        Ok(role)
    }

    pub(crate) fn check(&self) -> Result<(), PostgresError> {
        let refuse = |words: &str| Err(PostgresError::Options(words.to_owned()));
        if self.schemas.is_empty() || self.schemas.iter().any(|name| name.is_empty() || name.len() > 63) {
            return refuse("`schemas` must name at least one schema");
        }
        if self.schemas.iter().any(|name| name.starts_with("pg_") || name == "information_schema") {
            return refuse("`schemas` names one of the system's own");
        }
        for (ok, words) in [
            ((1..=1_000).contains(&self.connections), "`connections` must be 1 to 1000"),
            ((1..=10_000).contains(&self.waiting_max), "`waiting_max` must be 1 to 10000"),
            (
                self.person_connections_max.is_none_or(|most| (1..=64).contains(&most)),
                "`person_connections_max` must be 1 to 64",
            ),
            ((1..=86_400).contains(&self.connection_age_s_max), "`connection_age_s_max` must be 1 to 86400"),
        ] {
            if !ok {
                return refuse(words);
            }
        }
        for role in self.role.named() {
            asuser_connector::check_name(role).map_err(|error| PostgresError::Options(error.to_string()))?;
            if role == self.target.user {
                return refuse("the role of people is the login itself: it must be another one");
            }
        }
        if matches!(self.run_as, RunAs::Certificate(_)) {
            if matches!(self.target.tls, asuser_postgres::Tls::Off) {
                return refuse("run_as = \"certificate\" needs TLS: set `tls_ca`");
            }
            if self.target.hosts.iter().any(|host| matches!(host, asuser_postgres::Host::Unix(..))) {
                return refuse(
                    "run_as = \"certificate\" needs TLS, which a socket of this machine has not: name a host",
                );
            }
            if self.role.is_shared() && self.nologin_roles {
                return refuse("run_as = \"certificate\" logs in as the person's role, so it must be able to log in");
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("service", &self.service)
            .field("run_as", &self.run_as.as_str())
            .finish_non_exhaustive()
    }
}
