//! Identifiers, each its own type, so that a subject cannot stand where a login is meant.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
    )*};
}

text_id! {
    /// `iss` of RFC 7519 §4.1.1: who vouches for the subject. Compared exactly, a trailing slash included.
    Issuer,
    /// `sub` of RFC 7519 §4.1.2: stable and never reassigned within its issuer. With the issuer it is the principal's key.
    Subject,
    /// The name a person types or a directory shows. An attribute, never a key.
    Login,
    /// A group as the provider names it.
    GroupName,
    /// A configured identity provider.
    ProviderName,
    /// A configured database, as the URL names it.
    ServiceName,
    /// A table or view, spelt as the catalogue spells it.
    TableName,
    /// A column, spelt as the catalogue spells it.
    ColumnName,
    /// The agent that acts for a principal: a `client_id`.
    ActorId,
    /// `X-Request-Id`: the caller's name for the request, or ours.
    RequestId,
}

/// 16 random bytes that name one audit entry; shown as 26 lower-case base32 characters (RFC 4648 §6, no padding).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AuditId([u8; 16]);

/// The text is not an identifier of the expected form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an audit id: 26 characters of a-z and 2-7 are expected")]
pub struct ParseIdError(String);

impl AuditId {
    /// A fresh identifier from the operating system's random source.
    ///
    /// # Errors
    /// When the operating system has no random bytes to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        crate::random::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
    /// The identifier with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}
impl fmt::Debug for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
impl std::str::FromStr for AuditId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let refused = || ParseIdError(text.chars().take(40).collect());
        let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).map_err(|_| refused())?;
        Ok(Self(bytes.try_into().map_err(|_| refused())?))
    }
}

/// A SHA-256 digest; shown in lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_id_reads_back_in_either_case_and_nothing_else_does() {
        let id = AuditId::from_bytes([7; 16]);
        let text = id.to_string();
        assert_eq!(text.len(), 26);
        assert_eq!(text.parse::<AuditId>(), Ok(id));
        assert_eq!(text.to_uppercase().parse::<AuditId>(), Ok(id));
        for wrong in ["", "aa", "a7lqob2hd4dy6bqpb4dq6byhb4d", "0000000000000000000000000!"] {
            assert!(wrong.parse::<AuditId>().is_err(), "{wrong}");
        }
    }
}
