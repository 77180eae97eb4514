//! What the database calls an output column, and which one a number means.

use super::Resolver;
use crate::tree::{Body, Expr, Item, Query};
use crate::{At, Dialect, SqlError};

/// The place that a number in ORDER BY or GROUP BY means, from 0.
pub(super) fn ordinal(digits: &str, count: usize) -> Result<usize, SqlError> {
    match digits.parse::<usize>() {
        Ok(number) if (1..=count).contains(&number) => Ok(number - 1),
        _ => Err(SqlError::not_allowed(
            format!(
                "`{}` is no output column: a number here means one of the {count} columns of SELECT",
                crate::error::cut(digits)
            ),
            At::default(),
        )),
    }
}

/// The name of an output column without an alias.
pub(super) fn name(expr: &Expr, resolver: &Resolver<'_>) -> String {
    match (resolver.dialect, expr) {
        // SQLite calls it as it was written; this comes near for the usual ones.
        (Dialect::Sqlite, Expr::Call(call)) if call.args.len() <= 3 => {
            let args: Vec<String> = call.args.iter().map(|arg| found(arg, resolver).1).collect();
            format!("{}({})", call.name, if call.star { "*".to_owned() } else { args.join(", ") })
        }
        _ => found(expr, resolver).1,
    }
}

/// The name and how good it is: 2 a name, 1 a word for the expression, 0 none. PostgreSQL's `FigureColname`.
fn found(expr: &Expr, resolver: &Resolver<'_>) -> (u8, String) {
    let named = |name: &str| (2, name.to_owned());
    match expr {
        Expr::Column(column) => named(&column.name.text),
        Expr::Row(id) => named(resolver.sources.get(*id).map_or("row", |source| source.name.text.as_str())),
        Expr::Call(call) => named(&call.name),
        Expr::First(word, _) => named(&word.to_ascii_lowercase()),
        Expr::Keyword(word) => named(&word.to_ascii_lowercase()),
        Expr::NullIf(..) => named("nullif"),
        Expr::Extract { .. } => named("extract"),
        Expr::GroupingOf(_) => named("grouping"),
        Expr::Array(_) | Expr::ArrayQuery(_) => named("array"),
        Expr::Tuple(_) => named("row"),
        Expr::Exists(_) => named("exists"),
        Expr::Bool(_) if resolver.dialect == Dialect::Postgres => (1, "bool".to_owned()),
        Expr::Interval { .. } => (1, "interval".to_owned()),
        Expr::Query(query) => first_of(query).map_or_else(none, |name| (2, name)),
        Expr::Collate(inner, _) | Expr::Subscript(inner, _) => found(inner, resolver),
        Expr::Cast(inner, ty) => match found(inner, resolver) {
            (2, name) => (2, name),
            _ => (1, ty.column_name().to_owned()),
        },
        Expr::Case { otherwise, .. } => match otherwise.as_ref().map(|otherwise| found(otherwise, resolver)) {
            Some((2, name)) => (2, name),
            _ => (1, "case".to_owned()),
        },
        _ => none(),
    }
}

fn none() -> (u8, String) {
    (0, "?column?".to_owned())
}

fn first_of(query: &Query) -> Option<String> {
    match &query.body {
        Body::Select(select) => match select.items.first()? {
            Item::Expr { .. } => select.outputs.first().map(|output| output.name.clone()),
            Item::Star(_) | Item::StarOf(..) => None,
        },
        _ => query.outputs.first().map(|output| output.name.clone()),
    }
}
