//! SQL that a caller or a tool brings, over relations that policy decided: names become places, and what a relation shows is
//! settled before the text runs.
//!
//! In: a statement that the guard let through, one decision on all of a service's tables, the database's own word. Out: a plan in
//! which every relation is either whole for this caller, or to be replaced by what they may see of it. Refused: a table that does
//! not exist for the caller, and a view over something that policy narrows, since the view would show what is behind it as it is.

use std::fmt::Write as _;
use std::sync::Arc;

use asuser_core::{
    Aggregate, AggregateFunction, AggregateRequest, ColumnAccess, ColumnIx, ColumnName, Condition, DatabaseKind,
    Digest, Filter, Order, Reach, Table, TableKind, TableName, ToolArgument, Underlying,
};
use asuser_policy::ListingDecision;
pub use asuser_sql::{AllowedFunctions, ParameterName, Place as SqlPlace, Resolved, SqlError, Statement, print};
use asuser_sql::{Dialect, Relation, RelationName};
use sha2::{Digest as _, Sha256};

use crate::dialect::shortened;
use crate::error::PlanError;
use crate::plan::{Plan, Sql};
use crate::resolve::{self, ServiceLimits};
use crate::seal::narrowed;

/// Answers to SQL come whole, so they are held in memory: at most this many bytes of JSON, whatever the service allows.
const BYTES_MAX: usize = 8 * 1024 * 1024;
const GROUP_MAX: usize = 16;
const AGGREGATES_MAX: usize = 32;

/// One relation of a statement, as this caller may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlRelation {
    /// The table.
    pub table: Arc<Table>,
    /// How each of its columns reads. One for each column.
    pub access: Vec<ColumnAccess>,
    /// The rows that exist for the caller, over base columns.
    pub row_filter: Filter,
    /// Which of them are looked at, over columns as `access` shows them.
    pub condition: Option<Condition<ColumnIx>>,
    /// The columns that can be seen, in the catalogue's order: what the statement calls the relation's columns.
    pub columns: Vec<ColumnIx>,
    /// The caller may see all of it as it is: the statement may name the table itself. Else only what stands for it.
    pub is_whole: bool,
}

/// What may be done, for the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlOrigin {
    /// The caller wrote it.
    Submitted,
    /// A configured tool.
    Tool,
    /// Made of a structured request.
    Aggregate,
}

/// Everything about a statement that a connector is told.
#[derive(Debug)]
pub struct SqlSpec {
    /// The statement, to be printed.
    pub statement: Resolved,
    /// What its relations are, in the order of [`Resolved::relations`].
    pub relations: Vec<SqlRelation>,
    /// Values for its parameters.
    pub arguments: Vec<ToolArgument>,
    /// Where it comes from.
    pub origin: SqlOrigin,
    /// The keys of the answer's records, each once.
    pub output: Vec<String>,
    /// At most this many records; the connector looks one further.
    pub limit: u64,
    /// At most this many bytes of JSON.
    pub bytes_max: usize,
    /// At most this long in the database, milliseconds.
    pub time_ms_max: u64,
}

/// Reads and guards a statement. `parameters` are those of a tool; submitted text has none.
///
/// # Errors
/// When it does not parse, or holds what no statement may hold here.
pub fn parse_sql(
    text: &str,
    database: DatabaseKind,
    functions: &AllowedFunctions,
    parameters: &[ParameterName],
) -> Result<Statement, PlanError> {
    Ok(asuser_sql::parse(text, dialect(database)?, functions, parameters)?)
}

/// Seals a statement that a caller submitted.
///
/// # Errors
/// When it names a relation or column that the caller cannot see, or one that SQL cannot be allowed on.
pub fn seal_sql(
    decision: ListingDecision,
    statement: Statement,
    limit: Option<u64>,
    limits: &ServiceLimits,
    reach: &Reach,
) -> Result<Plan<Sql>, PlanError> {
    let relations = Service { decision: &decision, reach }.relations(&statement)?;
    sealed(decision, statement, relations, Vec::new(), SqlOrigin::Submitted, limit, limits)
}

/// Seals a configured tool's statement. The arguments belong to the parameters that it was parsed with.
///
/// # Errors
/// As [`seal_sql`].
pub fn seal_tool(
    decision: ListingDecision,
    statement: Statement,
    arguments: Vec<ToolArgument>,
    limits: &ServiceLimits,
    reach: &Reach,
) -> Result<Plan<Sql>, PlanError> {
    let relations = Service { decision: &decision, reach }.relations(&statement)?;
    sealed(decision, statement, relations, arguments, SqlOrigin::Tool, None, limits)
}

/// Seals values computed over a table.
///
/// # Errors
/// As [`crate::seal_read`], and when an aggregate does not fit its column.
pub fn seal_aggregate(
    decision: ListingDecision,
    request: &AggregateRequest,
    limits: &ServiceLimits,
    reach: &Reach,
) -> Result<Plan<Sql>, PlanError> {
    let seen = Service { decision: &decision, reach };
    let unknown = || PlanError::NoSuchTable { service: decision.service().clone(), table: shortened(&request.table) };
    let (table, access) =
        decision.tables().find(|(table, _)| table.name.as_str() == request.table).ok_or_else(unknown)?;
    let mut relation = seen.shown(table, access).ok_or_else(unknown)?;
    if decision.database() == DatabaseKind::Sqlite && table.kind == TableKind::View {
        return Err(not_for_sql(table, "it is a view"));
    }
    relation.condition = resolve::condition(table, &relation.access, request.condition.as_ref())?;
    relation.is_whole &= relation.condition.is_none();
    let text = aggregate_text(table, &relation.access, request)?;
    let statement = parse_sql(&text, decision.database(), &AllowedFunctions::none(), &[])?;
    sealed(decision, statement, vec![relation], Vec::new(), SqlOrigin::Aggregate, request.limit, limits)
}

fn sealed(
    decision: ListingDecision,
    statement: Statement,
    relations: Vec<SqlRelation>,
    arguments: Vec<ToolArgument>,
    origin: SqlOrigin,
    limit: Option<u64>,
    limits: &ServiceLimits,
) -> Result<Plan<Sql>, PlanError> {
    let columns = |relation: &SqlRelation| {
        let name = |ix: &ColumnIx| relation.table.column(*ix).map(|column| column.name.clone());
        Relation { columns: relation.columns.iter().filter_map(name).collect() }
    };
    let known: Vec<Relation> = relations.iter().map(columns).collect();
    let statement = asuser_sql::resolve(statement, &known)?;
    let fingerprint = fingerprint(&statement, &relations);
    let most = limits.max_records.max(1);
    let spec = SqlSpec {
        output: unique(statement.output()),
        statement,
        relations,
        arguments,
        origin,
        limit: limit.unwrap_or(most).clamp(1, most),
        bytes_max: limits.bytes_max.min(BYTES_MAX),
        time_ms_max: limits.time_ms_max,
    };
    Ok(Plan::sql(decision, spec, fingerprint))
}

/// What of a service this caller may see.
struct Service<'a> {
    decision: &'a ListingDecision,
    reach: &'a Reach,
}

impl Service<'_> {
    fn relations(&self, statement: &Statement) -> Result<Vec<SqlRelation>, PlanError> {
        statement.relations().iter().map(|name| self.relation(name)).collect()
    }
    fn relation(&self, name: &RelationName) -> Result<SqlRelation, PlanError> {
        let found = self.decision.tables().find(|(table, _)| self.is_meant(name, &table.name));
        let shown = found.and_then(|(table, access)| Some((table, self.shown(table, access)?)));
        let Some((table, relation)) = shown else {
            let visible = self.decision.tables().filter(|(table, access)| self.shown(table, access).is_some());
            return Err(SqlError::unknown_relation(name, visible.map(|(table, _)| table.name.as_str())).into());
        };
        if self.decision.database() == DatabaseKind::Sqlite && table.kind == TableKind::View {
            return Err(not_for_sql(table, "it is a view"));
        }
        if !self.may_look_behind(table) {
            return Err(not_for_sql(table, "it is a view over tables of which you may not see everything"));
        }
        Ok(relation)
    }

    /// Names compare as the database compares them; the home schema's tables have their bare names.
    fn is_meant(&self, written: &RelationName, known: &TableName) -> bool {
        let home = self.decision.home_schema();
        let insensitive = self.decision.database() == DatabaseKind::Sqlite;
        let same = |a: &str, b: &str| if insensitive { a.eq_ignore_ascii_case(b) } else { a == b };
        match &written.schema {
            None => same(&written.name, known.as_str()) && (insensitive || !known.as_str().contains('.')),
            Some(schema) if home.is_some_and(|home| same(schema, home)) => {
                same(&written.name, known.as_str()) && (insensitive || !known.as_str().contains('.'))
            }
            Some(schema) => {
                known.as_str().split_once('.').is_some_and(|(of, name)| same(schema, of) && same(&written.name, name))
            }
        }
    }

    fn shown(&self, table: &Arc<Table>, access: &[ColumnAccess]) -> Option<SqlRelation> {
        let access = narrowed(table, access, self.reach)?.into_owned();
        let row_filter = self.decision.row_filter(table).clone();
        let is_clear = |access: &ColumnAccess| {
            matches!(access, ColumnAccess::Clear | ColumnAccess::Masked { unmask: Filter::True, .. })
        };
        let seen = |(ix, access): (ColumnIx, &ColumnAccess)| (*access != ColumnAccess::Denied).then_some(ix);
        Some(SqlRelation {
            columns: (0..=u16::MAX).map(ColumnIx).zip(&access).filter_map(seen).collect(),
            is_whole: row_filter == Filter::True && access.iter().all(is_clear),
            table: Arc::clone(table),
            access,
            row_filter,
            condition: None,
        })
    }

    /// Policy narrows nothing that a view takes its rows from.
    fn may_look_behind(&self, table: &Table) -> bool {
        match &table.reads {
            Underlying::Itself => true,
            Underlying::Unknown => self.decision.takes_nothing(),
            Underlying::Tables(names) => names.iter().all(|name| self.is_untouched(name)),
        }
    }

    fn is_untouched(&self, name: &TableName) -> bool {
        if !self.decision.lists(name) {
            return self.decision.unlisted_is_open();
        }
        // Without what the database itself withholds: of that the view's owner decides.
        let found = self.decision.tables().find(|(table, _)| table.name == *name);
        found.is_some_and(|(table, access)| {
            *self.decision.row_filter(table) == Filter::True && access.iter().all(|how| *how == ColumnAccess::Clear)
        })
    }
}

fn not_for_sql(table: &Table, why: &'static str) -> PlanError {
    PlanError::NotForSql { table: table.name.to_string(), why }
}

const fn dialect(database: DatabaseKind) -> Result<Dialect, PlanError> {
    match database {
        DatabaseKind::Postgres => Ok(Dialect::Postgres),
        DatabaseKind::Sqlite => Ok(Dialect::Sqlite),
        DatabaseKind::Mariadb => Err(PlanError::Inconsistent { detail: "SQL on MariaDB is not built yet" }),
    }
}

/// The keys of a record: a name that comes again gets a number, so that no value is lost.
fn unique(names: &[String]) -> Vec<String> {
    let mut keys: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let mut key = name.clone();
        let mut number = 2;
        while keys.contains(&key) {
            key = format!("{name}_{number}");
            number += 1;
        }
        keys.push(key);
    }
    keys
}

/// A digest of the statement without its values, and of the relations that it names.
fn fingerprint(statement: &Resolved, relations: &[SqlRelation]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(b"asuser/sql/1");
    let mut text = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    text(&statement.shape());
    relations.iter().for_each(|relation| text(relation.table.name.as_str()));
    Digest(hash.finalize().into())
}

/// The statement of an aggregate: quoted names, no value.
fn aggregate_text(table: &Table, access: &[ColumnAccess], request: &AggregateRequest) -> Result<String, PlanError> {
    if request.group.len() > GROUP_MAX || request.aggregates.len() > AGGREGATES_MAX {
        return Err(PlanError::TooComplex { limit: "16 columns to group by, 32 aggregates" });
    }
    if request.group.is_empty() && request.aggregates.is_empty() {
        return Err(PlanError::NoAggregate);
    }
    let mut shown: Vec<(String, String)> = Vec::new();
    for name in &request.group {
        resolve::named(table, access, name, "group")?;
        shown.push((quoted(name.as_str()), name.to_string()));
    }
    for Aggregate { function, column, name } in &request.aggregates {
        let argument = match column {
            Some(column) => {
                resolve::aggregated(table, access, column, *function)?;
                Some(quoted(column.as_str()))
            }
            None if *function == AggregateFunction::Count => None,
            None => return Err(PlanError::AggregateNeedsColumn { function: function_name(*function) }),
        };
        let argument = argument.unwrap_or_else(|| "*".to_owned());
        let text = match function {
            AggregateFunction::CountDistinct => format!("count(DISTINCT {argument})"),
            plain => format!("{}({argument})", function_name(*plain)),
        };
        if shown.iter().any(|(_, taken)| taken == name) || name.is_empty() || name.len() > 63 {
            return Err(PlanError::AggregateName { name: shortened(name) });
        }
        shown.push((text, name.clone()));
    }
    let list: Vec<String> = shown.iter().map(|(text, name)| format!("{text} AS {}", quoted(name))).collect();
    let mut sql = format!("SELECT {} FROM {}", list.join(", "), from(table));
    let places: Vec<String> = (1..=request.group.len()).map(|place| place.to_string()).collect();
    if !places.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(sql, " GROUP BY {}", places.join(", "));
    }
    let order = ordered(&request.order, &shown)?;
    // Groups come in a stable order, so that a limit cuts the same ones off.
    let rest = places.into_iter().filter(|place| !order.iter().any(|(asked, _)| asked == place));
    let terms: Vec<String> = order.iter().map(|(_, term)| term.clone()).chain(rest).collect();
    if !terms.is_empty() {
        let _ = write!(sql, " ORDER BY {}", terms.join(", "));
    }
    Ok(sql)
}

/// The order's terms: the place in the list, and the term.
fn ordered(order: &[Order], shown: &[(String, String)]) -> Result<Vec<(String, String)>, PlanError> {
    let mut terms = Vec::new();
    for Order { column, descending, nulls_first } in order {
        let place = shown.iter().position(|(_, name)| name == column.as_str());
        let place = place.ok_or_else(|| PlanError::AggregateOrder { name: shortened(column.as_str()) })? + 1;
        let nulls = match nulls_first {
            Some(true) => " NULLS FIRST",
            Some(false) => " NULLS LAST",
            None => "",
        };
        terms.push((place.to_string(), format!("{place}{}{nulls}", if *descending { " DESC" } else { "" })));
    }
    Ok(terms)
}

const fn function_name(function: AggregateFunction) -> &'static str {
    match function {
        AggregateFunction::Count | AggregateFunction::CountDistinct => "count",
        AggregateFunction::Sum => "sum",
        AggregateFunction::Avg => "avg",
        AggregateFunction::Min => "min",
        AggregateFunction::Max => "max",
    }
}

/// A table of a schema of its own is `schema.table` in the catalogue.
fn from(table: &Table) -> String {
    match table.name.as_str().split_once('.') {
        Some((schema, name)) => format!("{}.{}", quoted(schema), quoted(name)),
        None => quoted(table.name.as_str()),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl SqlRelation {
    /// The name of a column that can be seen, by its place among those.
    #[must_use]
    pub fn column_name(&self, seen: usize) -> Option<&ColumnName> {
        self.columns.get(seen).and_then(|ix| self.table.column(*ix)).map(|column| &column.name)
    }
}
