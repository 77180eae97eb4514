//! What a statement on a structured connection may touch, asked by SQLite while it prepares. In: the plan's table and the
//! columns that its text uses. Refuses everything else, also what a fault of our own printer would ask for.

use std::sync::Arc;

use asuser_core::{Table, TableKind};
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::functions::{OWN_FUNCTIONS, VALUE_FUNCTION};

/// Built-in functions that read nothing but their arguments, cannot raise memory without bound and cannot change anything.
/// What the views of a database and submitted SQL may call.
pub(crate) const SAFE_FUNCTIONS: &[&str] = &[
    "abs",
    "acos",
    "asin",
    "atan",
    "atan2",
    "avg",
    "ceil",
    "ceiling",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "cos",
    "count",
    "cume_dist",
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "datetime",
    "degrees",
    "dense_rank",
    "exp",
    "first_value",
    "floor",
    "format",
    "glob",
    "group_concat",
    "hex",
    "if",
    "ifnull",
    "iif",
    "instr",
    "json",
    "json_array",
    "json_array_length",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_object",
    "json_quote",
    "json_type",
    "json_valid",
    "julianday",
    "lag",
    "last_value",
    "lead",
    "length",
    "like",
    "likelihood",
    "likely",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "max",
    "min",
    "mod",
    "nth_value",
    "ntile",
    "nullif",
    "octet_length",
    "percent_rank",
    "pi",
    "pow",
    "power",
    "printf",
    "quote",
    "radians",
    "rank",
    "replace",
    "round",
    "row_number",
    "rtrim",
    "sign",
    "sin",
    "sqrt",
    "strftime",
    "string_agg",
    "substr",
    "substring",
    "sum",
    "tan",
    "time",
    "timediff",
    "total",
    "trim",
    "trunc",
    "typeof",
    "unicode",
    "unhex",
    "unixepoch",
    "unlikely",
    "upper",
    "->",
    "->>",
];

/// Built-in functions that the printer uses.
const PRINTED_FUNCTIONS: &[&str] = &["typeof", "count"];

/// What a structured connection may touch now.
#[derive(Debug, Default)]
pub(crate) enum Permit {
    /// Nothing.
    #[default]
    Nothing,
    /// Begin, end, and ask for the schema's version.
    Frame,
    /// These columns of this table or view.
    Table {
        /// The table.
        table: Arc<Table>,
        /// Which of its columns.
        columns: Vec<bool>,
    },
}

impl Permit {
    /// SQLite's question.
    pub(crate) fn judge(&self, context: AuthContext<'_>) -> Authorization {
        let allowed = match self {
            Self::Nothing => false,
            Self::Frame => match context.action {
                AuthAction::Transaction { .. } => true,
                AuthAction::Pragma { pragma_name, pragma_value: None } => pragma_name == "schema_version",
                _ => false,
            },
            Self::Table { table, columns } => may(table, columns, &context),
        };
        if allowed { Authorization::Allow } else { Authorization::Deny }
    }
}

fn may(table: &Table, columns: &[bool], context: &AuthContext<'_>) -> bool {
    let inside_view = context.accessor.is_some();
    let is_view = table.kind == TableKind::View;
    match context.action {
        AuthAction::Select => true,
        AuthAction::Recursive => is_view && inside_view,
        AuthAction::Function { function_name } if inside_view => is_view && is_listed(SAFE_FUNCTIONS, function_name),
        AuthAction::Function { function_name } => {
            is_listed(PRINTED_FUNCTIONS, function_name)
                || (is_listed(OWN_FUNCTIONS, function_name) && function_name != VALUE_FUNCTION)
        }
        AuthAction::Read { table_name, column_name } => {
            let of_plan = context.database_name != Some("temp") && table_name.eq_ignore_ascii_case(table.name.as_str());
            let named = of_plan && !inside_view && (column_name.is_empty() || is_used(table, columns, column_name));
            // What a view reads is the view's affair: it is its owner's text, and no part of ours is inside it.
            // An empty column is SQLite's word for "no column of this table"; a flattened view asks it from outside.
            named || (is_view && is_ordinary(table_name) && (inside_view || column_name.is_empty()))
        }
        _ => false,
    }
}

/// A column that the statement's text uses; compared as SQLite compares names.
fn is_used(table: &Table, columns: &[bool], name: &str) -> bool {
    let mut pairs = table.columns.iter().zip(columns);
    pairs.any(|(column, used)| *used && column.name.as_str().eq_ignore_ascii_case(name))
}

/// Not one of SQLite's own tables or table-valued functions.
pub(crate) fn is_ordinary(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    !lower.starts_with("sqlite_") && !lower.starts_with("pragma_")
}

/// Whether a list of functions holds the name, in whatever case.
pub(crate) fn is_listed(list: &[&str], name: &str) -> bool {
    list.iter().any(|listed| listed.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two walls, two lists: what the guard lets through, the confined session must know.
    #[test]
    fn what_the_guard_lists_the_session_lets_through() {
        let mut listed = 0;
        for name in asuser_sql::listed_functions(asuser_sql::Dialect::Sqlite) {
            assert!(is_listed(SAFE_FUNCTIONS, name), "{name}");
            listed += 1;
        }
        assert!(listed > 50, "{listed}");
    }
}
