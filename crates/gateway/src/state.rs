//! What a request is judged by: one immutable value, replaced whole at a reload, so no request sees half of a configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use asuser_audit::VersionDigests;
use asuser_connector::Connector;
use asuser_core::{Catalog, ServiceName};
use asuser_delegation::Agents;
use asuser_identity::Identities;
use asuser_policy::Policies;
use asuser_query::ServiceLimits;

/// Everything that decides.
pub struct State {
    /// Who may vouch for a human.
    pub identities: Identities,
    /// Which agents there are.
    pub agents: Agents,
    /// What is allowed.
    pub policies: Policies,
    /// The databases by name.
    pub services: BTreeMap<ServiceName, Service>,
    /// Digests of the configuration and policy for the record.
    pub digests: VersionDigests,
}

/// One database.
pub struct Service {
    /// The way to it.
    pub connector: Arc<dyn Connector>,
    /// Its shape; `None` while it cannot be reached: the service is not ready, the others serve.
    pub catalog: Option<Arc<Catalog>>,
    /// Its limits.
    pub limits: ServiceLimits,
}
