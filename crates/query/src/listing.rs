//! What a caller may know of the catalogue: the tables that they can reach and, of each, the columns that they can read.
//!
//! In: tables and how their columns read. Out: plain data that serialises as the dialect's body. A denied column is absent; a masked
//! one is marked.

use asuser_core::{Column, ColumnAccess, ColumnIx, ColumnKind, Filter, MaskKind, Table, TableKind, TableName};
use serde::Serialize;

/// The body of an answer about the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum CatalogView {
    /// `{"resource":[{"name":…,"kind":…}]}`
    Tables {
        /// By name.
        resource: Vec<TableEntry>,
    },
    /// `{"resource":["orders",…]}`
    Names {
        /// By name.
        resource: Vec<TableName>,
    },
    /// One table's shape, unwrapped.
    Description(TableDescription),
    /// `{"resource":[{"name":…,"field":[…]}]}`
    Schema {
        /// By name, or in the order in which they were asked for.
        resource: Vec<TableDescription>,
    },
}

/// A table in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableEntry {
    /// Its name.
    pub name: TableName,
    /// Table or view.
    pub kind: TableKind,
}

/// A table's shape as one caller sees it, in DreamFactory's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableDescription {
    /// Its name.
    pub name: TableName,
    /// Table or view.
    pub kind: TableKind,
    /// The key's columns in key order; empty also where one of them is denied, since half a key finds nothing.
    pub primary_key: Vec<String>,
    /// In the catalogue's order.
    pub field: Vec<FieldDescription>,
}

/// A column as one caller sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldDescription {
    /// Its name.
    pub name: String,
    /// `string`, `integer`, `boolean`, `decimal`, `float`, `timestamp`, `date`, `binary` or `other`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The type as the database declares it.
    pub db_type: String,
    /// May be NULL; a masked value may be NULL where the column is not.
    pub allow_null: bool,
    /// Belongs to `primary_key` above.
    pub is_primary_key: bool,
    /// How it is masked, at least in some rows; `null`: it reads as it is.
    pub mask: Option<MaskKind>,
}

/// The tables, or their bare names.
pub(crate) fn tables<'a>(tables: impl Iterator<Item = &'a Table>, as_list: bool) -> CatalogView {
    if as_list {
        CatalogView::Names { resource: tables.map(|table| table.name.clone()).collect() }
    } else {
        let entry = |table: &Table| TableEntry { name: table.name.clone(), kind: table.kind };
        CatalogView::Tables { resource: tables.map(entry).collect() }
    }
}

/// One table's shape. A column without an entry in `access` counts as denied.
pub(crate) fn description(table: &Table, access: &[ColumnAccess]) -> CatalogView {
    CatalogView::Description(shape(table, access))
}

/// The same, bare.
pub(crate) fn shape(table: &Table, access: &[ColumnAccess]) -> TableDescription {
    let readable = |ix: &ColumnIx| matches!(access.get(usize::from(ix.0)), Some(how) if *how != ColumnAccess::Denied);
    let key: &[ColumnIx] = if table.primary_key.iter().all(readable) { &table.primary_key } else { &[] };
    let named = |ix: &ColumnIx| table.column(*ix).map(|column| column.name.to_string());
    let field = (0..=u16::MAX)
        .map(ColumnIx)
        .zip(&table.columns)
        .zip(access)
        .filter_map(|((ix, column), access)| field(column, access, key.contains(&ix)))
        .collect();
    TableDescription {
        name: table.name.clone(),
        kind: table.kind,
        primary_key: key.iter().filter_map(named).collect(),
        field,
    }
}

fn field(column: &Column, access: &ColumnAccess, is_primary_key: bool) -> Option<FieldDescription> {
    let mask = match access {
        ColumnAccess::Denied => return None,
        ColumnAccess::Clear | ColumnAccess::Masked { unmask: Filter::True, .. } => None,
        ColumnAccess::Masked { kind, .. } => Some(*kind),
    };
    Some(FieldDescription {
        name: column.name.to_string(),
        kind: type_word(column.kind),
        db_type: column.declared_type.clone(),
        allow_null: column.nullable || mask.is_some(),
        is_primary_key,
        mask,
    })
}

const fn type_word(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Text => "string",
        ColumnKind::Integer => "integer",
        ColumnKind::Boolean => "boolean",
        ColumnKind::Decimal => "decimal",
        ColumnKind::Float => "float",
        ColumnKind::Timestamp => "timestamp",
        ColumnKind::Date => "date",
        ColumnKind::Binary => "binary",
        ColumnKind::Other => "other",
    }
}
