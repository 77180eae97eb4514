//! Submitted SQL as one principal, confined. In: what each table shows to this principal, then statements. Out: their records.
//! Refuses whatever could reach past the views: other tables, other spellings, commands, EXPLAIN, more than one statement.
//!
//! SQLite knows no users, so the confinement is built on each connection anew:
//! 1. An inner view in the temporary schema reads the base table, with row filter and masks. Its name is 128 random bits.
//! 2. A view with the table's own name reads the inner one.
//! 3. The authorizer lets base columns be read only from inside the random name. The own name is not enough: SQLite reports a
//!    common table expression that is called like the view as if it were the view.
//! 4. `LIMIT -1 OFFSET 0` in the inner view is a fence: no condition of the caller is evaluated on a hidden row, where an
//!    error would tell what the row holds. It costs the caller's use of indexes; the row filter keeps its own.
//! 5. Names that do not exist and names that may not be used give the same words.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use asuser_core::{ColumnAccess, ColumnIx, Condition, Filter, Records, Table, TableKind};
use data_encoding::HEXLOWER;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::Value;
use rusqlite::{Connection, PrepFlags, Statement};

use crate::connect::{self, Budget, Watch, unpoisoned};
use crate::functions::{self, OWN_FUNCTIONS};
use crate::permit::{SAFE_FUNCTIONS, is_listed, is_ordinary};
use crate::print::{Placeholder, Printer, from_table, quoted};
use crate::rows::{Shape, Writer};
use crate::{SqliteError, SqliteOptions};

/// The longest statement, in bytes.
const SQL_BYTES_MAX: usize = 100_000;
/// The largest text or row that a statement can read or build, in bytes. SQLite does not look at the budget inside one function,
/// and `instr` or `replace` cost the product of their arguments.
const CELL_BYTES_MAX: i32 = 1024 * 1024;

const NOT_AVAILABLE: &str = "the statement uses a table, column, function or command that is not available here: \
                             use SELECT over the tables and columns that the schema lists";
const FAILED: &str = "check its functions and values";

/// What one table shows to the principal.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    /// A base table; a view of the file cannot be confined.
    pub(crate) table: Arc<Table>,
    /// How each column reads.
    pub(crate) access: Vec<ColumnAccess>,
    /// The rows that exist for the principal.
    pub(crate) row_filter: Filter,
    /// Which of them the statement is about, over columns as `access` shows them.
    pub(crate) condition: Option<Condition<ColumnIx>>,
}

/// What a statement gives, and how much of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnswerLimits<'a> {
    /// The keys of its records, one for each column; `None`: as SQLite names them.
    pub(crate) output: Option<&'a [String]>,
    pub(crate) rows_max: u64,
    pub(crate) bytes_max: usize,
}

/// A connection on which one principal's statements run. It never serves another: drop it.
pub(crate) struct ConfinedSession {
    connection: Connection,
    watch: Arc<Watch>,
    stage: Arc<Mutex<Stage>>,
    fences: Arc<Vec<Fence>>,
    schema_version: i64,
    ended: bool,
}

/// A base table behind its two views.
#[derive(Debug)]
struct Fence {
    table: Arc<Table>,
    used: Vec<bool>,
    inner: String,
}

/// Whose statement SQLite prepares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Ours: begin, end, the schema's version.
    Frame,
    /// The caller's.
    Caller,
}

impl ConfinedSession {
    /// Opens a connection and confines it to these relations. A relation without a readable column is not reachable.
    pub(crate) fn open(options: &SqliteOptions, relations: &[Relation], budget: &Budget) -> Result<Self, SqliteError> {
        let failed = |error: rusqlite::Error| SqliteError::from_sqlite(&error, budget);
        let (mut connection, watch) = connect::open_hardened(options, budget)?;
        let (schema_version, taken) = schema(&mut connection).map_err(failed)?;
        let (fences, values) = build_fences(&connection, relations, budget)?;
        functions::register_values(&connection, values).map_err(failed)?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, CELL_BYTES_MAX).map_err(failed)?;
        connection.execute_batch("PRAGMA query_only = ON").map_err(failed)?;
        let (fences, stage) = (Arc::new(fences), Arc::new(Mutex::new(Stage::Frame)));
        let judge = Judge { fences: Arc::clone(&fences), taken, stage: Arc::clone(&stage) };
        connection.authorizer(Some(move |context: AuthContext<'_>| judge.judge(&context))).map_err(failed)?;
        watch.set(None);
        Ok(Self { connection, watch, stage, fences, schema_version, ended: false })
    }

    /// Runs one statement. After a failure that is not the statement's own the session has ended.
    pub(crate) fn read(
        &mut self,
        sql: &str,
        arguments: &[Value],
        limits: AnswerLimits<'_>,
        budget: &Budget,
    ) -> Result<Records, SqliteError> {
        if self.ended {
            return Err(SqliteError::Internal("the session has ended".to_owned()));
        }
        if sql.len() > SQL_BYTES_MAX {
            return Err(not_permitted("the statement is too long"));
        }
        // SQLite would end the text there, and what was judged would not be what was sent.
        if sql.contains('\0') {
            return Err(not_permitted("the statement holds a NUL character"));
        }
        self.watch.set(Some(budget.clone()));
        let result = self.framed(sql, arguments, limits, budget).map_err(|error| self.scrubbed(error));
        self.watch.set(None);
        self.ended = !matches!(
            result,
            Ok(_) | Err(SqliteError::NotPermitted(_) | SqliteError::Failed(_) | SqliteError::AnswerTooLarge { .. })
        );
        result
    }

    /// The random names, which no answer may hold.
    #[cfg(test)]
    pub(crate) fn inner_names(&self) -> Vec<String> {
        self.fences.iter().map(|fence| fence.inner.clone()).collect()
    }

    /// One snapshot, in which the schema is the one that the views were built over.
    fn framed(
        &self,
        sql: &str,
        arguments: &[Value],
        limits: AnswerLimits<'_>,
        budget: &Budget,
    ) -> Result<Records, SqliteError> {
        let failed = |error: rusqlite::Error| SqliteError::from_sqlite(&error, budget);
        self.connection.execute_batch("BEGIN").map_err(failed)?;
        let found: i64 = self.connection.query_row("PRAGMA schema_version", [], |row| row.get(0)).map_err(failed)?;
        if found != self.schema_version {
            return Err(SqliteError::SchemaChanged);
        }
        *unpoisoned(&self.stage) = Stage::Caller;
        let result = self.callers(sql, arguments, limits, budget);
        *unpoisoned(&self.stage) = Stage::Frame;
        self.connection.execute_batch("ROLLBACK").map_err(failed)?;
        result
    }

    fn callers(
        &self,
        sql: &str,
        arguments: &[Value],
        limits: AnswerLimits<'_>,
        budget: &Budget,
    ) -> Result<Records, SqliteError> {
        let prepared = self.connection.prepare_with_flags(sql, PrepFlags::SQLITE_PREPARE_NO_VTAB);
        let mut statement = prepared.map_err(|error| unprepared(&error, budget))?;
        // EXPLAIN prints the inner names, and the authorizer is not asked about it.
        if statement.is_explain() != 0 || !statement.readonly() || statement.column_count() == 0 {
            return Err(not_permitted(NOT_AVAILABLE));
        }
        if statement.parameter_count() > arguments.len() {
            return Err(not_permitted("the statement holds a parameter: write the value instead"));
        }
        for (number, argument) in (1..=statement.parameter_count()).zip(arguments) {
            statement.raw_bind_parameter(number, argument).map_err(|error| SqliteError::from_sqlite(&error, budget))?;
        }
        let names = match limits.output {
            Some(names) if names.len() == statement.column_count() => names.to_vec(),
            Some(_) => return Err(SqliteError::Internal("the statement gives other columns than it says".to_owned())),
            None => column_names(&statement)?,
        };
        let shape = Shape::of_columns(&names, limits.rows_max, limits.bytes_max);
        let mut writer = Writer::new(&shape);
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(|error| failed_running(&error, limits, budget))? {
            if !writer.record(row)? {
                break;
            }
        }
        Ok(writer.records)
    }

    /// The last line: no words that hold an internal name leave.
    fn scrubbed(&self, error: SqliteError) -> SqliteError {
        let words = error.to_string().to_ascii_lowercase();
        if self.fences.iter().any(|fence| words.contains(&fence.inner)) { not_permitted(NOT_AVAILABLE) } else { error }
    }
}

/// The schema's version, and every name in it that a table of the caller's own may not have.
fn schema(connection: &mut Connection) -> rusqlite::Result<(i64, BTreeSet<String>)> {
    let transaction = connection.transaction()?;
    let version = transaction.query_row("PRAGMA schema_version", [], |row| row.get(0))?;
    let mut taken = BTreeSet::new();
    for text in ["SELECT name FROM sqlite_schema", "SELECT name FROM pragma_module_list"] {
        let mut statement = transaction.prepare(text)?;
        for name in statement.query_map([], |row| row.get::<_, String>(0))? {
            taken.insert(name?.to_ascii_lowercase());
        }
    }
    transaction.commit()?;
    Ok((version, taken))
}

/// Creates both views of each relation, and gives the values that their texts refer to.
fn build_fences(
    connection: &Connection,
    relations: &[Relation],
    budget: &Budget,
) -> Result<(Vec<Fence>, Vec<Value>), SqliteError> {
    let mut fences = Vec::new();
    let mut values = Vec::new();
    for relation in relations {
        let name = relation.table.name.as_str();
        if relation.table.kind == TableKind::View {
            return Err(SqliteError::Plan(format!("`{name}` is a view: submitted SQL can reach base tables only")));
        }
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| SqliteError::Internal(error.to_string()))?;
        let inner = format!("v{}", HEXLOWER.encode(&random));
        let mut printer = Printer::new(&relation.table, &relation.access, Placeholder::Function, values)?;
        let texts = views(&mut printer, relation, &inner)?;
        values = printer.values;
        // Without views the name would mean the base table: then there is no fence that lets it be used.
        let Some((inner_select, outer_select)) = texts else { continue };
        let (inner_name, outer_name) = (quoted(&inner), quoted(name));
        let create =
            format!("CREATE TEMP VIEW {inner_name} AS {inner_select}; CREATE TEMP VIEW {outer_name} AS {outer_select}");
        connection.execute_batch(&create).map_err(|error| SqliteError::from_sqlite(&error, budget))?;
        fences.push(Fence { table: Arc::clone(&relation.table), used: printer.used, inner });
    }
    Ok((fences, values))
}

/// The texts of the inner and the outer view; `None` where every column is denied.
fn views(printer: &mut Printer<'_>, relation: &Relation, inner: &str) -> Result<Option<(String, String)>, SqliteError> {
    let mut select = String::new();
    let mut names = Vec::new();
    for (at, (column, access)) in (0..=u16::MAX).zip(relation.table.columns.iter().zip(&relation.access)) {
        if *access == ColumnAccess::Denied {
            continue;
        }
        let name = quoted(column.name.as_str());
        select.push_str(if names.is_empty() { "SELECT " } else { ", " });
        printer.access(&mut select, ColumnIx(at))?;
        select.push_str(&format!(" AS {name}"));
        names.push(name);
    }
    if names.is_empty() {
        return Ok(None);
    }
    select.push_str(&from_table(&relation.table));
    select.push_str(" WHERE ");
    printer.filter(&mut select, &relation.row_filter, 0)?;
    if let Some(condition) = &relation.condition {
        select.push_str(" AND ");
        printer.condition(&mut select, condition, 0)?;
    }
    select.push_str(" LIMIT -1 OFFSET 0");
    Ok(Some((select, format!("SELECT {} FROM \"temp\".{}", names.join(", "), quoted(inner)))))
}

/// The authorizer of a confined connection.
struct Judge {
    fences: Arc<Vec<Fence>>,
    /// Names in the file's schema and of virtual table modules, in lower case.
    taken: BTreeSet<String>,
    stage: Arc<Mutex<Stage>>,
}

impl Judge {
    fn judge(&self, context: &AuthContext<'_>) -> Authorization {
        let stage = *unpoisoned(&self.stage);
        let allowed = match (stage, context.action) {
            (Stage::Frame, AuthAction::Transaction { .. }) => true,
            (Stage::Frame, AuthAction::Pragma { pragma_name, pragma_value: None }) => pragma_name == "schema_version",
            (Stage::Caller, AuthAction::Select | AuthAction::Recursive) => true,
            (Stage::Caller, AuthAction::Function { function_name }) => self.may_call(context, function_name),
            (Stage::Caller, AuthAction::Read { table_name, column_name }) => {
                self.may_read(context, table_name, column_name)
            }
            _ => false,
        };
        if allowed { Authorization::Allow } else { Authorization::Deny }
    }

    /// The fence whose inner view SQLite is inside of.
    fn inside(&self, context: &AuthContext<'_>) -> Option<&Fence> {
        let accessor = context.accessor?;
        self.fences.iter().find(|fence| fence.inner == accessor)
    }

    fn may_call(&self, context: &AuthContext<'_>, name: &str) -> bool {
        if self.inside(context).is_some() {
            return name.eq_ignore_ascii_case("typeof") || is_listed(OWN_FUNCTIONS, name);
        }
        is_listed(SAFE_FUNCTIONS, name)
    }

    /// An empty column is SQLite's word for a table of which no column is used; then the table and schema are given as they
    /// were written, and a common table expression comes without a schema.
    fn may_read(&self, context: &AuthContext<'_>, table: &str, column: &str) -> bool {
        let database = context.database_name.map(str::to_ascii_lowercase);
        let (in_main, in_temp) = (database.as_deref() == Some("main"), database.as_deref() == Some("temp"));
        let unnamed = database.is_none() && column.is_empty();
        if let Some(fence) = self.inside(context) {
            return in_main && fence.is_base(table) && (column.is_empty() || fence.uses(column));
        }
        let is_view = self.fences.iter().any(|fence| fence.inner == table || fence.is_base(table));
        if is_view {
            // Unqualified, the temporary schema comes first, so this is the view.
            return in_temp || unnamed;
        }
        unnamed && is_ordinary(table) && !self.taken.contains(&table.to_ascii_lowercase())
    }
}

impl Fence {
    fn is_base(&self, name: &str) -> bool {
        self.table.name.as_str().eq_ignore_ascii_case(name)
    }
    fn uses(&self, name: &str) -> bool {
        let mut columns = self.table.columns.iter().zip(&self.used);
        columns.any(|(column, used)| *used && column.name.as_str().eq_ignore_ascii_case(name))
    }
}

/// The names that the statement gives its columns; a repeated one gets a number, so that no value is lost in a JSON object.
fn column_names(statement: &Statement<'_>) -> Result<Vec<String>, SqliteError> {
    let mut seen = BTreeSet::new();
    let mut names = Vec::with_capacity(statement.column_count());
    for at in 0..statement.column_count() {
        let name = statement.column_name(at).map_err(|error| SqliteError::Internal(error.to_string()))?;
        let mut unique = name.to_owned();
        let mut number = 2;
        while !seen.insert(unique.clone()) {
            unique = format!("{name}:{number}");
            number += 1;
        }
        names.push(unique);
    }
    Ok(names)
}

/// What a caller reads of a statement that does not prepare: of a syntax error the token, of all else that it is not available.
fn unprepared(error: &rusqlite::Error, budget: &Budget) -> SqliteError {
    if matches!(error, rusqlite::Error::MultipleStatement) {
        return not_permitted("send one statement at a time");
    }
    let mapped = SqliteError::from_sqlite(error, budget);
    if matches!(mapped, SqliteError::Unavailable { .. } | SqliteError::Timeout { .. } | SqliteError::Cancelled) {
        return mapped;
    }
    let words = match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.as_str(),
        rusqlite::Error::SqliteFailure(_, Some(msg)) => msg.as_str(),
        _ => "",
    };
    match words.strip_prefix("near \"").and_then(|rest| rest.strip_suffix("\": syntax error")) {
        Some(token) => not_permitted(&format!("the statement has a syntax error near `{token}`")),
        None => not_permitted(NOT_AVAILABLE),
    }
}

/// What a caller reads of a statement that fails while it runs: never SQLite's words, which may hold values.
fn failed_running(error: &rusqlite::Error, limits: AnswerLimits<'_>, budget: &Budget) -> SqliteError {
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::TooBig) {
        return SqliteError::AnswerTooLarge { bytes_max: limits.bytes_max };
    }
    match SqliteError::from_sqlite(error, budget) {
        SqliteError::Refused(_) | SqliteError::SchemaChanged | SqliteError::TooComplex(_) => {
            SqliteError::Failed(FAILED)
        }
        other => other,
    }
}

fn not_permitted(words: &str) -> SqliteError {
    SqliteError::NotPermitted(words.to_owned())
}
