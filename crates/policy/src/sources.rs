//! What policies are loaded from: texts, catalogues, and what the configuration says.

use std::collections::BTreeMap;
use std::sync::Arc;

use asuser_core::Catalog;

use crate::rules::ServiceDefault;

/// A file: its name as messages show it, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile {
    /// Such as `policies/db/orders.cedar`.
    pub name: String,
    /// UTF-8.
    pub text: String,
}

/// The files of one folder below `policies/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyFolder {
    /// `*.cedar`, in the order of their names.
    pub policies: Vec<PolicyFile>,
    /// `masks.toml`.
    pub masks: Option<PolicyFile>,
}

/// All folders below `policies/` by name: one a service, about that service alone, and [`PolicySources::ALL`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicySources {
    /// By the name of the folder.
    pub folders: BTreeMap<String, PolicyFolder>,
}

impl PolicySources {
    /// The folder that concerns every service, and may hold only `forbid`.
    pub const ALL: &'static str = "all";
}

/// A service that policies can be about.
#[derive(Debug, Clone)]
pub struct ServiceSource {
    /// Its tables.
    pub catalog: Arc<Catalog>,
    /// What holds where no policy says anything.
    pub default: ServiceDefault,
}
