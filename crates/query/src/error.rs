//! Why a request that parses cannot become a plan.

use asuser_core::{Problem, Reason, ServiceName};
use serde_json::json;

/// A name, value or key that does not fit the table as this caller may see it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No table that the caller may reach has exactly this name.
    #[error("there is no table `{table}` in `{service}` that you can reach")]
    NoSuchTable {
        /// The service.
        service: ServiceName,
        /// The name, cut to 64 characters.
        table: String,
    },
    /// No column has exactly this name.
    #[error("there is no column `{name}` in `{table}`{}", did_you_mean(.suggestion))]
    NoSuchColumn {
        /// The name, cut to 64 characters.
        name: String,
        /// The table.
        table: String,
        /// The nearest among the columns that the caller may read.
        suggestion: Option<String>,
        /// Where it is named.
        place: Place,
    },
    /// Policy denies a column that the request names.
    #[error("you may not read the column `{name}` of `{table}`: leave it out")]
    ColumnDenied {
        /// The column.
        name: String,
        /// The table.
        table: String,
        /// Where it is named.
        place: Place,
    },
    /// Policy denies every column.
    #[error("you may not read any column of `{table}`")]
    NoReadableColumn {
        /// The table.
        table: String,
    },
    /// A value does not fit the column.
    #[error("`{column}` needs {expected}")]
    BadValue {
        /// The column.
        column: String,
        /// What it needs.
        expected: &'static str,
        /// Where the column is named.
        place: Place,
    },
    /// The column has no such test.
    #[error("`{column}` cannot be compared like that: {only}")]
    NotComparable {
        /// The column.
        column: String,
        /// What it can.
        only: &'static str,
        /// Where the column is named.
        place: Place,
    },
    /// The table has no primary key.
    #[error("`{table}` has no primary key: use `filter`, or name a column in `id_field`")]
    NoKey {
        /// The table.
        table: String,
    },
    /// The key has another number of columns.
    #[error(
        "a key of `{table}` has {wanted} value(s) ({columns}), not {found}: a value that holds a comma stands in quotes"
    )]
    KeyArity {
        /// The table.
        table: String,
        /// How many it has.
        wanted: usize,
        /// Their names, in key order.
        columns: String,
        /// How many came.
        found: usize,
    },
    /// More than a plan may hold.
    #[error("the request is too complex: at most {limit}")]
    TooComplex {
        /// What a plan may hold.
        limit: &'static str,
    },
    /// Something that no caller can cause.
    #[error("the request cannot be planned")]
    Inconsistent {
        /// For the operator.
        detail: &'static str,
    },
}

/// Where a request names a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The parameter: `fields`, `filter`, `order`, `ids`, `id_field` or `id`.
    pub parameter: &'static str,
    /// The character in it, where it is known.
    pub position: Option<u32>,
}

impl Place {
    pub(crate) const fn of(parameter: &'static str) -> Self {
        Self { parameter, position: None }
    }
}

impl From<PlanError> for Problem {
    fn from(error: PlanError) -> Self {
        let message = error.to_string();
        let at = |place: Place| json!({"parameter": place.parameter, "position": place.position});
        match error {
            PlanError::NoSuchTable { .. } => Self::new(Reason::NoSuchTable, message),
            PlanError::NoSuchColumn { place, suggestion, .. } => {
                let context =
                    json!({"parameter": place.parameter, "position": place.position, "suggestion": suggestion});
                Self::new(Reason::NoSuchColumn, message).context(context)
            }
            PlanError::ColumnDenied { place, .. } => Self::new(Reason::ColumnDenied, message).context(at(place)),
            PlanError::NoReadableColumn { .. } => Self::new(Reason::ColumnDenied, message),
            PlanError::BadValue { place, .. } | PlanError::NotComparable { place, .. } => {
                Self::new(Reason::BadValue, message).context(at(place))
            }
            PlanError::NoKey { .. } | PlanError::KeyArity { .. } => Self::new(Reason::BadKey, message),
            PlanError::TooComplex { .. } => Self::new(Reason::TooComplex, message),
            PlanError::Inconsistent { detail } => Self::new(Reason::Internal, message).detail(detail),
        }
    }
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
