//! Resolving a delegation, and asking it.

use asuser_core::{Actor, ActorId, Assurance, Problem, Reason, Secret, ServiceName};
use asuser_identity::Verified;

use crate::agents::{Agents, Profile};
use crate::{Action, Grant};

/// What the actor may do for the principal. Made only by [`Agents::resolve`]; it can only take away.
///
/// ```compile_fail,E0451
/// let forged = asuser_delegation::Delegation { actors: vec![], factors: vec![] };
/// ```
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Delegation {
    actors: Vec<Actor>,
    /// Every factor must cover an action: an intersection.
    factors: Vec<Factor>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Factor {
    whose: Whose,
    grants: Vec<Grant>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Whose {
    Scope,
    Agent(ActorId),
    NoActor,
}

/// Why there is no delegation, or not for this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DelegationError {
    /// The agent's API key is unknown.
    #[error("the agent's API key is not known here: check the X-DreamFactory-API-Key header")]
    UnknownKey,
    /// The installation demands an agent.
    #[error(
        "this installation answers only agents that are named: send a token with `act` or `client_id`, or an agent's API key"
    )]
    ActorRequired,
    /// The agent is switched off.
    #[error("the agent `{0}` is switched off here: ask an administrator")]
    ActorDisabled(ActorId),
    /// The agent may not do this.
    #[error("the agent `{0}` may not `{1}`: an administrator can add it to the agent's `may`")]
    ActorNotAllowed(ActorId, String),
    /// No agent is named, and the profile for that does not cover this.
    #[error("a request without a named agent may not `{0}`: send a token that names the agent, or its API key")]
    AnonymousNotAllowed(String),
    /// The token's scope does not cover this.
    #[error("the token's scope does not cover `{0}`: ask for a token with that scope")]
    InsufficientScope(String),
}

impl From<DelegationError> for Problem {
    fn from(error: DelegationError) -> Self {
        let reason = match &error {
            DelegationError::UnknownKey => Reason::UnknownAgentCredential,
            DelegationError::ActorRequired => Reason::ActorRequired,
            DelegationError::ActorDisabled(_)
            | DelegationError::ActorNotAllowed(..)
            | DelegationError::AnonymousNotAllowed(_) => Reason::ActorNotAllowed,
            DelegationError::InsufficientScope(_) => Reason::InsufficientScope,
        };
        let problem = Self::new(reason, error.to_string());
        match error {
            DelegationError::InsufficientScope(scope) => problem.context(serde_json::json!({ "scope": scope })),
            _ => problem,
        }
    }
}

impl Agents {
    /// Whose authority is in force: the token's actor, its client, the actor of the API key, or nobody.
    ///
    /// Where these differ, all are kept, and all must be allowed.
    ///
    /// # Errors
    /// When the key is unknown, an actor is switched off, or one is demanded and none is there.
    pub fn resolve(&self, verified: &Verified, key: Option<&Secret>) -> Result<Delegation, DelegationError> {
        let data = verified.data();
        let by_token = |id: ActorId| Actor { id, assurance: Assurance::Token, chain: Vec::new() };
        let mut actors: Vec<Actor> = data.actor.iter().cloned().chain(data.client.clone().map(by_token)).collect();
        let shown = match key {
            None => None,
            Some(key) => Some(self.by_key(key).ok_or(DelegationError::UnknownKey)?.clone()),
        };
        let shown = shown.filter(|id| actors.iter().all(|actor| actor.id != *id));
        actors.extend(shown.map(|id| Actor { id, assurance: Assurance::Credential, chain: Vec::new() }));

        let mut factors = Vec::new();
        for actor in &actors {
            factors.push(Factor { whose: Whose::Agent(actor.id.clone()), grants: self.agent_grants(&actor.id)? });
        }
        if actors.is_empty() {
            if self.actor.require_actor {
                return Err(DelegationError::ActorRequired);
            }
            factors.push(Factor { whose: Whose::NoActor, grants: profile_grants(&self.actor.none) });
        }
        factors.extend(self.scope_grants(verified).map(|grants| Factor { whose: Whose::Scope, grants }));
        Ok(Delegation { actors, factors })
    }

    fn agent_grants(&self, id: &ActorId) -> Result<Vec<Grant>, DelegationError> {
        match self.by_id.get(id) {
            None => Ok(profile_grants(&self.actor.unregistered)),
            Some(agent) if agent.enabled => Ok(agent.may.clone()),
            Some(_) => Err(DelegationError::ActorDisabled(id.clone())),
        }
    }

    /// `None`: the scope is no limit, since it says nothing of us and need not. A scope of ours that is no grant, such as `db:write`,
    /// is a limit that gives nothing.
    fn scope_grants(&self, verified: &Verified) -> Option<Vec<Grant>> {
        let data = verified.data();
        let tokens = || data.scope.iter().flatten();
        let grants: Vec<Grant> = tokens().filter_map(|token| token.parse().ok()).collect();
        let limits = !grants.is_empty() || tokens().any(|token| self.is_ours(token));
        (limits || self.scope_required.contains(&data.key.issuer)).then_some(grants)
    }
}

/// `raw_sql = true` adds SQL text to every service that the profile reads.
fn profile_grants(profile: &Profile) -> Vec<Grant> {
    let mut grants = profile.may.clone();
    if profile.raw_sql {
        grants.extend(profile.may.iter().map(Grant::with_raw_sql));
    }
    grants
}

impl Delegation {
    /// The agents whose authority is in force: none, one, or up to three that disagree (`act`, client, API key).
    #[must_use]
    pub fn actors(&self) -> &[Actor] {
        &self.actors
    }
    /// The first of them: the one that the token names, where it names one.
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        self.actors.first()
    }
    /// The factors, for the caller to read: whose limit it is, and what it covers.
    #[must_use]
    pub fn describe(&self) -> Vec<(String, Vec<String>)> {
        let named = |whose: &Whose| match whose {
            Whose::Scope => "scope".to_owned(),
            Whose::Agent(id) => format!("agent {id}"),
            Whose::NoActor => "no agent".to_owned(),
        };
        let grants = |grants: &[Grant]| grants.iter().map(ToString::to_string).collect();
        self.factors.iter().map(|factor| (named(&factor.whose), grants(&factor.grants))).collect()
    }
    /// Whether every factor covers all of these actions on this service. Where a token's scope does not, the error names every
    /// scope that is needed, so that one more token is enough.
    ///
    /// # Errors
    /// The first factor that does not cover one of them.
    pub fn permits_all(&self, service: &ServiceName, actions: &[Action]) -> Result<(), DelegationError> {
        let refused = actions.iter().find_map(|action| self.permits(service, *action).err());
        match refused {
            None => Ok(()),
            Some(DelegationError::InsufficientScope(_)) => {
                let all: Vec<String> = actions.iter().map(|action| format!("{service}:{}", action.as_str())).collect();
                Err(DelegationError::InsufficientScope(all.join(" ")))
            }
            Some(other) => Err(other),
        }
    }
    /// Whether every factor covers this action on this service.
    ///
    /// # Errors
    /// The first factor that does not cover it.
    pub fn permits(&self, service: &ServiceName, action: Action) -> Result<(), DelegationError> {
        for factor in &self.factors {
            if factor.grants.iter().any(|grant| grant.covers(service, action)) {
                continue;
            }
            let wanted = format!("{service}:{}", action.as_str());
            return Err(match &factor.whose {
                Whose::Scope => DelegationError::InsufficientScope(wanted),
                Whose::Agent(id) => DelegationError::ActorNotAllowed(id.clone(), wanted),
                Whose::NoActor => DelegationError::AnonymousNotAllowed(wanted),
            });
        }
        Ok(())
    }
}
