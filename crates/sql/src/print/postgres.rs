//! PostgreSQL's spelling of what would otherwise look an operator up along `search_path`.

use super::{Place, Printer};
use crate::SqlError;
use crate::tree::{Expr, LikeKind, Query, Subscript};

impl<P: Place> Printer<'_, P> {
    pub(super) fn postgres_expr(&mut self, expr: &Expr) -> Result<(), P::Error> {
        match expr {
            // The grammar folds the sign into the number; there is no operator.
            Expr::Prefix("-", inner) if matches!(**inner, Expr::Number(_)) => {
                self.push("(-");
                self.expr(inner)?;
            }
            Expr::Prefix(sign, inner) => {
                self.push("(");
                self.operator(sign);
                self.expr(inner)?;
            }
            Expr::Binary(sign, left, right) => return self.infix(left, sign, right),
            Expr::Distinct { left, right, negated } => return self.distinct(left, right, *negated),
            Expr::Like { kind, expr, pattern, escape, negated } => {
                return self.like(*kind, expr, pattern, escape.as_deref(), *negated);
            }
            Expr::Between { expr, low, high, negated } => {
                self.push(if *negated { "(NOT (" } else { "(" });
                self.infix(expr, ">=", low)?;
                self.push(" AND ");
                self.infix(expr, "<=", high)?;
                self.push(if *negated { ")" } else { "" });
            }
            Expr::InList { expr, list, negated } => {
                if !negated {
                    return self.in_list(expr, list);
                }
                self.push("(NOT ");
                self.in_list(expr, list)?;
            }
            Expr::InQuery { expr, query, negated } => {
                self.push(if *negated { "(NOT (" } else { "(" });
                self.any_of(expr, query)?;
                self.push(if *negated { ")" } else { "" });
            }
            Expr::Quantified { left, op, all, right } => {
                self.push("(");
                self.expr(left)?;
                self.push(" ");
                self.operator(op);
                self.push(if *all { "ALL " } else { "ANY " });
                match &**right {
                    Expr::Query(query) => self.bracketed(query)?,
                    other => {
                        self.push("(");
                        self.expr(other)?;
                        self.push(")");
                    }
                }
            }
            Expr::Array(list) => {
                self.push("ARRAY[");
                self.list(list)?;
                self.push("]");
                return Ok(());
            }
            Expr::Tuple(list) => {
                self.push("ROW(");
                self.list(list)?;
            }
            Expr::Subscript(inner, subscripts) => return self.subscript(inner, subscripts),
            Expr::Case { operand, whens, otherwise } => {
                self.push("(CASE");
                for (condition, result) in whens {
                    self.push(" WHEN ");
                    match operand {
                        Some(operand) => self.infix(operand, "=", condition)?,
                        None => self.expr(condition)?,
                    }
                    self.push(" THEN ");
                    self.expr(result)?;
                }
                self.otherwise(otherwise.as_deref())?;
            }
            Expr::NullIf(left, right) => {
                self.push("(CASE WHEN ");
                self.infix(left, "=", right)?;
                self.push(" THEN NULL ELSE ");
                self.expr(left)?;
                self.push(" END");
            }
            Expr::First(word, list) => {
                self.push(word);
                self.push("(");
                self.list(list)?;
            }
            Expr::GroupingOf(list) => {
                self.push("GROUPING(");
                self.list(list)?;
            }
            Expr::Extract { field, expr } => {
                self.push("EXTRACT(");
                self.push(field);
                self.push(" FROM ");
                self.expr(expr)?;
            }
            Expr::Interval { text, fields } => {
                self.push("(INTERVAL ");
                self.string(text);
                self.push(" ");
                self.push(fields);
            }
            Expr::Collate(inner, name) => {
                self.push("(");
                self.expr(inner)?;
                self.push(" COLLATE pg_catalog.");
                self.name(name);
            }
            _ => return Err(SqlError::Internal("an expression that PostgreSQL does not have").into()),
        }
        self.push(")");
        Ok(())
    }

    /// `OPERATOR(pg_catalog.+) `
    fn operator(&mut self, sign: &str) {
        self.push("OPERATOR(pg_catalog.");
        self.push(sign);
        self.push(") ");
    }

    fn infix(&mut self, left: &Expr, sign: &str, right: &Expr) -> Result<(), P::Error> {
        self.push("(");
        self.expr(left)?;
        self.push(" ");
        self.operator(sign);
        self.expr(right)?;
        self.push(")");
        Ok(())
    }

    fn any_of(&mut self, expr: &Expr, query: &Query) -> Result<(), P::Error> {
        self.expr(expr)?;
        self.push(" ");
        self.operator("=");
        self.push("ANY ");
        self.bracketed(query)
    }

    /// As the server does it, but with an operator that is named in full.
    fn distinct(&mut self, left: &Expr, right: &Expr, negated: bool) -> Result<(), P::Error> {
        let (same, apart) = if negated { (" IS NULL", "=") } else { (" IS NOT NULL", "<>") };
        let one = match (left, right) {
            (Expr::Null, other) | (other, Expr::Null) => Some(other),
            _ => None,
        };
        if let Some(other) = one {
            self.push("(");
            self.expr(other)?;
            self.push(same);
            self.push(")");
            return Ok(());
        }
        self.push("(CASE WHEN (");
        self.expr(left)?;
        self.push(" IS NULL) THEN (");
        self.expr(right)?;
        self.push(same);
        self.push(") WHEN (");
        self.expr(right)?;
        self.push(if negated { " IS NULL) THEN FALSE ELSE " } else { " IS NULL) THEN TRUE ELSE " });
        self.infix(left, apart, right)?;
        self.push(" END)");
        Ok(())
    }

    fn like(
        &mut self,
        kind: LikeKind,
        expr: &Expr,
        pattern: &Expr,
        escape: Option<&Expr>,
        negated: bool,
    ) -> Result<(), P::Error> {
        let sign = match (kind, negated) {
            (LikeKind::Like, false) => "~~",
            (LikeKind::Like, true) => "!~~",
            (LikeKind::Ilike, false) => "~~*",
            (LikeKind::Ilike, true) => "!~~*",
            (LikeKind::Similar, false) => "~",
            (LikeKind::Similar, true) => "!~",
        };
        self.push("(");
        self.expr(expr)?;
        self.push(" ");
        self.operator(sign);
        match (kind, escape) {
            (LikeKind::Like | LikeKind::Ilike, None) => self.expr(pattern)?,
            (_, escape) => {
                self.push(if kind == LikeKind::Similar {
                    "pg_catalog.similar_to_escape("
                } else {
                    "pg_catalog.like_escape("
                });
                self.expr(pattern)?;
                if let Some(escape) = escape {
                    self.push(", ");
                    self.expr(escape)?;
                }
                self.push(")");
            }
        }
        self.push(")");
        Ok(())
    }

    /// A list of strings is one array literal, which takes the type of what it is compared with; a list of numbers is an array; any other
    /// is spelt out.
    fn in_list(&mut self, expr: &Expr, list: &[Expr]) -> Result<(), P::Error> {
        let texts: Option<Vec<&str>> =
            list.iter().map(|item| if let Expr::Text(text) = item { Some(text.as_str()) } else { None }).collect();
        if let Some(texts) = texts.filter(|texts| texts.len() > 1) {
            self.push("(");
            self.expr(expr)?;
            self.push(" ");
            self.operator("=");
            self.push("ANY (");
            self.string(&array_literal(&texts));
            self.push("))");
            return Ok(());
        }
        if list.len() > 1 && list.iter().all(is_number) {
            self.push("(");
            self.expr(expr)?;
            self.push(" ");
            self.operator("=");
            self.push("ANY (ARRAY[");
            // A shape does not depend on how many there are.
            self.list(if self.shape { list.get(..1).unwrap_or_default() } else { list })?;
            self.push("]))");
            return Ok(());
        }
        if let [item] = list {
            return self.infix(expr, "=", item);
        }
        self.push("(");
        for (at, item) in list.iter().enumerate() {
            self.push(if at == 0 { "" } else { " OR " });
            self.infix(expr, "=", item)?;
        }
        self.push(")");
        Ok(())
    }

    fn subscript(&mut self, inner: &Expr, subscripts: &[Subscript]) -> Result<(), P::Error> {
        self.push("(");
        self.expr(inner)?;
        self.push(")");
        for subscript in subscripts {
            self.push("[");
            match subscript {
                Subscript::Index(index) => self.expr(index)?,
                Subscript::Slice(low, high) => {
                    if let Some(low) = low {
                        self.expr(low)?;
                    }
                    self.push(" : ");
                    if let Some(high) = high {
                        self.expr(high)?;
                    }
                }
            }
            self.push("]");
        }
        Ok(())
    }
}

fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Number(_) => true,
        Expr::Prefix("-", inner) => matches!(**inner, Expr::Number(_)),
        _ => false,
    }
}

/// `{"a","b"}`
fn array_literal(texts: &[&str]) -> String {
    let mut literal = String::from("{");
    for (at, text) in texts.iter().enumerate() {
        literal.push_str(if at == 0 { "\"" } else { ",\"" });
        for char in text.chars() {
            if matches!(char, '"' | '\\') {
                literal.push('\\');
            }
            literal.push(char);
        }
        literal.push('"');
    }
    literal.push('}');
    literal
}
