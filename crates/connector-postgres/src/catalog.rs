//! The shape of the database. In: a connection of any login, for `pg_catalog` is everyone's. Out: tables and views of the named
//! schemas with their columns and what the connector must know of them. Runs nothing but SELECTs on `pg_catalog`.
//!
//! - Listed are tables, partitioned tables, views, materialized views and foreign tables. A partition is not: it is read through
//!   its table, and would have grants and policies of its own.
//! - Tables of the first schema have their bare name, others `schema.table`. Names with a dot of their own are left out.
//! - A column counts as nullable unless the server checks every row: not through a domain's NOT NULL (which an outer join gets
//!   round, CREATE DOMAIN's notes say), not on a view or a foreign table, nor where NOT NULL was declared NOT VALID.
//! - Where another server holds the rows, texts do not count as compared by code point: that server has its own idea of equality.

pub(crate) mod kinds;
mod reach;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use asuser_core::{
    Catalog, Column, ColumnIx, ColumnKind, ColumnName, DatabaseKind, Digest, ServiceName, Table, TableKind, TableName,
    Underlying,
};
use asuser_postgres::{Client, Row};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use self::kinds::BaseType;
use self::reach::{Graph, Reach};
use crate::PostgresError;
use crate::types::{PgColumn, PgTable};

/// Tables and views of a service.
const TABLES_MAX: usize = 5_000;
/// Columns of a table; PostgreSQL itself has 1,600.
const COLUMNS_MAX: usize = 2_000;
/// The oldest server whose catalogue this reads.
const VERSION_MIN: u32 = 130_000;

/// What is known of the database.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) catalog: Arc<Catalog>,
    /// By the names of `catalog`.
    pub(crate) tables: BTreeMap<TableName, Arc<PgTable>>,
    /// What was left out, and why, for the operator.
    pub(crate) warnings: Vec<String>,
    /// `server_version_num`: 150018 is 15.18.
    pub(crate) server_version_num: u32,
}

/// Reads the catalogue as of one moment.
///
/// # Errors
/// When the server is older than 13, the schemas hold too much, or the server fails.
pub(crate) async fn read(
    client: &mut Client,
    service: &ServiceName,
    schemas: &[String],
) -> Result<Known, PostgresError> {
    let asked = serde_json::json!(schemas).to_string();
    let values: &[Option<&str>] = &[Some(&asked)];
    let statements = [(include_str!("catalog/tables.sql"), values), (include_str!("catalog/reach.sql"), values)];
    let [shape, edges] = facts(client, statements).await?;
    let found = Found::of(&shape)?;
    if found.server_version_num < VERSION_MIN {
        return Err(PostgresError::Options("the server is older than PostgreSQL 13".to_owned()));
    }
    if found.tables.len() > TABLES_MAX {
        let words = format!("the schemas hold more than {TABLES_MAX} tables and views: name fewer schemas");
        return Err(PostgresError::Options(words));
    }
    let graph = Graph::of(&edges)?;
    let mut warnings = missing(schemas, &found.schemas);
    let names: HashMap<u32, TableName> =
        found.tables.iter().map(|listed| (listed.oid, listed.table_name(schemas))).collect();
    let mut tables = BTreeMap::new();
    for listed in &found.tables {
        match table(listed, schemas, &found.types, &graph.reach(listed.oid), &names)? {
            Ok(table) => {
                tables.insert(table.table.name.clone(), Arc::new(table));
            }
            Err(warning) => warnings.push(warning),
        }
    }
    let catalog = Catalog {
        service: service.clone(),
        database: DatabaseKind::Postgres,
        home_schema: schemas.first().cloned(),
        version: digest(service, &tables),
        tables: tables.iter().map(|(name, table)| (name.clone(), Arc::clone(&table.table))).collect(),
    };
    Ok(Known { catalog: Arc::new(catalog), tables, warnings, server_version_num: found.server_version_num })
}

/// Runs statements on the system's catalogue, as of one moment and changing nothing, where no name can be another's: the
/// transaction's `search_path` is pg_catalog alone. JIT takes longer than any of them.
pub(crate) async fn facts<const N: usize>(
    client: &mut Client,
    statements: [(&str, &[Option<&str>]); N],
) -> Result<[Vec<Row>; N], PostgresError> {
    const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path TO pg_catalog, pg_temp; \
                         SET LOCAL jit TO off; SET LOCAL statement_timeout TO '30s'";
    let mut answers = [const { Vec::new() }; N];
    let mut ran = client.execute(BEGIN).await;
    for ((sql, values), answer) in statements.into_iter().zip(&mut answers) {
        if ran.is_ok() {
            ran = client.query(sql, values).await.map(|rows| *answer = rows);
        }
    }
    let ended = client.execute(if ran.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    ran.and(ended)?;
    Ok(answers)
}

/// JSON of the database's making.
pub(crate) fn parsed<T: DeserializeOwned>(text: Option<&str>) -> Result<T, PostgresError> {
    serde_json::from_str(text.unwrap_or("null")).map_err(|error| {
        PostgresError::Internal(format!("the server's catalogue is not of the expected form: {error}"))
    })
}

/// The rows of `tables.sql`.
struct Found {
    server_version_num: u32,
    schemas: HashSet<String>,
    types: HashMap<u32, BaseType>,
    tables: Vec<Listed>,
}

/// A relation.
struct Listed {
    oid: u32,
    schema: String,
    name: String,
    /// `pg_class.relkind`
    kind: String,
    computed: bool,
    /// Column numbers in key order.
    primary_key: Vec<i16>,
    columns: Vec<Declared>,
}

/// A column, in the order of its JSON array.
#[derive(Deserialize)]
struct Declared {
    number: i16,
    name: String,
    declared_type: String,
    type_oid: u32,
    not_null: bool,
    deterministic: bool,
}

impl Found {
    fn of(rows: &[Row]) -> Result<Self, PostgresError> {
        let mut found =
            Self { server_version_num: 0, schemas: HashSet::new(), types: HashMap::new(), tables: Vec::new() };
        for row in rows {
            match row.get(0) {
                Some("server") => found.server_version_num = parsed(row.get(1))?,
                Some("schema") => {
                    found.schemas.insert(parsed(row.get(1))?);
                }
                Some("type") => {
                    let (type_oid, oid, schema, name, form, is_array, operators, ordered) = parsed(row.get(1))?;
                    let base = BaseType { oid, schema, name, form, is_array, operators, ordered };
                    found.types.insert(type_oid, base);
                }
                _ => found.tables.push(Listed::of(row)?),
            }
        }
        Ok(found)
    }
}

impl Listed {
    fn of(row: &Row) -> Result<Self, PostgresError> {
        let (oid, schema, name, kind, computed, primary_key) = parsed(row.get(1))?;
        let columns: Option<Vec<Declared>> = parsed(row.get(2))?;
        let columns = columns.unwrap_or_default();
        Ok(Self { oid, schema, name, kind, computed, primary_key, columns })
    }

    /// Its bare name in the first schema, `schema.table` in others.
    fn table_name(&self, schemas: &[String]) -> TableName {
        let is_first = schemas.first() == Some(&self.schema);
        TableName::new(if is_first { self.name.clone() } else { format!("{}.{}", self.schema, self.name) })
    }

    fn shown(&self) -> String {
        format!("`{}.{}`", self.schema, self.name)
    }
}

fn missing(schemas: &[String], found: &HashSet<String>) -> Vec<String> {
    let missing = schemas.iter().filter(|schema| !found.contains(*schema));
    missing.map(|schema| format!("there is no schema `{schema}`")).collect()
}

/// What stands behind a view. A relation of another schema has no name here: `#` and its number are no table's.
fn reads(listed: &Listed, reach: &Reach, names: &HashMap<u32, TableName>) -> Underlying {
    if listed.kind != "v" {
        // What a materialized view holds it holds itself.
        return Underlying::Itself;
    }
    if reach.opaque {
        return Underlying::Unknown;
    }
    let name = |oid: &u32| names.get(oid).cloned().unwrap_or_else(|| TableName::new(format!("#{oid}")));
    Underlying::Tables(reach.relations.iter().filter(|oid| **oid != listed.oid).map(name).collect())
}

/// A table as it is listed, or why it is not.
fn table(
    listed: &Listed,
    schemas: &[String],
    types: &HashMap<u32, BaseType>,
    reach: &Reach,
    names: &HashMap<u32, TableName>,
) -> Result<Result<PgTable, String>, PostgresError> {
    let is_first = schemas.first() == Some(&listed.schema);
    if listed.name.contains('.') || (!is_first && listed.schema.contains('.')) {
        return Ok(Err(format!("{} is left out: its name holds a dot, and could be another's", listed.shown())));
    }
    if listed.columns.is_empty() {
        return Ok(Err(format!("{} is left out: it has no columns", listed.shown())));
    }
    if listed.columns.len() > COLUMNS_MAX {
        return Ok(Err(format!("{} is left out: it has more than {COLUMNS_MAX} columns", listed.shown())));
    }
    let mut columns = Vec::with_capacity(listed.columns.len());
    let mut details = Vec::with_capacity(listed.columns.len());
    for declared in &listed.columns {
        let base = types
            .get(&declared.type_oid)
            .ok_or_else(|| PostgresError::Internal(format!("a column of {} has no known type", listed.shown())))?;
        let (column, detail) = column(listed, declared, base, reach);
        columns.push(column);
        details.push(detail);
    }
    let table = Table {
        name: listed.table_name(schemas),
        kind: if matches!(listed.kind.as_str(), "v" | "m") { TableKind::View } else { TableKind::Table },
        columns,
        primary_key: primary_key(listed),
        reads: reads(listed, reach, names),
    };
    Ok(Ok(PgTable {
        table: Arc::new(table),
        oid: listed.oid,
        schema: listed.schema.clone(),
        relation: listed.name.clone(),
        columns: details,
        functions: reach.functions.clone(),
        computed: listed.computed,
        leaves_state: reach.leaves_state,
        signed: reach.signed,
    }))
}

fn column(listed: &Listed, declared: &Declared, base: &BaseType, reach: &Reach) -> (Column, PgColumn) {
    let nature = base.nature();
    let is_checked = matches!(listed.kind.as_str(), "r" | "p") && !reach.remote;
    let column = Column {
        name: ColumnName::new(declared.name.clone()),
        declared_type: declared.declared_type.clone(),
        kind: nature.kind,
        nullable: !(declared.not_null && is_checked),
        strictly_typed: base.has_zone_where_needed() && !reach.remote,
        binary_collation: nature.exact_text && declared.deterministic && !reach.remote,
    };
    let detail = PgColumn {
        number: declared.number,
        type_oid: declared.type_oid,
        type_name: base.cast_name(),
        base_oid: base.oid,
        form: nature.form,
        operators: base.operator_schema(),
        ordered: base.ordered,
        nondeterministic: nature.kind == ColumnKind::Text && !declared.deterministic,
    };
    (column, detail)
}

fn primary_key(listed: &Listed) -> Vec<ColumnIx> {
    let place = |number: &i16| {
        let at = listed.columns.iter().position(|column| column.number == *number)?;
        u16::try_from(at).ok().map(ColumnIx)
    };
    listed.primary_key.iter().map(place).collect::<Option<_>>().unwrap_or_default()
}

/// SHA-256 over the service and each table as JSON, in the order of their names. A table that was replaced by one of the same
/// shape has another oid, and so another version.
fn digest(service: &ServiceName, tables: &BTreeMap<TableName, Arc<PgTable>>) -> Digest {
    let table = |table: &Arc<PgTable>| {
        let column = |column: &PgColumn| {
            serde_json::json!([
                column.number,
                column.type_oid,
                column.type_name,
                column.base_oid,
                column.operators,
                column.ordered,
                column.nondeterministic
            ])
        };
        let columns: Vec<_> = table.columns.iter().map(column).collect();
        serde_json::json!({
            "table": *table.table, "oid": table.oid, "schema": table.schema, "columns": columns,
            "functions": table.functions, "computed": table.computed, "leaves_state": table.leaves_state, "signed": table.signed,
        })
    };
    let tables: Vec<_> = tables.values().map(table).collect();
    let canonical = serde_json::json!({ "service": service, "database": DatabaseKind::Postgres, "tables": tables });
    Digest(Sha256::digest(canonical.to_string().as_bytes()).into())
}

#[cfg(test)]
pub(crate) mod tests;
