//! What this actor may do for this principal: verified human and agent in, [`Delegation`] out.
//!
//! Without a stored delegation the delegation *is* the token's scope ∩ what the agent may (law 3: authority only shrinks).
//! Refuses an agent credential that nobody registered, an actor that is switched off, and, where the installation demands
//! one, the absence of an actor.

mod agents;
mod delegation;
mod grant;

pub use agents::{ActorConfig, AgentConfig, Agents, AgentsConfigError, Profile};
pub use delegation::{Delegation, DelegationError};
pub use grant::{Action, Grant, ParseGrantError};
