//! What partial evaluation leaves of a policy, as a [`Filter`].
//!
//! In: one condition with the principal and context known and the row unknown. Out: where it is true, and where it is false,
//! two trees, since on a row where it errs it is neither. Refuses every shape that is not in the closed list below; so does
//! the trial at load ([`Mode::Trial`]), in which whatever does not name the row stands for an unknown value.
//!
//! Cedar's `&&`, `||` and `if` evaluate from the left and stop early, so an error on the right counts only where the left
//! did not decide. A column access errs where the value is NULL or none that the column's Cedar type has: another type in
//! SQLite, `NaN` or infinity in PostgreSQL.

use asuser_core::{Column, ColumnIx, DatabaseKind, Filter, FilterOp, LikePattern, Operand, PatternPart, Table, Value};
use cedar_policy::pst::{BinaryOp, Expr, Literal, PatternElem, UnaryOp, Var};

use crate::compare::{CedarType, comparable, never_ill_typed, refusal};
use crate::literal::{literal, order, out_of_range};

/// At most this many tests and bound values in one filter.
pub(crate) const NODES_MAX: usize = 2_000;
const DEPTH_MAX: usize = 100;

/// Why a condition cannot become a row filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsupported {
    pub(crate) message: String,
    pub(crate) suggestion: String,
    /// A word of the policy's text that is to blame.
    pub(crate) word: Option<String>,
}

/// Whether the principal and context are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They are: what does not name the row has been evaluated already.
    Decide,
    /// They are not: what does not name the row is a stand-in, and the filter is good for nothing but its size.
    Trial,
}

/// Translates the conditions of one table, within one limit of size.
pub(crate) struct Translator<'a> {
    table: &'a Table,
    database: DatabaseKind,
    mode: Mode,
    budget: usize,
}

enum Side {
    Column(ColumnIx, CedarType),
    Value(Value, CedarType),
    Unknown,
    Errs,
}

/// Columns that are known not to be NULL, since `has` came before.
type Guards = Vec<ColumnIx>;

impl<'a> Translator<'a> {
    pub(crate) const fn new(table: &'a Table, database: DatabaseKind, mode: Mode) -> Self {
        Self { table, database, mode, budget: NODES_MAX }
    }

    /// The rows on which the condition is `wanted`, and does not err.
    pub(crate) fn rows_where(&mut self, condition: &Expr, wanted: bool) -> Result<Filter, Unsupported> {
        self.hold(condition, wanted, &Guards::new(), 0)
    }

    fn hold(&mut self, expr: &Expr, wanted: bool, guards: &Guards, depth: usize) -> Result<Filter, Unsupported> {
        self.charge(1)?;
        if depth > DEPTH_MAX {
            return Err(unsupported("the condition is nested too deeply", "split the policy"));
        }
        if self.is_unknown(expr) {
            return Ok(STAND_IN);
        }
        match expr {
            Expr::Literal(Literal::Bool(value)) => Ok(constant(*value == wanted)),
            Expr::ResidualError => Ok(Filter::False),
            Expr::UnaryOp { op: UnaryOp::Not, expr } => self.hold(expr, !wanted, guards, depth + 1),
            Expr::BinaryOp { op: op @ (BinaryOp::And | BinaryOp::Or), .. } => {
                self.chain(&chain_of(*op, expr), *op, wanted, guards, depth + 1)
            }
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                let inner = with_guards(guards, self.guards_of(cond));
                let then =
                    [self.hold(cond, true, guards, depth + 1)?, self.hold(then_expr, wanted, &inner, depth + 1)?];
                let other =
                    [self.hold(cond, false, guards, depth + 1)?, self.hold(else_expr, wanted, guards, depth + 1)?];
                Ok(Filter::any([Filter::all(then), Filter::all(other)]))
            }
            Expr::BinaryOp { op, left, right } => self.compare(*op, left, right, wanted),
            Expr::GetAttr { .. } => self.alone(expr, wanted),
            Expr::HasAttr { .. } => self.has(expr, wanted),
            Expr::Like { expr, pattern } => self.like(expr, pattern, wanted),
            _ => Err(not_in_the_list("this expression")),
        }
    }

    /// `a && b && …`, or the same with `||`. One value decides it early; every part before must have had the other, without
    /// error. The prefix is left out where it cannot err, since it then adds nothing to the disjunction.
    fn chain(
        &mut self,
        parts: &[&Expr],
        op: BinaryOp,
        wanted: bool,
        guards: &Guards,
        depth: usize,
    ) -> Result<Filter, Unsupported> {
        let deciding = op == BinaryOp::Or;
        let mut known = guards.clone();
        let mut seen = Vec::with_capacity(parts.len());
        for part in parts {
            seen.push((*part, known.clone()));
            if op == BinaryOp::And {
                known.extend(self.guards_of(part));
            }
        }
        if wanted != deciding {
            let all: Result<Vec<_>, _> =
                seen.iter().map(|(part, guards)| self.hold(part, wanted, guards, depth)).collect();
            return Ok(Filter::all(all?));
        }
        let mut rest = Filter::False;
        for (part, guards) in seen.iter().rev() {
            let decides = self.hold(part, wanted, guards, depth)?;
            if rest != Filter::False && self.may_err(part, guards) {
                rest = Filter::all([self.hold(part, !wanted, guards, depth)?, rest]);
            }
            rest = Filter::any([decides, rest]);
        }
        Ok(rest)
    }

    fn compare(&mut self, op: BinaryOp, left: &Expr, right: &Expr, wanted: bool) -> Result<Filter, Unsupported> {
        if op == BinaryOp::Contains {
            return self.contains(left, right, wanted);
        }
        let (op, for_types) = match op {
            BinaryOp::Eq => (Comparison::Eq, ALL_TYPES),
            BinaryOp::NotEq => (Comparison::Ne, ALL_TYPES),
            BinaryOp::Less => (Comparison::Lt, ORDERED),
            BinaryOp::LessEq => (Comparison::Le, ORDERED),
            BinaryOp::Greater => (Comparison::Gt, ORDERED),
            BinaryOp::GreaterEq => (Comparison::Ge, ORDERED),
            BinaryOp::DecimalLessThan => (Comparison::Lt, DECIMAL),
            BinaryOp::DecimalLessEq => (Comparison::Le, DECIMAL),
            BinaryOp::DecimalGreater => (Comparison::Gt, DECIMAL),
            BinaryOp::DecimalGreaterEq => (Comparison::Ge, DECIMAL),
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul => return Err(not_in_the_list("arithmetic on a column")),
            BinaryOp::In => return Err(not_in_the_list("`in` on a row")),
            BinaryOp::ContainsAll | BinaryOp::ContainsAny => {
                return Err(not_in_the_list("`containsAll` or `containsAny` on a column"));
            }
            _ => return Err(not_in_the_list("this operator on a column")),
        };
        let (column, ty, operand, op) = match (self.side(left)?, self.side(right)?) {
            (Side::Errs, _) | (_, Side::Errs) => return Ok(Filter::False),
            (Side::Unknown, _) | (_, Side::Unknown) => return Ok(STAND_IN),
            (Side::Column(a, one), Side::Column(b, other)) if one == other => (a, one, Operand::Column(b), op),
            (Side::Column(a, ty), Side::Value(value, of)) if ty == of => (a, ty, Operand::Value(value), op),
            (Side::Value(value, of), Side::Column(a, ty)) if ty == of => (a, ty, Operand::Value(value), op.flipped()),
            _ => return Err(not_in_the_list("a comparison of different types")),
        };
        if !for_types.contains(&ty) {
            return Err(not_in_the_list("this operator on a column of this type"));
        }
        Ok(Filter::test(column, if wanted { op } else { op.negated() }.of(operand)))
    }

    /// `set.contains(resource.column)`.
    fn contains(&mut self, set: &Expr, element: &Expr, wanted: bool) -> Result<Filter, Unsupported> {
        let (column, ty) = match self.side(element)? {
            Side::Errs => return Ok(Filter::False),
            Side::Column(column, ty) => (column, ty),
            _ => return Err(not_in_the_list("`contains` on a set that is made of columns")),
        };
        let elements = match set {
            Expr::Set(elements) => elements,
            Expr::ResidualError => return Ok(Filter::False),
            _ if self.is_unknown(set) => return Ok(STAND_IN),
            _ => return Err(not_in_the_list("`contains` on anything but a known set")),
        };
        self.charge(elements.len())?;
        let mut values = Vec::with_capacity(elements.len());
        for element in elements {
            match self.literal(element)? {
                Some((value, of)) if of == ty => values.push(value),
                None if self.is_unknown(element) => return Ok(STAND_IN),
                _ => {
                    return Err(not_in_the_list("`contains` on a set that is not made of values of the column's type"));
                }
            }
        }
        values.sort_by(order);
        values.dedup();
        let op = match (wanted, values.is_empty()) {
            (true, true) => return Ok(Filter::False),
            (false, true) => FilterOp::WellTyped,
            (true, false) => FilterOp::In(values),
            (false, false) => FilterOp::NotIn(values),
        };
        Ok(Filter::test(column, op))
    }

    /// A boolean column as a condition.
    fn alone(&self, expr: &Expr, wanted: bool) -> Result<Filter, Unsupported> {
        match self.side(expr)? {
            Side::Column(column, CedarType::Bool) => {
                Ok(Filter::test(column, FilterOp::Eq(Operand::Value(Value::Bool(wanted)))))
            }
            _ => Err(not_in_the_list("a column that is not boolean, alone as a condition")),
        }
    }

    fn has(&self, expr: &Expr, wanted: bool) -> Result<Filter, Unsupported> {
        let column =
            self.has_column(expr).ok_or_else(|| not_in_the_list("`has` on anything but one column of the row"))?;
        Ok(Filter::test(column, if wanted { FilterOp::IsNotNull } else { FilterOp::IsNull }))
    }

    fn like(&self, expr: &Expr, pattern: &[PatternElem], wanted: bool) -> Result<Filter, Unsupported> {
        let column = match self.side(expr)? {
            Side::Errs => return Ok(Filter::False),
            Side::Column(column, CedarType::String) => column,
            _ => return Err(not_in_the_list("`like` on anything but a text column")),
        };
        let mut parts: Vec<PatternPart> = Vec::new();
        for element in pattern {
            match (element, parts.last_mut()) {
                (PatternElem::Wildcard, Some(PatternPart::Any)) => {}
                (PatternElem::Wildcard, _) => parts.push(PatternPart::Any),
                (PatternElem::Char(c), Some(PatternPart::Text(text))) => text.push(*c),
                (PatternElem::Char(c), _) => parts.push(PatternPart::Text(c.to_string())),
            }
        }
        for part in &parts {
            if let PatternPart::Text(text) = part {
                self.in_range(&Value::Text(text.clone()))?;
            }
        }
        let pattern = LikePattern(parts);
        Ok(Filter::test(column, if wanted { FilterOp::Like(pattern) } else { FilterOp::NotLike(pattern) }))
    }

    fn side(&self, expr: &Expr) -> Result<Side, Unsupported> {
        if let Some(name) = row_attribute(expr) {
            let column = self.table.column_ix(name);
            let found = column.and_then(|ix| Some((ix, self.table.column(ix)?)));
            let (ix, column) = found.ok_or_else(|| {
                let message = format!("the table `{}` has no column `{name}`", self.table.name);
                Unsupported { word: Some(name.to_owned()), ..unsupported(&message, "check its spelling") }
            })?;
            let ty = comparable(self.database, column).map_err(|no| {
                let message = refusal(self.table, column, no.why);
                Unsupported { word: Some(name.to_owned()), ..unsupported(&message, no.advice) }
            })?;
            return Ok(Side::Column(ix, ty));
        }
        if let Some((value, ty)) = self.literal(expr)? {
            return Ok(Side::Value(value, ty));
        }
        if self.is_unknown(expr) {
            return Ok(Side::Unknown);
        }
        Err(match expr {
            Expr::ResidualError => return Ok(Side::Errs),
            Expr::IfThenElse { .. } => not_in_the_list("`if` that chooses a value"),
            Expr::BinaryOp { op: BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul, .. }
            | Expr::UnaryOp { op: UnaryOp::Neg, .. } => not_in_the_list("arithmetic on a column"),
            Expr::BinaryOp { op: BinaryOp::Offset | BinaryOp::DurationSince, .. }
            | Expr::UnaryOp { op: UnaryOp::ToDate | UnaryOp::ToTime, .. } => unsupported(
                "a calculation with a column's time cannot become a row filter",
                "calculate on the other side: resource.placed > context.now.offset(duration(\"-7d\")), for example",
            ),
            _ => not_in_the_list("a comparison of anything but columns and plain values"),
        })
    }

    fn literal(&self, expr: &Expr) -> Result<Option<(Value, CedarType)>, Unsupported> {
        let known = literal(expr);
        if let Some((value, _)) = &known {
            self.in_range(value)?;
        }
        Ok(known)
    }

    fn in_range(&self, value: &Value) -> Result<(), Unsupported> {
        let refused =
            |what| unsupported(&format!("{what} cannot stand in a row condition"), "compare with another value");
        out_of_range(self.database, value).map_or(Ok(()), |what| Err(refused(what)))
    }

    /// Whether evaluating it may err on some row. Says yes where it is not sure.
    fn may_err(&self, expr: &Expr, guards: &Guards) -> bool {
        match expr {
            _ if literal(expr).is_some() => false,
            Expr::HasAttr { .. } => self.has_column(expr).is_none(),
            Expr::GetAttr { .. } => {
                let ix = row_attribute(expr).and_then(|name| self.table.column_ix(name));
                let column = ix.and_then(|ix| Some((ix, self.table.column(ix)?)));
                let certain = |(ix, column): (ColumnIx, &Column)| {
                    never_ill_typed(self.database, column) && (!column.nullable || guards.contains(&ix))
                };
                !column.is_some_and(certain)
            }
            Expr::UnaryOp { op: UnaryOp::Not, expr } | Expr::Like { expr, .. } => self.may_err(expr, guards),
            Expr::BinaryOp { op: BinaryOp::And, left, right } => {
                self.may_err(left, guards) || self.may_err(right, &with_guards(guards, self.guards_of(left)))
            }
            Expr::BinaryOp {
                op:
                    BinaryOp::Or
                    | BinaryOp::Eq
                    | BinaryOp::NotEq
                    | BinaryOp::Less
                    | BinaryOp::LessEq
                    | BinaryOp::Greater
                    | BinaryOp::GreaterEq
                    | BinaryOp::DecimalLessThan
                    | BinaryOp::DecimalLessEq
                    | BinaryOp::DecimalGreater
                    | BinaryOp::DecimalGreaterEq
                    | BinaryOp::Contains,
                left,
                right,
            } => self.may_err(left, guards) || self.may_err(right, guards),
            Expr::Set(elements) => elements.iter().any(|element| self.may_err(element, guards)),
            _ => true,
        }
    }

    /// The columns that are not NULL where the condition is true.
    fn guards_of(&self, expr: &Expr) -> Guards {
        match expr {
            Expr::HasAttr { .. } => self.has_column(expr).into_iter().collect(),
            Expr::BinaryOp { op: BinaryOp::And, left, right } => {
                with_guards(&self.guards_of(left), self.guards_of(right))
            }
            _ => Guards::new(),
        }
    }

    fn has_column(&self, expr: &Expr) -> Option<ColumnIx> {
        let Expr::HasAttr { expr, attrs } = expr else { return None };
        let one = attrs.tail.is_empty() && matches!(**expr, Expr::Var(Var::Resource));
        one.then(|| self.table.column_ix(&attrs.head)).flatten()
    }

    fn is_unknown(&self, expr: &Expr) -> bool {
        self.mode == Mode::Trial && !matches!(expr, Expr::Literal(_) | Expr::ResidualError) && !names_the_row(expr)
    }

    fn charge(&mut self, nodes: usize) -> Result<(), Unsupported> {
        let too_large = || unsupported("the row filter is too large", "split the policy, or compare with smaller sets");
        self.budget = self.budget.checked_sub(nodes).ok_or_else(too_large)?;
        Ok(())
    }
}

/// What stands for an unknown in a trial: no table has so many columns.
const STAND_IN: Filter = Filter::test(ColumnIx(u16::MAX), FilterOp::WellTyped);

/// The types that an operator compares. Decimals have methods, and nothing has an order but these.
const ALL_TYPES: &[CedarType] =
    &[CedarType::String, CedarType::Long, CedarType::Bool, CedarType::Decimal, CedarType::Datetime];
const ORDERED: &[CedarType] = &[CedarType::Long, CedarType::Datetime];
const DECIMAL: &[CedarType] = &[CedarType::Decimal];

#[derive(Clone, Copy)]
enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Comparison {
    const fn negated(self) -> Self {
        match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Lt => Self::Ge,
            Self::Le => Self::Gt,
            Self::Gt => Self::Le,
            Self::Ge => Self::Lt,
        }
    }
    /// `a < b` as `b > a`.
    const fn flipped(self) -> Self {
        match self {
            Self::Eq | Self::Ne => self,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
        }
    }
    const fn of(self, operand: Operand) -> FilterOp {
        match self {
            Self::Eq => FilterOp::Eq(operand),
            Self::Ne => FilterOp::Ne(operand),
            Self::Lt => FilterOp::Lt(operand),
            Self::Le => FilterOp::Le(operand),
            Self::Gt => FilterOp::Gt(operand),
            Self::Ge => FilterOp::Ge(operand),
        }
    }
}

/// The column that `resource.column` names.
pub(crate) fn row_attribute(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::GetAttr { expr, attr } if matches!(**expr, Expr::Var(Var::Resource)) => Some(attr.as_str()),
        _ => None,
    }
}

/// Whether `resource` stands anywhere in it.
pub(crate) fn names_the_row(expr: &Expr) -> bool {
    expr.reduce(&|e| matches!(e, Expr::Var(Var::Resource)).then_some(true), &|a, b| a || b, false)
}

/// `((a && b) && c)` as `[a, b, c]`: the operator is associative, errors included.
fn chain_of(op: BinaryOp, expr: &Expr) -> Vec<&Expr> {
    let mut parts = Vec::new();
    let mut open = vec![expr];
    while let Some(next) = open.pop() {
        match next {
            Expr::BinaryOp { op: inner, left, right } if *inner == op => open.extend([&**right, &**left]),
            other => parts.push(other),
        }
    }
    parts
}

fn with_guards(guards: &Guards, more: Guards) -> Guards {
    guards.iter().copied().chain(more).collect()
}

const fn constant(value: bool) -> Filter {
    if value { Filter::True } else { Filter::False }
}

fn unsupported(message: &str, suggestion: &str) -> Unsupported {
    Unsupported { message: message.to_owned(), suggestion: suggestion.to_owned(), word: None }
}

fn not_in_the_list(what: &str) -> Unsupported {
    unsupported(
        &format!("{what} cannot become a row filter"),
        "a row condition compares columns with ==, !=, <, <=, >, >=, like and set.contains(resource.column), decimals with \
         lessThan and its kin, tests columns with has, and joins such tests with &&, ||, ! and if",
    )
}
