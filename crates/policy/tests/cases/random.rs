//! Random policies, people and rows.

use std::collections::{BTreeMap, HashSet};

use asuser_core::{AttributeValue, ColumnKind, DatabaseKind, PrincipalData, PrincipalKey};
use proptest::prelude::*;

use super::conditions::{BASE_MS, Cond, Lit, Parts, PolicyText};
use super::{COLUMNS, Case, Cell, ColumnSpec, Row, columns};

const ATTRIBUTES: [(&str, ColumnKind); 4] = [
    ("login", ColumnKind::Text),
    ("team", ColumnKind::Text),
    ("clearance", ColumnKind::Integer),
    ("vip", ColumnKind::Boolean),
];

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
const DECIMALS: [&str; 11] = [
    "0.0",
    "-0.0",
    "12.5",
    "12.50",
    "12.5001",
    "-0.01",
    "-0.0001",
    "9999999999.99",
    "99999999999999.9999",
    "922337203685477.5807",
    "-922337203685477.5808",
];
/// Far from any time at which a test may run, to the millisecond and beyond.
const TIMES_MS: [i64; 10] = [
    BASE_MS,
    BASE_MS - 1,
    BASE_MS + 1,
    BASE_MS - 250,
    0,
    -1,
    -2_208_988_800_001,
    -62_135_596_800_000,
    253_402_300_799_999,
    -70_000_000_000_000,
];
const MOVED: [&str; 6] = ["0s", "0s", "-250ms", "1ms", "-1d", "1d1h"];
const ORDERED: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];
const ORDERED_DECIMALS: [&str; 6] = ["==", "!=", "lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"];
const EQUALITY: [&str; 2] = ["==", "!="];

type Database = DatabaseKind;

fn texts(database: Database) -> &'static [&'static str] {
    // The last has a NUL, which PostgreSQL's text has not.
    if database == Database::Sqlite { &TEXTS } else { &TEXTS[..TEXTS.len() - 1] }
}
fn columns_of(database: Database, kind: ColumnKind) -> impl Strategy<Value = usize> + Clone {
    let columns = columns(database);
    let of: Vec<_> = (0..columns.len()).filter(|at| columns[*at].kind == kind).collect();
    prop::sample::select(of)
}
fn any_column(database: Database) -> impl Strategy<Value = usize> + Clone {
    0..columns(database).len()
}
fn literal_of(database: Database, kind: ColumnKind) -> BoxedStrategy<Lit> {
    match kind {
        ColumnKind::Text => prop::sample::select(texts(database)).prop_map(|text| Lit::Text(text.to_owned())).boxed(),
        ColumnKind::Integer => prop::sample::select(&LONGS[..]).prop_map(Lit::Long).boxed(),
        ColumnKind::Decimal => prop::sample::select(&DECIMALS[..]).prop_map(Lit::Decimal).boxed(),
        ColumnKind::Timestamp => prop::sample::select(&TIMES_MS[..]).prop_map(Lit::Time).boxed(),
        _ => any::<bool>().prop_map(Lit::Bool).boxed(),
    }
}
fn operator_of(kind: ColumnKind) -> impl Strategy<Value = &'static str> {
    prop::sample::select(match kind {
        ColumnKind::Integer | ColumnKind::Timestamp => &ORDERED[..],
        ColumnKind::Decimal => &ORDERED_DECIMALS[..],
        _ => &EQUALITY[..],
    })
}
fn kinds(database: Database) -> impl Strategy<Value = ColumnKind> {
    use ColumnKind::{Boolean, Decimal, Integer, Text, Timestamp};
    let mut kinds = vec![Text, Text, Integer, Integer, Boolean];
    if database == Database::Postgres {
        kinds.extend([Decimal, Decimal, Timestamp, Timestamp]);
    }
    prop::sample::select(kinds)
}

fn pattern() -> impl Strategy<Value = String> {
    // U+0001 stands for a literal star.
    let part = prop::sample::select(vec!["*", "*", "a", "A", "alice", "%", "_", "ä", " ", "\\", "\u{1}", "b"]);
    prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

fn leaf(database: Database) -> impl Strategy<Value = Cond> {
    let columns_of = move |kind| columns_of(database, kind);
    let literal = kinds(database).prop_flat_map(move |kind| {
        (columns_of(kind), operator_of(kind), literal_of(database, kind), any::<bool>())
            .prop_map(|(column, op, value, flipped)| Cond::Literal { column, op, value, flipped })
    });
    let attribute =
        prop::sample::select(&ATTRIBUTES[..]).prop_flat_map(move |(attribute, kind)| {
            (columns_of(kind), operator_of(kind), any::<bool>())
                .prop_map(move |(column, op, flipped)| Cond::Attribute { column, op, attribute, flipped })
        });
    let columns = kinds(database).prop_flat_map(move |kind| {
        (columns_of(kind), operator_of(kind), columns_of(kind)).prop_map(|(left, op, right)| Cond::Columns {
            left,
            op,
            right,
        })
    });
    let set = kinds(database).prop_flat_map(move |kind| {
        (columns_of(kind), prop::collection::vec(literal_of(database, kind), 1..4))
            .prop_map(|(column, values)| Cond::InLiterals { column, values })
    });
    prop_oneof![
        6 => literal,
        3 => attribute,
        1 => columns,
        2 => set,
        2 => (columns_of(ColumnKind::Text), pattern()).prop_map(|(column, pattern)| Cond::Like { column, pattern }),
        1 => columns_of(ColumnKind::Text).prop_map(|column| Cond::InAttribute { column }),
        2 => any_column(database).prop_map(Cond::Has),
        1 => columns_of(ColumnKind::Boolean).prop_map(Cond::Alone),
        1 => prop::sample::select(vec!["login", "team", "regions", "clearance", "vip"]).prop_map(Cond::PrincipalHas),
        1 => Just(Cond::PrincipalErrs),
        1 => prop::sample::select(vec!["staff", "interns"]).prop_map(Cond::InGroup),
        1 => any::<bool>().prop_map(Cond::Const),
    ]
}

/// One that compares with the time of asking, where a column can be.
fn leaf_or_now(database: Database) -> BoxedStrategy<Cond> {
    if database == Database::Sqlite {
        return leaf(database).boxed();
    }
    let now = (
        columns_of(database, ColumnKind::Timestamp),
        prop::sample::select(&ORDERED[..]),
        prop::sample::select(&MOVED[..]),
        any::<bool>(),
    );
    let now = now.prop_map(|(column, op, moved, flipped)| Cond::Now { column, op, moved, flipped });
    prop_oneof![10 => leaf(database), 1 => now].boxed()
}

/// Random conditions.
fn cond(database: Database) -> impl Strategy<Value = Cond> {
    leaf_or_now(database).prop_recursive(4, 12, 3, move |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let guard = any_column(database).prop_map(|column| Box::new(Cond::Has(column)));
        prop_oneof![
            3 => (boxed.clone(), boxed.clone()).prop_map(|(a, b)| Cond::And(a, b)),
            3 => (boxed.clone(), boxed.clone()).prop_map(|(a, b)| Cond::Or(a, b)),
            2 => (guard.clone(), boxed.clone()).prop_map(|(a, b)| Cond::And(a, b)),
            2 => boxed.clone().prop_map(Cond::Not),
            1 => (prop_oneof![boxed.clone(), guard], boxed.clone(), boxed).prop_map(|(c, a, b)| Cond::If(c, a, b)),
        ]
    })
}

fn policy(database: Database, table: &'static str) -> impl Strategy<Value = PolicyText> {
    let actions = prop::sample::select(vec!["read", "read", "unmask", ""]);
    let scope =
        prop::sample::select(vec!["principal", "principal", "principal in Group::\"staff\"", "principal is User"]);
    let more = proptest::option::weighted(0.2, cond(database));
    (prop::bool::weighted(0.6), actions, scope, cond(database), any::<bool>(), more).prop_map(
        move |(permit, action, scope, when, unless, more)| {
            Parts { permit, action, scope, table, when, unless, more }.policy()
        },
    )
}

fn principal(database: Database) -> impl Strategy<Value = PrincipalData> {
    let text = move || prop::sample::select(texts(database)).prop_filter("empty is absent", |text| !text.is_empty());
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
fn somebody() -> PrincipalData {
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
    or_null(spec, good)
}

fn or_null(spec: &ColumnSpec, good: BoxedStrategy<Cell>) -> BoxedStrategy<Cell> {
    if spec.nullable { prop_oneof![3 => good, 1 => Just(Cell::Null)].boxed() } else { good }
}

/// The values of a column that are not NULL.
fn postgres_cells(spec: &ColumnSpec) -> Vec<Cell> {
    let texts = |texts: &[&str]| texts.iter().map(|text| Cell::Text((*text).to_owned())).collect::<Vec<_>>();
    let integers = |low: i64, high: i64| LONGS.iter().map(|number| Cell::Integer((*number).clamp(low, high))).collect();
    match (spec.kind, spec.postgres) {
        (ColumnKind::Text, _) => texts(self::texts(Database::Postgres)),
        (ColumnKind::Integer, "smallint") => integers(i16::MIN.into(), i16::MAX.into()),
        (ColumnKind::Integer, "integer") => integers(i32::MIN.into(), i32::MAX.into()),
        (ColumnKind::Integer, _) => integers(i64::MIN, i64::MAX),
        (ColumnKind::Boolean, _) => vec![Cell::Integer(0), Cell::Integer(1)],
        (ColumnKind::Decimal, "numeric(12,2)") => {
            texts(&["0.00", "12.50", "12.51", "-0.01", "9999999999.99", "-9999999999.99", "NaN"])
        }
        (ColumnKind::Decimal, _) => {
            texts(&["0.0000", "12.5000", "12.5001", "-0.0001", "-0.0100", "99999999999999.9999", "NaN"])
        }
        (ColumnKind::Timestamp, _) => {
            // The first and the last microsecond of a millisecond, and the one before.
            let exact = TIMES_MS
                .iter()
                .filter(|ms| **ms > -62_000_000_000_000)
                .flat_map(|ms| [ms * 1_000, ms * 1_000 + 999, ms * 1_000 - 1]);
            exact.map(Cell::Integer).chain(texts(&["infinity", "-infinity", "infinity"])).collect()
        }
        _ => [0.5, -1e300, 1.25].map(Cell::Real).to_vec(),
    }
}

fn postgres_cell(spec: &'static ColumnSpec) -> BoxedStrategy<Cell> {
    or_null(spec, prop::sample::select(postgres_cells(spec)).boxed())
}

fn rows(cells: Vec<BoxedStrategy<Cell>>) -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec(cells, 1..12).prop_map(|mut rows: Vec<Row>| {
        // The key is a key.
        let mut seen = HashSet::new();
        rows.retain(|row| matches!(row[0], Cell::Integer(id) if seen.insert(id)));
        rows
    })
}

/// Random cases on SQLite.
pub fn case() -> impl Strategy<Value = Case> {
    prop::sample::select(vec!["loose", "loose", "firm"]).prop_flat_map(|table| {
        let cells = (0..columns(Database::Sqlite).len()).map(|at| cell(at, table == "firm")).collect();
        case_of(Database::Sqlite, table, cells)
    })
}

/// Random cases on PostgreSQL.
pub fn postgres_case() -> impl Strategy<Value = Case> {
    let cells = columns(Database::Postgres).iter().map(postgres_cell).collect();
    case_of(Database::Postgres, "orders", cells)
}

fn case_of(database: Database, table: &'static str, cells: Vec<BoxedStrategy<Cell>>) -> impl Strategy<Value = Case> {
    let policies = prop::collection::vec(policy(database, table), 1..5);
    let principals = prop::collection::vec(principal(database), 8);
    (policies, principals, rows(cells)).prop_map(move |(policies, principals, rows)| Case {
        database,
        table,
        now_ms: BASE_MS,
        policies,
        principals,
        rows,
    })
}

/// Each comparison of decimals and of points in time with each value, over rows that hold all that such columns can: a permit on
/// it, and a forbid.
pub fn comparisons() -> Vec<Case> {
    let mut cases = Vec::new();
    let rows = rows_of_every_sort();
    let decimals = ("rate", &ORDERED_DECIMALS, DECIMALS.map(Lit::Decimal).to_vec());
    let times = ("placed", &ORDERED, TIMES_MS.map(Lit::Time).to_vec());
    for (name, operators, values) in [decimals, times] {
        let column = COLUMNS.iter().position(|spec| spec.name == name).unwrap();
        let mut conditions = vec![Cond::InLiterals { column, values: values.clone() }];
        for (at, value) in values.into_iter().enumerate() {
            for op in operators {
                conditions.push(Cond::Literal { column, op, value: value.clone(), flipped: at % 2 == 1 });
            }
        }
        for (when, permit) in conditions.into_iter().flat_map(|when| [(when.clone(), true), (when, false)]) {
            let parts =
                Parts { permit, action: "read", scope: "principal", table: "orders", when, unless: false, more: None };
            cases.push(Case {
                database: Database::Postgres,
                table: "orders",
                now_ms: BASE_MS,
                policies: vec![parts.policy()],
                principals: vec![somebody()],
                rows: rows.clone(),
            });
        }
    }
    cases
}

fn rows_of_every_sort() -> Vec<Row> {
    let cells: Vec<Vec<Cell>> = COLUMNS
        .iter()
        .map(|spec| postgres_cells(spec).into_iter().chain(spec.nullable.then_some(Cell::Null)).collect())
        .collect();
    let count = cells.iter().map(Vec::len).max().unwrap();
    let row = |number: usize| {
        let mut row: Row = cells.iter().map(|cells| cells[number % cells.len()].clone()).collect();
        row[0] = Cell::Integer(i64::try_from(number).unwrap());
        row
    };
    (0..count).map(row).collect()
}
