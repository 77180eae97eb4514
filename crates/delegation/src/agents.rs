//! The agents that this installation knows, from `[[agent]]` and `[actor]`.

use std::collections::{BTreeMap, HashMap, HashSet};

use asuser_core::{ActorId, Issuer, Secret, ServiceName};
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::Grant;

/// One `[[agent]]` block.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// Its `client_id`, as tokens name it.
    pub client_id: ActorId,
    /// For people to read.
    #[serde(default)]
    pub name: Option<String>,
    /// What it may do, whoever it acts for.
    #[serde(default)]
    pub may: Vec<Grant>,
    /// SHA-256 of its API key in hexadecimal. The key must be random (32 bytes are customary): it is not stretched.
    #[serde(default)]
    pub key_hash: Option<String>,
    /// `false` refuses it.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// The `[actor]` block.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActorConfig {
    /// Refuse requests that name no agent.
    pub require_actor: bool,
    /// What a request without an agent may do.
    pub none: Profile,
    /// What an agent may do that a token names, but no `[[agent]]` block.
    pub unregistered: Profile,
}

/// What a class of actors may do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// Its grants; by default `*:read`.
    pub may: Vec<Grant>,
    /// Also submit SQL text, on the services that `may` names.
    pub raw_sql: bool,
}

/// The configuration of agents cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentsConfigError {
    /// Two blocks, one name.
    #[error("two [[agent]] blocks have client_id = \"{0}\": keep one")]
    Duplicate(ActorId),
    /// Two agents, one key.
    #[error("the agents \"{0}\" and \"{1}\" have the same key_hash: give each a key of its own")]
    SharedKey(ActorId, ActorId),
    /// Not a SHA-256 in hexadecimal.
    #[error(
        "the key_hash of agent \"{0}\" is not 64 hexadecimal digits: \
         make one by `printf %s \"$KEY\" | sha256sum`"
    )]
    BadHash(ActorId),
}

/// All agents, ready to be looked up.
#[derive(Debug, Default)]
pub struct Agents {
    pub(crate) by_id: BTreeMap<ActorId, AgentConfig>,
    by_key: HashMap<[u8; 32], ActorId>,
    pub(crate) actor: ActorConfig,
    pub(crate) scope_required: HashSet<Issuer>,
    /// The names of the configured services, in lower case.
    services: HashSet<String>,
}

impl Agents {
    /// Checks and indexes the configuration. `scope_required` holds the issuers whose tokens must carry a scope of ours; by the names
    /// of `services` a scope is known to be ours.
    ///
    /// # Errors
    /// When a block is ambiguous or malformed; the message says what to change.
    pub fn new(
        agents: Vec<AgentConfig>,
        actor: ActorConfig,
        scope_required: impl IntoIterator<Item = Issuer>,
        services: impl IntoIterator<Item = ServiceName>,
    ) -> Result<Self, AgentsConfigError> {
        let mut built = Self {
            actor,
            scope_required: scope_required.into_iter().collect(),
            services: services.into_iter().map(|name| name.as_str().to_lowercase()).collect(),
            ..Self::default()
        };
        for agent in agents {
            let id = agent.client_id.clone();
            if let Some(hash) = &agent.key_hash {
                let bytes = HEXLOWER_PERMISSIVE.decode(hash.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
                let bytes = bytes.ok_or_else(|| AgentsConfigError::BadHash(id.clone()))?;
                if let Some(other) = built.by_key.insert(bytes, id.clone()) {
                    return Err(AgentsConfigError::SharedKey(other, id));
                }
            }
            if built.by_id.insert(id.clone(), agent).is_some() {
                return Err(AgentsConfigError::Duplicate(id));
            }
        }
        Ok(built)
    }

    /// Whether a scope token is about a service here, in any spelling: so it limits, even where it is no grant.
    pub(crate) fn is_ours(&self, token: &str) -> bool {
        token.split_once(':').is_some_and(|(service, _)| {
            let service = service.trim();
            service == "*" || self.services.contains(&service.to_lowercase())
        })
    }

    /// The agent with this API key. The look-up is by digest, so its timing tells nothing of any stored key.
    pub(crate) fn by_key(&self, key: &Secret) -> Option<&ActorId> {
        let digest: [u8; 32] = Sha256::digest(key.expose().as_bytes()).into();
        self.by_key.get(&digest)
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self { may: "*:read".parse().into_iter().collect(), raw_sql: false }
    }
}

const fn yes() -> bool {
    true
}
