//! Row filters must not cost the database its indexes.

use std::sync::Arc;

use asuser_core::{
    ColumnAccess, CompareOp, Condition, Filter, FilterOp, Literal, Operand, ReadSpec, Table, Test, TestKind, Value,
};
use rusqlite::Connection;

use super::{Fixture, column, owner_is, spec};
use crate::{functions, print};

const SCRIPT: &str = "
    CREATE TABLE t (id INTEGER PRIMARY KEY, owner TEXT, region TEXT, n INTEGER, word TEXT COLLATE NOCASE, pay INTEGER);
    CREATE INDEX t_owner ON t(owner);
    CREATE INDEX t_region ON t(region);
    CREATE INDEX t_n ON t(n);
    CREATE INDEX t_pay ON t(pay);
    CREATE TABLE k (a TEXT, b TEXT, owner TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
    CREATE TABLE strict (id INTEGER PRIMARY KEY, owner TEXT) STRICT;
    CREATE INDEX strict_owner ON strict(owner);
";

fn plan(fixture: &Fixture, spec: &ReadSpec) -> String {
    let printed = print::statement(spec).unwrap();
    let reader = Connection::open(&fixture.path).unwrap();
    functions::register(&reader, &Arc::default()).unwrap();
    let mut statement = reader.prepare(&format!("EXPLAIN QUERY PLAN {}", printed.select)).unwrap();
    let values = rusqlite::params_from_iter(printed.values.iter());
    let lines = statement.query_map(values, |row| row.get::<_, String>(3)).unwrap();
    lines.map(Result::unwrap).collect::<Vec<_>>().join(" / ")
}

fn test(table: &Table, name: &str, op: FilterOp) -> Filter {
    Filter::test(column(table, name), op)
}
fn text(text: &str) -> Operand {
    Operand::Value(Value::Text(text.to_owned()))
}

#[tokio::test]
async fn filters_use_indexes() {
    let fixture = Fixture::new(SCRIPT).await;
    let t = fixture.table("t");
    let with = |table: &Arc<Table>, row_filter: Filter| {
        let mut spec = spec(table);
        spec.row_filter = row_filter;
        spec
    };
    let either = Filter::Any(vec![owner_is(&t, "a"), test(&t, "region", FilterOp::Eq(text("EU")))]);
    let strict = fixture.table("strict");
    let cases = [
        (with(&t, owner_is(&t, "a")), "SEARCH t USING INDEX t_owner (owner=?)"),
        (with(&strict, owner_is(&strict, "a")), "SEARCH t USING COVERING INDEX strict_owner (owner=?)"),
        (with(&t, test(&t, "n", FilterOp::Gt(Operand::Value(Value::Integer(5))))), "SEARCH t USING INDEX t_n (n>?)"),
        (
            with(&t, test(&t, "owner", FilterOp::In(vec![Value::Text("a".into()), Value::Text("b".into())]))),
            "SEARCH t USING INDEX t_owner (owner=?)",
        ),
        (with(&t, either.clone()), "MULTI-INDEX OR"),
        (with(&t, Filter::All(vec![owner_is(&t, "a"), either])), "SEARCH t USING INDEX t_owner (owner=?)"),
    ];
    for (mut spec, expected) in cases {
        spec.order.clear();
        let plan = plan(&fixture, &spec);
        assert!(plan.contains(expected), "{plan}\n{:?}", spec.row_filter);
    }
    // The key decides what a policy leaves equal; else what is shown does, which must be sorted.
    let mut by_key = spec(&t);
    by_key.output.truncate(2);
    assert_eq!(plan(&fixture, &by_key), "SCAN t");
    by_key.order_by_shown = true;
    assert_eq!(plan(&fixture, &by_key), "SCAN t", "SQLite knows that a key tells all rows apart");
    let mut by_shown = by_key;
    by_shown.order.clear();
    by_shown.output.remove(0);
    assert_eq!(plan(&fixture, &by_shown), "SCAN t USING COVERING INDEX t_owner");
    by_shown.output.push(asuser_core::OutputColumn { name: "n".to_owned(), column: column(&t, "n") });
    assert!(plan(&fixture, &by_shown).contains("USE TEMP B-TREE"), "{}", plan(&fixture, &by_shown));
    // What the policy compares by code point cannot use an index that ignores case; it is still right.
    let word = plan(&fixture, &with(&t, test(&t, "word", FilterOp::Eq(text("a")))));
    assert!(word.contains("SCAN t"), "{word}");
}

#[tokio::test]
async fn one_record_by_its_key_is_one_search() {
    let fixture = Fixture::new(SCRIPT).await;
    let equal = |table: &Table, name: &str, literal: Literal| {
        Condition::Test(Test { column: column(table, name), at: 0, kind: TestKind::Compare(CompareOp::Eq, literal) })
    };
    let t = fixture.table("t");
    let mut by_id = spec(&t);
    by_id.row_filter = owner_is(&t, "a");
    by_id.condition = Some(equal(&t, "id", Literal::Integer(5)));
    assert_eq!(plan(&fixture, &by_id), "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)");

    let k = fixture.table("k");
    let mut by_pair = spec(&k);
    by_pair.row_filter = owner_is(&k, "a");
    let text = |text: &str| Literal::Text(text.to_owned());
    by_pair.condition = Some(Condition::All(vec![equal(&k, "a", text("x")), equal(&k, "b", text("y"))]));
    assert_eq!(plan(&fixture, &by_pair), "SEARCH t USING PRIMARY KEY (a=? AND b=?)");
}

/// An index on a masked column would find rows by the clear value.
#[tokio::test]
async fn a_masked_column_is_never_searched() {
    let fixture = Fixture::new(SCRIPT).await;
    let t = fixture.table("t");
    let mut masked = spec(&t);
    let pay = column(&t, "pay");
    let kind = TestKind::Compare(CompareOp::Gt, Literal::Integer(100));
    masked.condition = Some(Condition::Test(Test { column: pay, at: 0, kind }));
    masked.order.clear();
    assert!(plan(&fixture, &masked).contains("INDEX t_pay"), "the twin: clear, it is");
    masked.access[usize::from(pay.0)] =
        ColumnAccess::Masked { kind: asuser_core::MaskKind::Null, unmask: owner_is(&t, "a") };
    assert_eq!(plan(&fixture, &masked), "SCAN t");
}

/// No value of a caller or a policy stands in the text.
#[tokio::test]
async fn values_are_bound_and_names_are_quoted() {
    let fixture =
        Fixture::new("CREATE TABLE \"a\"\"b\" (\"x\"\"y\" TEXT PRIMARY KEY, owner TEXT, word TEXT COLLATE NOCASE)")
            .await;
    let table = fixture.table("a\"b");
    let mut spec = spec(&table);
    spec.output.truncate(2);
    let word = test(&table, "word", FilterOp::Ne(text("w")));
    spec.row_filter = Filter::All(vec![owner_is(&table, "' OR '1'='1"), word]);
    spec.access[0] =
        ColumnAccess::Masked { kind: asuser_core::MaskKind::Partial, unmask: owner_is(&table, "policy-value") };
    let kind = TestKind::Contains("caller-value%".to_owned());
    spec.condition = Some(Condition::Test(Test { column: column(&table, "x\"y"), at: 0, kind }));
    spec.count = true;
    (spec.limit, spec.offset) = (41, 43);
    let printed = print::statement(&spec).unwrap();
    let mask = r#"CASE WHEN (typeof(t."owner") = 'text' AND t."owner" = ?3) THEN t."x""y" ELSE asuser_mask_partial(t."x""y") END"#;
    let rows = format!(
        r#" FROM "main"."a""b" AS t WHERE ((typeof(t."owner") = 'text' AND t."owner" = ?1) AND (typeof(t."word") = 'text' AND t."word" <> ?2 COLLATE BINARY)) AND (asuser_text_like(?4, CAST({mask} AS TEXT)))"#
    );
    assert_eq!(printed.select, format!(r#"SELECT {mask}, t."owner"{rows} ORDER BY {mask} LIMIT ?5 OFFSET ?6"#));
    assert_eq!(printed.count, Some(format!("SELECT count(*){rows}")));
    assert_eq!((printed.values.len(), printed.count_values), (6, 4));
    assert!(fixture.read(&spec).await.is_ok());
}
