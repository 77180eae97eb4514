//! The guard for SQL text that an agent submits.
//!
//! In: one statement as text, and which relations and columns the person may see. Out: the same question as a tree of our own,
//! and text that is printed from that tree. What was submitted never runs.
//!
//! 1. [`parse`]: the text becomes tokens, the tokens `sqlparser`'s tree, and that tree is *translated*. What our tree cannot say
//!    is refused, so the list of what is allowed is the tree itself.
//! 2. [`resolve`]: each name is found in its scope, or refused. A name that is no known column could be a function call in
//!    PostgreSQL (`t.f` is `f(t)`), a system column, or somebody else's data.
//! 3. [`print`]: everything that PostgreSQL would look up along `search_path` is written with its schema.
//!
//! Refuses everything but one `SELECT`, `VALUES`, set operation or `WITH` of these; every function, operator and type that is not
//! listed; statements that are too long, too deep or too large. It never panics, and it knows nothing of people or policies.

mod error;
mod functions;
mod lex;
mod names;
mod operators;
mod print;
mod resolve;
mod translate;
mod tree;
mod types;

use asuser_core::ColumnName;

pub use error::{At, SqlError};
pub use functions::AllowedFunctions;
pub use print::{Place, print};

use tree::{Cte, Query, Source};

/// The longest statement, in bytes.
pub const TEXT_BYTES_MAX: usize = 100_000;
/// The longest printed statement, in bytes, without what a [`Place`] writes.
pub const PRINTED_BYTES_MAX: usize = 1_000_000;
/// How many relations a statement may name, and how often it may name one.
pub const RELATIONS_MAX: usize = 64;
/// How many common table expressions a statement may define.
pub const CTES_MAX: usize = 64;

/// Whose SQL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// PostgreSQL 13 and later.
    Postgres,
    /// SQLite 3.
    Sqlite,
}

/// The name of a parameter of a configured tool: `:name` in its text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ParameterName(String);

impl ParameterName {
    /// A name of at most 63 characters of `a-z`, `0-9` and `_` that does not begin with a digit.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let first = name.bytes().next()?;
        let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        (plain && !first.is_ascii_digit() && name.len() <= 63).then(|| Self(name.to_owned()))
    }
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A relation as the statement names it; a common table expression is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationName {
    /// The schema, if it was written. Folded as the database folds it.
    pub schema: Option<String>,
    /// The name, folded as the database folds it: lower case on PostgreSQL unless it was quoted. On SQLite as it was written;
    /// compare it without regard to ASCII case.
    pub name: String,
    /// Where it stands first.
    pub at: At,
}

/// What the caller of [`resolve`] knows of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The columns that this person may see, in the order in which `*` gives them. At most 2,000.
    pub columns: Vec<ColumnName>,
}

/// A statement of which every node is one that we can print. Its names are not looked up yet.
#[derive(Debug, Clone)]
pub struct Statement {
    pub(crate) dialect: Dialect,
    pub(crate) query: Query,
    pub(crate) relations: Vec<RelationName>,
    pub(crate) sources: Vec<Source>,
    pub(crate) ctes: Vec<Cte>,
    pub(crate) functions: Vec<String>,
    pub(crate) parameters: Vec<usize>,
}

impl Statement {
    /// The distinct relations that it names. Their places in this list are the numbers that [`Resolved`] and [`Place`] use.
    #[must_use]
    pub fn relations(&self) -> &[RelationName] {
        &self.relations
    }
}

/// A statement of which every name is known to mean what it seems to.
#[derive(Debug)]
pub struct Resolved {
    pub(crate) statement: Statement,
    pub(crate) columns_used: Vec<Vec<usize>>,
    pub(crate) whole_row: Vec<bool>,
    pub(crate) output: Vec<String>,
}

impl Resolved {
    /// Whose SQL it is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.statement.dialect
    }
    /// The relations, as [`Statement::relations`].
    #[must_use]
    pub fn relations(&self) -> &[RelationName] {
        &self.statement.relations
    }
    /// Which columns of a relation it reads anywhere, ascending places in [`Relation::columns`]. A relation of which only rows are
    /// counted has none.
    #[must_use]
    pub fn columns_used(&self, relation: usize) -> &[usize] {
        self.columns_used.get(relation).map_or(&[], Vec::as_slice)
    }
    /// It uses rows of this relation as values (`to_jsonb(o)`). Then [`Place::relation`] must write a parenthesised `SELECT` of
    /// exactly [`Relation::columns`], unless the relation has no other columns.
    #[must_use]
    pub fn uses_whole_row(&self, relation: usize) -> bool {
        self.whole_row.get(relation).copied().unwrap_or(false)
    }
    /// The names of the columns that it gives, in order. A name may repeat.
    #[must_use]
    pub fn output(&self) -> &[String] {
        &self.output
    }
    /// The functions that it calls, each once, sorted; those from the configuration with their schema.
    #[must_use]
    pub fn functions(&self) -> &[String] {
        &self.statement.functions
    }
    /// Which of the parameters it uses, ascending places in the list that [`parse`] was given.
    #[must_use]
    pub fn parameters(&self) -> &[usize] {
        &self.statement.parameters
    }
    /// The statement with every value as `?`, for a fingerprint in the audit log.
    #[must_use]
    pub fn shape(&self) -> String {
        print::shape(self)
    }
}

/// Reads one statement. `allowed` are functions beyond the built-in list (PostgreSQL only), `parameters` the names that `:name` may
/// have; for submitted text there are none.
///
/// # Errors
/// [`SqlError`], in words for the one who wrote the text.
pub fn parse(
    text: &str,
    dialect: Dialect,
    allowed: &AllowedFunctions,
    parameters: &[ParameterName],
) -> Result<Statement, SqlError> {
    let tokens = lex::tokens(text, dialect, parameters)?;
    // Trees are built, walked and dropped by recursion, `sqlparser`'s among them; what bounds them is lex.rs and translate.rs.
    stacker::grow(PARSE_STACK_BYTES, || translate::statement(tokens, dialect, allowed, parameters))
}

/// Looks each name up. `relations` has one entry for each of [`Statement::relations`], in the same order.
///
/// # Errors
/// [`SqlError`], with suggestions only from the columns given.
pub fn resolve(statement: Statement, relations: &[Relation]) -> Result<Resolved, SqlError> {
    stacker::grow(PARSE_STACK_BYTES, || resolve::statement(statement, relations))
}

/// All built-in functions that may be called, for a list in the documentation or the schema that an agent reads.
pub fn listed_functions(dialect: Dialect) -> impl Iterator<Item = &'static str> {
    functions::all(dialect)
}

/// Twice what the deepest trees take that lex.rs and translate.rs let through, in a build that is not optimised (a level of the parser
/// takes 130 KiB there). Pages that are not touched cost nothing.
pub(crate) const PARSE_STACK_BYTES: usize = 32 * 1024 * 1024;
