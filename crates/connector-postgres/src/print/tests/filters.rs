//! Each leaf of a row filter against what it means, over values that are easily taken for others.

use std::cmp::Ordering;

use super::*;

/// What an order must be for a comparison to hold.
type Holds = fn(Ordering) -> bool;
/// The ids of the rows whose two cells are such.
type Ids<'a> = &'a dyn Fn(&dyn Fn(&Cell, &Cell) -> bool) -> Vec<usize>;
/// Two columns of a kind, and their cells as SQL.
type Kind = (&'static [&'static str], Vec<(&'static str, Cell)>);

/// A cell in the policy's world.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Null,
    /// NaN or an infinity: no value of the policy's world.
    Strange,
    Of(Value),
    /// A point in time in microseconds; the policy sees the millisecond.
    At(i64),
}

const TABLE: &str = "CREATE TABLE f (id int, t text, t2 varchar(20), n int8, n2 int2, b bool, b2 bool, d numeric(12,4), d2 numeric(8,2),
    at timestamptz, at2 timestamptz)";

fn cells() -> Vec<Kind> {
    let texts = ["", "a", "A", "a ", "ä", "a\u{308}", "b%_\\", "漢"];
    let text = texts.map(|text| (text, Cell::Of(Value::Text(text.into()))));
    let number = |text: &'static str| (text, Cell::Of(Value::Integer(text.parse().unwrap())));
    let whole = ["0", "-1", "32767", "7"].map(number);
    let truth = [("true", Cell::Of(Value::Bool(true))), ("false", Cell::Of(Value::Bool(false)))];
    let decimal = [("0", 0), ("1.5", 15_000), ("-1.5", -15_000), ("1.51", 15_100)]
        .map(|(text, at)| (text, Cell::Of(Value::Decimal(at))));
    let at = [
        ("1970-01-01Z", 0),
        ("1970-01-01 00:00:00.001Z", 1_000),
        ("1970-01-01 00:00:00.001999Z", 1_999),
        ("1969-12-31 23:59:59.999001Z", -999),
        ("2262-04-12 00:00:00.5Z", 9_223_372_800_500_000),
    ]
    .map(|(text, us)| (text, Cell::At(us)));
    let with = |cells: &[(&'static str, Cell)], strange: &[&'static str]| {
        let strange = strange.iter().map(|text| (*text, Cell::Strange));
        cells.iter().cloned().chain(strange).chain([("NULL", Cell::Null)]).collect::<Vec<_>>()
    };
    vec![
        (&["t", "t2"], with(&text, &[])),
        (&["n", "n2"], with(&whole, &[])),
        (&["b", "b2"], with(&truth, &[])),
        (&["d", "d2"], with(&decimal, &["NaN"])),
        (&["at", "at2"], with(&at, &["infinity", "-infinity"])),
    ]
}

/// As the policy's world has it.
fn seen(cell: &Cell) -> Option<Value> {
    match cell {
        Cell::Null | Cell::Strange => None,
        Cell::Of(value) => Some(value.clone()),
        Cell::At(us) => Some(Value::Timestamp(us.div_euclid(1_000))),
    }
}

fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Integer(a), Value::Integer(b))
        | (Value::Decimal(a), Value::Decimal(b))
        | (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => unreachable!("{a:?} {b:?}"),
    }
}

fn comparisons(operand: &Operand, is_text: bool) -> Vec<(FilterOp, Holds)> {
    let o = || operand.clone();
    let mut all: Vec<(FilterOp, Holds)> =
        vec![(FilterOp::Eq(o()), Ordering::is_eq), (FilterOp::Ne(o()), Ordering::is_ne)];
    // Cedar has no order of texts.
    if !is_text {
        all.extend([
            (FilterOp::Lt(o()), Ordering::is_lt as Holds),
            (FilterOp::Le(o()), Ordering::is_le),
            (FilterOp::Gt(o()), Ordering::is_gt),
            (FilterOp::Ge(o()), Ordering::is_ge),
        ]);
    }
    all
}

#[tokio::test]
async fn each_leaf_means_what_it_says() {
    let mut live = Live::new(TABLE).await;
    for (columns, cells) in cells() {
        let (one, two) = (live.ix("f", columns[0]), live.ix("f", columns[1]));
        live.database.execute("TRUNCATE f");
        let mut rows = Vec::new();
        for a in &cells {
            rows.extend(cells.iter().map(|b| (a, b)));
        }
        let quoted = |text: &str| if text == "NULL" { text.to_owned() } else { format!("'{text}'") };
        let values: Vec<String> =
            rows.iter().enumerate().map(|(id, (a, b))| format!("({id}, {}, {})", quoted(a.0), quoted(b.0))).collect();
        live.database.execute(&format!(
            "INSERT INTO f (id, {}, {}) VALUES {}",
            columns[0],
            columns[1],
            values.join(", ")
        ));
        let mut checks: Vec<(FilterOp, Vec<usize>)> = Vec::new();
        let ids = |holds: &dyn Fn(&Cell, &Cell) -> bool| -> Vec<usize> {
            rows.iter().enumerate().filter(|(_, (a, b))| holds(&a.1, &b.1)).map(|(id, _)| id).collect()
        };
        let known: Vec<Value> = cells.iter().filter_map(|(_, cell)| seen(cell)).collect();
        let is_text = matches!(known[0], Value::Text(_));
        for value in &known {
            for (op, holds) in comparisons(&Operand::Value(value.clone()), is_text) {
                checks.push((op, ids(&|a, _| seen(a).is_some_and(|a| holds(order(&a, value))))));
            }
        }
        for (op, holds) in comparisons(&Operand::Column(two), is_text) {
            let both = |a: &Cell, b: &Cell| seen(a).zip(seen(b)).is_some_and(|(a, b)| holds(order(&a, &b)));
            checks.push((op, ids(&both)));
        }
        for some in [&known[..0], &known[..1], &known[1..], &known[..]] {
            let is_in = |a: &Value| some.contains(a);
            checks.push((FilterOp::In(some.to_vec()), ids(&|a, _| seen(a).is_some_and(|a| is_in(&a)))));
            checks.push((FilterOp::NotIn(some.to_vec()), ids(&|a, _| seen(a).is_some_and(|a| !is_in(&a)))));
        }
        checks.push((FilterOp::IsNull, ids(&|a, _| *a == Cell::Null)));
        checks.push((FilterOp::IsNotNull, ids(&|a, _| *a != Cell::Null)));
        checks.push((FilterOp::WellTyped, ids(&|a, _| seen(a).is_some())));
        if is_text {
            patterns(&mut checks, &ids);
        }
        if let Value::Timestamp(_) = known[0] {
            // Beyond all that a column can hold.
            for (ms, ordering) in
                [(i64::MIN, Ordering::Greater), (i64::MAX, Ordering::Less), (-300_000_000_000_000, Ordering::Greater)]
            {
                for (op, holds) in comparisons(&Operand::Value(Value::Timestamp(ms)), false) {
                    checks.push((op, ids(&|a, _| seen(a).is_some() && holds(ordering))));
                }
            }
        }
        for (op, expected) in checks {
            let mut spec = live.spec("f");
            spec.output.truncate(1);
            spec.order = vec![OrderTerm { column: ColumnIx(0), descending: false, nulls_first: None }];
            spec.row_filter = Filter::test(one, op.clone());
            let found: Vec<usize> = live.first(&spec).await.iter().map(|id| id.parse().unwrap()).collect();
            assert_eq!(found, expected, "{columns:?} {op:?} {rows:?}");
        }
    }
}

/// A pattern, and which texts it matches.
type Pattern = (Vec<PatternPart>, fn(&str) -> bool);

fn patterns(checks: &mut Vec<(FilterOp, Vec<usize>)>, ids: Ids<'_>) {
    let (any, t) = (|| PatternPart::Any, |text: &str| PatternPart::Text(text.to_owned()));
    let cases: [Pattern; 6] = [
        (vec![], str::is_empty),
        (vec![any()], |_| true),
        (vec![t("a"), any()], |text| text.starts_with('a')),
        (vec![t("b%_\\")], |text| text == "b%_\\"),
        (vec![any(), t("\\")], |text| text.ends_with('\\')),
        (vec![any(), t("%"), any()], |text| text.contains('%')),
    ];
    for (parts, holds) in cases {
        let is = |cell: &Cell| match cell {
            Cell::Of(Value::Text(text)) => Some(holds(text)),
            _ => None,
        };
        checks.push((FilterOp::Like(LikePattern(parts.clone())), ids(&|a, _| is(a) == Some(true))));
        checks.push((FilterOp::NotLike(LikePattern(parts)), ids(&|a, _| is(a) == Some(false))));
    }
}

#[tokio::test]
async fn points_in_time_at_the_ends_are_read_as_they_are_meant() {
    let mut live = Live::new(TABLE).await;
    live.database.execute(
        "INSERT INTO f (id, at) VALUES (0, '4714-11-24 00:00:00+00 BC'), (1, '294276-12-31 23:59:59.999999+00')",
    );
    let at = live.ix("f", "at");
    let mut spec = live.spec("f");
    spec.output.truncate(1);
    for (op, expected) in [
        (FilterOp::Eq(Operand::Value(Value::Timestamp(-210_866_803_200_000))), vec!["0"]),
        (FilterOp::Le(Operand::Value(Value::Timestamp(-210_866_803_200_000))), vec!["0"]),
        (FilterOp::Gt(Operand::Value(Value::Timestamp(-210_866_803_200_001))), vec!["0", "1"]),
        (FilterOp::Lt(Operand::Value(Value::Timestamp(-210_866_803_200_000))), vec![]),
        (FilterOp::Gt(Operand::Value(Value::Timestamp(253_402_300_800_000))), vec!["1"]),
        (FilterOp::Lt(Operand::Value(Value::Timestamp(i64::MAX))), vec!["0", "1"]),
    ] {
        spec.row_filter = Filter::test(at, op.clone());
        assert_eq!(live.first(&spec).await, expected, "{op:?}");
    }
}
