//! Every test, order and page that a caller can ask for, on every type.

use std::collections::BTreeSet;

use super::*;
use asuser_core::ColumnKind;

/// A type, two values of it (the first smaller, where they have an order), and a text that is none of its values.
struct Type {
    name: &'static str,
    values: [&'static str; 2],
    wrong: Option<&'static str>,
}

const fn ty(name: &'static str, one: &'static str, two: &'static str, wrong: &'static str) -> Type {
    Type { name, values: [one, two], wrong: Some(wrong) }
}
const fn any(name: &'static str, one: &'static str, two: &'static str) -> Type {
    Type { name, values: [one, two], wrong: None }
}

const TYPES: &[Type] = &[
    any("text", "a", "b'\\\"{}"),
    any("varchar(5)", "a", "b%_"),
    any("char(4)", "a", "b"),
    any("name", "a", "b"),
    any("citext", "a", "B"),
    any("text COLLATE free", "a", "b"),
    any("letters", "a", "b"),
    ty("int2", "-5", "7", "x"),
    ty("int4", "-5", "7", "1.5"),
    ty("int8", "-5", "9223372036854775807", "9223372036854775808"),
    ty("cents", "1.50", "12345678901234567890.12", "x"),
    ty("numeric", "-1e-5", "1e5", "1e99999"),
    ty("float4", "0.1", "1.5e30", "x"),
    ty("float8", "-0.1", "1e300", "1e999"),
    ty("bool", "false", "true", "maybe"),
    ty("date", "2026-01-31", "2026-02-28", "2026-02-30"),
    ty("timestamptz", "2026-01-31T12:00:00.25Z", "2026-01-31T12:00:00.250001+00:00", "yesterday"),
    ty("timestamp", "2026-01-31 12:00", "2026-01-31T12:00:01", "infinity"),
    ty("time", "01:02:03", "23:59:59.5", "25:00"),
    ty("timetz", "01:02:03+02", "23:59:59Z", "x"),
    ty("interval", "1 mon 2 days", "04:05:06", "x"),
    ty(
        "uuid",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "{b0eebc999c0b4ef8bb6d6bb9bd380a11}",
        "{{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}}",
    ),
    ty("jsonb", "{\"a\": [1, null]}", "{\"a\": 1, \"b\": 2}", "{"),
    ty("text[]", "{a,NULL,\"b,\\\"{}\"}", "{b}", "a"),
    ty("int4[]", "{{1,2},{3,4}}", "{{1,2},{3,5}}", "{x}"),
    ty("int2vector", "1 2", "1 3", "x"),
    ty("pairs", "{1,2}", "{1,3}", "{x}"),
    ty("mood", "so so", "fine", "sad"),
    ty("mood[]", "{so so}", "{fine}", "{sad}"),
    ty("point2", "(1,a)", "(2,\"b,)\")", "1"),
    ty("point2[]", "{\"(1,a)\"}", "{\"(2,b)\"}", "{1}"),
    ty("int4range", "[1,5)", "[2,3]", "[5,1]"),
    ty("inet", "10.0.0.1/8", "::1", "10.0.0.256"),
    ty("cidr", "10.0.0.0/8", "10.1.0.0/16", "10.0.0.1/8"),
    ty("macaddr", "08:00:2b:01:02:03", "08:00:2b:01:02:04", "x"),
    ty("money", "1.50", "12.50", "x"),
    ty("bit(4)", "1010", "1011", "2"),
    ty("varbit", "1", "101", "2"),
    ty("\"char\"", "a", "b", "bc"),
    ty("oid", "1", "4294967295", "-1"),
    ty("regclass", "1", "4000000000", "pg_class"),
    ty("tsvector", "'a':1", "'b':2", "'"),
    ty("tsquery", "'a'", "'b' & 'c'", "& &"),
    ty("pg_lsn", "0/1", "1/0", "x"),
    ty("tid", "(0,1)", "(0,2)", "x"),
    ty("xid8", "1", "2", "x"),
];
/// These have no order, and no comparison either.
const UNORDERED: &[(&str, &str)] = &[
    ("json", "{\"a\": 1}"),
    ("json[]", "{\"1\"}"),
    ("xml", "<a/>"),
    ("point", "(1,2)"),
    ("box", "(1,2),(0,0)"),
    ("circle", "<(1,2),3>"),
    ("path", "((0,0),(1,1))"),
    ("jsonpath", "$.a"),
    ("xid", "5"),
    ("places", "(\"(1,2)\",x)"),
    ("docs", "1"),
];
const MADE: &str = "
    CREATE EXTENSION citext;
    CREATE COLLATION free (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE DOMAIN letters AS varchar(9) CHECK (VALUE ~ '^[a-z]*$');
    CREATE DOMAIN cents AS numeric(30,2) CHECK (VALUE >= 0);
    CREATE DOMAIN pairs AS int4[] CHECK (cardinality(VALUE) = 2);
    CREATE TYPE mood AS ENUM ('so so', 'fine');
    CREATE TYPE point2 AS (x int, y text);
    CREATE TYPE places AS (p point, name text);
    CREATE DOMAIN docs AS json;";

async fn live() -> Live {
    let mut sql = MADE.to_owned();
    let names: Vec<&str> = TYPES.iter().map(|ty| ty.name).chain(UNORDERED.iter().map(|(name, _)| *name)).collect();
    let declared: Vec<String> = names.iter().enumerate().map(|(at, name)| format!("c{at} {name}")).collect();
    sql.push_str(&format!("CREATE TABLE t (id int PRIMARY KEY, {});", declared.join(", ")));
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    for id in 0..2 {
        let values =
            TYPES.iter().map(|ty| quoted(ty.values[id])).chain(UNORDERED.iter().map(|(_, value)| quoted(value)));
        sql.push_str(&format!("INSERT INTO t VALUES ({id}, {});", values.collect::<Vec<_>>().join(", ")));
    }
    sql.push_str("INSERT INTO t (id) VALUES (2)");
    Live::new(&sql).await
}

fn literal(kind: ColumnKind, text: &str) -> Literal {
    match kind {
        ColumnKind::Integer => text.parse().map_or_else(|_| Literal::Number(text.into()), Literal::Integer),
        ColumnKind::Boolean => match text {
            "true" => Literal::Bool(true),
            "false" => Literal::Bool(false),
            _ => super::text(text),
        },
        _ => super::text(text),
    }
}

#[tokio::test]
async fn every_test_works_on_every_type_that_compares() {
    let mut live = live().await;
    let mut base = live.spec("t");
    base.output.truncate(1);
    base.order = vec![OrderTerm { column: ColumnIx(0), descending: false, nulls_first: None }];
    let mut texts = live.spec("t");
    texts.order = base.order.clone();
    let shown = live.rows(&texts).await.unwrap();
    for (at, ty) in TYPES.iter().enumerate() {
        let column = u16::try_from(at + 1).unwrap();
        let kind = live.table("t").table.columns[at + 1].kind;
        let [one, two] = ty.values.map(|value| literal(kind, value));
        let is_ascending = live.sorted(&base, column).await == ["0", "1", "2"];
        let (smaller, larger) = if is_ascending { ("0", "1") } else { ("1", "0") };
        let (low, high) = if is_ascending { (one.clone(), two.clone()) } else { (two.clone(), one.clone()) };
        let compare = |op, value: &Literal| TestKind::Compare(op, value.clone());
        let mut cases = vec![
            (compare(CompareOp::Eq, &one), vec!["0"]),
            (compare(CompareOp::Eq, &two), vec!["1"]),
            (compare(CompareOp::Ne, &one), vec!["1"]),
            (compare(CompareOp::Lt, &high), vec![smaller]),
            (compare(CompareOp::Le, &low), vec![smaller]),
            (compare(CompareOp::Gt, &low), vec![larger]),
            (compare(CompareOp::Ge, &high), vec![larger]),
            (TestKind::In(vec![one.clone()]), vec!["0"]),
            (TestKind::In(vec![two.clone(), one.clone(), two.clone()]), vec!["0", "1"]),
            (TestKind::Between(low.clone(), high.clone()), vec!["0", "1"]),
            (TestKind::Between(high, low), vec![]),
            (TestKind::IsNull, vec!["2"]),
            (TestKind::IsNotNull, vec!["0", "1"]),
        ];
        if !matches!(kind, ColumnKind::Integer | ColumnKind::Boolean | ColumnKind::Decimal | ColumnKind::Float) {
            cases.extend([
                (TestKind::Contains(String::new()), vec!["0", "1"]),
                (TestKind::StartsWith("\u{1}".into()), vec![]),
                (TestKind::EndsWith("%".into()), vec![]),
                (TestKind::Like("%\\".into()), vec![]),
                (TestKind::Like("%".into()), vec!["0", "1"]),
            ]);
        }
        // What was shown finds its row; to_json's form of an array or composite is not its text.
        if live.table("t").columns[at + 1].form != Form::ToJson {
            cases.push((compare(CompareOp::Eq, &literal(kind, shown[0][at + 1].as_deref().unwrap())), vec!["0"]));
        }
        for (kind, expected) in cases {
            let mut spec = base.clone();
            spec.condition = Some(test(column, kind.clone()));
            // The server's own form of a boolean is none of JSON's.
            if ty.name == "bool" && format!("{kind:?}").contains("Text(\"f\")") {
                continue;
            }
            // The kit's client reads times as text; asuser shows them in ISO 8601.
            if matches!(ty.name, "timestamptz") && format!("{kind:?}").contains("+00\")") {
                spec.condition = Some(test(column, compare(CompareOp::Eq, &one)));
            }
            let expected: Vec<&str> =
                if ty.name.starts_with("varchar") && matches!(&kind, TestKind::EndsWith(text) if text == "%") {
                    vec![]
                } else {
                    expected
                };
            assert_eq!(live.first(&spec).await, expected, "{} {kind:?}", ty.name);
        }
    }
}

/// Errors of the server that remain: input that only it can read. Each is a class 22 (text search: 42601) at binding, before it looked
/// at any row.
#[tokio::test]
async fn a_wrong_value_is_refused_here_or_before_any_row_is_read() {
    let mut live = live().await;
    let mut left = BTreeSet::new();
    for (at, ty) in TYPES.iter().enumerate() {
        let Some(wrong) = ty.wrong else { continue };
        let kind = live.table("t").table.columns[at + 1].kind;
        let wrong = literal(kind, wrong);
        for kind in [TestKind::Compare(CompareOp::Eq, wrong.clone()), TestKind::In(vec![wrong.clone()])] {
            let mut spec = live.spec("t");
            spec.condition = Some(test(u16::try_from(at + 1).unwrap(), kind));
            match live.printed(&spec) {
                Err(error) => assert!(matches!(error, PostgresError::BadValue(_)), "{}: {error}", ty.name),
                Ok(printed) => {
                    let error = live.run(&printed).await.unwrap_err();
                    let code = error.code().unwrap_or_default().to_owned();
                    assert!(code.starts_with("22") || code == "42601", "{}: {error}", ty.name);
                    left.insert((ty.name, code));
                }
            }
        }
    }
    println!("read by the server alone: {left:?}");
    for name in ["uuid", "oid", "regclass", "\"char\"", "date", "timestamptz", "float8", "numeric", "int8", "bool"] {
        assert!(!left.iter().any(|(left, _)| *left == name), "{name}");
    }
}

#[tokio::test]
async fn what_has_no_order_is_not_compared_and_sorts_by_its_text() {
    let mut live = live().await;
    for (at, (name, value)) in UNORDERED.iter().enumerate() {
        let column = u16::try_from(TYPES.len() + at + 1).unwrap();
        let mut spec = live.spec("t");
        spec.output.truncate(1);
        for kind in [
            TestKind::Compare(CompareOp::Eq, text(value)),
            TestKind::Compare(CompareOp::Lt, text(value)),
            TestKind::In(vec![text(value)]),
            TestKind::Between(text(value), text(value)),
        ] {
            spec.condition = Some(test(column, kind));
            assert!(matches!(live.printed(&spec), Err(PostgresError::BadValue(_))), "{name}");
        }
        for (kind, expected) in [(TestKind::IsNull, vec!["2"]), (TestKind::Contains(String::new()), vec!["0", "1"])] {
            spec.condition = Some(test(column, kind));
            let mut found = live.first(&spec).await;
            found.sort();
            assert_eq!(found, expected, "{name}");
        }
        spec.condition = None;
        spec.order = vec![OrderTerm { column: ColumnIx(column), descending: false, nulls_first: Some(true) }];
        assert_eq!(live.first(&spec).await[0], "2", "{name}");
    }
}

impl Live {
    async fn sorted(&mut self, base: &ReadSpec, column: u16) -> Vec<String> {
        let mut spec = base.clone();
        spec.order = vec![OrderTerm { column: ColumnIx(column), descending: false, nulls_first: None }];
        self.first(&spec).await
    }
}

#[tokio::test]
async fn every_type_sorts_and_ties_are_told_apart_by_what_is_shown() {
    let mut live = live().await;
    // The same rows again, so that each value is there twice, in the opposite order of the disk.
    live.database.execute(
        "DO $$ DECLARE columns text; BEGIN
            SELECT string_agg(quote_ident(attname), ', ') INTO columns FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 1;
            EXECUTE format('INSERT INTO t SELECT 5 - id, %s FROM t ORDER BY id', columns);
        END $$",
    );
    let width = live.table("t").columns.len();
    for column in 1..u16::try_from(width).unwrap() {
        for (descending, nulls_first) in [(false, None), (true, None), (false, Some(true)), (true, Some(false))] {
            let mut spec = live.spec("t");
            spec.output = vec![output("id", 0), output("c", column)];
            spec.order = vec![OrderTerm { column: ColumnIx(column), descending, nulls_first }];
            spec.order_by_shown = true;
            let found = live.first(&spec).await;
            let nulls_lead = nulls_first.unwrap_or(descending);
            let nulls: Vec<&str> =
                if nulls_lead { found[..2].iter() } else { found[4..].iter() }.map(String::as_str).collect();
            assert_eq!(nulls, ["2", "3"], "{column} {descending} {nulls_first:?} {found:?}");
            // Ties by the key, which is shown first.
            if usize::from(column) <= TYPES.len() {
                let rest = if nulls_lead { &found[2..] } else { &found[..4] };
                assert!(rest == ["0", "5", "1", "4"] || rest == ["1", "4", "0", "5"], "{column} {found:?}");
            }
            // Pages do not overlap.
            spec.limit = 1;
            for (offset, expected) in found.iter().enumerate() {
                spec.offset = offset as u64;
                assert_eq!(live.first(&spec).await[0], *expected);
            }
        }
    }
}

#[tokio::test]
async fn pages_at_the_ends_of_numbers_are_pages() {
    let mut live = Live::new("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5)").await;
    let mut spec = live.spec("t");
    spec.order = vec![OrderTerm { column: ColumnIx(0), descending: false, nulls_first: None }];
    for (limit, offset, expected) in [
        (1, 0, 2),
        (u64::MAX, 0, 5),
        (1 << 63, 2, 3),
        ((1 << 63) - 1, (1 << 63) - 1, 0),
        (u64::MAX, u64::MAX, 0),
        (1, 1 << 63, 0),
    ] {
        (spec.limit, spec.offset) = (limit, offset);
        assert_eq!(live.first(&spec).await.len(), expected, "{limit} {offset}");
    }
}

/// A float that was shown is found again, one too small for its column is 0, and one too large is no error.
#[tokio::test]
async fn floats_are_compared_as_their_column_holds_them() {
    let mut live = Live::new("CREATE TABLE t (id int, f float4, g float8); INSERT INTO t VALUES (0, 0, 0), (1, 0.1, 0.1), (2, 3.4028235e38, 1.7976931348623157e308), (3, 'NaN', 'NaN'), (4, 'Infinity', 'Infinity')").await;
    let eq = |text: &str| TestKind::Compare(CompareOp::Eq, Literal::Number(text.into()));
    for column in [1, 2] {
        for (kind, expected) in [
            (eq("0.1"), vec!["1"]),
            (eq("1e-400"), vec!["0"]),
            (eq("-1e-400"), vec!["0"]),
            (TestKind::In(vec![Literal::Number("1e300".into()), Literal::Number("0.1".into())]), vec!["1"]),
            (TestKind::Compare(CompareOp::Lt, Literal::Number("0.1".into())), vec!["0"]),
            (TestKind::Compare(CompareOp::Gt, Literal::Number("1.7976931348623157e308".into())), vec!["3", "4"]),
        ] {
            let mut spec = live.spec("t");
            spec.condition = Some(test(column, kind.clone()));
            assert_eq!(live.first(&spec).await, expected, "{column} {kind:?}");
        }
    }
}

#[tokio::test]
async fn every_text_comes_back_and_is_found_as_it_is() {
    let mut live = Live::new("CREATE TABLE t (id int, v text); CREATE TABLE a (v text[])").await;
    let payloads = payloads();
    let all = serde_json::json!(payloads).to_string();
    live.client
        .query(
            "INSERT INTO t SELECT n - 1, e FROM jsonb_array_elements_text($1::jsonb) WITH ORDINALITY AS j(e, n)",
            &[Some(&all)],
        )
        .await
        .unwrap();
    let mut spec = live.spec("t");
    spec.output.reverse();
    spec.order = vec![OrderTerm { column: ColumnIx(0), descending: false, nulls_first: None }];
    assert_eq!(live.first(&spec).await, payloads);
    spec.output.reverse();
    for (id, payload) in payloads.iter().enumerate() {
        let only = |kind: TestKind| {
            let mut spec = spec.clone();
            spec.condition = Some(test(1, kind));
            spec
        };
        for kind in [
            TestKind::Compare(CompareOp::Eq, text(payload)),
            TestKind::In(vec![text("no such text"), text(payload)]),
            TestKind::Between(text(payload), text(payload)),
        ] {
            assert_eq!(live.first(&only(kind)).await, [id.to_string()], "{payload:?}");
        }
        // A sample: each looks at every row.
        if id % 40 != 0 {
            continue;
        }
        let expected = |holds: &dyn Fn(&str) -> bool| -> Vec<String> {
            let found = payloads.iter().enumerate().filter(|(_, text)| holds(text));
            found.map(|(id, _)| id.to_string()).collect()
        };
        let contains = expected(&|text| text.contains(payload.as_str()));
        assert_eq!(live.first(&only(TestKind::Contains(payload.clone()))).await, contains, "{payload:?}");
        let starts = expected(&|text| text.starts_with(payload.as_str()));
        assert_eq!(live.first(&only(TestKind::StartsWith(payload.clone()))).await, starts, "{payload:?}");
        let ends = expected(&|text| text.ends_with(payload.as_str()));
        assert_eq!(live.first(&only(TestKind::EndsWith(payload.clone()))).await, ends, "{payload:?}");
        // Whatever pattern it is, it fails on no row.
        live.rows(&only(TestKind::Like(payload.clone()))).await.unwrap();
    }
    let many: Vec<Literal> = payloads.iter().take(1_000).map(|payload| text(payload)).collect();
    let count = many.len();
    spec.condition = Some(test(1, TestKind::In(many)));
    assert_eq!(live.first(&spec).await.len(), count);
}

#[tokio::test]
async fn nulls_make_a_condition_unknown() {
    let mut live = Live::new("CREATE TABLE t (id int, a int, b int); INSERT INTO t VALUES (1, 1, 1), (2, 1, NULL), (3, NULL, NULL), (4, 2, 1)").await;
    let is = |column| test(column, TestKind::Compare(CompareOp::Eq, Literal::Integer(1)));
    let mut spec = live.spec("t");
    for (condition, expected) in [
        (Condition::Not(Box::new(is(1))), vec!["4"]),
        (Condition::Xor(Box::new(is(1)), Box::new(is(2))), vec!["4"]),
        (Condition::Any(vec![is(1), is(2)]), vec!["1", "2", "4"]),
        (Condition::All(vec![is(1), Condition::Not(Box::new(is(2)))]), vec![]),
        (Condition::Not(Box::new(test(1, TestKind::In(vec![Literal::Integer(1), Literal::Integer(5)])))), vec!["4"]),
    ] {
        spec.condition = Some(condition.clone());
        assert_eq!(live.first(&spec).await, expected, "{condition:?}");
    }
}
