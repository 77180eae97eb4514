//! The row filter in SQL against an evaluation in memory that is written anew here.

use std::cmp::Ordering;

use asuser_core::{
    ColumnAccess, ColumnIx, ColumnKind, CompareOp, Condition, Filter, FilterOp, FilterTest, LikePattern, Literal,
    MaskKind, Operand, OutputColumn, PatternPart, Table, Test, TestKind, Value,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use rusqlite::Connection;
use rusqlite::types::Value as Cell;

use super::{Fixture, column, parsed, spec};
use crate::SqliteError;

const TEXTS: &[&str] = &[
    "",
    "alice",
    "ALICE",
    "Alice",
    "alice ",
    " alice",
    "alice\0bob",
    "bob",
    "b*b",
    "b?b",
    "[b]",
    "b%b",
    "b_b",
    "\\",
    "a\\*",
    "grün",
    "GRÜN",
    "ß",
    "\u{1F600}",
    "\u{FFFD}",
    "12",
    "12abc",
    "0",
    "1",
    "true",
    "aa",
    "aaa",
    "'; DROP TABLE t",
    "\u{e000}",
    "\u{10000}",
];
const INTEGERS: &[i64] = &[0, 1, -1, 2, 12, 100, i64::MAX, i64::MIN, 1 << 53, (1 << 53) + 1];

/// What each row of the test tables may hold, ill-typed cells included.
fn cells() -> Vec<Cell> {
    let mut cells: Vec<Cell> = vec![Cell::Null, Cell::Real(0.5), Cell::Real(1.0), Cell::Real(-1e300), Cell::Real(1e19)];
    cells.extend(TEXTS.iter().map(|text| Cell::Text((*text).to_owned())));
    cells.extend(INTEGERS.iter().map(|number| Cell::Integer(*number)));
    cells.extend([b"alice".to_vec(), Vec::new(), vec![0xff], b"1".to_vec()].map(Cell::Blob));
    cells
}

const SCRIPT: &str = r#"
    CREATE TABLE loose (id INTEGER PRIMARY KEY, a TEXT, "b b" TEXT COLLATE NOCASE, n INTEGER, "m""m" BIGINT, f BOOLEAN, g BOOL);
    CREATE INDEX loose_a ON loose(a);
    CREATE INDEX loose_n ON loose(n);
    CREATE TABLE strict (id INTEGER PRIMARY KEY, a TEXT, "b b" TEXT COLLATE NOCASE, n INTEGER, "m""m" INT) STRICT;
    CREATE VIEW seen AS SELECT * FROM loose;
"#;

async fn fixture() -> Fixture {
    let fixture = Fixture::new(SCRIPT).await;
    let writer = Connection::open(&fixture.path).unwrap();
    let cells = cells();
    let mut state = 7_usize;
    let mut any = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        cells[(state >> 33) % cells.len()].clone()
    };
    writer.execute_batch("BEGIN").unwrap();
    for _ in 0..400 {
        writer
            .execute("INSERT INTO loose VALUES (NULL, ?, ?, ?, ?, ?, ?)", [any(), any(), any(), any(), any(), any()])
            .unwrap();
        // The strict table refuses what does not fit.
        let _refused = writer.execute("INSERT INTO strict VALUES (NULL, ?, ?, ?, ?)", [any(), any(), any(), any()]);
    }
    writer.execute_batch("COMMIT").unwrap();
    fixture
}

fn values(kind: ColumnKind) -> BoxedStrategy<Value> {
    match kind {
        ColumnKind::Text => select(TEXTS).prop_map(|text| Value::Text(text.to_owned())).boxed(),
        ColumnKind::Boolean => any::<bool>().prop_map(Value::Bool).boxed(),
        _ => select(INTEGERS).prop_map(Value::Integer).boxed(),
    }
}

fn patterns() -> impl Strategy<Value = LikePattern> {
    let text = select(&["a", "b", "alice", "*", "?", "[b]", "%", "\\", "ü", "\0", ""][..]);
    let part = prop_oneof![Just(PatternPart::Any), text.prop_map(|text| PatternPart::Text(text.to_owned()))];
    prop::collection::vec(part, 0..5).prop_map(LikePattern)
}

fn leaves(table: &Table) -> BoxedStrategy<Filter> {
    let columns: Vec<(ColumnIx, ColumnKind)> =
        table.columns.iter().enumerate().map(|(at, column)| (ColumnIx(at as u16), column.kind)).collect();
    let all = columns.clone();
    let leaf = select(columns).prop_flat_map(move |(column, kind)| {
        let same: Vec<ColumnIx> = all.iter().filter(|(_, other)| *other == kind).map(|(other, _)| *other).collect();
        let operand =
            prop_oneof![3 => values(kind).prop_map(Operand::Value), 1 => select(same).prop_map(Operand::Column)]
                .boxed();
        let compared = (0..6_u8, operand).prop_map(|(which, operand)| match which {
            0 => FilterOp::Eq(operand),
            1 => FilterOp::Ne(operand),
            2 => FilterOp::Lt(operand),
            3 => FilterOp::Le(operand),
            4 => FilterOp::Gt(operand),
            _ => FilterOp::Ge(operand),
        });
        let lists = (any::<bool>(), prop::collection::vec(values(kind), 0..4))
            .prop_map(|(inside, values)| if inside { FilterOp::In(values) } else { FilterOp::NotIn(values) });
        let plain = select(vec![FilterOp::IsNull, FilterOp::IsNotNull, FilterOp::WellTyped]);
        let op = if kind == ColumnKind::Text {
            let likes = (any::<bool>(), patterns())
                .prop_map(|(like, pattern)| if like { FilterOp::Like(pattern) } else { FilterOp::NotLike(pattern) });
            prop_oneof![4 => compared, 2 => lists, 1 => plain, 2 => likes].boxed()
        } else {
            prop_oneof![4 => compared, 2 => lists, 1 => plain].boxed()
        };
        op.prop_map(move |op| Filter::test(column, op))
    });
    leaf.boxed()
}

fn filters(table: &Table) -> BoxedStrategy<Filter> {
    let base = prop_oneof![12 => leaves(table), 1 => Just(Filter::True), 1 => Just(Filter::False)];
    base.prop_recursive(3, 12, 4, |inner| {
        let list = prop::collection::vec(inner, 0..4);
        (any::<bool>(), list).prop_map(|(all, parts)| if all { Filter::All(parts) } else { Filter::Any(parts) })
    })
    .boxed()
}

/// The meaning of a filter, from its documentation alone.
fn holds(table: &Table, filter: &Filter, row: &[Cell]) -> bool {
    match filter {
        Filter::True => true,
        Filter::False => false,
        Filter::All(parts) => parts.iter().all(|part| holds(table, part, row)),
        Filter::Any(parts) => parts.iter().any(|part| holds(table, part, row)),
        Filter::Test(test) => leaf_holds(table, test, row),
    }
}

fn leaf_holds(table: &Table, test: &FilterTest, row: &[Cell]) -> bool {
    let typed = |ix: ColumnIx| well_typed(table.column(ix).unwrap().kind, &row[usize::from(ix.0)]);
    let cell = &row[usize::from(test.column.0)];
    match &test.op {
        FilterOp::IsNull => return *cell == Cell::Null,
        FilterOp::IsNotNull => return *cell != Cell::Null,
        _ => {}
    }
    let Some(value) = typed(test.column) else { return false };
    let compare = |operand: &Operand| match operand {
        Operand::Value(other) => Some(order(&value, other)),
        Operand::Column(other) => typed(*other).map(|other| order(&value, &other)),
    };
    let text = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        other => panic!("{other:?} is no text"),
    };
    match &test.op {
        FilterOp::Eq(operand) => compare(operand).is_some_and(Ordering::is_eq),
        FilterOp::Ne(operand) => compare(operand).is_some_and(Ordering::is_ne),
        FilterOp::Lt(operand) => compare(operand).is_some_and(Ordering::is_lt),
        FilterOp::Le(operand) => compare(operand).is_some_and(Ordering::is_le),
        FilterOp::Gt(operand) => compare(operand).is_some_and(Ordering::is_gt),
        FilterOp::Ge(operand) => compare(operand).is_some_and(Ordering::is_ge),
        FilterOp::In(values) => values.contains(&value),
        FilterOp::NotIn(values) => !values.contains(&value),
        FilterOp::Like(pattern) => like(&pattern.0, &text(&value)),
        FilterOp::NotLike(pattern) => !like(&pattern.0, &text(&value)),
        FilterOp::WellTyped => true,
        FilterOp::IsNull | FilterOp::IsNotNull => unreachable!(),
    }
}

fn well_typed(kind: ColumnKind, cell: &Cell) -> Option<Value> {
    match (kind, cell) {
        (ColumnKind::Text, Cell::Text(text)) => Some(Value::Text(text.clone())),
        (ColumnKind::Integer, Cell::Integer(number)) => Some(Value::Integer(*number)),
        (ColumnKind::Boolean, Cell::Integer(truth @ (0 | 1))) => Some(Value::Bool(*truth == 1)),
        _ => None,
    }
}

fn order(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Text(a), Value::Text(b)) => a.chars().cmp(b.chars()),
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        other => panic!("{other:?} do not compare"),
    }
}

/// By trying every run of characters.
fn like(pattern: &[PatternPart], text: &str) -> bool {
    match pattern {
        [] => text.is_empty(),
        [PatternPart::Text(literal), rest @ ..] => text.strip_prefix(literal.as_str()).is_some_and(|t| like(rest, t)),
        [PatternPart::Any, rest @ ..] => {
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| like(rest, &text[at..]))
        }
    }
}

fn stored(fixture: &Fixture, table: &str) -> Vec<Vec<Cell>> {
    let reader = Connection::open(&fixture.path).unwrap();
    let mut statement = reader.prepare(&format!("SELECT * FROM {table} ORDER BY id")).unwrap();
    let width = statement.column_count();
    statement.query_map([], |row| (0..width).map(|at| row.get(at)).collect()).unwrap().map(Result::unwrap).collect()
}

#[test]
fn the_rows_of_a_filter_are_those_that_it_means() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fixture = runtime.block_on(fixture());
    for name in ["loose", "strict", "seen"] {
        let table = fixture.table(name);
        let rows = stored(&fixture, name);
        assert!(rows.len() > 20, "{name} holds {} rows", rows.len());
        let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
        let tested = runner.run(&filters(&table), |filter| {
            let mut spec = spec(&table);
            spec.row_filter = filter.clone();
            spec.output.truncate(1);
            spec.as_list = true;
            spec.count = true;
            spec.order = vec![asuser_core::OrderTerm { column: ColumnIx(0), descending: false, nulls_first: None }];
            let records = runtime.block_on(fixture.read(&spec)).unwrap();
            let expected: Vec<i64> = rows.iter().filter(|row| holds(&table, &filter, row)).map(|row| id(row)).collect();
            prop_assert_eq!(records.count, Some(expected.len() as u64));
            prop_assert_eq!(parsed(&records), serde_json::json!(expected));
            Ok(())
        });
        tested.unwrap();
    }
}

fn id(row: &[Cell]) -> i64 {
    match &row[0] {
        Cell::Integer(id) => *id,
        other => panic!("{other:?} is no id"),
    }
}

/// In rows that `unmask` matches the cell is clear, in all others it is masked; the caller's condition sees the same.
#[test]
fn a_masked_column_shows_what_its_filter_means() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fixture = runtime.block_on(fixture());
    let table = fixture.table("loose");
    let rows = stored(&fixture, "loose");
    let kinds = select(vec![MaskKind::Full, MaskKind::Partial, MaskKind::Email, MaskKind::Null]);
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let tested = runner.run(&(kinds, filters(&table), select(TEXTS)), |(kind, unmask, asked)| {
        let shown = |row: &Vec<Cell>| match (&row[1], holds(&table, &unmask, row)) {
            (Cell::Text(text), true) => Some(text.clone()),
            (Cell::Text(text), false) => kind.apply(text),
            // Bytes read as base64 where they are clear.
            (Cell::Blob(bytes), true) => Some(data_encoding::BASE64.encode(bytes)),
            _ => None,
        };
        let mut spec = spec(&table);
        spec.access[1] = ColumnAccess::Masked { kind, unmask: unmask.clone() };
        spec.output = vec![OutputColumn { name: "a".to_owned(), column: ColumnIx(1) }];
        spec.as_list = true;
        let all: Vec<Option<String>> = rows.iter().map(shown).collect();
        prop_assert_eq!(parsed(&runtime.block_on(fixture.read(&spec)).unwrap()), serde_json::json!(all));

        let test = TestKind::Compare(CompareOp::Eq, Literal::Text(asked.to_owned()));
        spec.condition = Some(Condition::Test(Test { column: ColumnIx(1), at: 0, kind: test }));
        let is_text = |row: &&Vec<Cell>| matches!(row[1], Cell::Text(_));
        let equal = rows.iter().filter(is_text).map(shown).filter(|shown| shown.as_deref() == Some(asked)).count();
        prop_assert_eq!(runtime.block_on(fixture.read(&spec)).unwrap().rows, equal as u64);
        Ok(())
    });
    tested.unwrap();
}

#[tokio::test]
async fn lookalikes_of_a_claim_match_nothing() {
    let fixture = Fixture::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, owner TEXT COLLATE NOCASE, amount INTEGER);
         INSERT INTO t VALUES (1, 'alice', 1), (2, 'ALICE', 2), (3, 'alice  ', 3), (4, x'616c696365', 4), (5, NULL, 5),
                              (6, 'alice' || char(0), '12abc'), (7, 'alicé', 7);",
    )
    .await;
    let table = fixture.table("t");
    let ids = async |filter: Filter| {
        let mut spec = spec(&table);
        spec.row_filter = filter;
        spec.output.truncate(1);
        spec.as_list = true;
        fixture.json(&spec).await
    };
    assert_eq!(ids(super::owner_is(&table, "alice")).await, serde_json::json!([1]));
    assert_eq!(ids(super::owner_is(&table, "' OR 1=1 --")).await, serde_json::json!([]));
    assert_eq!(ids(super::owner_is(&table, "")).await, serde_json::json!([]));
    assert_eq!(ids(super::owner_is(&table, "%")).await, serde_json::json!([]));
    let above = FilterOp::Gt(Operand::Value(Value::Integer(4)));
    assert_eq!(ids(Filter::test(column(&table, "amount"), above)).await, serde_json::json!([5, 7]));
}

#[tokio::test]
async fn what_cannot_be_printed_exactly_is_refused() {
    let fixture = Fixture::new("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, r REAL, d DECIMAL(9,2), x)").await;
    let table = fixture.table("t");
    let read = async |filter: Filter| {
        let mut spec = spec(&table);
        spec.row_filter = filter;
        fixture.read(&spec).await
    };
    let eq = |name: &str, value: Value| Filter::test(column(&table, name), FilterOp::Eq(Operand::Value(value)));
    let refused = [
        eq("a", Value::Integer(1)),
        eq("id", Value::Text("1".to_owned())),
        eq("id", Value::Bool(true)),
        eq("r", Value::Integer(1)),
        eq("d", Value::Decimal(10_000)),
        eq("x", Value::Text("x".to_owned())),
        Filter::test(column(&table, "r"), FilterOp::WellTyped),
        Filter::test(column(&table, "id"), FilterOp::Like(LikePattern(vec![PatternPart::Any]))),
        Filter::test(column(&table, "a"), FilterOp::Eq(Operand::Column(column(&table, "id")))),
        Filter::test(ColumnIx(77), FilterOp::IsNull),
    ];
    for filter in refused {
        let text = format!("{filter:?}");
        assert!(matches!(read(filter).await, Err(SqliteError::Plan(_))), "{text}");
    }
    for filter in [
        eq("a", Value::Text("1".to_owned())),
        eq("id", Value::Integer(1)),
        Filter::test(column(&table, "r"), FilterOp::IsNull),
        Filter::test(column(&table, "x"), FilterOp::IsNotNull),
    ] {
        assert!(read(filter).await.is_ok());
    }
}

#[tokio::test]
async fn a_wide_filter_runs_and_a_deep_one_is_refused() {
    let fixture = Fixture::new("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (5000)").await;
    let table = fixture.table("t");
    let one = |number: i64| Filter::test(ColumnIx(0), FilterOp::Eq(Operand::Value(Value::Integer(number))));
    let mut wide = spec(&table);
    wide.row_filter = Filter::Any((0..4_000).map(one).collect());
    assert_eq!(fixture.json(&wide).await, serde_json::json!([{"id": 1}]));
    wide.row_filter = Filter::Any((0..20_000).map(one).collect());
    assert!(matches!(fixture.read(&wide).await, Err(SqliteError::TooComplex(_))));

    let mut deep = spec(&table);
    deep.row_filter = (0..100).fold(one(1), |inner, _| Filter::All(vec![inner, Filter::True]));
    assert!(matches!(fixture.read(&deep).await, Err(SqliteError::TooComplex(_))));
    deep.row_filter = (0..40).fold(one(1), |inner, _| Filter::All(vec![inner, Filter::True]));
    assert_eq!(fixture.json(&deep).await, serde_json::json!([{"id": 1}]));
}
