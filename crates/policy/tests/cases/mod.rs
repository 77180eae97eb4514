//! Random policies and rows, and what Cedar says of them: the oracle of SPEC.md, D.
//!
//! Knows nothing of how a policy becomes a filter or SQL. Each test that does (the translator's, a connector's) takes this
//! file by `#[path]` and compares: a row must be found if and only if [`Case::row_expected`], and a masked column is clear in it
//! if and only if [`Case::clear_expected`].
//!
//! A value whose storage class is not its column's errs wherever the column is accessed (`has` is no access). Cedar has no
//! such value, so the oracle's policies say `if resource has "bad x" then <overflow> else resource.x`.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "tests include this file, and each uses a part of it")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use asuser_core::{
    AttributeValue, Catalog, Column, ColumnIx, ColumnKind, DatabaseKind, Digest, Filter, FilterOp, LikePattern,
    Operand, PatternPart, PrincipalData, PrincipalKey, Table, TableKind, Value,
};
use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicySet, Request,
    RestrictedExpression,
};
use proptest::prelude::*;

/// A value as SQLite stores it.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// One row, a cell for each column of [`COLUMNS`].
pub type Row = Vec<Cell>;

struct ColumnSpec {
    name: &'static str,
    declared: &'static str,
    kind: ColumnKind,
    nullable: bool,
}

const fn spec(name: &'static str, declared: &'static str, kind: ColumnKind, nullable: bool) -> ColumnSpec {
    ColumnSpec { name, declared, kind, nullable }
}

/// The columns of both tables; in a STRICT table, BOOLEAN is spelt INTEGER.
const COLUMNS: [ColumnSpec; 9] = [
    spec("id", "INTEGER", ColumnKind::Integer, false),
    spec("owner", "TEXT", ColumnKind::Text, false),
    spec("note", "TEXT", ColumnKind::Text, true),
    spec("amount", "INTEGER", ColumnKind::Integer, false),
    spec("ceiling", "INTEGER", ColumnKind::Integer, true),
    spec("active", "BOOLEAN", ColumnKind::Boolean, false),
    spec("checked by", "BOOLEAN", ColumnKind::Boolean, true),
    spec("price", "REAL", ColumnKind::Float, true),
    spec("email", "TEXT", ColumnKind::Text, true),
];
/// The column that `masks.toml` masks.
pub const MASKED: ColumnIx = ColumnIx(8);
/// `masks.toml`.
pub const MASKS: &str = "[loose]\nemail = \"email\"\n[firm]\nemail = \"email\"\n";

/// The service of every case: `loose` takes values of any type, `firm` does not.
pub fn catalog() -> Catalog {
    let tables = ["firm", "loose"].map(|name| (name.into(), Arc::new(table(name)))).into_iter().collect();
    Catalog { service: "db".into(), database: DatabaseKind::Sqlite, version: Digest([1; 32]), tables }
}

pub fn table(name: &str) -> Table {
    let columns = COLUMNS.iter().map(|spec| Column {
        name: spec.name.into(),
        declared_type: spec.declared.to_owned(),
        kind: spec.kind,
        nullable: spec.nullable,
        strictly_typed: name == "firm" && spec.kind != ColumnKind::Boolean || spec.name == "id",
        binary_collation: true,
    });
    Table { name: name.into(), kind: TableKind::Table, columns: columns.collect(), primary_key: vec![ColumnIx(0)] }
}

/// The same tables in SQLite.
pub fn ddl() -> String {
    let columns = |strict: bool| {
        let column = |spec: &ColumnSpec| {
            let declared = if strict && spec.declared == "BOOLEAN" { "INTEGER" } else { spec.declared };
            let key = if spec.name == "id" { " PRIMARY KEY" } else { "" };
            let null = if spec.nullable { "" } else { " NOT NULL" };
            format!("\"{}\" {declared}{key}{null}", spec.name)
        };
        COLUMNS.iter().map(column).collect::<Vec<_>>().join(", ")
    };
    format!("CREATE TABLE loose ({}); CREATE TABLE firm ({}) STRICT;", columns(false), columns(true))
}

/// One policy in both forms.
#[derive(Debug, Clone)]
pub struct PolicyText {
    /// As somebody would write it.
    pub written: String,
    oracle: Policy,
    permit: bool,
    unmask: bool,
    read: bool,
}

/// A set of policies, some who ask, and rows.
#[derive(Debug, Clone)]
pub struct Case {
    /// `loose` or `firm`.
    pub table: &'static str,
    pub policies: Vec<PolicyText>,
    pub principals: Vec<PrincipalData>,
    pub rows: Vec<Row>,
}

impl Case {
    /// `policies/db/case.cedar`.
    pub fn text(&self) -> String {
        self.policies.iter().map(|policy| policy.written.as_str()).collect::<Vec<_>>().join("\n")
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
        let entities = entities(self.table, principal, row);
        let context = Context::from_pairs([("actor_assurance".to_owned(), string("none"))]).unwrap();
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

fn entities(table: &str, principal: &PrincipalData, row: &Row) -> Entities {
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
    for (spec, cell) in COLUMNS.iter().zip(row) {
        let value = match (spec.kind, cell) {
            (_, Cell::Null) => continue,
            (ColumnKind::Text, Cell::Text(text)) => string(text),
            (ColumnKind::Integer, Cell::Integer(number)) => RestrictedExpression::new_long(*number),
            (ColumnKind::Boolean, Cell::Integer(number @ (0 | 1))) => RestrictedExpression::new_bool(*number == 1),
            _ => {
                attributes.insert(format!("bad {}", spec.name), RestrictedExpression::new_bool(true));
                RestrictedExpression::new_long(0)
            }
        };
        attributes.insert(spec.name.to_owned(), value);
    }
    let row = Entity::new(row_uid(table), attributes, HashSet::new()).unwrap();
    let groups = groups.into_iter().map(|group| Entity::new_no_attrs(group, HashSet::new()));
    Entities::from_entities(groups.chain([user, row]), None).unwrap()
}

// ---- policies

/// A condition, before it is written down.
#[derive(Debug, Clone)]
pub enum Cond {
    Const(bool),
    /// `column op literal`, or the other way round.
    Literal {
        column: usize,
        op: &'static str,
        value: Lit,
        flipped: bool,
    },
    /// `column op principal.attribute`
    Attribute {
        column: usize,
        op: &'static str,
        attribute: &'static str,
        flipped: bool,
    },
    Columns {
        left: usize,
        op: &'static str,
        right: usize,
    },
    Like {
        column: usize,
        pattern: String,
    },
    InLiterals {
        column: usize,
        values: Vec<Lit>,
    },
    /// `principal.regions.contains(column)`
    InAttribute {
        column: usize,
    },
    Has(usize),
    Alone(usize),
    /// Conditions without the row: an attribute there or not, one that always errs, a group.
    PrincipalHas(&'static str),
    PrincipalErrs,
    InGroup(&'static str),
    And(Box<Cond>, Box<Cond>),
    Or(Box<Cond>, Box<Cond>),
    Not(Box<Cond>),
    If(Box<Cond>, Box<Cond>, Box<Cond>),
}

#[derive(Debug, Clone)]
pub enum Lit {
    Text(String),
    Long(i64),
    Bool(bool),
}

impl Lit {
    fn write(&self) -> String {
        match self {
            Self::Text(text) => quoted(text, false),
            Self::Long(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
        }
    }
}

/// A Cedar string; in a pattern, a bare `*` is the wildcard.
fn quoted(text: &str, pattern: bool) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '*' if pattern => out.push('*'),
            '\u{1}' if pattern => out.push_str("\\*"),
            c if c.is_ascii_graphic() && !matches!(c, '"' | '\\') || c == ' ' => out.push(c),
            c => write!(out, "\\u{{{:x}}}", u32::from(c)).unwrap(),
        }
    }
    out.push('"');
    out
}

const ATTRIBUTES: [(&str, ColumnKind); 4] = [
    ("login", ColumnKind::Text),
    ("team", ColumnKind::Text),
    ("clearance", ColumnKind::Integer),
    ("vip", ColumnKind::Boolean),
];

struct Writer {
    oracle: bool,
}

impl Writer {
    fn access(&self, column: usize) -> String {
        let name = COLUMNS[column].name;
        let plain = if name.contains(' ') { format!("resource[\"{name}\"]") } else { format!("resource.{name}") };
        if self.oracle {
            format!("(if resource has \"bad {name}\" then 9223372036854775807 + 1 else {plain})")
        } else {
            plain
        }
    }

    /// With `has` before whatever may be absent, unless it came before already.
    fn guarded(&self, columns: &[usize], attribute: Option<&str>, known: &[usize], test: &str) -> String {
        let mut parts: Vec<_> = attribute.iter().map(|name| format!("principal has {name}")).collect();
        for column in columns {
            if COLUMNS[*column].nullable && !known.contains(column) {
                parts.push(format!("resource has \"{}\"", COLUMNS[*column].name));
            }
        }
        parts.push(test.to_owned());
        format!("({})", parts.join(" && "))
    }

    fn write(&self, cond: &Cond, known: &[usize]) -> String {
        let sides = |a: String, op: &str, b: String, flipped: bool| {
            if flipped { format!("{b} {op} {a}") } else { format!("{a} {op} {b}") }
        };
        match cond {
            Cond::Const(value) => value.to_string(),
            Cond::Literal { column, op, value, flipped } => {
                let test = sides(self.access(*column), op, value.write(), *flipped);
                self.guarded(&[*column], None, known, &test)
            }
            Cond::Attribute { column, op, attribute, flipped } => {
                let test = sides(self.access(*column), op, format!("principal.{attribute}"), *flipped);
                self.guarded(&[*column], Some(attribute), known, &test)
            }
            Cond::Columns { left, op, right } => {
                let test = sides(self.access(*left), op, self.access(*right), false);
                self.guarded(&[*left, *right], None, known, &test)
            }
            Cond::Like { column, pattern } => {
                let test = format!("{} like {}", self.access(*column), quoted(pattern, true));
                self.guarded(&[*column], None, known, &test)
            }
            Cond::InLiterals { column, values } => {
                let values: Vec<_> = values.iter().map(Lit::write).collect();
                let test = format!("[{}].contains({})", values.join(", "), self.access(*column));
                self.guarded(&[*column], None, known, &test)
            }
            Cond::InAttribute { column } => {
                let test = format!("principal.regions.contains({})", self.access(*column));
                self.guarded(&[*column], Some("regions"), known, &test)
            }
            Cond::Has(column) => format!("(resource has \"{}\")", COLUMNS[*column].name),
            Cond::Alone(column) => self.guarded(&[*column], None, known, &self.access(*column)),
            Cond::PrincipalHas(name) => format!("(principal has {name})"),
            Cond::PrincipalErrs => {
                let test = "principal.clearance * 9223372036854775807 > principal.clearance - 3";
                self.guarded(&[], Some("clearance"), known, test)
            }
            Cond::InGroup(group) => format!("(principal in Group::\"{group}\")"),
            Cond::And(a, b) => {
                let mut inner = known.to_vec();
                if let Cond::Has(column) = **a {
                    inner.push(column);
                }
                format!("({} && {})", self.write(a, known), self.write(b, &inner))
            }
            Cond::Or(a, b) => format!("({} || {})", self.write(a, known), self.write(b, known)),
            Cond::Not(a) => format!("(!{})", self.write(a, known)),
            Cond::If(c, a, b) => {
                let mut inner = known.to_vec();
                if let Cond::Has(column) = **c {
                    inner.push(column);
                }
                format!("(if {} then {} else {})", self.write(c, known), self.write(a, &inner), self.write(b, known))
            }
        }
    }
}

const TEXTS: [&str; 22] = [
    "alice",
    "ALICE",
    "Alice",
    "alice ",
    " alice",
    "alice  ",
    "",
    "a%b",
    "a_b",
    "axb",
    "%",
    "_",
    "äöü",
    "ÄÖÜ",
    "é",
    "e\u{301}",
    "日本",
    "it's",
    "say \"hi\"",
    "back\\slash",
    "12",
    "a\0b",
];
const LONGS: [i64; 10] = [i64::MIN, i64::MIN + 1, -1, 0, 1, 2, 42, 43, i64::MAX - 1, i64::MAX];
const ORDERED: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];
const EQUALITY: [&str; 2] = ["==", "!="];

fn columns_of(kind: ColumnKind) -> impl Strategy<Value = usize> + Clone {
    let of: Vec<_> = (0..COLUMNS.len()).filter(|at| COLUMNS[*at].kind == kind).collect();
    prop::sample::select(of)
}
fn literal_of(kind: ColumnKind) -> BoxedStrategy<Lit> {
    match kind {
        ColumnKind::Text => prop::sample::select(&TEXTS[..]).prop_map(|text| Lit::Text(text.to_owned())).boxed(),
        ColumnKind::Integer => prop::sample::select(&LONGS[..]).prop_map(Lit::Long).boxed(),
        _ => any::<bool>().prop_map(Lit::Bool).boxed(),
    }
}
fn operator_of(kind: ColumnKind) -> impl Strategy<Value = &'static str> {
    prop::sample::select(if kind == ColumnKind::Integer { &ORDERED[..] } else { &EQUALITY[..] })
}
fn kinds() -> impl Strategy<Value = ColumnKind> {
    prop::sample::select(vec![
        ColumnKind::Text,
        ColumnKind::Text,
        ColumnKind::Integer,
        ColumnKind::Integer,
        ColumnKind::Boolean,
    ])
}

fn pattern() -> impl Strategy<Value = String> {
    // U+0001 stands for a literal star.
    let part = prop::sample::select(vec!["*", "*", "a", "A", "alice", "%", "_", "ä", " ", "\\", "\u{1}", "b"]);
    prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

fn leaf() -> impl Strategy<Value = Cond> {
    let literal = kinds().prop_flat_map(|kind| {
        (columns_of(kind), operator_of(kind), literal_of(kind), any::<bool>())
            .prop_map(|(column, op, value, flipped)| Cond::Literal { column, op, value, flipped })
    });
    let attribute =
        prop::sample::select(&ATTRIBUTES[..]).prop_flat_map(|(attribute, kind)| {
            (columns_of(kind), operator_of(kind), any::<bool>())
                .prop_map(move |(column, op, flipped)| Cond::Attribute { column, op, attribute, flipped })
        });
    let columns = kinds().prop_flat_map(|kind| {
        (columns_of(kind), operator_of(kind), columns_of(kind)).prop_map(|(left, op, right)| Cond::Columns {
            left,
            op,
            right,
        })
    });
    let set = kinds().prop_flat_map(|kind| {
        (columns_of(kind), prop::collection::vec(literal_of(kind), 1..4))
            .prop_map(|(column, values)| Cond::InLiterals { column, values })
    });
    prop_oneof![
        6 => literal,
        3 => attribute,
        1 => columns,
        2 => set,
        2 => (columns_of(ColumnKind::Text), pattern()).prop_map(|(column, pattern)| Cond::Like { column, pattern }),
        1 => columns_of(ColumnKind::Text).prop_map(|column| Cond::InAttribute { column }),
        2 => (0..COLUMNS.len()).prop_map(Cond::Has),
        1 => columns_of(ColumnKind::Boolean).prop_map(Cond::Alone),
        1 => prop::sample::select(vec!["login", "team", "regions", "clearance", "vip"]).prop_map(Cond::PrincipalHas),
        1 => Just(Cond::PrincipalErrs),
        1 => prop::sample::select(vec!["staff", "interns"]).prop_map(Cond::InGroup),
        1 => any::<bool>().prop_map(Cond::Const),
    ]
}

/// Random conditions.
pub fn cond() -> impl Strategy<Value = Cond> {
    leaf().prop_recursive(4, 12, 3, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let guard = (0..COLUMNS.len()).prop_map(|column| Box::new(Cond::Has(column)));
        prop_oneof![
            3 => (boxed.clone(), boxed.clone()).prop_map(|(a, b)| Cond::And(a, b)),
            3 => (boxed.clone(), boxed.clone()).prop_map(|(a, b)| Cond::Or(a, b)),
            2 => (guard.clone(), boxed.clone()).prop_map(|(a, b)| Cond::And(a, b)),
            2 => boxed.clone().prop_map(Cond::Not),
            1 => (prop_oneof![boxed.clone(), guard], boxed.clone(), boxed).prop_map(|(c, a, b)| Cond::If(c, a, b)),
        ]
    })
}

fn policy(table: &'static str) -> impl Strategy<Value = PolicyText> {
    let actions = prop::sample::select(vec!["read", "read", "unmask", ""]);
    let scope =
        prop::sample::select(vec!["principal", "principal", "principal in Group::\"staff\"", "principal is User"]);
    (prop::bool::weighted(0.6), actions, scope, cond(), any::<bool>(), proptest::option::weighted(0.2, cond()))
        .prop_map(move |(permit, action, scope, when, unless, more)| {
            let effect = if permit { "permit" } else { "forbid" };
            let on = if action.is_empty() { "action".to_owned() } else { format!("action == Action::\"{action}\"") };
            let text = |oracle| {
                let writer = Writer { oracle };
                let clause = if unless { "unless" } else { "when" };
                let mut text = format!(
                    "{effect} ({scope}, {on}, resource is db::{table}) {clause} {{ {} }}",
                    writer.write(&when, &[])
                );
                if let Some(more) = &more {
                    write!(text, " when {{ {} }}", writer.write(more, &[])).unwrap();
                }
                text + ";"
            };
            let oracle = Policy::parse(None, text(true)).unwrap();
            let (read, unmask) = (action != "unmask", action != "read");
            PolicyText { written: text(false), oracle, permit, unmask, read }
        })
}

// ---- who asks, and rows

fn principal() -> impl Strategy<Value = PrincipalData> {
    let text = || prop::sample::select(&TEXTS[..]).prop_filter("empty is absent", |text| !text.is_empty());
    let maybe = |of: BoxedStrategy<AttributeValue>| proptest::option::weighted(0.7, of);
    (
        proptest::option::weighted(0.8, text()),
        maybe(text().prop_map(|text| AttributeValue::String(text.to_owned())).boxed()),
        maybe(prop::sample::select(&LONGS[..]).prop_map(AttributeValue::Long).boxed()),
        maybe(any::<bool>().prop_map(AttributeValue::Bool).boxed()),
        maybe(
            prop::collection::btree_set(text(), 1..4)
                .prop_map(|set| AttributeValue::Strings(set.into_iter().map(str::to_owned).collect()))
                .boxed(),
        ),
        prop::sample::subsequence(vec!["interns", "staff"], 0..=2),
    )
        .prop_map(|(login, team, clearance, vip, regions, groups)| {
            let named = [("team", team), ("clearance", clearance), ("vip", vip), ("regions", regions)];
            PrincipalData {
                login: login.map(Into::into),
                groups: groups.into_iter().map(Into::into).collect(),
                attributes: named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
                ..somebody()
            }
        })
}

/// A principal of whom nothing is known but the key.
pub fn somebody() -> PrincipalData {
    PrincipalData {
        key: PrincipalKey { issuer: "https://idp.example.com".into(), subject: "u1".into() },
        provider: "idp".into(),
        login: None,
        email: None,
        name: None,
        groups: Vec::new(),
        attributes: BTreeMap::new(),
        database_role: None,
        scope: None,
        actor: None,
        client: None,
        not_after_ms: i64::MAX,
    }
}

/// The types of the attributes that the cases use, by the names of `asuser_policy::AttributeType`.
pub const ATTRIBUTE_TYPES: [(&str, &str); 4] =
    [("team", "string"), ("clearance", "long"), ("vip", "bool"), ("regions", "strings")];

fn cell(at: usize, strict: bool) -> BoxedStrategy<Cell> {
    let spec = &COLUMNS[at];
    let good: BoxedStrategy<Cell> = match spec.kind {
        ColumnKind::Text => prop::sample::select(&TEXTS[..]).prop_map(|text| Cell::Text(text.to_owned())).boxed(),
        ColumnKind::Integer => prop::sample::select(&LONGS[..]).prop_map(Cell::Integer).boxed(),
        ColumnKind::Boolean => (0..2_i64).prop_map(Cell::Integer).boxed(),
        _ => prop::sample::select(vec![0.5, -1e300, 1.25]).prop_map(Cell::Real).boxed(),
    };
    // What SQLite's type affinity leaves as it is.
    let bad = match spec.kind {
        _ if spec.name == "id" => None,
        ColumnKind::Boolean if strict => Some(vec![Cell::Integer(2), Cell::Integer(-1)]),
        _ if strict => None,
        ColumnKind::Text => Some(vec![Cell::Blob(b"alice".to_vec()), Cell::Blob(Vec::new())]),
        ColumnKind::Boolean => Some(vec![Cell::Integer(2), Cell::Text("true".to_owned()), Cell::Real(0.5)]),
        _ => Some(vec![Cell::Text("12abc".to_owned()), Cell::Real(41.5), Cell::Blob(b"1".to_vec())]),
    };
    let good = match bad {
        Some(bad) => prop_oneof![5 => good, 1 => prop::sample::select(bad)].boxed(),
        None => good,
    };
    if spec.nullable { prop_oneof![3 => good, 1 => Just(Cell::Null)].boxed() } else { good }
}

/// Random cases.
pub fn case() -> impl Strategy<Value = Case> {
    prop::sample::select(vec!["loose", "loose", "firm"]).prop_flat_map(|table| {
        let cells: Vec<_> = (0..COLUMNS.len()).map(|at| cell(at, table == "firm")).collect();
        let rows = prop::collection::vec(cells, 1..12).prop_map(|mut rows: Vec<Row>| {
            // The key is a key.
            let mut seen = HashSet::new();
            rows.retain(|row| matches!(row[0], Cell::Integer(id) if seen.insert(id)));
            rows
        });
        (prop::collection::vec(policy(table), 1..5), prop::collection::vec(principal(), 8), rows)
            .prop_map(move |(policies, principals, rows)| Case { table, policies, principals, rows })
    })
}

// ---- evaluation of a filter in memory

/// Whether the filter matches the row: what a connector's SQL must do.
pub fn matches(filter: &Filter, row: &Row) -> bool {
    match filter {
        Filter::True => true,
        Filter::False => false,
        Filter::All(parts) => parts.iter().all(|part| matches(part, row)),
        Filter::Any(parts) => parts.iter().any(|part| matches(part, row)),
        Filter::Test(test) => match &test.op {
            FilterOp::IsNull => row[usize::from(test.column.0)] == Cell::Null,
            FilterOp::IsNotNull => row[usize::from(test.column.0)] != Cell::Null,
            op => value_of(test.column, row).is_some_and(|value| holds(&value, op, row)),
        },
    }
}

/// `None` where it is NULL or of another type.
fn value_of(column: ColumnIx, row: &Row) -> Option<Value> {
    let at = usize::from(column.0);
    match (COLUMNS[at].kind, &row[at]) {
        (ColumnKind::Text, Cell::Text(text)) => Some(Value::Text(text.clone())),
        (ColumnKind::Integer, Cell::Integer(number)) => Some(Value::Integer(*number)),
        (ColumnKind::Boolean, Cell::Integer(number @ (0 | 1))) => Some(Value::Bool(*number == 1)),
        _ => None,
    }
}

fn holds(value: &Value, op: &FilterOp, row: &Row) -> bool {
    let other = |operand: &Operand| match operand {
        Operand::Value(value) => Some(value.clone()),
        Operand::Column(column) => value_of(*column, row),
    };
    let ordered = |operand: &Operand, test: fn(std::cmp::Ordering) -> bool| match (value, other(operand)) {
        (Value::Integer(a), Some(Value::Integer(b))) => test(a.cmp(&b)),
        (a, Some(b)) => unreachable!("{a:?} and {b:?} have no order"),
        (_, None) => false,
    };
    match op {
        FilterOp::Eq(operand) => other(operand).is_some_and(|other| *value == other),
        FilterOp::Ne(operand) => other(operand).is_some_and(|other| *value != other),
        FilterOp::Lt(operand) => ordered(operand, std::cmp::Ordering::is_lt),
        FilterOp::Le(operand) => ordered(operand, std::cmp::Ordering::is_le),
        FilterOp::Gt(operand) => ordered(operand, std::cmp::Ordering::is_gt),
        FilterOp::Ge(operand) => ordered(operand, std::cmp::Ordering::is_ge),
        FilterOp::In(values) => values.contains(value),
        FilterOp::NotIn(values) => !values.contains(value),
        FilterOp::Like(pattern) => like(value, pattern),
        FilterOp::NotLike(pattern) => !like(value, pattern),
        FilterOp::WellTyped => true,
        FilterOp::IsNull | FilterOp::IsNotNull => unreachable!("answered before"),
    }
}

fn like(value: &Value, pattern: &LikePattern) -> bool {
    let Value::Text(text) = value else { unreachable!("{value:?} is no text") };
    fn from(text: &str, parts: &[PatternPart]) -> bool {
        match parts {
            [] => text.is_empty(),
            [PatternPart::Text(literal), rest @ ..] => {
                text.strip_prefix(literal.as_str()).is_some_and(|text| from(text, rest))
            }
            [PatternPart::Any, rest @ ..] => {
                let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
                ends.into_iter().any(|at| from(&text[at..], rest))
            }
        }
    }
    from(text, &pattern.0)
}
