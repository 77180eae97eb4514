//! What a request is judged by: one immutable value, replaced whole at a reload, so no request sees half of a configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use asuser_audit::{ReceiptFor, VersionDigests};
use asuser_connector::Connector;
use asuser_core::{Catalog, GroupName, ProviderName, ServiceName};
use asuser_delegation::Agents;
use asuser_identity::{Identities, Verified};
use asuser_policy::Policies;
use asuser_query::{AllowedFunctions, ServiceLimits};

use crate::tools::Tool;

/// Everything that decides.
pub struct State {
    /// Who may vouch for a human.
    pub identities: Arc<Identities>,
    /// Which agents there are.
    pub agents: Arc<Agents>,
    /// Groups whose members may see every receipt.
    pub auditors: Vec<Auditors>,
    /// What is allowed.
    pub policies: Policies,
    /// The databases by name.
    pub services: BTreeMap<ServiceName, Service>,
    /// The configured tools by name.
    pub tools: BTreeMap<String, Tool>,
    /// Digests of the configuration and policy for the record.
    pub digests: VersionDigests,
}

/// A group of auditors. A group's name means nothing without who says it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auditors {
    /// The identity provider that says so.
    pub provider: ProviderName,
    /// Its group.
    pub group: GroupName,
}

impl State {
    pub(crate) fn receipt_reader(&self, verified: &Verified) -> ReceiptFor {
        let data = verified.data();
        let audits = |auditors: &Auditors| data.provider == auditors.provider && data.groups.contains(&auditors.group);
        if self.auditors.iter().any(audits) { ReceiptFor::Auditor } else { ReceiptFor::Owner }
    }
}

/// One database.
pub struct Service {
    /// The way to it.
    pub connector: Arc<dyn Connector>,
    /// Its shape; `None` while it cannot be reached: the service is not ready, the others serve.
    pub catalog: Option<Arc<Catalog>>,
    /// Its limits.
    pub limits: ServiceLimits,
    /// Functions of the company's own that submitted SQL may call.
    pub functions: AllowedFunctions,
    /// For people and models: what it holds.
    pub description: Option<String>,
}
