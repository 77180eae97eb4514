//! Who asks, and through which agent: plain data, which proves nothing until `identity` has verified it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{ActorId, GroupName, Issuer, Login, ProviderName, Subject};

/// Issuer + subject: the key of a principal. Never an e-mail, never a login.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct PrincipalKey {
    /// `iss`
    pub issuer: Issuer,
    /// `sub`, or what the provider's profile names as stable (`oid`, `uid`, objectGUID)
    pub subject: Subject,
}

/// What a provider says of a human.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrincipalData {
    /// The key.
    pub key: PrincipalKey,
    /// Which configured provider vouched.
    pub provider: ProviderName,
    /// The mapped login, if the mapping found one.
    pub login: Option<Login>,
    /// The mapped e-mail address, if any.
    pub email: Option<String>,
    /// The display name, if any.
    pub name: Option<String>,
    /// Groups: sorted, without duplicates.
    pub groups: Vec<GroupName>,
    /// Further typed attributes that policies may read, by their configured names. An empty, null or ill-typed claim is absent.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// The database role that the mapping gives, if any.
    pub database_role: Option<String>,
    /// OAuth scope tokens; `None` where the credential has no scope claim at all.
    pub scope: Option<Vec<String>>,
    /// The agent named by the credential.
    pub actor: Option<Actor>,
    /// The client that the token was issued to, where `act` names another one: its limits hold besides the actor's.
    pub client: Option<ActorId>,
    /// When the credential ends, milliseconds since 1970 (leeway not included).
    pub not_after_ms: i64,
}

/// The type of an attribute is fixed by the configuration, since policies are checked against it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// Text, never empty.
    String(String),
    /// A whole number.
    Long(i64),
    /// True or false.
    Bool(bool),
    /// A set of texts: sorted, without duplicates, none empty. An empty set is absent.
    Strings(Vec<String>),
}

/// The agent that acts for a principal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Actor {
    /// Its `client_id`, or the subject of `act` (RFC 8693 §4.1).
    pub id: ActorId,
    /// How it is known.
    pub assurance: Assurance,
    /// Earlier actors of a nested `act`, nearest first.
    pub chain: Vec<ActorId>,
}

/// How an actor is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Assurance {
    /// Nobody vouches for it.
    None,
    /// It showed a credential of its own.
    Credential,
    /// The verified token names it.
    Token,
}

impl Assurance {
    /// `none`, `credential` or `token`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Credential => "credential",
            Self::Token => "token",
        }
    }
}
