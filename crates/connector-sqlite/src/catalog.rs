//! The shape of the file. In: a hardened connection. Out: tables and views with their columns, as the schema declares them.
//! Leaves out SQLite's own tables, virtual tables and their shadow tables, and views that no longer compile.

use std::collections::BTreeMap;
use std::sync::Arc;

use asuser_core::{
    Catalog, Column, ColumnIx, ColumnKind, ColumnName, DatabaseKind, Digest, ServiceName, Table, TableKind, TableName,
    Underlying,
};
use rusqlite::{Connection, Result, Row};
use sha2::{Digest as _, Sha256};

/// A catalogue and the schema version (SQLite's own counter) that it was read at.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) schema_version: i64,
}

/// Reads the catalogue in one transaction.
pub(crate) fn read(connection: &mut Connection, service: &ServiceName) -> Result<Known> {
    let transaction = connection.transaction()?;
    let schema_version = transaction.query_row("PRAGMA schema_version", [], |row| row.get(0))?;
    let mut tables = BTreeMap::new();
    for listed in list(&transaction)? {
        if let Some(table) = table(&transaction, &listed)? {
            tables.insert(table.name.clone(), Arc::new(table));
        }
    }
    transaction.commit()?;
    let version = digest(service, &tables);
    let catalog = Catalog {
        service: service.clone(),
        database: DatabaseKind::Sqlite,
        home_schema: Some("main".to_owned()),
        version,
        tables,
    };
    Ok(Known { catalog: Arc::new(catalog), schema_version })
}

/// A row of `PRAGMA table_list`.
struct Listed {
    name: String,
    kind: TableKind,
    without_rowid: bool,
    strict: bool,
}

/// Tables and views of the file. A virtual table runs a module's code, and its shadow tables hold its data in the clear.
fn list(connection: &Connection) -> Result<Vec<Listed>> {
    let mut statement = connection.prepare(
        r"SELECT name, type, wr, strict FROM pragma_table_list
          WHERE schema = 'main' AND type IN ('table', 'view') AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name",
    )?;
    let rows = statement.query_map([], |row| {
        let kind = if row.get_ref(1)?.as_str()? == "view" { TableKind::View } else { TableKind::Table };
        Ok(Listed { name: row.get(0)?, kind, without_rowid: row.get(2)?, strict: row.get(3)? })
    })?;
    rows.collect()
}

/// One table; `None` for a view that does not compile.
fn table(connection: &Connection, listed: &Listed) -> Result<Option<Table>> {
    let mut statement = connection
        .prepare("SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?1, 'main') ORDER BY cid")?;
    let read = statement.query_map([&listed.name], Declared::from_row)?.collect::<Result<Vec<Declared>>>();
    let declared = match read {
        Ok(declared) if !declared.is_empty() => declared,
        Ok(_) => return Ok(None),
        Err(error) if listed.kind == TableKind::View => {
            tracing::warn!(view = %listed.name, %error, "a view that does not compile is left out of the catalogue");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let rowid_alias = rowid_alias(connection, listed, &declared)?;
    let mut columns = Vec::with_capacity(declared.len());
    for (at, column) in declared.iter().enumerate() {
        columns.push(column_of(connection, listed, column, rowid_alias == Some(at))?);
    }
    let primary_key = primary_key(&declared);
    // SQLite's views are never reached by submitted SQL, so nobody asks what is behind them.
    let reads = if listed.kind == TableKind::View { Underlying::Unknown } else { Underlying::Itself };
    Ok(Some(Table { name: TableName::new(listed.name.clone()), kind: listed.kind, columns, primary_key, reads }))
}

/// A row of `PRAGMA table_xinfo`.
struct Declared {
    name: String,
    declared_type: String,
    not_null: bool,
    /// 1-based place in the primary key; 0: not in it.
    key_place: u32,
    generated: bool,
}

impl Declared {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            name: row.get(0)?,
            declared_type: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
            not_null: row.get(2)?,
            key_place: row.get(3)?,
            generated: row.get::<_, i64>(4)? != 0,
        })
    }
}

/// The column that is the rowid: always a whole number, never NULL. `INTEGER PRIMARY KEY DESC` and `INT PRIMARY KEY` are
/// not: SQLite gives those an index of their own.
fn rowid_alias(connection: &Connection, listed: &Listed, declared: &[Declared]) -> Result<Option<usize>> {
    let mut keys = declared.iter().enumerate().filter(|(_, column)| column.key_place > 0);
    let (Some((at, column)), None) = (keys.next(), keys.next()) else { return Ok(None) };
    if listed.without_rowid || !column.declared_type.eq_ignore_ascii_case("INTEGER") {
        return Ok(None);
    }
    let mut statement = connection.prepare("SELECT 1 FROM pragma_index_list(?1, 'main') WHERE origin = 'pk'")?;
    Ok(if statement.exists([&listed.name])? { None } else { Some(at) })
}

fn column_of(connection: &Connection, listed: &Listed, column: &Declared, is_rowid: bool) -> Result<Column> {
    let is_table = listed.kind == TableKind::Table;
    // A view's column has no declared collation, so it counts as unknown.
    let collation = if is_table {
        connection.column_metadata(Some("main"), listed.name.as_str(), column.name.as_str())?.1
    } else {
        None
    };
    // SQLite does not check the type of a generated column that is not stored; none counts as checked.
    let checked = listed.strict && is_table && !column.generated && !column.declared_type.eq_ignore_ascii_case("ANY");
    Ok(Column {
        name: ColumnName::new(column.name.clone()),
        kind: kind(&column.declared_type),
        declared_type: column.declared_type.clone(),
        nullable: !is_table || !(column.not_null || is_rowid),
        strictly_typed: checked || is_rowid,
        binary_collation: collation.is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"BINARY")),
    })
}

fn primary_key(declared: &[Declared]) -> Vec<ColumnIx> {
    let mut keys: Vec<(u32, ColumnIx)> = (0..=u16::MAX)
        .zip(declared)
        .filter(|(_, column)| column.key_place > 0)
        .map(|(at, column)| (column.key_place, ColumnIx(at)))
        .collect();
    keys.sort_unstable();
    keys.into_iter().map(|(_, column)| column).collect()
}

/// SQLite's affinity rules (datatype3.html §3.1) in their order, with the names that people use where affinity says NUMERIC.
fn kind(declared_type: &str) -> ColumnKind {
    let upper = declared_type.to_ascii_uppercase();
    let holds = |part: &str| upper.contains(part);
    if holds("INT") {
        ColumnKind::Integer
    } else if holds("CHAR") || holds("CLOB") || holds("TEXT") {
        ColumnKind::Text
    } else if holds("BLOB") {
        ColumnKind::Binary
    } else if holds("REAL") || holds("FLOA") || holds("DOUB") {
        ColumnKind::Float
    } else if upper.starts_with("BOOL") {
        ColumnKind::Boolean
    } else if upper.starts_with("DEC") || upper.starts_with("NUM") {
        ColumnKind::Decimal
    } else if upper.starts_with("DATETIME") || upper.starts_with("TIMESTAMP") {
        ColumnKind::Timestamp
    } else if upper == "DATE" {
        ColumnKind::Date
    } else {
        ColumnKind::Other
    }
}

/// SHA-256 over the service and each table as JSON, in the order of their names.
fn digest(service: &ServiceName, tables: &BTreeMap<TableName, Arc<Table>>) -> Digest {
    let canonical = serde_json::json!({ "service": service, "database": DatabaseKind::Sqlite, "tables": tables.values().map(AsRef::as_ref).collect::<Vec<&Table>>() });
    Digest(Sha256::digest(canonical.to_string().as_bytes()).into())
}
