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
    /// SQL that the guard refuses.
    #[error(transparent)]
    Sql(#[from] asuser_sql::SqlError),
    /// The table can be read, but not by SQL.
    #[error(
        "`{table}` cannot be used in SQL here, since {why}: read it with `query_table` (or `GET …/_table/{table}`)"
    )]
    NotForSql {
        /// The table.
        table: String,
        /// Why not.
        why: &'static str,
    },
    /// An aggregate over nothing.
    #[error("nothing is asked for: name columns to group by, or aggregates")]
    NoAggregate,
    /// `sum(*)`
    #[error("`{function}` needs a column")]
    AggregateNeedsColumn {
        /// The function.
        function: &'static str,
    },
    /// The column has no such aggregate.
    #[error("`{function}` needs numbers, and `{column}` holds none: use `count`, `min` or `max`")]
    NotANumber {
        /// The function.
        function: &'static str,
        /// The column.
        column: String,
    },
    /// Two values would have one key, or one none.
    #[error("`{name}` cannot name an aggregate: give each another name of 1 to 63 bytes")]
    AggregateName {
        /// The name.
        name: String,
    },
    /// The order names what the answer does not hold.
    #[error("`{name}` is neither a column of the groups nor the name of an aggregate, so nothing can be ordered by it")]
    AggregateOrder {
        /// The name.
        name: String,
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
            PlanError::Sql(error) => sql(&error, message),
            PlanError::NotForSql { .. } => Self::new(Reason::NotForSql, message),
            PlanError::NoAggregate
            | PlanError::AggregateNeedsColumn { .. }
            | PlanError::AggregateName { .. }
            | PlanError::AggregateOrder { .. } => Self::new(Reason::BadParameter, message),
            PlanError::NotANumber { .. } => Self::new(Reason::BadValue, message),
            PlanError::Inconsistent { detail } => Self::new(Reason::Internal, message).detail(detail),
        }
    }
}

fn sql(error: &asuser_sql::SqlError, message: String) -> Problem {
    use asuser_sql::SqlError;

    let reason = match error {
        SqlError::Syntax { .. }
        | SqlError::UnknownRelation { .. }
        | SqlError::UnknownColumn { .. }
        | SqlError::UnknownFunction { .. } => Reason::BadStatement,
        SqlError::NotAllowed { .. } => Reason::StatementNotAllowed,
        SqlError::TooLong { .. } | SqlError::TooComplex(_) => Reason::TooComplex,
        SqlError::Internal(_) => Reason::Internal,
    };
    let problem = Problem::new(reason, message);
    match error.at() {
        Some(at) => problem.context(json!({"line": at.line, "column": at.column})),
        None => problem,
    }
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
