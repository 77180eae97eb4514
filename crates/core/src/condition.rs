//! What a caller asks for: a condition with SQL's three-valued logic, over what the caller sees (masked where masked).

use serde::Serialize;

use crate::Literal;

/// A caller's condition. `C` is a column: a name as written in a request, a [`crate::ColumnIx`] in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition<C> {
    /// AND. Never empty.
    All(Vec<Condition<C>>),
    /// OR. Never empty.
    Any(Vec<Condition<C>>),
    /// NOT.
    Not(Box<Condition<C>>),
    /// XOR.
    Xor(Box<Condition<C>>, Box<Condition<C>>),
    /// One test.
    Test(Test<C>),
}

/// One test of one column.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Test<C> {
    /// The column.
    pub column: C,
    /// Where it stands in the filter text: 1-based, in characters; 0 if it comes from elsewhere (`ids`, the path).
    pub at: u32,
    /// What is asked of it.
    pub kind: TestKind,
}

/// What is asked of a column. No literal in it is [`Literal::Null`], and no list is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TestKind {
    /// `=` and its kin.
    Compare(CompareOp, Literal),
    /// IN (…)
    In(Vec<Literal>),
    /// LIKE with `%` and `_`; a backslash makes the next character literal.
    Like(String),
    /// STARTS WITH
    StartsWith(String),
    /// ENDS WITH
    EndsWith(String),
    /// CONTAINS
    Contains(String),
    /// BETWEEN a AND b, both included
    Between(Literal, Literal),
    /// IS NULL
    IsNull,
    /// IS NOT NULL
    IsNotNull,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CompareOp {
    /// `=`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}
