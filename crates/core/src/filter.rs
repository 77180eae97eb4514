//! The row filter that a policy leaves: a tree in negation normal form whose every leaf is true or false, never unknown.
//!
//! A leaf holds only where each column it names is not NULL and has its declared type (except [`FilterOp::IsNull`]).
//! `is true` and `is false` of a policy condition are therefore two different trees, and the printer needs no three-valued logic.

use serde::Serialize;

use crate::{ColumnIx, Value};

/// A two-valued condition on one row, over base columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Every row.
    True,
    /// No row.
    False,
    /// All of them; an empty list is [`Filter::True`].
    All(Vec<Filter>),
    /// At least one of them; an empty list is [`Filter::False`].
    Any(Vec<Filter>),
    /// One test.
    Test(FilterTest),
}

/// One test of one column.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct FilterTest {
    /// The column tested.
    pub column: ColumnIx,
    /// What must hold of it.
    pub op: FilterOp,
}

/// What must hold of a column.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FilterOp {
    /// NULL.
    IsNull,
    /// Not NULL, of whatever type.
    IsNotNull,
    /// Equal.
    Eq(Operand),
    /// Not equal.
    Ne(Operand),
    /// Less.
    Lt(Operand),
    /// Less or equal.
    Le(Operand),
    /// Greater.
    Gt(Operand),
    /// Greater or equal.
    Ge(Operand),
    /// One of these values, all of one type; no value is no row.
    In(Vec<Value>),
    /// None of these values.
    NotIn(Vec<Value>),
    /// Matches the pattern, by code point, case kept.
    Like(LikePattern),
    /// Does not match the pattern.
    NotLike(LikePattern),
    /// Has its declared type: for a comparison that Cedar decided, but that errs on an ill-typed value.
    WellTyped,
}

/// The other side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operand {
    /// A bound value.
    Value(Value),
    /// Another column of the row.
    Column(ColumnIx),
}

/// A pattern of literal text and wildcards that stand for any run of characters (Cedar's `like`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct LikePattern(pub Vec<PatternPart>);

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PatternPart {
    /// This text.
    Text(String),
    /// Any run of characters, also none.
    Any,
}

impl Filter {
    /// Conjunction, with constants folded and nested lists flattened.
    #[must_use]
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::True => {}
                Self::False => return Self::False,
                Self::All(inner) => kept.extend(inner),
                other => kept.push(other),
            }
        }
        if kept.len() > 1 { Self::All(kept) } else { kept.pop().unwrap_or(Self::True) }
    }
    /// Disjunction, with constants folded and nested lists flattened.
    #[must_use]
    pub fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::False => {}
                Self::True => return Self::True,
                Self::Any(inner) => kept.extend(inner),
                other => kept.push(other),
            }
        }
        if kept.len() > 1 { Self::Any(kept) } else { kept.pop().unwrap_or(Self::False) }
    }
    /// One test.
    #[must_use]
    pub const fn test(column: ColumnIx, op: FilterOp) -> Self {
        Self::Test(FilterTest { column, op })
    }
    /// Number of nodes.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::All(parts) | Self::Any(parts) => 1 + parts.iter().map(Self::size).sum::<usize>(),
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_fold_to_the_closed_side() {
        let leaf = Filter::test(ColumnIx(0), FilterOp::IsNull);
        assert_eq!(Filter::all([]), Filter::True);
        assert_eq!(Filter::any([]), Filter::False);
        assert_eq!(Filter::all([Filter::False, leaf.clone()]), Filter::False);
        assert_eq!(Filter::any([Filter::True, leaf.clone()]), Filter::True);
        assert_eq!(Filter::all([Filter::True, leaf.clone()]), leaf);
        assert_eq!(Filter::all([Filter::All(vec![leaf.clone()]), leaf.clone()]).size(), 3);
    }
}
