//! Random policies and rows, and what Cedar says of them: the oracle of SPEC.md, D.
//!
//! Knows nothing of how a policy becomes a filter or SQL. Each test that does (the translator's, a connector's) takes this
//! file by `#[path]` and compares: a row must be found if and only if [`Case::row_expected`], and a masked column is clear in it
//! if and only if [`Case::clear_expected`].
//!
//! A value that its column's Cedar type does not have (SQLite: of another storage class; PostgreSQL: `NaN`, infinity) errs
//! wherever the column is accessed (`has` is no access). Cedar has no such value, so the oracle's policies say
//! `if resource has "bad x" then <overflow> else resource.x`.

#![allow(
    dead_code,
    unused_imports,
    missing_docs,
    unreachable_pub,
    reason = "tests include this file, and each uses a part of it"
)]

mod conditions;
mod memory;
mod random;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use asuser_core::{
    AttributeValue, Catalog, Column, ColumnIx, ColumnKind, DatabaseKind, Digest, PrincipalData, Table, TableKind,
};
use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression,
};

pub use conditions::PolicyText;
pub use memory::{floor_ms, matches};
pub use random::{ATTRIBUTE_TYPES, case, comparisons, postgres_case};

/// A value as the database stores it. In PostgreSQL a numeric is a text (`12.50`, `NaN`), and a timestamptz its microseconds
/// since 1970 or `infinity` or `-infinity`.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// One row, a cell for each column.
pub type Row = Vec<Cell>;

pub struct ColumnSpec {
    pub name: &'static str,
    sqlite: &'static str,
    pub postgres: &'static str,
    pub kind: ColumnKind,
    pub nullable: bool,
}

const fn spec(
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
    kind: ColumnKind,
    nullable: bool,
) -> ColumnSpec {
    ColumnSpec { name, sqlite, postgres, kind, nullable }
}

/// In an SQLite STRICT table, BOOLEAN is spelt INTEGER. What has no SQLite type is there in PostgreSQL only.
const COLUMNS: [ColumnSpec; 15] = [
    spec("id", "INTEGER", "bigint", ColumnKind::Integer, false),
    spec("owner", "TEXT", "text", ColumnKind::Text, false),
    spec("note", "TEXT", "text", ColumnKind::Text, true),
    spec("amount", "INTEGER", "bigint", ColumnKind::Integer, false),
    spec("ceiling", "INTEGER", "integer", ColumnKind::Integer, true),
    spec("active", "BOOLEAN", "boolean", ColumnKind::Boolean, false),
    spec("checked by", "BOOLEAN", "boolean", ColumnKind::Boolean, true),
    spec("price", "REAL", "double precision", ColumnKind::Float, true),
    spec("email", "TEXT", "text", ColumnKind::Text, true),
    spec("rank", "", "smallint", ColumnKind::Integer, true),
    spec("Label", "", "character varying(20)", ColumnKind::Text, false),
    spec("total", "", "numeric(12,2)", ColumnKind::Decimal, false),
    spec("rate", "", "numeric(18,4)", ColumnKind::Decimal, true),
    spec("placed", "", "timestamp with time zone", ColumnKind::Timestamp, false),
    spec("seen at", "", "timestamp with time zone", ColumnKind::Timestamp, true),
];
const SQLITE_COLUMNS: usize = 9;

/// The columns of every table of a database.
pub fn columns(database: DatabaseKind) -> &'static [ColumnSpec] {
    if database == DatabaseKind::Sqlite { &COLUMNS[..SQLITE_COLUMNS] } else { &COLUMNS }
}

/// The column that `masks.toml` masks.
pub const MASKED: ColumnIx = ColumnIx(8);
/// `masks.toml`.
pub const MASKS: &str = "[loose]\nemail = \"email\"\n[firm]\nemail = \"email\"\n";
/// The same for PostgreSQL's one table.
pub const POSTGRES_MASKS: &str = "[orders]\nemail = \"email\"\n";

/// The service of every case on SQLite: `loose` takes values of any type, `firm` does not.
pub fn catalog() -> Catalog {
    let tables = ["firm", "loose"].map(|name| (name.into(), Arc::new(table(name)))).into_iter().collect();
    Catalog {
        service: "db".into(),
        database: DatabaseKind::Sqlite,
        home_schema: None,
        version: Digest([1; 32]),
        tables,
    }
}

/// The service of every case on PostgreSQL, as its connector reads it.
pub fn postgres_catalog() -> Catalog {
    let text = |spec: &ColumnSpec| spec.kind == ColumnKind::Text;
    let columns = COLUMNS
        .iter()
        .map(|spec| Column { binary_collation: text(spec), ..column(spec, spec.postgres, true) })
        .collect();
    let table = Table {
        name: "orders".into(),
        kind: TableKind::Table,
        columns,
        primary_key: vec![ColumnIx(0)],
        reads: Default::default(),
    };
    let tables = [(table.name.clone(), Arc::new(table))].into();
    Catalog {
        service: "db".into(),
        database: DatabaseKind::Postgres,
        home_schema: None,
        version: Digest([2; 32]),
        tables,
    }
}

pub fn table(name: &str) -> Table {
    let strictly_typed = |spec: &ColumnSpec| name == "firm" && spec.kind != ColumnKind::Boolean || spec.name == "id";
    let columns = columns(DatabaseKind::Sqlite).iter().map(|spec| column(spec, spec.sqlite, strictly_typed(spec)));
    Table {
        name: name.into(),
        kind: TableKind::Table,
        columns: columns.collect(),
        primary_key: vec![ColumnIx(0)],
        reads: Default::default(),
    }
}

fn column(spec: &ColumnSpec, declared: &str, strictly_typed: bool) -> Column {
    Column {
        name: spec.name.into(),
        declared_type: declared.to_owned(),
        kind: spec.kind,
        nullable: spec.nullable,
        strictly_typed,
        binary_collation: true,
    }
}

/// The same tables in SQLite.
pub fn ddl() -> String {
    let of = |strict: bool| {
        let declared = |spec: &ColumnSpec| match spec.sqlite {
            "BOOLEAN" if strict => "INTEGER",
            declared => declared,
        };
        definitions(columns(DatabaseKind::Sqlite), declared)
    };
    format!("CREATE TABLE loose ({}); CREATE TABLE firm ({}) STRICT;", of(false), of(true))
}

/// The same table in PostgreSQL.
pub fn postgres_ddl() -> String {
    format!("CREATE TABLE orders ({})", definitions(&COLUMNS, |spec| spec.postgres))
}

fn definitions(columns: &[ColumnSpec], declared: impl Fn(&ColumnSpec) -> &'static str) -> String {
    let definition = |spec: &ColumnSpec| {
        let key = if spec.name == "id" { " PRIMARY KEY" } else { "" };
        let null = if spec.nullable { "" } else { " NOT NULL" };
        format!("\"{}\" {}{key}{null}", spec.name, declared(spec))
    };
    columns.iter().map(definition).collect::<Vec<_>>().join(", ")
}

/// A set of policies, some who ask, and rows.
#[derive(Debug, Clone)]
pub struct Case {
    pub database: DatabaseKind,
    /// `loose` or `firm`, or PostgreSQL's `orders`.
    pub table: &'static str,
    /// When it is asked; policies see whole seconds.
    pub now_ms: i64,
    pub policies: Vec<PolicyText>,
    pub principals: Vec<PrincipalData>,
    pub rows: Vec<Row>,
}

impl Case {
    /// `policies/db/case.cedar`.
    pub fn text(&self) -> String {
        self.policies.iter().map(|policy| policy.written.as_str()).collect::<Vec<_>>().join("\n")
    }
    /// Nothing is permitted.
    pub fn only_forbids(&self) -> bool {
        self.policies.iter().all(|policy| !policy.permit)
    }
    /// Without the permits, as a service with `default = "database"` may have it.
    pub fn without_permits(&self) -> Self {
        let policies = self.policies.iter().filter(|policy| !policy.permit).cloned().collect();
        Self { policies, ..self.clone() }
    }
    /// Whether the principal may see the row; `permitted`: the default is "database".
    pub fn row_expected(&self, principal: &PrincipalData, row: &Row, permitted: bool) -> bool {
        self.expected(principal, row, permitted, "read", |policy| policy.read)
    }
    /// Whether the masked column is clear in the row.
    pub fn clear_expected(&self, principal: &PrincipalData, row: &Row, permitted: bool) -> bool {
        self.expected(principal, row, permitted, "unmask", |policy| policy.unmask)
    }

    /// No forbid is true or errs, and some permit is true, an erring one counting as false.
    fn expected(
        &self,
        principal: &PrincipalData,
        row: &Row,
        permitted: bool,
        action: &str,
        concerns: impl Fn(&PolicyText) -> bool,
    ) -> bool {
        let entities = self.entities(principal, row);
        let now = datetime(self.now_ms.div_euclid(1_000) * 1_000);
        let context = [("actor_assurance".to_owned(), string("none")), ("now".to_owned(), now)];
        let context = Context::from_pairs(context).unwrap();
        let user = user_uid(principal);
        let request = Request::new(user, uid("Action", action), row_uid(self.table), context, None).unwrap();
        let mut permitted = permitted;
        for policy in self.policies.iter().filter(|policy| concerns(policy)) {
            let alone = PolicySet::from_policies([policy.oracle.clone()]).unwrap();
            let response = Authorizer::new().is_authorized(&request, &alone, &entities);
            let is_true = response.diagnostics().reason().next().is_some();
            let errs = response.diagnostics().errors().next().is_some();
            match policy.permit {
                true => permitted |= is_true,
                false if is_true || errs => return false,
                false => {}
            }
        }
        permitted
    }
}

// ---- what the oracle evaluates on

fn uid(ty: &str, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(ty.parse::<EntityTypeName>().unwrap(), EntityId::new(id))
}
fn row_uid(table: &str) -> EntityUid {
    uid(&format!("db::{table}"), "the row")
}
fn user_uid(principal: &PrincipalData) -> EntityUid {
    uid("User", &format!("{}|{}", principal.key.issuer, principal.key.subject))
}
fn string(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

/// What the oracle calls a point in time.
fn datetime(ms: i64) -> RestrictedExpression {
    format!("datetime(\"1970-01-01\").offset(duration(\"{ms}ms\"))").parse().unwrap()
}

impl Case {
    fn entities(&self, principal: &PrincipalData, row: &Row) -> Entities {
        let mut attributes = HashMap::new();
        if let Some(login) = &principal.login {
            attributes.insert("login".to_owned(), string(login.as_str()));
        }
        for (name, value) in &principal.attributes {
            let value = match value {
                AttributeValue::String(text) => string(text),
                AttributeValue::Long(number) => RestrictedExpression::new_long(*number),
                AttributeValue::Bool(value) => RestrictedExpression::new_bool(*value),
                AttributeValue::Strings(texts) => RestrictedExpression::new_set(texts.iter().map(|text| string(text))),
            };
            attributes.insert(name.clone(), value);
        }
        let groups: HashSet<_> = principal.groups.iter().map(|group| uid("Group", group.as_str())).collect();
        let user = Entity::new(user_uid(principal), attributes, groups.clone()).unwrap();

        let mut attributes = HashMap::new();
        for (spec, cell) in columns(self.database).iter().zip(row) {
            let value = match (spec.kind, cell) {
                (_, Cell::Null) => continue,
                (ColumnKind::Text, Cell::Text(text)) => string(text),
                (ColumnKind::Integer, Cell::Integer(number)) => RestrictedExpression::new_long(*number),
                (ColumnKind::Boolean, Cell::Integer(number @ (0 | 1))) => RestrictedExpression::new_bool(*number == 1),
                (ColumnKind::Decimal, Cell::Text(number)) if number != "NaN" => {
                    RestrictedExpression::new_decimal(number)
                }
                (ColumnKind::Timestamp, Cell::Integer(us)) => datetime(floor_ms(*us)),
                _ => {
                    attributes.insert(format!("bad {}", spec.name), RestrictedExpression::new_bool(true));
                    RestrictedExpression::new_long(0)
                }
            };
            attributes.insert(spec.name.to_owned(), value);
        }
        let row = Entity::new(row_uid(self.table), attributes, HashSet::new()).unwrap();
        let groups = groups.into_iter().map(|group| Entity::new_no_attrs(group, HashSet::new()));
        Entities::from_entities(groups.chain([user, row]), None).unwrap()
    }
}
