//! Expressions, and their forms on SQLite. What PostgreSQL has its own spelling for is in postgres.rs.

use super::{Place, Printer};
use crate::SqlError;
use crate::tree::{Expr, LikeKind, Target};
use crate::types::Type;

impl<P: Place> Printer<'_, P> {
    pub(super) fn expr(&mut self, expr: &Expr) -> Result<(), P::Error> {
        self.check_length()?;
        match expr {
            Expr::Column(column) => {
                let target = column.target.as_ref().ok_or(SqlError::Internal("a column that nobody looked up"))?;
                self.target(target)?;
            }
            Expr::Row(id) => {
                let resolved = self.resolved;
                let source = resolved.statement.sources.get(*id).ok_or(SqlError::Internal("an unknown source"))?;
                self.name(&source.printed);
            }
            Expr::Ordinal(at) => self.push(&at.saturating_add(1).to_string()),
            Expr::Null => self.push("NULL"),
            Expr::Bool(value) => self.push(if *value { "TRUE" } else { "FALSE" }),
            Expr::Number(digits) => {
                let shown = if self.shape { "?" } else { digits };
                self.push(shown);
            }
            Expr::Text(text) => self.string(text),
            Expr::Blob(digits) => {
                self.push("X");
                self.string(digits);
            }
            Expr::Parameter(parameter) => self.parameter(*parameter)?,
            Expr::Keyword(word) => self.push(word),
            Expr::Not(inner) => {
                self.push("(NOT ");
                self.expr(inner)?;
                self.push(")");
            }
            Expr::And(list) => self.chain(list, " AND ")?,
            Expr::Or(list) => self.chain(list, " OR ")?,
            Expr::Is { expr, what, negated } => {
                self.push("(");
                self.expr(expr)?;
                self.push(if *negated { " IS NOT " } else { " IS " });
                self.push(what);
                self.push(")");
            }
            Expr::Exists(query) => {
                self.push("(EXISTS ");
                self.bracketed(query)?;
                self.push(")");
            }
            Expr::Query(query) => self.bracketed(query)?,
            Expr::ArrayQuery(query) => {
                self.push("ARRAY");
                self.bracketed(query)?;
            }
            Expr::Call(call) => self.call(call)?,
            Expr::Cast(inner, ty) => {
                self.push("CAST(");
                self.expr(inner)?;
                self.push(" AS ");
                self.type_name(ty);
                self.push(")");
            }
            _ if self.postgres() => self.postgres_expr(expr)?,
            _ => self.sqlite_expr(expr)?,
        }
        Ok(())
    }

    fn target(&mut self, target: &Target) -> Result<(), P::Error> {
        match target {
            Target::Of(id, column) => {
                let resolved = self.resolved;
                let source = resolved.statement.sources.get(*id).ok_or(SqlError::Internal("an unknown source"))?;
                let column = source.columns.get(*column).ok_or(SqlError::Internal("an unknown column"))?;
                self.name(&source.printed);
                self.push(".");
                self.name(&column.printed);
                Ok(())
            }
            Target::Merged(left, right) => {
                self.push(if self.postgres() { "COALESCE(" } else { "coalesce(" });
                self.target(left)?;
                self.push(", ");
                self.target(right)?;
                self.push(")");
                Ok(())
            }
        }
    }

    fn chain(&mut self, list: &[Expr], word: &str) -> Result<(), P::Error> {
        self.push("(");
        for (at, expr) in list.iter().enumerate() {
            self.push(if at == 0 { "" } else { word });
            self.expr(expr)?;
        }
        self.push(")");
        Ok(())
    }

    pub(super) fn type_name(&mut self, ty: &Type) {
        if !self.postgres() {
            return self.push(ty.name);
        }
        // The generic form takes an interval's digits for its fields.
        let keyword = !ty.fields.is_empty() || (ty.name == "interval" && !ty.modifiers.is_empty());
        if keyword {
            self.push("INTERVAL");
        } else {
            self.push("pg_catalog.");
            self.push(ty.name);
        }
        if !ty.fields.is_empty() {
            self.push(" ");
            self.push(ty.fields);
        }
        for (at, modifier) in ty.modifiers.iter().enumerate() {
            self.push(if at == 0 { "(" } else { "," });
            self.push(&modifier.to_string());
        }
        self.push(if ty.modifiers.is_empty() { "" } else { ")" });
        for _ in 0..ty.dimensions {
            self.push("[]");
        }
    }

    fn sqlite_expr(&mut self, expr: &Expr) -> Result<(), P::Error> {
        match expr {
            Expr::Prefix(sign, inner) => {
                // The space keeps two signs from becoming a comment.
                self.push("(");
                self.push(sign);
                self.push(" ");
                self.expr(inner)?;
            }
            Expr::Binary(sign, left, right) => self.sqlite_infix(left, sign, right)?,
            Expr::Distinct { left, right, negated } => {
                self.sqlite_infix(left, if *negated { "IS" } else { "IS NOT" }, right)?;
            }
            Expr::Like { kind: LikeKind::Like, expr, pattern, escape, negated } => {
                self.sqlite_infix(expr, if *negated { "NOT LIKE" } else { "LIKE" }, pattern)?;
                if let Some(escape) = escape {
                    self.push(" ESCAPE ");
                    self.expr(escape)?;
                }
            }
            Expr::Between { expr, low, high, negated } => {
                self.sqlite_infix(expr, if *negated { "NOT BETWEEN" } else { "BETWEEN" }, low)?;
                self.push(" AND ");
                self.expr(high)?;
            }
            Expr::InList { expr, list, negated } => {
                self.push("(");
                self.expr(expr)?;
                self.push(if *negated { " NOT IN (" } else { " IN (" });
                // SQLite takes a list of rows only from VALUES.
                self.push(if list.iter().all(|item| matches!(item, Expr::Tuple(_))) { "VALUES " } else { "" });
                let values = list.iter().all(|item| matches!(item, Expr::Number(_) | Expr::Text(_)));
                self.list(if self.shape && values { list.get(..1).unwrap_or_default() } else { list })?;
                self.push(")");
            }
            Expr::InQuery { expr, query, negated } => {
                self.push("(");
                self.expr(expr)?;
                self.push(if *negated { " NOT IN " } else { " IN " });
                self.bracketed(query)?;
            }
            Expr::Tuple(list) => {
                self.push("(");
                self.list(list)?;
            }
            Expr::Collate(inner, name) => {
                self.push("(");
                self.expr(inner)?;
                self.push(" COLLATE ");
                self.push(name);
            }
            Expr::Case { operand, whens, otherwise } => {
                self.push("(CASE");
                if let Some(operand) = operand {
                    self.push(" ");
                    self.expr(operand)?;
                }
                for (condition, result) in whens {
                    self.push(" WHEN ");
                    self.expr(condition)?;
                    self.push(" THEN ");
                    self.expr(result)?;
                }
                self.otherwise(otherwise.as_deref())?;
            }
            _ => return Err(SqlError::Internal("an expression that SQLite does not have").into()),
        }
        self.push(")");
        Ok(())
    }

    /// Opens a bracket, and leaves it open.
    fn sqlite_infix(&mut self, left: &Expr, sign: &str, right: &Expr) -> Result<(), P::Error> {
        self.push("(");
        self.expr(left)?;
        self.push(" ");
        self.push(sign);
        self.push(" ");
        self.expr(right)
    }

    pub(super) fn otherwise(&mut self, otherwise: Option<&Expr>) -> Result<(), P::Error> {
        if let Some(otherwise) = otherwise {
            self.push(" ELSE ");
            self.expr(otherwise)?;
        }
        self.push(" END");
        Ok(())
    }
}
