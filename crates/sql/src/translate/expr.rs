//! Expressions. Special forms become what they mean to the database: `EXTRACT`, `TRIM`, `SUBSTRING … FROM` and the like are functions or keep
//! their syntax where PostgreSQL itself qualifies it.

use sqlparser::ast;
use sqlparser::ast::{Expr as Theirs, Value};

use super::Translator;
use crate::error::cut;
use crate::lex::at_span;
use crate::operators::{self, Strength};
use crate::tree::{Call, Expr, LikeKind, Subscript};
use crate::types::Type;
use crate::{At, Dialect, SqlError};

/// Which fields `EXTRACT` knows.
const FIELDS: &[&str] = &[
    "century",
    "day",
    "decade",
    "dow",
    "doy",
    "epoch",
    "hour",
    "isodow",
    "isoyear",
    "julian",
    "microseconds",
    "millennium",
    "milliseconds",
    "minute",
    "month",
    "quarter",
    "second",
    "timezone",
    "timezone_hour",
    "timezone_minute",
    "week",
    "year",
];

impl Translator<'_> {
    pub(super) fn exprs(&mut self, list: Vec<Theirs>) -> Result<Vec<Expr>, SqlError> {
        list.into_iter().map(|expr| self.expr(expr)).collect()
    }

    pub(super) fn expr(&mut self, expr: Theirs) -> Result<Expr, SqlError> {
        self.deeper(|this| this.expr_inner(expr))
    }

    fn boxed(&mut self, expr: Theirs) -> Result<Box<Expr>, SqlError> {
        self.expr(expr).map(Box::new)
    }

    /// An operand of something that binds with the strength `outer`. On the side where the operator chains, an equally strong operand
    /// is what the database would read too.
    fn operand(&mut self, expr: Theirs, outer: Strength, chains: bool) -> Result<Box<Expr>, SqlError> {
        if let Some(inner) = operators::of_expr(&expr, self.dialect) {
            let fine = inner > outer || (inner == outer && chains);
            if !fine {
                let message =
                    "it is not clear which operator comes first here: put parentheses around the inner expression";
                return Err(SqlError::syntax(message, at_expr(&expr)));
            }
        }
        self.boxed(expr)
    }

    fn left(&mut self, expr: Theirs, outer: Strength) -> Result<Box<Expr>, SqlError> {
        self.operand(expr, outer, operators::is_chained(self.dialect, outer))
    }

    fn right(&mut self, expr: Theirs, outer: Strength) -> Result<Box<Expr>, SqlError> {
        self.operand(expr, outer, false)
    }

    fn expr_inner(&mut self, expr: Theirs) -> Result<Expr, SqlError> {
        let like = operators::like(self.dialect);
        Ok(match expr {
            Theirs::Nested(inner) => self.expr(*inner)?,
            Theirs::Identifier(name) => self.identifier(name)?,
            Theirs::CompoundIdentifier(parts) => self.compound(parts)?,
            Theirs::Value(value) => self.value(value)?,
            Theirs::TypedString(string) => self.typed_string(string)?,
            Theirs::Interval(interval) => self.interval(interval)?,
            Theirs::BinaryOp { left, op, right } => self.binary(*left, &op, *right)?,
            Theirs::UnaryOp { op, expr } => self.unary(op, *expr)?,
            Theirs::IsNull(expr) => self.is(*expr, "NULL", false)?,
            Theirs::IsNotNull(expr) => self.is(*expr, "NULL", true)?,
            Theirs::IsTrue(expr) => self.is(*expr, "TRUE", false)?,
            Theirs::IsNotTrue(expr) => self.is(*expr, "TRUE", true)?,
            Theirs::IsFalse(expr) => self.is(*expr, "FALSE", false)?,
            Theirs::IsNotFalse(expr) => self.is(*expr, "FALSE", true)?,
            Theirs::IsUnknown(expr) => self.is(*expr, "UNKNOWN", false)?,
            Theirs::IsNotUnknown(expr) => self.is(*expr, "UNKNOWN", true)?,
            Theirs::IsDistinctFrom(left, right) => self.distinct_from(*left, *right, false)?,
            Theirs::IsNotDistinctFrom(left, right) => self.distinct_from(*left, *right, true)?,
            Theirs::In { expr, target, negated, global: false } => self.in_target(*expr, target, negated)?,
            Theirs::Between { expr, negated, low, high } => Expr::Between {
                expr: self.left(*expr, like)?,
                low: self.right(*low, like)?,
                high: self.right(*high, like)?,
                negated,
            },
            Theirs::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like(LikeKind::Like, negated, *expr, *pattern, escape_char)?
            }
            Theirs::ILike { negated, any: false, expr, pattern, escape_char } if self.postgres() => {
                self.like(LikeKind::Ilike, negated, *expr, *pattern, escape_char)?
            }
            Theirs::SimilarTo { negated, expr, pattern, escape_char } if self.postgres() => {
                self.like(LikeKind::Similar, negated, *expr, *pattern, escape_char)?
            }
            Theirs::AnyOp { left, compare_op, right, is_some: _ } => {
                self.quantified(*left, &compare_op, *right, false)?
            }
            Theirs::AllOp { left, compare_op, right } => self.quantified(*left, &compare_op, *right, true)?,
            Theirs::Cast { kind, expr, data_type, format: None } => self.cast(&kind, *expr, &data_type)?,
            Theirs::AtTimeZone { timestamp, time_zone } if self.postgres() => {
                let at = at_expr(&timestamp);
                let timestamp = self.left(*timestamp, operators::AT_ZONE)?;
                let zone = self.right(*time_zone, operators::AT_ZONE)?;
                self.call("timezone", vec![*zone, *timestamp], at)
            }
            Theirs::Extract { field, syntax: ast::ExtractSyntax::From, expr } if self.postgres() => {
                let field = field.to_string().to_ascii_lowercase();
                let field = field.trim_matches('\'');
                let Some(field) = FIELDS.iter().copied().find(|known| *known == field) else {
                    return Err(SqlError::not_allowed(
                        format!("EXTRACT has no field `{}`", cut(field)),
                        at_expr(&expr),
                    ));
                };
                Expr::Extract { field, expr: self.boxed(*expr)? }
            }
            Theirs::Ceil { expr, field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) } => {
                self.listed_call("ceil", vec![*expr])?
            }
            Theirs::Floor { expr, field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) } => {
                self.listed_call("floor", vec![*expr])?
            }
            Theirs::Position { expr, r#in } if self.postgres() => self.listed_call("position", vec![*r#in, *expr])?,
            Theirs::Substring { expr, substring_from, substring_for, special: _, shorthand } => {
                self.substring(*expr, substring_from, substring_for, shorthand)?
            }
            Theirs::Trim { expr, trim_where, trim_what, trim_characters } => {
                self.trim(*expr, trim_where, trim_what, trim_characters)?
            }
            Theirs::Overlay { expr, overlay_what, overlay_from, overlay_for } if self.postgres() => {
                let mut args = vec![*expr, *overlay_what, *overlay_from];
                args.extend(overlay_for.map(|count| *count));
                self.listed_call("overlay", args)?
            }
            Theirs::Collate { expr, collation } => self.collate(*expr, collation)?,
            Theirs::Function(function) => self.function_expr(function)?,
            Theirs::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
                self.case(operand, conditions, else_result)?
            }
            Theirs::Exists { subquery, negated } => {
                let exists = Expr::Exists(Box::new(self.query(*subquery)?));
                if negated { Expr::Not(Box::new(exists)) } else { exists }
            }
            Theirs::Subquery(query) => Expr::Query(Box::new(self.query(*query)?)),
            Theirs::Tuple(list) => self.tuple(list)?,
            Theirs::Array(ast::Array { elem, named: true }) if self.postgres() => Expr::Array(self.exprs(elem)?),
            // `ARRAY[[1, 2], [3, 4]]`
            Theirs::Array(ast::Array { elem, named: false }) if self.postgres() => Expr::Array(self.exprs(elem)?),
            Theirs::CompoundFieldAccess { root, access_chain } if self.postgres() => {
                self.subscript(*root, access_chain)?
            }
            other => return Err(not_said(&other)),
        })
    }

    fn binary(&mut self, left: Theirs, op: &ast::BinaryOperator, right: Theirs) -> Result<Expr, SqlError> {
        match op {
            ast::BinaryOperator::And => self.spine(left, right, operators::AND),
            ast::BinaryOperator::Or => self.spine(left, right, operators::OR),
            ast::BinaryOperator::Is | ast::BinaryOperator::IsNot if !self.postgres() => {
                let negated = !matches!(op, ast::BinaryOperator::IsNot);
                self.distinct_from(left, right, negated)
            }
            _ => {
                let at = at_expr(&left);
                let Some(sign) = operators::binary(op, self.dialect) else {
                    return Err(SqlError::not_allowed(
                        format!("the operator `{}` is not allowed", cut(&op.to_string())),
                        at,
                    ));
                };
                let strength = match op {
                    ast::BinaryOperator::PGCustomBinaryOperator(_) => 7,
                    _ => operators::of_sign(self.dialect, sign),
                };
                Ok(Expr::Binary(sign, self.left(left, strength)?, self.right(right, strength)?))
            }
        }
    }

    /// A chain of AND or OR, however long, is one node.
    fn spine(&mut self, left: Theirs, right: Theirs, strength: Strength) -> Result<Expr, SqlError> {
        let same = |op: &ast::BinaryOperator| match op {
            ast::BinaryOperator::And => strength == operators::AND,
            ast::BinaryOperator::Or => strength == operators::OR,
            _ => false,
        };
        let mut reversed = vec![right];
        let mut rest = left;
        loop {
            match rest {
                Theirs::BinaryOp { left, op, right } if same(&op) => {
                    reversed.push(*right);
                    rest = *left;
                }
                other => {
                    reversed.push(other);
                    break;
                }
            }
        }
        let mut parts = Vec::with_capacity(reversed.len());
        for part in reversed.into_iter().rev() {
            parts.push(*self.operand(part, strength, false)?);
        }
        Ok(if strength == operators::AND { Expr::And(parts) } else { Expr::Or(parts) })
    }

    fn unary(&mut self, op: ast::UnaryOperator, expr: Theirs) -> Result<Expr, SqlError> {
        if op == ast::UnaryOperator::Not {
            return Ok(Expr::Not(self.operand(expr, operators::NOT, true)?));
        }
        let at = at_expr(&expr);
        let Some(sign) = operators::prefix(op, self.dialect) else {
            return Err(SqlError::not_allowed(format!("the operator `{}` is not allowed", cut(&op.to_string())), at));
        };
        let strength = match sign {
            "-" | "+" => operators::UNARY,
            _ if self.postgres() => 7,
            _ => operators::UNARY,
        };
        let operand = self.operand(expr, strength, true)?;
        match (sign, *operand) {
            // PostgreSQL's grammar folds signs into the number, also the second.
            ("-", Expr::Prefix("-", inner)) if self.postgres() && matches!(*inner, Expr::Number(_)) => Ok(*inner),
            (_, operand) => Ok(Expr::Prefix(sign, Box::new(operand))),
        }
    }

    fn is(&mut self, expr: Theirs, what: &'static str, negated: bool) -> Result<Expr, SqlError> {
        Ok(Expr::Is { expr: self.left(expr, operators::IS)?, what, negated })
    }

    fn distinct_from(&mut self, left: Theirs, right: Theirs, negated: bool) -> Result<Expr, SqlError> {
        Ok(Expr::Distinct { left: self.left(left, operators::IS)?, right: self.right(right, operators::IS)?, negated })
    }

    fn in_target(&mut self, expr: Theirs, target: ast::InTarget, negated: bool) -> Result<Expr, SqlError> {
        let at = at_expr(&expr);
        let expr = self.left(expr, operators::like(self.dialect))?;
        match target {
            ast::InTarget::List(list) if list.is_empty() => Err(SqlError::syntax("IN () is empty", at)),
            ast::InTarget::List(list) => {
                let mut list = self.exprs(list)?;
                match (list.pop(), list.is_empty()) {
                    // `IN ((SELECT …))` is a subquery to PostgreSQL.
                    (Some(Expr::Query(query)), true) if self.postgres() => Ok(Expr::InQuery { expr, query, negated }),
                    (Some(Expr::Query(_)), true) => {
                        Err(SqlError::syntax("write IN (SELECT …) with one pair of brackets", at))
                    }
                    (last, _) => {
                        list.extend(last);
                        Ok(Expr::InList { expr, list, negated })
                    }
                }
            }
            ast::InTarget::Subquery(query) => Ok(Expr::InQuery { expr, query: Box::new(self.query(*query)?), negated }),
            ast::InTarget::Unnest(_) | ast::InTarget::Table { .. } => {
                Err(SqlError::not_allowed("write IN (SELECT …) or = ANY (array)", at))
            }
        }
    }

    fn like(
        &mut self,
        kind: LikeKind,
        negated: bool,
        expr: Theirs,
        pattern: Theirs,
        escape: Option<Box<Theirs>>,
    ) -> Result<Expr, SqlError> {
        let strength = operators::like(self.dialect);
        Ok(Expr::Like {
            kind,
            expr: self.left(expr, strength)?,
            pattern: self.right(pattern, strength)?,
            escape: escape.map(|escape| self.right(*escape, strength)).transpose()?,
            negated,
        })
    }

    fn quantified(
        &mut self,
        left: Theirs,
        op: &ast::BinaryOperator,
        right: Theirs,
        all: bool,
    ) -> Result<Expr, SqlError> {
        let at = at_expr(&left);
        let sign = operators::binary(op, self.dialect).filter(|_| self.postgres());
        let Some(sign) = sign else {
            return Err(SqlError::not_allowed("ANY and ALL are not allowed here: use IN or EXISTS", at));
        };
        let strength = operators::of_sign(self.dialect, sign);
        Ok(Expr::Quantified { left: self.left(left, strength)?, op: sign, all, right: self.boxed(right)? })
    }

    fn cast(&mut self, kind: &ast::CastKind, expr: Theirs, ty: &ast::DataType) -> Result<Expr, SqlError> {
        let at = at_expr(&expr);
        let ty = Type::of(ty, self.dialect, at)?;
        let expr = match kind {
            ast::CastKind::Cast => self.boxed(expr)?,
            ast::CastKind::DoubleColon if self.postgres() => self.operand(expr, operators::POSTFIX, true)?,
            _ => return Err(SqlError::not_allowed("write CAST(value AS type)", at)),
        };
        match *expr {
            Expr::Cast(inner, same) if same == ty => Ok(Expr::Cast(inner, ty)),
            other => Ok(Expr::Cast(Box::new(other), ty)),
        }
    }

    fn substring(
        &mut self,
        expr: Theirs,
        from: Option<Box<Theirs>>,
        count: Option<Box<Theirs>>,
        shorthand: bool,
    ) -> Result<Expr, SqlError> {
        let name = if shorthand { "substr" } else { "substring" };
        let mut args = vec![expr];
        match (from, count) {
            (None, None) => return Err(SqlError::syntax("SUBSTRING needs a position", At::default())),
            (None, Some(count)) => {
                let one = Value::Number("1".to_owned(), false).with_empty_span();
                args.extend([Theirs::Value(one), *count]);
            }
            (Some(from), count) => {
                args.push(*from);
                args.extend(count.map(|count| *count));
            }
        }
        self.listed_call(name, args)
    }

    fn trim(
        &mut self,
        expr: Theirs,
        side: Option<ast::TrimWhereField>,
        what: Option<Box<Theirs>>,
        characters: Option<Vec<Theirs>>,
    ) -> Result<Expr, SqlError> {
        let both = if self.postgres() { "btrim" } else { "trim" };
        let name = match side {
            None | Some(ast::TrimWhereField::Both) => both,
            Some(ast::TrimWhereField::Leading) => "ltrim",
            Some(ast::TrimWhereField::Trailing) => "rtrim",
        };
        let mut args = vec![expr];
        args.extend(what.map(|what| *what));
        args.extend(characters.unwrap_or_default());
        if args.len() > 2 {
            return Err(SqlError::syntax("TRIM takes one list of characters", At::default()));
        }
        self.listed_call(name, args)
    }

    fn collate(&mut self, expr: Theirs, collation: ast::ObjectName) -> Result<Expr, SqlError> {
        let at = at_expr(&expr);
        let parts = self.name_parts(collation)?;
        let names: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        let known: &[&'static str] = match self.dialect {
            Dialect::Postgres => &["C", "default"],
            Dialect::Sqlite => &["BINARY", "NOCASE", "RTRIM"],
        };
        let name = match (self.dialect, names.as_slice()) {
            (_, [name]) | (Dialect::Postgres, ["pg_catalog", name]) => *name,
            _ => "",
        };
        let Some(found) = known.iter().copied().find(|known| self.dialect.same(known, name)) else {
            let message = format!("this collation is not allowed: use one of {}", known.join(", "));
            return Err(SqlError::not_allowed(message, at));
        };
        Ok(Expr::Collate(self.operand(expr, operators::COLLATE, true)?, found))
    }

    fn case(
        &mut self,
        operand: Option<Box<Theirs>>,
        conditions: Vec<ast::CaseWhen>,
        otherwise: Option<Box<Theirs>>,
    ) -> Result<Expr, SqlError> {
        let operand = operand.map(|operand| self.boxed(*operand)).transpose()?;
        let mut whens = Vec::with_capacity(conditions.len());
        for ast::CaseWhen { condition, result } in conditions {
            whens.push((self.expr(condition)?, self.expr(result)?));
        }
        let otherwise = otherwise.map(|otherwise| self.boxed(*otherwise)).transpose()?;
        Ok(Expr::Case { operand, whens, otherwise })
    }

    pub(super) fn tuple(&mut self, list: Vec<Theirs>) -> Result<Expr, SqlError> {
        let list = self.exprs(list)?;
        if list.is_empty() {
            return Err(SqlError::syntax("a row is empty", At::default()));
        }
        Ok(Expr::Tuple(list))
    }

    fn subscript(&mut self, root: Theirs, chain: Vec<ast::AccessExpr>) -> Result<Expr, SqlError> {
        let at = at_expr(&root);
        let root = self.operand(root, operators::POSTFIX, true)?;
        let mut subscripts = Vec::with_capacity(chain.len());
        for access in chain {
            match access {
                ast::AccessExpr::Subscript(ast::Subscript::Index { index }) => {
                    subscripts.push(Subscript::Index(self.expr(index)?));
                }
                ast::AccessExpr::Subscript(ast::Subscript::Slice { lower_bound, upper_bound, stride: None }) => {
                    let lower = lower_bound.map(|bound| self.expr(bound)).transpose()?;
                    let upper = upper_bound.map(|bound| self.expr(bound)).transpose()?;
                    subscripts.push(Subscript::Slice(lower, upper));
                }
                ast::AccessExpr::Subscript(_) => return Err(SqlError::syntax("a slice has two bounds", at)),
                ast::AccessExpr::Dot(_) => {
                    let message =
                        "`(expression).field` is not allowed: name the columns of a table, or use jsonb operators";
                    return Err(SqlError::not_allowed(message, at));
                }
            }
        }
        Ok(Expr::Subscript(root, subscripts))
    }

    /// A call that special syntax stands for, of a function that is listed.
    fn listed_call(&mut self, name: &'static str, args: Vec<Theirs>) -> Result<Expr, SqlError> {
        let at = args.first().map_or_else(At::default, at_expr);
        let args = self.exprs(args)?;
        Ok(self.call(name, args, at))
    }

    fn call(&mut self, name: &'static str, args: Vec<Expr>, at: At) -> Expr {
        self.functions.insert(name.to_owned());
        Expr::Call(Box::new(Call::of(name, args, at)))
    }
}

/// Where an expression begins, where that is easily known.
pub(super) fn at_expr(expr: &Theirs) -> At {
    match expr {
        Theirs::Identifier(name) => at_span(name.span),
        Theirs::CompoundIdentifier(parts) => parts.first().map_or_else(At::default, |part| at_span(part.span)),
        Theirs::Value(value) => at_span(value.span),
        Theirs::Function(function) => match function.name.0.first() {
            Some(ast::ObjectNamePart::Identifier(name)) => at_span(name.span),
            _ => At::default(),
        },
        Theirs::BinaryOp { left, .. } => shallow(left),
        Theirs::Nested(inner) | Theirs::IsNull(inner) | Theirs::IsNotNull(inner) => shallow(inner),
        _ => At::default(),
    }
}

/// As [`at_expr`], not going into what may be deep.
fn shallow(expr: &Theirs) -> At {
    match expr {
        Theirs::Identifier(name) => at_span(name.span),
        Theirs::CompoundIdentifier(parts) => parts.first().map_or_else(At::default, |part| at_span(part.span)),
        Theirs::Value(value) => at_span(value.span),
        _ => At::default(),
    }
}

/// What has no node in our tree.
fn not_said(expr: &Theirs) -> SqlError {
    let message = match expr {
        Theirs::IsJson { .. } => "IS JSON is not allowed: use jsonb_typeof",
        Theirs::IsNormalized { .. } => "IS NORMALIZED is not allowed: use normalize()",
        Theirs::RLike { .. } => "REGEXP is not allowed: use LIKE or GLOB",
        Theirs::ILike { .. } | Theirs::SimilarTo { .. } => {
            "SQLite has no ILIKE or SIMILAR TO: use LIKE, which ignores ASCII case"
        }
        Theirs::Extract { .. } => "SQLite has no EXTRACT: use strftime('%Y', column)",
        Theirs::Convert { .. } => "CONVERT is not allowed: write CAST(value AS type)",
        Theirs::Cast { .. } => "write CAST(value AS type)",
        Theirs::Position { .. } => "SQLite has no POSITION: use instr()",
        Theirs::Array(_) => "an array is written as ARRAY[…]",
        Theirs::GroupingSets(_) | Theirs::Cube(_) | Theirs::Rollup(_) => {
            "GROUPING SETS, CUBE and ROLLUP belong to GROUP BY"
        }
        Theirs::AtTimeZone { .. } => "SQLite has no AT TIME ZONE",
        Theirs::Wildcard(_) | Theirs::QualifiedWildcard(..) => "`*` is not allowed here: name the columns",
        Theirs::CompoundFieldAccess { .. } => "SQLite has no arrays",
        _ => {
            "this expression is not allowed: use columns, values, operators, CASE, CAST, listed functions and subqueries"
        }
    };
    SqlError::not_allowed(message, at_expr(expr))
}
