//! How a decision is refused, and what is wrong with a policy that does not load.

use std::fmt;

use asuser_core::{Problem, Reason, ServiceName};

/// Why there is no decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No service of this name.
    #[error("there is no service `{0}` here")]
    NoSuchService(ServiceName),
    /// No table of this name, or none of its rows or columns is open to this caller: the two read alike.
    #[error("there is no table `{table}` in `{service}` that you can reach")]
    NoSuchTable {
        /// The service.
        service: ServiceName,
        /// As the caller wrote it.
        table: String,
    },
    /// Nothing of the service is open to this caller.
    #[error("no policy opens anything in `{0}` to you: ask its administrator")]
    Denied(ServiceName),
    /// Policy could not be decided, so nothing is open.
    #[error("policy for `{service}` could not be decided: ask its administrator")]
    Undecidable {
        /// The service.
        service: ServiceName,
        /// For the operator.
        why: String,
    },
}

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        let message = error.to_string();
        match error {
            PolicyError::NoSuchService(_) => Self::new(Reason::NoSuchService, message),
            PolicyError::NoSuchTable { .. } => Self::new(Reason::NoSuchTable, message),
            PolicyError::Denied(_) => Self::new(Reason::Denied, message),
            PolicyError::Undecidable { why, .. } => Self::new(Reason::Undecidable, message).detail(why),
        }
    }
}

/// What is wrong with a policy, a mask or the catalogue that they are about. Nothing is in force while there is one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoadError {
    /// The file, or what stands for it (`catalogue of db`).
    pub file: String,
    /// 1-based; 0 where no line is to blame.
    pub line: u32,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub suggestion: Option<String>,
}

impl LoadError {
    pub(crate) fn new(file: &str, line: u32, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, message: message.into(), suggestion: None }
    }
    pub(crate) fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }
    pub(crate) fn suggest_if(mut self, suggestion: Option<String>) -> Self {
        self.suggestion = suggestion.or(self.suggestion);
        self
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.message)?;
        self.suggestion.iter().try_for_each(|suggestion| write!(f, " ({suggestion})"))
    }
}
impl std::error::Error for LoadError {}

/// `did you mean …?`, if one of the names is close.
pub(crate) fn did_you_mean<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = wrong.to_lowercase();
    names
        .into_iter()
        .map(|name| (strsim::osa_distance(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.chars().count() / 4)
        .min()
        .map(|(_, name)| format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_error_reads_as_file_line_message_and_suggestion() {
        let error = LoadError::new("policies/db/a.cedar", 3, "no column `ownr`").suggest("did you mean `owner`?");
        assert_eq!(error.to_string(), "policies/db/a.cedar:3: no column `ownr` (did you mean `owner`?)");
        assert_eq!(LoadError::new("catalogue of db", 0, "x").to_string(), "catalogue of db: x");
    }

    #[test]
    fn only_close_names_are_suggested() {
        assert_eq!(did_you_mean("ownr", ["id", "owner"]).as_deref(), Some("did you mean `owner`?"));
        assert_eq!(did_you_mean("price", ["id", "owner"]), None);
    }
}
