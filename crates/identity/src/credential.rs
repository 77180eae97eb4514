//! What a caller shows, and what becomes of it when it is not good.

use std::fmt;

use asuser_core::{Actor, PrincipalKey, Problem, ProviderName, Secret};

/// What a caller shows to say who asks. The list will grow (a directory password, a session), so match it with a rest.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Credential {
    /// `Authorization: Bearer …` (RFC 6750 §2.1).
    Bearer(Secret),
}

/// A credential that is not accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// Why, for the caller and for the operator. Holds no part of the credential that is secret.
    pub problem: Problem,
    /// Who it is about: only where the signature was good, so that a record may name them.
    pub established: Option<PrincipalKey>,
    /// The agent it names: only where the signature was good.
    pub actor: Option<Actor>,
    /// The provider that its issuer chose. Before a good signature this is a claim, no fact.
    pub provider: Option<ProviderName>,
}

impl From<Problem> for Box<Refused> {
    fn from(problem: Problem) -> Self {
        Self::new(Refused { problem, established: None, actor: None, provider: None })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}
impl std::error::Error for Refused {}
