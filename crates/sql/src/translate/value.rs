//! Names, literals and words that are values.

use sqlparser::ast;
use sqlparser::ast::Value;

use super::Translator;
use super::expr::at_expr;
use crate::error::cut;
use crate::lex::at_span;
use crate::tree::{Column, Expr, Qualifier};
use crate::types::Type;
use crate::{At, SqlError};

/// Words that PostgreSQL takes for values where they stand alone and unquoted.
const POSTGRES_KEYWORDS: &[(&str, &str)] = &[
    ("current_date", "CURRENT_DATE"),
    ("current_time", "CURRENT_TIME"),
    ("current_timestamp", "CURRENT_TIMESTAMP"),
    ("localtime", "LOCALTIME"),
    ("localtimestamp", "LOCALTIMESTAMP"),
    ("current_user", "CURRENT_USER"),
    ("current_role", "CURRENT_ROLE"),
    ("session_user", "SESSION_USER"),
    ("user", "CURRENT_USER"),
    ("current_catalog", "CURRENT_CATALOG"),
];
const SQLITE_KEYWORDS: &[(&str, &str)] =
    &[("current_date", "CURRENT_DATE"), ("current_time", "CURRENT_TIME"), ("current_timestamp", "CURRENT_TIMESTAMP")];

impl Translator<'_> {
    pub(super) fn identifier(&mut self, name: ast::Ident) -> Result<Expr, SqlError> {
        if name.quote_style.is_none() {
            let lower = name.value.to_ascii_lowercase();
            if let Some(keyword) = self.keyword(&lower) {
                return Ok(Expr::Keyword(keyword));
            }
            if lower == "default" || (lower == "current_schema" && self.postgres()) {
                return Err(SqlError::not_allowed(format!("`{lower}` is not allowed here"), at_span(name.span)));
            }
        }
        Ok(Expr::Column(Column { qualifier: None, name: self.ident(name)?, target: None }))
    }

    /// A word that is a value by itself.
    pub(super) fn keyword(&self, lower: &str) -> Option<&'static str> {
        let keywords = if self.postgres() { POSTGRES_KEYWORDS } else { SQLITE_KEYWORDS };
        keywords.iter().find(|(word, _)| *word == lower).map(|(_, keyword)| *keyword)
    }

    pub(super) fn compound(&mut self, parts: Vec<ast::Ident>) -> Result<Expr, SqlError> {
        let mut names = Vec::with_capacity(parts.len());
        for part in parts {
            names.push(self.ident(part)?);
        }
        let at = names.first().map_or_else(At::default, |name| name.at);
        let (name, table, schema, more) = (names.pop(), names.pop(), names.pop(), names.pop());
        match (schema, table, name, more) {
            (schema, Some(table), Some(name), None) => {
                Ok(Expr::Column(Column { qualifier: Some(Qualifier { schema, table }), name, target: None }))
            }
            _ => Err(SqlError::not_allowed("a column's name has at most three parts: write `table.column`", at)),
        }
    }

    pub(super) fn value(&mut self, value: ast::ValueWithSpan) -> Result<Expr, SqlError> {
        let at = at_span(value.span);
        Ok(match value.value {
            Value::Number(digits, false) => Expr::Number(digits),
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Expr::Text(text),
            Value::DollarQuotedString(text) => Expr::Text(text.value),
            Value::Boolean(value) => Expr::Bool(value),
            Value::Null => Expr::Null,
            Value::HexStringLiteral(digits) if !self.postgres() => {
                if !digits.len().is_multiple_of(2) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(SqlError::syntax(
                        "a blob is written as X'…' with an even number of hexadecimal digits",
                        at,
                    ));
                }
                Expr::Blob(digits)
            }
            Value::Placeholder(name) => {
                let bare = name.strip_prefix(':').unwrap_or_default();
                let Some(parameter) = self.parameters.iter().position(|known| known.as_str() == bare) else {
                    let message = format!("`{}` is no parameter of this statement: write the value itself", cut(&name));
                    return Err(SqlError::not_allowed(message, at));
                };
                self.used.insert(parameter);
                Expr::Parameter(parameter)
            }
            _ => {
                return Err(SqlError::not_allowed(
                    "this literal is not allowed: write a number or a single-quoted string",
                    at,
                ));
            }
        })
    }

    /// `DATE '2024-01-01'`
    pub(super) fn typed_string(&mut self, string: ast::TypedString) -> Result<Expr, SqlError> {
        let ast::TypedString { data_type, value, uses_odbc_syntax } = string;
        let at = at_span(value.span);
        if uses_odbc_syntax || !self.postgres() {
            return Err(SqlError::not_allowed("a literal with a type is not allowed: write the string alone", at));
        }
        let mut ty = Type::of(&data_type, self.dialect, at)?;
        // Before a constant, `CHAR` is of any length; in a cast it is one character.
        if matches!(data_type, ast::DataType::Char(None) | ast::DataType::Character(None)) {
            ty.modifiers.clear();
        }
        Ok(Expr::Cast(Box::new(self.value(value)?), ty))
    }

    pub(super) fn interval(&mut self, interval: ast::Interval) -> Result<Expr, SqlError> {
        let ast::Interval { value, leading_field, leading_precision, last_field, fractional_seconds_precision } =
            interval;
        let at = at_expr(&value);
        let refused =
            || SqlError::not_allowed("write an interval as INTERVAL '3 days', or multiply: n * INTERVAL '1 day'", at);
        if !self.postgres() || leading_precision.is_some() || fractional_seconds_precision.is_some() {
            return Err(refused());
        }
        let Expr::Text(text) = self.expr(*value)? else { return Err(refused()) };
        let word = |field: &ast::DateTimeField| field.to_string().to_ascii_uppercase();
        let written = match (&leading_field, &last_field) {
            (None, None) => return Ok(Expr::Cast(Box::new(Expr::Text(text)), interval_type())),
            (Some(first), None) => word(first),
            (Some(first), Some(last)) => format!("{} TO {}", word(first), word(last)),
            (None, Some(_)) => return Err(refused()),
        };
        let known = [
            "YEAR",
            "MONTH",
            "DAY",
            "HOUR",
            "MINUTE",
            "SECOND",
            "YEAR TO MONTH",
            "DAY TO HOUR",
            "DAY TO MINUTE",
            "DAY TO SECOND",
            "HOUR TO MINUTE",
            "HOUR TO SECOND",
            "MINUTE TO SECOND",
        ];
        let fields = known.into_iter().find(|known| *known == written).ok_or_else(refused)?;
        Ok(Expr::Interval { text, fields })
    }
}

fn interval_type() -> Type {
    Type { name: "interval", modifiers: Vec::new(), fields: "", dimensions: 0 }
}
