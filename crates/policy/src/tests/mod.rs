//! A small company to decide about, and the tests that do.

mod decisions;
mod differential;
mod filters;
mod load_errors;
mod postgres;

use std::collections::BTreeMap;
use std::sync::Arc;

use asuser_core::{
    Actor, Assurance, AttributeValue, Catalog, Column, ColumnAccess, ColumnIx, ColumnKind, DatabaseKind, Digest,
    Filter, PrincipalData, PrincipalKey, Table, TableKind,
};

use crate::evaluate::{Asker, Compiled};
use crate::{
    AttributeSchema, AttributeType, LoadError, Policies, PolicyError, PolicyFile, PolicyFolder, PolicySources,
    ServiceDefault, ServiceSource,
};

/// `name kind`, the kind followed by `?` if nullable, `!` if strictly typed, `~` if its collation is not binary.
fn table(name: &str, columns: &[&str]) -> (asuser_core::TableName, Arc<Table>) {
    let column = |text: &&str| {
        let (name, kind) = text.rsplit_once(' ').unwrap();
        let (declared_type, kind) = match kind.trim_end_matches(['?', '!', '~']) {
            "text" => ("TEXT", ColumnKind::Text),
            "int" => ("INTEGER", ColumnKind::Integer),
            "bool" => ("BOOLEAN", ColumnKind::Boolean),
            "real" => ("REAL", ColumnKind::Float),
            "decimal" => ("DECIMAL(10,2)", ColumnKind::Decimal),
            "time" => ("TIMESTAMP", ColumnKind::Timestamp),
            "date" => ("DATE", ColumnKind::Date),
            "blob" => ("BLOB", ColumnKind::Binary),
            "num" => ("numeric", ColumnKind::Decimal),
            "num2" => ("numeric(12,2)", ColumnKind::Decimal),
            "num4" => ("numeric(18,4)", ColumnKind::Decimal),
            "num6" => ("numeric(12,6)", ColumnKind::Decimal),
            "tz" => ("timestamp with time zone", ColumnKind::Timestamp),
            "ts" => ("timestamp without time zone", ColumnKind::Timestamp),
            "citext" => ("citext", ColumnKind::Text),
            "char" => ("character(8)", ColumnKind::Text),
            "json" => ("jsonb", ColumnKind::Other),
            "" => ("", ColumnKind::Other),
            other => unreachable!("{other}"),
        };
        Column {
            name: name.into(),
            declared_type: declared_type.into(),
            kind,
            nullable: text.contains('?'),
            strictly_typed: text.contains('!'),
            binary_collation: !text.contains('~'),
        }
    };
    let columns = columns.iter().map(column).collect();
    let table = Table {
        name: name.into(),
        kind: TableKind::Table,
        columns,
        primary_key: vec![ColumnIx(0)],
        reads: Default::default(),
    };
    (name.into(), Arc::new(table))
}

fn service(
    name: &str,
    database: DatabaseKind,
    default: ServiceDefault,
    tables: impl IntoIterator<Item = (asuser_core::TableName, Arc<Table>)>,
) -> ServiceSource {
    let tables = tables.into_iter().collect();
    let catalog = Catalog { service: name.into(), database, home_schema: None, version: Digest([7; 32]), tables };
    ServiceSource { catalog: Arc::new(catalog), default }
}

/// `db` and `crm` on SQLite, which deny by default, and `pg` on PostgreSQL, whose own rights hold by default.
fn company() -> Vec<ServiceSource> {
    let db = [
        table(
            "orders",
            &[
                "id int!",
                "owner text",
                "region text?",
                "amount int",
                "price real?",
                "placed time",
                "paid bool",
                "label text~",
                "total decimal",
                "day date",
                "photo blob?",
                "extra ?",
            ],
        ),
        table("customers", &["id int!", "name text!", "email text!?", "phone text?"]),
        table("employees", &["id int!", "login text!", "salary int!"]),
        table("order items", &["order id int!", "unit price int"]),
    ];
    let crm = [table("contacts", &["id int!", "owner text"])];
    let pg = [table("accounts", &["id int!", "owner text!", "iban text!"])];
    vec![
        service("db", DatabaseKind::Sqlite, ServiceDefault::Deny, db),
        service("crm", DatabaseKind::Sqlite, ServiceDefault::Deny, crm),
        service("pg", DatabaseKind::Postgres, ServiceDefault::Database, pg),
    ]
}

fn attributes() -> AttributeSchema {
    [
        ("team", AttributeType::String),
        ("regions", AttributeType::Strings),
        ("clearance", AttributeType::Long),
        ("vip", AttributeType::Bool),
    ]
    .map(|(name, ty)| (name.to_owned(), ty))
    .into()
}

/// `(folder, text)`: `masks.toml` if the folder ends in `/masks`, else a policy file.
fn sources(files: &[(&str, &str)]) -> PolicySources {
    let mut folders: BTreeMap<String, PolicyFolder> = BTreeMap::new();
    for (folder, text) in files {
        if let Some(folder) = folder.strip_suffix("/masks") {
            let file = PolicyFile { name: format!("policies/{folder}/masks.toml"), text: (*text).into() };
            folders.entry(folder.to_owned()).or_default().masks = Some(file);
        } else {
            let file = PolicyFile { name: format!("policies/{folder}/p.cedar"), text: (*text).into() };
            folders.entry((*folder).to_owned()).or_default().policies.push(file);
        }
    }
    PolicySources { folders }
}

fn try_load(files: &[(&str, &str)]) -> Result<Policies, Vec<LoadError>> {
    Policies::load(&sources(files), &company(), &attributes())
}

fn load(files: &[(&str, &str)]) -> Policies {
    try_load(files).unwrap_or_else(|errors| panic!("{}", errors.iter().map(|e| format!("{e}\n")).collect::<String>()))
}

/// A principal with a login, groups and nothing else.
fn person(login: &str, groups: &[&str]) -> PrincipalData {
    PrincipalData {
        key: PrincipalKey { issuer: "https://idp.example.com".into(), subject: format!("sub-{login}").into() },
        provider: "idp".into(),
        login: Some(login.into()),
        email: Some(format!("{login}@example.com")),
        name: None,
        groups: groups.iter().map(|group| (*group).into()).collect(),
        attributes: BTreeMap::new(),
        database_role: None,
        scope: None,
        actor: None,
        client: None,
        not_after_ms: i64::MAX,
    }
}

fn with(mut principal: PrincipalData, name: &str, value: AttributeValue) -> PrincipalData {
    principal.attributes.insert(name.to_owned(), value);
    principal
}

fn agent(id: &str, assurance: Assurance) -> Actor {
    Actor { id: id.into(), assurance, chain: Vec::new() }
}

fn read(
    policies: &Policies,
    principal: &PrincipalData,
    service: &str,
    table: &str,
) -> Result<Arc<Compiled>, PolicyError> {
    read_as(policies, principal, &[], 0, service, table)
}

fn read_as(
    policies: &Policies,
    principal: &PrincipalData,
    actors: &[Actor],
    now_ms: i64,
    service: &str,
    table: &str,
) -> Result<Arc<Compiled>, PolicyError> {
    let rules = policies.service(&service.into())?;
    policies.read(rules, table, Asker { principal, actors, now_ms })
}

/// A filter as a person would read it.
fn show(filter: &Filter, table: &Table) -> String {
    let join = |parts: &[Filter], word: &str| {
        let parts: Vec<_> = parts.iter().map(|part| show(part, table)).collect();
        format!("({})", parts.join(word))
    };
    let name = |ix: ColumnIx| table.column(ix).map_or("?".to_owned(), |column| column.name.to_string());
    match filter {
        Filter::True => "true".into(),
        Filter::False => "false".into(),
        Filter::All(parts) => join(parts, " and "),
        Filter::Any(parts) => join(parts, " or "),
        Filter::Test(test) => format!("{} {}", name(test.column), show_op(&test.op, &name)),
    }
}

fn show_op(op: &asuser_core::FilterOp, name: &dyn Fn(ColumnIx) -> String) -> String {
    use asuser_core::{FilterOp as Op, Operand, PatternPart, Value};
    let value = |value: &Value| serde_json::to_string(value).unwrap();
    let side = |operand: &Operand| match operand {
        Operand::Value(of) => value(of),
        Operand::Column(ix) => name(*ix),
    };
    let list = |values: &[Value]| values.iter().map(value).collect::<Vec<_>>().join(",");
    let pattern = |parts: &[PatternPart]| {
        let part = |part: &PatternPart| match part {
            PatternPart::Text(text) => format!("{text:?}"),
            PatternPart::Any => "*".to_owned(),
        };
        parts.iter().map(part).collect::<Vec<_>>().join(" ")
    };
    match op {
        Op::IsNull => "is null".into(),
        Op::IsNotNull => "is not null".into(),
        Op::Eq(operand) => format!("= {}", side(operand)),
        Op::Ne(operand) => format!("<> {}", side(operand)),
        Op::Lt(operand) => format!("< {}", side(operand)),
        Op::Le(operand) => format!("<= {}", side(operand)),
        Op::Gt(operand) => format!("> {}", side(operand)),
        Op::Ge(operand) => format!(">= {}", side(operand)),
        Op::In(values) => format!("in [{}]", list(values)),
        Op::NotIn(values) => format!("not in [{}]", list(values)),
        Op::Like(of) => format!("like {}", pattern(&of.0)),
        Op::NotLike(of) => format!("not like {}", pattern(&of.0)),
        Op::WellTyped => "well typed".into(),
    }
}

/// `column: denied | clear | kind, clear where filter`, without the clear ones.
fn show_access(compiled: &Compiled) -> String {
    let columns = compiled.table.columns.iter().zip(&compiled.access);
    let shown = columns.filter_map(|(column, access)| match access {
        ColumnAccess::Clear => None,
        ColumnAccess::Denied => Some(format!("{}: denied", column.name)),
        ColumnAccess::Masked { kind, unmask } => {
            Some(format!("{}: {} unless {}", column.name, kind.as_str(), show(unmask, &compiled.table)))
        }
    });
    shown.collect::<Vec<_>>().join("; ")
}
