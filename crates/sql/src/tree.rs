//! Our tree: all that a submitted statement can say. Whatever has no node here cannot be asked.
//!
//! `translate` makes it from `sqlparser`'s, `resolve` fills in what names mean, `print` writes it. A part that only `resolve` can
//! fill in is an `Option` or an empty list until then, and `print` refuses a tree in which one is missing.

use crate::At;
use crate::types::Type;

/// A name as the database folds it, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Ident {
    pub(crate) text: String,
    pub(crate) at: At,
}

/// A place in `Statement::sources`.
pub(crate) type SourceId = usize;
/// A place in `Statement::ctes`.
pub(crate) type CteId = usize;

/// A query with all that can follow it.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// The common table expressions that it defines, in order.
    pub(crate) with: Vec<CteId>,
    pub(crate) recursive: bool,
    pub(crate) body: Body,
    pub(crate) order_by: Vec<Order>,
    pub(crate) limit: Option<Count>,
    pub(crate) offset: Option<Count>,
    pub(crate) with_ties: bool,
    /// Its columns, once they are known.
    pub(crate) outputs: Vec<Output>,
    pub(crate) at: At,
}

/// A column that a query gives.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// What the database would call it.
    pub(crate) name: String,
    /// What it is called in the printed text: the name, made unique.
    pub(crate) printed: String,
}

#[derive(Debug, Clone)]
pub(crate) enum Body {
    Select(Box<Select>),
    Set { op: SetOp, all: bool, left: Box<Body>, right: Box<Body> },
    Values(Vec<Vec<Expr>>),
    Query(Box<Query>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetOp {
    Union,
    Intersect,
    Except,
}

/// A common table expression.
#[derive(Debug, Clone)]
pub(crate) struct Cte {
    pub(crate) name: Ident,
    /// The name in the printed text, which no other one has.
    pub(crate) printed: String,
    pub(crate) column_aliases: Vec<Ident>,
    pub(crate) materialized: Option<bool>,
    /// `None` only while it is resolved.
    pub(crate) query: Option<Box<Query>>,
    /// It names itself.
    pub(crate) recursive: bool,
    pub(crate) columns: Vec<Output>,
    pub(crate) state: CteState,
}

/// How far the resolver is with a common table expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CteState {
    /// It comes later.
    Ahead,
    /// Its columns are known: it may be read.
    Known,
}

#[derive(Debug, Clone)]
pub(crate) struct Select {
    pub(crate) distinct: Distinct,
    pub(crate) items: Vec<Item>,
    pub(crate) from: Vec<From>,
    pub(crate) condition: Option<Expr>,
    pub(crate) group_by: Vec<Grouping>,
    pub(crate) having: Option<Expr>,
    pub(crate) windows: Vec<(Ident, Window)>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) at: At,
}

#[derive(Debug, Clone)]
pub(crate) enum Distinct {
    All,
    Rows,
    On(Vec<Expr>),
}

#[derive(Debug, Clone)]
pub(crate) enum Item {
    Expr {
        expr: Expr,
        alias: Option<Ident>,
    },
    /// `*`, until it is resolved.
    Star(At),
    /// `orders.*`, until it is resolved.
    StarOf(Qualifier, At),
}

/// What stands before a column's name.
#[derive(Debug, Clone)]
pub(crate) struct Qualifier {
    pub(crate) schema: Option<Ident>,
    pub(crate) table: Ident,
}

#[derive(Debug, Clone)]
pub(crate) enum From {
    Source(SourceId),
    Join { kind: JoinKind, left: Box<From>, right: Box<From>, on: JoinOn, at: At },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Cross,
}

#[derive(Debug, Clone)]
pub(crate) enum JoinOn {
    /// Of a cross join.
    Nothing,
    Condition(Expr),
    /// Becomes a condition when it is resolved.
    Using(Vec<Ident>),
    /// Becomes a condition when it is resolved.
    Natural,
}

/// Something that stands in FROM under one name.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) kind: SourceKind,
    pub(crate) lateral: bool,
    /// The alias, or the name; empty where there is none.
    pub(crate) name: Ident,
    /// The schema by which it may be qualified: as written, and only without an alias.
    pub(crate) schema: Option<String>,
    /// The alias in the printed text, which no other one has.
    pub(crate) printed: String,
    pub(crate) column_aliases: Vec<Ident>,
    pub(crate) columns: Vec<Output>,
}

#[derive(Debug, Clone)]
pub(crate) enum SourceKind {
    /// A place in `Statement::relations`.
    Relation(usize),
    Cte(CteId),
    /// `None` only while it is resolved.
    Derived(Option<Box<Query>>),
    Function(Box<TableFunction>),
}

/// A function in FROM.
#[derive(Debug, Clone)]
pub(crate) struct TableFunction {
    pub(crate) call: Call,
    pub(crate) with_ordinality: bool,
    /// `AS t(a int, b text)`, for functions that give records.
    pub(crate) definitions: Vec<(Ident, Type)>,
}

#[derive(Debug, Clone)]
pub(crate) enum Grouping {
    Expr(Expr),
    /// `GROUP BY ()`
    Nothing,
    Sets(Vec<Grouping>),
    Rollup(Vec<Vec<Expr>>),
    Cube(Vec<Vec<Expr>>),
    Tuple(Vec<Expr>),
}

#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) expr: Expr,
    pub(crate) descending: bool,
    pub(crate) nulls_first: Option<bool>,
}

/// How many rows.
#[derive(Debug, Clone)]
pub(crate) enum Count {
    Number(String),
    Parameter(usize),
}

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Expr {
    Column(Column),
    /// A row as a value.
    Row(SourceId),
    /// The n-th output column, in ORDER BY, GROUP BY and DISTINCT ON.
    Ordinal(usize),
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    /// Hexadecimal digits; SQLite.
    Blob(String),
    Parameter(usize),
    /// `current_date` and the like.
    Keyword(&'static str),
    Prefix(&'static str, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    /// `IS [NOT] NULL` and the like: the words after `IS`.
    Is {
        expr: Box<Expr>,
        what: &'static str,
        negated: bool,
    },
    Distinct {
        left: Box<Expr>,
        right: Box<Expr>,
        negated: bool,
    },
    Like {
        kind: LikeKind,
        expr: Box<Expr>,
        pattern: Box<Expr>,
        escape: Option<Box<Expr>>,
        negated: bool,
    },
    Between {
        expr: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
        negated: bool,
    },
    InList {
        expr: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
    },
    InQuery {
        expr: Box<Expr>,
        query: Box<Query>,
        negated: bool,
    },
    Quantified {
        left: Box<Expr>,
        op: &'static str,
        all: bool,
        right: Box<Expr>,
    },
    Exists(Box<Query>),
    Query(Box<Query>),
    ArrayQuery(Box<Query>),
    Array(Vec<Expr>),
    Tuple(Vec<Expr>),
    Subscript(Box<Expr>, Vec<Subscript>),
    Case {
        operand: Option<Box<Expr>>,
        whens: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Cast(Box<Expr>, Type),
    NullIf(Box<Expr>, Box<Expr>),
    /// COALESCE, GREATEST, LEAST: syntax, not functions.
    First(&'static str, Vec<Expr>),
    Extract {
        field: &'static str,
        expr: Box<Expr>,
    },
    /// `INTERVAL '1' DAY`
    Interval {
        text: String,
        fields: &'static str,
    },
    Collate(Box<Expr>, &'static str),
    /// `GROUPING(…)`
    GroupingOf(Vec<Expr>),
    Call(Box<Call>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LikeKind {
    Like,
    Ilike,
    Similar,
}

#[derive(Debug, Clone)]
pub(crate) enum Subscript {
    Index(Expr),
    Slice(Option<Expr>, Option<Expr>),
}

/// A column's name, and what it is.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) qualifier: Option<Qualifier>,
    pub(crate) name: Ident,
    pub(crate) target: Option<Target>,
}

/// What a column's name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// The n-th column of a source.
    Of(SourceId, usize),
    /// A column that a full join merged.
    Merged(Box<Target>, Box<Target>),
}

/// A function call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The schema of a function from the configuration; built-in ones have none.
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
    pub(crate) star: bool,
    pub(crate) distinct: bool,
    /// The names of the last arguments, if those have any.
    pub(crate) arg_names: Vec<String>,
    pub(crate) args: Vec<Expr>,
    pub(crate) order_by: Vec<Order>,
    pub(crate) within_group: Vec<Order>,
    pub(crate) filter: Option<Expr>,
    pub(crate) over: Option<Over>,
    pub(crate) at: At,
}

#[derive(Debug, Clone)]
pub(crate) enum Over {
    Named(Ident),
    Window(Window),
}

#[derive(Debug, Clone)]
pub(crate) struct Window {
    pub(crate) base: Option<Ident>,
    pub(crate) partition_by: Vec<Expr>,
    pub(crate) order_by: Vec<Order>,
    pub(crate) frame: Option<Frame>,
}

#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) units: &'static str,
    pub(crate) start: Bound,
    pub(crate) end: Option<Bound>,
}

#[derive(Debug, Clone)]
pub(crate) enum Bound {
    CurrentRow,
    Preceding(Option<Box<Expr>>),
    Following(Option<Box<Expr>>),
}
