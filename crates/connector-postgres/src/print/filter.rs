//! The policy's row filter. Each leaf is true only where the cell is not NULL and can be a value of the policy's world; it may print
//! to NULL instead of false, which no AND or OR above it turns into true, and no NOT is ever printed around a leaf.

use asuser_core::{ColumnIx, ColumnKind, Filter, FilterOp, FilterTest, LikePattern, Operand, PatternPart, Value};

use super::literal::{array, like_text, point_in_time};
use super::{Known, Printer, joined, plan};
use crate::PostgresError;

/// Deeper than any policy.
const DEPTH_MAX: usize = 100;

/// What a column is in the policy's world, and the type that its values are bound as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum World {
    Text,
    Integer,
    Boolean,
    Decimal,
    Instant,
}

impl World {
    const fn type_name(self) -> &'static str {
        match self {
            Self::Text => "pg_catalog.text",
            Self::Integer => "pg_catalog.int8",
            Self::Boolean => "pg_catalog.bool",
            Self::Decimal => "pg_catalog.numeric",
            Self::Instant => "pg_catalog.timestamptz",
        }
    }
}

/// The smallest or largest point in time that is within a millisecond, or at its end.
#[derive(Clone, Copy)]
enum Edge {
    Begin,
    End,
}

impl Printer<'_> {
    /// Prints the filter, in parentheses where it needs them.
    pub(super) fn filter(&mut self, out: &mut String, filter: &Filter, depth: usize) -> Result<(), PostgresError> {
        if depth > DEPTH_MAX {
            return Err(PostgresError::TooComplex("the policy's row filter is too deep"));
        }
        match filter {
            Filter::True => out.push_str("true"),
            Filter::False => out.push_str("false"),
            Filter::All(parts) if parts.is_empty() => out.push_str("true"),
            Filter::Any(parts) if parts.is_empty() => out.push_str("false"),
            Filter::All(parts) => joined(out, parts, " AND ", |out, part| self.filter(out, part, depth + 1))?,
            Filter::Any(parts) => joined(out, parts, " OR ", |out, part| self.filter(out, part, depth + 1))?,
            Filter::Test(test) => {
                out.push('(');
                self.leaf(out, test)?;
                out.push(')');
            }
        }
        Ok(())
    }

    fn leaf(&mut self, out: &mut String, test: &FilterTest) -> Result<(), PostgresError> {
        let ix = test.column;
        match &test.op {
            FilterOp::IsNull => self.suffixed(out, ix, " IS NULL"),
            FilterOp::IsNotNull => self.suffixed(out, ix, " IS NOT NULL"),
            FilterOp::Eq(operand) => self.comparison(out, ix, "=", operand),
            FilterOp::Ne(operand) => self.comparison(out, ix, "<>", operand),
            FilterOp::Lt(operand) => self.comparison(out, ix, "<", operand),
            FilterOp::Le(operand) => self.comparison(out, ix, "<=", operand),
            FilterOp::Gt(operand) => self.comparison(out, ix, ">", operand),
            FilterOp::Ge(operand) => self.comparison(out, ix, ">=", operand),
            FilterOp::In(values) if values.is_empty() => {
                out.push_str("false");
                Ok(())
            }
            FilterOp::NotIn(values) if values.is_empty() => self.well_typed(out, ix),
            FilterOp::In(values) => self.member(out, ix, true, values),
            FilterOp::NotIn(values) => self.member(out, ix, false, values),
            FilterOp::Like(pattern) => self.like(out, ix, "~~", pattern),
            FilterOp::NotLike(pattern) => self.like(out, ix, "!~~", pattern),
            FilterOp::WellTyped => self.well_typed(out, ix),
        }
    }

    fn suffixed(&self, out: &mut String, ix: ColumnIx, suffix: &str) -> Result<(), PostgresError> {
        self.base(out, ix)?;
        out.push_str(suffix);
        Ok(())
    }

    fn comparison(
        &mut self,
        out: &mut String,
        ix: ColumnIx,
        operator: &str,
        operand: &Operand,
    ) -> Result<(), PostgresError> {
        let world = self.world(ix)?;
        match operand {
            Operand::Value(Value::Timestamp(ms)) if world == World::Instant => {
                self.guard(out, ix, world)?;
                self.instant(out, ix, operator, *ms)
            }
            Operand::Value(value) => {
                let value = fitted(self.column(ix)?, world, value)?;
                self.guard(out, ix, world)?;
                self.base(out, ix)?;
                out.push_str(&format!(" OPERATOR(pg_catalog.{operator}) "));
                self.bind(out, value, world.type_name());
                Ok(())
            }
            Operand::Column(other) => {
                if self.world(*other)? != world {
                    return Err(unprintable(self.column(ix)?, "is compared with a column of another kind"));
                }
                self.guard(out, ix, world)?;
                self.guard(out, *other, world)?;
                self.milliseconds(out, ix, world)?;
                out.push_str(&format!(" OPERATOR(pg_catalog.{operator}) "));
                self.milliseconds(out, *other, world)
            }
        }
    }

    /// A column beside another: of a point in time the policy's world sees whole milliseconds.
    fn milliseconds(&self, out: &mut String, ix: ColumnIx, world: World) -> Result<(), PostgresError> {
        if world != World::Instant {
            return self.base(out, ix);
        }
        out.push_str("pg_catalog.date_trunc('milliseconds',");
        self.base(out, ix)?;
        out.push(')');
        Ok(())
    }

    /// A point in time against a millisecond: the column's microseconds belong to the millisecond that they are within. The bare
    /// column stands on the left, so that an index on it serves.
    fn instant(&mut self, out: &mut String, ix: ColumnIx, operator: &str, ms: i64) -> Result<(), PostgresError> {
        let tests: &[(&str, Edge)] = match operator {
            "=" => &[(">=", Edge::Begin), ("<", Edge::End)],
            "<>" => &[("<", Edge::Begin), (">=", Edge::End)],
            "<" => &[("<", Edge::Begin)],
            "<=" => &[("<", Edge::End)],
            ">" => &[(">=", Edge::End)],
            _ => &[(">=", Edge::Begin)],
        };
        let between = if operator == "<>" { " OR " } else { " AND " };
        joined(out, tests, between, |out, (operator, edge)| {
            let at = match edge {
                Edge::Begin => ms,
                Edge::End => ms.saturating_add(1),
            };
            self.base(out, ix)?;
            out.push_str(&format!(" OPERATOR(pg_catalog.{operator}) "));
            self.bind(out, point_in_time(at), World::Instant.type_name());
            Ok(())
        })
    }

    fn member(&mut self, out: &mut String, ix: ColumnIx, is_in: bool, values: &[Value]) -> Result<(), PostgresError> {
        let world = self.world(ix)?;
        self.guard(out, ix, world)?;
        if world == World::Instant {
            let (operator, between) = if is_in { ("=", " OR ") } else { ("<>", " AND ") };
            return joined(out, values, between, |out, value| match value {
                Value::Timestamp(ms) => self.instant(out, ix, operator, *ms),
                _ => Err(unprintable(self.column(ix)?, "is compared with a value of another kind")),
            });
        }
        let known = self.column(ix)?;
        let texts: Vec<String> = values.iter().map(|value| fitted(known, world, value)).collect::<Result<_, _>>()?;
        self.base(out, ix)?;
        out.push_str(if is_in { " OPERATOR(pg_catalog.=) ANY (" } else { " OPERATOR(pg_catalog.<>) ALL (" });
        self.bind(out, array(&texts), &format!("{}[]", world.type_name()));
        out.push(')');
        Ok(())
    }

    fn like(
        &mut self,
        out: &mut String,
        ix: ColumnIx,
        operator: &str,
        pattern: &LikePattern,
    ) -> Result<(), PostgresError> {
        let world = self.world(ix)?;
        if world != World::Text {
            return Err(unprintable(self.column(ix)?, "is no text and has a `like`"));
        }
        let mut text = String::new();
        for part in &pattern.0 {
            match part {
                PatternPart::Any => text.push('%'),
                PatternPart::Text(literal) => text.push_str(&like_text(literal)?),
            }
        }
        self.base(out, ix)?;
        out.push_str(&format!(" OPERATOR(pg_catalog.{operator}) "));
        self.bind(out, text, "pg_catalog.text");
        Ok(())
    }

    fn well_typed(&self, out: &mut String, ix: ColumnIx) -> Result<(), PostgresError> {
        self.guard(out, ix, self.world(ix)?)?;
        self.suffixed(out, ix, " IS NOT NULL")
    }

    /// What is no value of the policy's world: NaN and infinities.
    fn guard(&self, out: &mut String, ix: ColumnIx, world: World) -> Result<(), PostgresError> {
        let mut base = String::new();
        self.base(&mut base, ix)?;
        match world {
            // Infinity: a numeric with a scale holds none, since PostgreSQL 14 knows them at all.
            World::Decimal => out.push_str(&format!("{base} OPERATOR(pg_catalog.<>) 'NaN'::pg_catalog.numeric AND ")),
            World::Instant => out.push_str(&format!("pg_catalog.isfinite({base}) AND ")),
            World::Text | World::Integer | World::Boolean => {}
        }
        Ok(())
    }

    fn world(&self, ix: ColumnIx) -> Result<World, PostgresError> {
        let known = self.column(ix)?;
        let Known { column, pg } = known;
        Ok(match column.kind {
            ColumnKind::Text if column.binary_collation && !pg.nondeterministic => World::Text,
            ColumnKind::Integer => World::Integer,
            ColumnKind::Boolean => World::Boolean,
            ColumnKind::Decimal => World::Decimal,
            ColumnKind::Timestamp if column.strictly_typed => World::Instant,
            _ => return Err(unprintable(known, "has a kind that row conditions cannot compare")),
        })
    }
}

/// The value as its column's kind, as text.
fn fitted(known: Known<'_>, world: World, value: &Value) -> Result<String, PostgresError> {
    match (world, value) {
        // No text of the database holds NUL, and none could be sent: a value that is none of them.
        (World::Text, Value::Text(text)) if text.contains('\0') => {
            Err(PostgresError::BadValue("a text with U+0000 is no value of PostgreSQL".to_owned()))
        }
        (World::Text, Value::Text(text)) => Ok(text.clone()),
        (World::Integer, Value::Integer(number)) => Ok(number.to_string()),
        (World::Boolean, Value::Bool(truth)) => Ok(truth.to_string()),
        (World::Decimal, Value::Decimal(ten_thousandths)) => {
            let sign = if *ten_thousandths < 0 { "-" } else { "" };
            let digits = ten_thousandths.unsigned_abs();
            Ok(format!("{sign}{}.{:04}", digits / 10_000, digits % 10_000))
        }
        _ => Err(unprintable(known, "is compared with a value of another kind")),
    }
}

fn unprintable(known: Known<'_>, why: &str) -> PostgresError {
    plan(&format!("column `{}` {why}", known.column.name))
}
