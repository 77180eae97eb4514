//! What the configuration says of a service. The doctor believes none of it that the server can tell.

use std::collections::BTreeSet;

use serde::Serialize;

/// How the session becomes the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunAs {
    /// One login takes the person's role for each transaction.
    Role,
    /// The person's own login, by a certificate of asuser's authority.
    Certificate,
}

/// Which roles people have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mapping {
    /// Each their own (`{login}`, `{email}`): the server says which there are.
    Person,
    /// The one that the provider names (`{database_role}`), which it may name for several people.
    Provider,
    /// One for each group.
    Groups(BTreeSet<String>),
    /// One for all; claims tell people apart.
    Shared(String),
}

/// Who decides where no policy of asuser speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceDefault {
    /// Nothing is open unless a policy permits it.
    Deny,
    /// All that the database gives.
    Database,
}

/// One configured PostgreSQL service.
#[derive(Debug, Clone)]
pub struct ServiceFacts {
    /// Its name.
    pub service: String,
    /// How the session becomes the person.
    pub run_as: RunAs,
    /// asuser's own login.
    pub login: String,
    /// Which roles people have.
    pub mapping: Mapping,
    /// In mode `certificate`: the group that `pg_hba.conf` lets in.
    pub users_group: String,
    /// The schemas served, the first one first.
    pub schemas: Vec<String>,
    /// Who decides where no policy speaks.
    pub default: ServiceDefault,
    /// Functions that somebody vouched for: `schema.name(argument names and types)`.
    pub trusted_functions: BTreeSet<String>,
    /// Statements are prepared: no pooler stands between.
    pub prepare: bool,
    /// TLS with the server's certificate verified.
    pub tls_verified: bool,
    /// Every host is this machine.
    pub local: bool,
    /// The gateway has a key for `asuser.claims()`.
    pub claims_signed: bool,
}

impl ServiceFacts {
    /// Mode `role`, schema `public`, this machine.
    #[must_use]
    pub fn new(service: impl Into<String>, login: impl Into<String>, mapping: Mapping) -> Self {
        Self {
            service: service.into(),
            run_as: RunAs::Role,
            login: login.into(),
            mapping,
            users_group: "asuser_users".to_owned(),
            schemas: vec!["public".to_owned()],
            default: ServiceDefault::Deny,
            trusted_functions: BTreeSet::new(),
            prepare: true,
            tls_verified: false,
            local: true,
            claims_signed: false,
        }
    }

    /// Whether somebody vouched for it, spelt as [`SPELLING`](super::functions::SPELLING) does: the gateway compares it so.
    pub(super) fn trusts(&self, function: &str) -> bool {
        self.trusted_functions.contains(function)
    }

    /// Whether several people have one role.
    pub(super) const fn is_shared(&self) -> bool {
        !matches!(self.mapping, Mapping::Person)
    }
}
