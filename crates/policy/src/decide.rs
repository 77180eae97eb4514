//! Verified human and delegation in, sealed [`Decision`] out; compiled once for each (asker, table) and reused.

use std::sync::Arc;

use asuser_core::{
    Actor, Catalog, ColumnAccess, DatabaseKind, Digest, Filter, PrincipalData, ServiceName, Table, TableName,
};
use asuser_delegation::Delegation;
use asuser_identity::Verified;
use sha2::{Digest as _, Sha256};

use crate::Policies;
use crate::error::PolicyError;
use crate::evaluate::{Asker, Compiled};
use crate::rules::{ServiceDefault, ServiceRules};

/// What a verified human may see of one table, through an agent, now. Only [`Policies::decide_read`] makes one.
///
/// ```compile_fail,E0451
/// fn forge(other: asuser_policy::Decision) -> asuser_policy::Decision {
///     asuser_policy::Decision { ..other }
/// }
/// ```
/// ```compile_fail,E0277
/// fn needs_clone<T: Clone>() {}
/// needs_clone::<asuser_policy::Decision>();
/// ```
/// ```compile_fail,E0277
/// fn needs_default<T: Default>() {}
/// needs_default::<asuser_policy::Decision>();
/// ```
#[derive(Debug)]
pub struct Decision {
    grounds: Grounds,
    compiled: Arc<Compiled>,
}

/// Which tables of a service a verified human may reach, through an agent, now. Only [`Policies::decide_listing`] makes one.
///
/// ```compile_fail,E0451
/// fn forge(other: asuser_policy::ListingDecision) -> asuser_policy::ListingDecision {
///     asuser_policy::ListingDecision { ..other }
/// }
/// ```
#[derive(Debug)]
pub struct ListingDecision {
    grounds: Grounds,
    tables: Vec<Arc<Compiled>>,
    catalog: Arc<Catalog>,
    untouched: bool,
    unlisted_open: bool,
}

/// For whom, and by which policy and catalogue, it was decided.
#[derive(Debug)]
struct Grounds {
    verified: Arc<Verified>,
    delegation: Arc<Delegation>,
    service: ServiceName,
    policy_digest: Digest,
    catalog_version: Digest,
}

macro_rules! grounds {
    ($name:ident) => {
        impl $name {
            /// For whom.
            #[must_use]
            pub fn verified(&self) -> &Arc<Verified> {
                &self.grounds.verified
            }
            /// Through which agent.
            #[must_use]
            pub fn delegation(&self) -> &Arc<Delegation> {
                &self.grounds.delegation
            }
            /// The service.
            #[must_use]
            pub fn service(&self) -> &ServiceName {
                &self.grounds.service
            }
            /// Which policies were in force.
            #[must_use]
            pub fn policy_digest(&self) -> Digest {
                self.grounds.policy_digest
            }
            /// Which catalogue was in force.
            #[must_use]
            pub fn catalog_version(&self) -> Digest {
                self.grounds.catalog_version
            }
        }
    };
}
grounds!(Decision);
grounds!(ListingDecision);

impl Decision {
    /// The table.
    #[must_use]
    pub fn table(&self) -> &Arc<Table> {
        &self.compiled.table
    }
    /// The rows that exist for this caller; never [`Filter::False`].
    #[must_use]
    pub fn row_filter(&self) -> &Filter {
        &self.compiled.row_filter
    }
    /// How each of the table's columns reads; at least one is not denied.
    #[must_use]
    pub fn access(&self) -> &[ColumnAccess] {
        &self.compiled.access
    }
}

impl ListingDecision {
    /// The tables that the caller may reach, by name, and how each of their columns reads. Never empty.
    pub fn tables(&self) -> impl ExactSizeIterator<Item = (&Arc<Table>, &[ColumnAccess])> {
        self.tables.iter().map(|compiled| (&compiled.table, compiled.access.as_slice()))
    }
    /// The rows of one of these tables that exist for this caller; [`Filter::False`] for every other.
    #[must_use]
    pub fn row_filter(&self, table: &Table) -> &Filter {
        let found = self.tables.iter().find(|compiled| compiled.table.name == table.name);
        found.map_or(&Filter::False, |compiled| &compiled.row_filter)
    }
    /// Which database it is.
    #[must_use]
    pub fn database(&self) -> DatabaseKind {
        self.catalog.database
    }
    /// The schema whose tables have their bare names.
    #[must_use]
    pub fn home_schema(&self) -> Option<&str> {
        self.catalog.home_schema.as_deref()
    }
    /// Whether the catalogue lists this table, open to the caller or not.
    #[must_use]
    pub fn lists(&self, table: &TableName) -> bool {
        self.catalog.tables.contains_key(table)
    }
    /// Policy takes nothing away: every table of the catalogue is open, with all of its rows and columns, none masked.
    #[must_use]
    pub const fn takes_nothing(&self) -> bool {
        self.untouched && self.unlisted_open
    }
    /// What the catalogue does not list is no affair of policy (`default = "database"`); else it is closed.
    #[must_use]
    pub const fn unlisted_is_open(&self) -> bool {
        self.unlisted_open
    }
}

impl Policies {
    /// What this person may see of this table, through this agent.
    ///
    /// A table of which no row can be open to the caller, whatever it holds, and one without a readable column, reads exactly
    /// like one that does not exist: it is not in the listing either.
    ///
    /// # Errors
    /// When the service or table does not exist for the caller, or policy cannot be decided.
    pub fn decide_read(
        &self,
        verified: &Arc<Verified>,
        delegation: &Arc<Delegation>,
        service: &ServiceName,
        table: &str,
        now_ms: i64,
    ) -> Result<Decision, PolicyError> {
        let rules = self.service(service)?;
        let asker = Asker { principal: verified.data(), actors: delegation.actors(), now_ms };
        let compiled = self.read(rules, table, asker)?;
        Ok(Decision { grounds: self.grounds(verified, delegation, rules), compiled })
    }

    /// Which tables of the service this person may reach, through this agent.
    ///
    /// # Errors
    /// When the service does not exist, nothing of it is open to the caller, or policy cannot be decided.
    pub fn decide_listing(
        &self,
        verified: &Arc<Verified>,
        delegation: &Arc<Delegation>,
        service: &ServiceName,
        now_ms: i64,
    ) -> Result<ListingDecision, PolicyError> {
        let rules = self.service(service)?;
        let asker = Asker { principal: verified.data(), actors: delegation.actors(), now_ms };
        let tables = self.listing(rules, asker)?;
        let untouched = tables.len() == rules.catalog.tables.len() && tables.iter().all(|table| table.is_untouched());
        let unlisted_open = rules.default == ServiceDefault::Database;
        let catalog = Arc::clone(&rules.catalog);
        Ok(ListingDecision {
            grounds: self.grounds(verified, delegation, rules),
            tables,
            catalog,
            untouched,
            unlisted_open,
        })
    }

    pub(crate) fn read(
        &self,
        rules: &ServiceRules,
        table: &str,
        asker: Asker<'_>,
    ) -> Result<Arc<Compiled>, PolicyError> {
        let service = &rules.catalog.service;
        let shown = || table.chars().take(NAME_SHOWN).collect();
        let unknown = || PolicyError::NoSuchTable { service: service.clone(), table: shown() };
        let table = rules.catalog.table(table).ok_or_else(unknown)?;
        let compiled = self.compiled(rules, table, asker)?;
        if compiled.is_reachable() { Ok(compiled) } else { Err(unknown()) }
    }

    pub(crate) fn listing(&self, rules: &ServiceRules, asker: Asker<'_>) -> Result<Vec<Arc<Compiled>>, PolicyError> {
        let mut tables = Vec::new();
        for table in rules.catalog.tables.values() {
            let compiled = self.compiled(rules, table, asker)?;
            if compiled.is_reachable() {
                tables.push(compiled);
            }
        }
        if tables.is_empty() {
            return Err(PolicyError::Denied(rules.catalog.service.clone()));
        }
        Ok(tables)
    }

    fn compiled(
        &self,
        rules: &ServiceRules,
        table: &Arc<Table>,
        asker: Asker<'_>,
    ) -> Result<Arc<Compiled>, PolicyError> {
        let service = &rules.catalog.service;
        let undecidable = |why| PolicyError::Undecidable { service: service.clone(), why };
        // A policy that does not ask the time has one decision for all times.
        let asker = Asker { now_ms: if self.mentions_now { asker.now_ms } else { 0 }, ..asker };
        let key = cache_key(service, table, asker).map_err(undecidable)?;
        self.cache
            .get_or_insert_with(&key, || self.world.evaluate(rules, table, asker).map(Arc::new).map_err(undecidable))
    }

    pub(crate) fn service(&self, service: &ServiceName) -> Result<&ServiceRules, PolicyError> {
        self.services.get(service).ok_or_else(|| PolicyError::NoSuchService(service.clone()))
    }

    fn grounds(&self, verified: &Arc<Verified>, delegation: &Arc<Delegation>, rules: &ServiceRules) -> Grounds {
        Grounds {
            verified: Arc::clone(verified),
            delegation: Arc::clone(delegation),
            service: rules.catalog.service.clone(),
            policy_digest: self.digest,
            catalog_version: rules.catalog.version,
        }
    }
}

/// Characters of a caller's name that an error repeats.
const NAME_SHOWN: usize = 64;

/// Everything that a decision can depend on; policies and catalogue are those of the cache's owner. Serialised as JSON, which
/// keeps neighbouring texts apart.
fn cache_key(service: &ServiceName, table: &Table, asker: Asker<'_>) -> Result<[u8; 32], String> {
    let PrincipalData { key, provider, login, email, name, groups, attributes, .. } = asker.principal;
    let actors: Vec<_> = asker.actors.iter().map(|Actor { id, assurance, .. }| (id, assurance)).collect();
    let time_s = asker.now_ms.div_euclid(1_000);
    let facts = (service, &table.name, key, provider, login, email, name, groups, attributes, actors, time_s);
    let bytes = serde_json::to_vec(&facts).map_err(|error| error.to_string())?;
    Ok(Sha256::digest(bytes).into())
}
