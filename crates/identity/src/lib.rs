//! Credential in, [`Verified`] out: the only crate that can say who asks.
//!
//! Refuses everything that is not provably an access token, made by a configured provider, for this installation, in force now,
//! for a human (laws 1 and 4). Only what the configuration names is fetched, in the background: a provider's metadata and keys. Nothing
//! that a token names (`jku`, `x5u`, `_claim_sources`) ever is, and no token leaves.

mod algorithm;
mod config;
mod credential;
mod explanation;
mod identities;
mod keys;
mod mapping;
mod providers;
mod token;
mod verified;

pub use algorithm::Algorithm;
pub use config::{AttributeConfig, AttributeType, ConfigError, IdentityConfig, MappingConfig, OneOrMore, ProviderKind};
pub use credential::{Credential, Refused};
pub use explanation::{Explanation, Refusal, Step, StepOutcome, StepReport};
pub use identities::{Identities, ProviderStatus};
pub use mapping::is_mutable as is_mutable_claim;
pub use providers::remote::KeysStatus;
pub use verified::Verified;
