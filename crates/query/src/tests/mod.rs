//! A request meets a table: what is resolved, what is refused, and what a plan says of it.

mod fit;
mod listing;
mod properties;
mod resolve;
mod seal;
mod sql;
mod vectors;

use std::sync::Arc;

use asuser_core::{
    Column, ColumnAccess, ColumnIx, ColumnKind, Filter, MaskKind, Problem, ReadRequest, ReadSpec, Table, TableKind,
};

use crate::ServiceLimits;
use crate::dialect::parse_read;

const LIMITS: ServiceLimits = ServiceLimits { max_records: 100, bytes_max: 1 << 20, time_ms_max: 1_000 };

fn column(name: &str, kind: ColumnKind) -> Column {
    Column {
        name: name.into(),
        declared_type: format!("{kind:?}").to_uppercase(),
        kind,
        nullable: name != "id",
        strictly_typed: true,
        binary_collation: true,
    }
}

/// `people(id, name, email, salary, secret)`, with `id` the key.
fn people() -> Arc<Table> {
    Arc::new(Table {
        name: "people".into(),
        kind: TableKind::Table,
        columns: vec![
            column("id", ColumnKind::Integer),
            column("name", ColumnKind::Text),
            column("email", ColumnKind::Text),
            column("salary", ColumnKind::Integer),
            column("secret", ColumnKind::Text),
        ],
        primary_key: vec![ColumnIx(0)],
        reads: Default::default(),
    })
}

/// `stock(region, item, count)`, with the key (region, item).
fn stock() -> Arc<Table> {
    Arc::new(Table {
        name: "stock".into(),
        kind: TableKind::Table,
        columns: vec![
            column("count", ColumnKind::Integer),
            column("region", ColumnKind::Text),
            column("item", ColumnKind::Integer),
        ],
        primary_key: vec![ColumnIx(1), ColumnIx(2)],
        reads: Default::default(),
    })
}

/// A view without a key.
fn notes() -> Arc<Table> {
    Arc::new(Table {
        name: "notes".into(),
        kind: TableKind::View,
        columns: vec![column("text", ColumnKind::Text), column("day", ColumnKind::Date)],
        primary_key: vec![],
        reads: Default::default(),
    })
}

fn masked(kind: MaskKind) -> ColumnAccess {
    ColumnAccess::Masked { kind, unmask: Filter::False }
}

/// `people`: `email` masked, `secret` denied, the rest clear.
fn people_access() -> Vec<ColumnAccess> {
    use ColumnAccess::{Clear, Denied};
    vec![Clear, Clear, masked(MaskKind::Email), Clear, Denied]
}

fn request(table: &Table, key: Option<&str>, parameters: &[(&str, &str)]) -> ReadRequest {
    let owned: Vec<(String, String)> = parameters.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    parse_read(table.name.as_str(), key, &owned).expect("the dialect accepts it")
}

fn spec_of(
    table: &Arc<Table>,
    access: &[ColumnAccess],
    key: Option<&str>,
    parameters: &[(&str, &str)],
) -> Result<ReadSpec, Box<Problem>> {
    let request = request(table, key, parameters);
    crate::resolve::resolve(table, access, &Filter::True, &request, &LIMITS).map_err(|error| Box::new(error.into()))
}

/// `people` as `people_access` shows it.
fn people_spec(key: Option<&str>, parameters: &[(&str, &str)]) -> Result<ReadSpec, Box<Problem>> {
    spec_of(&people(), &people_access(), key, parameters)
}
