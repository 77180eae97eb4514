//! `service:action`, the form shared by OAuth scopes and an agent's `may` list.

use std::fmt;
use std::str::FromStr;

use asuser_core::ServiceName;
use serde::Deserialize;

/// What may be done with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Read records and the shape of tables.
    Read,
    /// Submit SQL text.
    RawSql,
}

impl Action {
    /// `read` or `raw_sql`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::RawSql => "raw_sql",
        }
    }
}

/// One right: an action on one service, or on all (`*:read`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Grant {
    /// `None`: every service.
    service: Option<ServiceName>,
    action: Action,
}

/// The text is not `service:action`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a grant: write `service:action` or `*:action`, where the action is `read` or `raw_sql`")]
pub struct ParseGrantError(String);

impl Grant {
    /// Whether it covers this action on this service.
    #[must_use]
    pub fn covers(&self, service: &ServiceName, action: Action) -> bool {
        self.action == action && self.service.as_ref().is_none_or(|named| named == service)
    }
    /// The same service, for SQL text.
    pub(crate) fn with_raw_sql(&self) -> Self {
        Self { service: self.service.clone(), action: Action::RawSql }
    }
}

impl FromStr for Grant {
    type Err = ParseGrantError;
    fn from_str(text: &str) -> Result<Self, ParseGrantError> {
        let refused = || ParseGrantError(text.chars().take(80).collect());
        let (service, action) = text.split_once(':').ok_or_else(refused)?;
        let action =
            [Action::Read, Action::RawSql].into_iter().find(|known| known.as_str() == action).ok_or_else(refused)?;
        match service {
            "" => Err(refused()),
            "*" => Ok(Self { service: None, action }),
            named => Ok(Self { service: Some(named.into()), action }),
        }
    }
}
impl TryFrom<String> for Grant {
    type Error = ParseGrantError;
    fn try_from(text: String) -> Result<Self, ParseGrantError> {
        text.parse()
    }
}
impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service.as_ref().map_or("*", ServiceName::as_str), self.action.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_covers_its_service_and_action_alone() {
        let one: Grant = "db:read".parse().unwrap();
        let all: Grant = "*:read".parse().unwrap();
        assert!(one.covers(&"db".into(), Action::Read) && all.covers(&"hr".into(), Action::Read));
        assert!(!one.covers(&"hr".into(), Action::Read) && !all.covers(&"db".into(), Action::RawSql));
        for wrong in ["", "db", ":read", "db:", "db:Read", "db:delete", "db:read "] {
            assert!(wrong.parse::<Grant>().is_err(), "{wrong}");
        }
    }
}
