//! Which relation or column a name means, and what a statement reads.

use asuser_sql::Dialect;

use crate::support::{SCHEMA, postgres, resolved, sqlite};

/// The relations of a statement with the columns that it reads of each.
fn reads(sql: &str, dialect: Dialect) -> String {
    let resolved = resolved(sql, dialect, &[]).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let parts = resolved.relations().iter().enumerate().map(|(at, name)| {
        let (_, columns) = SCHEMA.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name.name)).unwrap();
        let used: Vec<&str> = resolved.columns_used(at).iter().map(|&column| columns[column]).collect();
        let schema = name.schema.as_ref().map_or_else(String::new, |schema| format!("{schema}."));
        let row = if resolved.uses_whole_row(at) { "!" } else { "" };
        format!("{schema}{}{row}({})", name.name, used.join(","))
    });
    parts.collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_read_is_known() {
    let all = "id,owner,region,amount,placed_at,status,tags,detail,customer_id";
    let days = "day,open";
    let cases = [
        ("SELECT count(*) FROM orders", "orders()".to_owned()),
        ("SELECT id FROM orders WHERE amount > 1 ORDER BY region", "orders(id,region,amount)".to_owned()),
        ("SELECT * FROM orders", format!("orders({all})")),
        ("SELECT o.* FROM orders o, days", format!("orders({all}) days()")),
        ("SELECT 1 FROM orders JOIN customers USING (id)", "orders(id) customers(id)".to_owned()),
        ("SELECT id FROM (SELECT * FROM days) s, words AS id", format!("days({days}) words!(w,n)")),
        ("SELECT to_jsonb(d) FROM days d", format!("days!({days})")),
        ("WITH o AS (SELECT id, region FROM orders) SELECT id FROM o", "orders(id,region)".to_owned()),
        (
            "SELECT (SELECT name FROM customers c WHERE c.id = o.customer_id) FROM orders o",
            "customers(id,name) orders(customer_id)".to_owned(),
        ),
        ("SELECT 1 FROM orders, public.orders AS p WHERE p.id = 1", "orders() public.orders(id)".to_owned()),
        ("SELECT a.id FROM orders a JOIN orders b ON a.id = b.amount", "orders(id,amount)".to_owned()),
        ("SELECT count(*) OVER (PARTITION BY region ORDER BY status) FROM orders", "orders(region,status)".to_owned()),
        (
            "SELECT 1 FROM orders GROUP BY GROUPING SETS ((region), ()) HAVING max(amount) > 1",
            "orders(region,amount)".to_owned(),
        ),
        ("SELECT DISTINCT ON (region) id FROM orders", "orders(id,region)".to_owned()),
        ("SELECT e FROM orders, jsonb_array_elements(detail) e", "orders(detail)".to_owned()),
    ];
    for (sql, expected) in cases {
        // In the order in which they are met.
        let mut found: Vec<String> = reads(sql, Dialect::Postgres).split(' ').map(str::to_owned).collect();
        let mut expected: Vec<String> = expected.split(' ').map(str::to_owned).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{sql}");
    }
}

/// A statement, and what it reads on either database; an empty text where it is refused.
const SHADOWS: &[(&str, &str, &str)] = &[
    ("WITH orders AS (SELECT day AS id FROM days) SELECT id FROM orders", "days(day)", "days(day)"),
    ("WITH orders AS (SELECT id FROM orders) SELECT id FROM orders", "orders(id)", ""),
    ("WITH orders AS (SELECT 1 AS id) SELECT id FROM orders", "", ""),
    ("WITH RECURSIVE orders AS (SELECT id FROM orders) SELECT id FROM orders", "", ""),
    ("WITH a AS (SELECT id FROM b), b AS (SELECT 1 AS id) SELECT id FROM a", "", ""),
    (
        "SELECT id FROM orders WHERE id IN (WITH orders AS (SELECT day AS id FROM days) SELECT id FROM orders)",
        "orders(id) days(day)",
        "orders(id) days(day)",
    ),
    (
        "SELECT (WITH orders AS (SELECT day AS d FROM days) SELECT max(d) FROM orders), id FROM orders",
        "orders(id) days(day)",
        "orders(id) days(day)",
    ),
    ("WITH days AS (SELECT id FROM orders) SELECT id FROM (SELECT id FROM days) s", "orders(id)", "orders(id)"),
    ("(WITH days AS (SELECT id FROM orders) SELECT id FROM days) UNION SELECT n FROM words", "orders(id) words(n)", ""),
    (
        "WITH RECURSIVE t(x) AS (SELECT id FROM orders UNION ALL SELECT x + 1 FROM t WHERE x < 3) SELECT x FROM t",
        "orders(id)",
        "orders(id)",
    ),
    ("WITH RECURSIVE t(x) AS (SELECT x FROM t UNION ALL SELECT 1) SELECT x FROM t", "", ""),
    ("WITH x AS (WITH x AS (SELECT id FROM orders) SELECT id FROM x) SELECT id FROM x", "orders(id)", "orders(id)"),
    (
        "WITH x AS (SELECT 1 AS a), y AS (WITH x AS (SELECT id AS b FROM orders) SELECT b FROM x) SELECT a, b FROM x, y",
        "orders(id)",
        "orders(id)",
    ),
];

#[test]
fn a_common_table_expression_hides_a_table_where_the_database_hides_it() {
    for (sql, on_postgres, on_sqlite) in SHADOWS {
        for (dialect, expected) in [(Dialect::Postgres, on_postgres), (Dialect::Sqlite, on_sqlite)] {
            let found = match resolved(sql, dialect, &[]) {
                Ok(_) => reads(sql, dialect),
                Err(_) => String::new(),
            };
            assert_eq!(found, *expected, "{dialect:?}: {sql}");
        }
    }
    // Without a relation there is nothing to read, and it is answered.
    assert!(postgres("WITH orders AS (SELECT 1 AS id) SELECT id FROM orders").is_ok());
    // A name with a schema is never a common table expression.
    assert_eq!(
        reads("WITH orders AS (SELECT 1 AS id) SELECT region FROM public.orders", Dialect::Postgres),
        "public.orders(region)"
    );
}

#[test]
fn inner_names_hide_outer_ones_and_are_told_apart_in_print() {
    let text = postgres("SELECT (SELECT region FROM customers o LIMIT 1) FROM orders o").unwrap();
    assert_eq!(
        text,
        r#"SELECT (SELECT "o"."region" AS "region" FROM "public"."customers" AS "o_2" LIMIT 1) AS "region" FROM "public"."orders" AS "o""#
    );
    let text = postgres("SELECT id FROM orders o WHERE EXISTS (SELECT 1 FROM orders o WHERE o.id = id)").unwrap();
    assert!(text.contains(r#"("o_2"."id" OPERATOR(pg_catalog.=) "o_2"."id")"#), "{text}");
}

#[test]
fn neighbours_are_seen_only_laterally() {
    assert!(postgres("SELECT x FROM orders o, (SELECT o.id AS x) s").is_err());
    assert!(postgres("SELECT x FROM orders o, LATERAL (SELECT o.id AS x) s").is_ok());
    assert!(postgres("SELECT x FROM LATERAL (SELECT o.id AS x) s, orders o").is_err());
    assert!(postgres("SELECT 1 FROM orders o, generate_series(1, o.id) g").is_ok());
    assert!(postgres("SELECT 1 FROM generate_series(1, o.id) g, orders o").is_err());
    assert!(postgres("SELECT 1 FROM orders o, customers c JOIN items i ON i.order_id = o.id").is_err());
    assert!(
        postgres("SELECT 1 FROM orders o JOIN customers c ON c.id = o.id JOIN items i ON i.order_id = o.id").is_ok()
    );
    // A subquery in FROM that does not see its neighbour sees what is outside of both.
    let text = postgres("SELECT (SELECT y FROM customers c, (SELECT o.id AS y) s LIMIT 1) FROM orders o").unwrap();
    assert!(text.contains(r#"(SELECT "o"."id" AS "y") AS "s""#), "{text}");
}

#[test]
fn using_and_natural_merge_columns() {
    let text = postgres("SELECT id, o.id FROM customers c RIGHT JOIN orders o USING (id)").unwrap();
    assert!(text.starts_with(r#"SELECT "o"."id" AS "id", "o"."id" AS "id" FROM"#), "{text}");
    let text = postgres("SELECT id FROM customers FULL JOIN orders USING (id)").unwrap();
    assert!(text.starts_with(r#"SELECT COALESCE("customers"."id", "orders"."id") AS "id" FROM"#), "{text}");
    assert!(postgres("SELECT 1 FROM orders JOIN customers USING (region)").is_err());
    assert!(postgres("SELECT name FROM orders JOIN (customers CROSS JOIN customers d) USING (id)").is_err());
    assert_eq!(
        postgres("SELECT count(*) FROM orders NATURAL JOIN days").unwrap(),
        r#"SELECT pg_catalog.count(*) AS "count" FROM "public"."orders" AS "orders" JOIN "public"."days" AS "days" ON TRUE"#
    );
}

#[test]
fn names_fold_as_the_database_folds_them() {
    assert!(postgres("SELECT ID, Orders.REGION FROM ORDERS").is_ok());
    assert!(postgres("SELECT \"ID\" FROM orders").is_err());
    assert!(postgres("SELECT id FROM \"Orders\"").is_err());
    assert!(sqlite("SELECT \"ID\", oRDERS.Region FROM \"Orders\"").is_ok());
    assert!(sqlite("SELECT [id] FROM `orders`").is_ok());
}

#[test]
fn order_by_and_group_by_mean_outputs_or_inputs() {
    let order = |sql: &str| postgres(sql).unwrap().split(" ORDER BY ").nth(1).unwrap().to_owned();
    assert_eq!(order("SELECT region AS amount FROM orders ORDER BY amount"), "1");
    assert_eq!(order("SELECT id, region AS r FROM orders ORDER BY r, amount, 1"), r#"2, "orders"."amount", 1"#);
    assert_eq!(order("SELECT id FROM orders ORDER BY id + 1"), r#"("orders"."id" OPERATOR(pg_catalog.+) 1)"#);
    assert_eq!(order("SELECT o.id, id FROM orders o ORDER BY id"), "1");
    assert!(postgres("SELECT id AS x, amount AS x FROM orders ORDER BY x").is_err());
    let group = |sql: &str| postgres(sql).unwrap().split(" GROUP BY ").nth(1).unwrap().to_owned();
    assert_eq!(group("SELECT upper(region) AS region FROM orders GROUP BY region"), r#""orders"."region""#);
    assert_eq!(group("SELECT upper(region) AS r FROM orders GROUP BY r"), "1");
    assert_eq!(group("SELECT upper(region) FROM orders GROUP BY 1"), "1");
}

#[test]
fn a_row_has_a_name_that_no_hidden_column_can_have() {
    let text = postgres("SELECT o, days FROM orders o, days").unwrap();
    assert_eq!(
        text,
        r#"SELECT "asuser row 0" AS "o", "asuser row 1" AS "days" FROM "public"."orders" AS "asuser row 0", "public"."days" AS "asuser row 1""#
    );
    // A column comes before a row.
    assert!(postgres("SELECT id FROM orders id").unwrap().starts_with(r#"SELECT "id"."id" AS "id""#));
}

#[test]
fn outputs_are_named_as_the_database_names_them() {
    let names = |sql: &str| resolved(sql, Dialect::Postgres, &[]).unwrap().output().join(" ");
    assert_eq!(
        names(
            "SELECT id, lower(region), 1, id::text, '1'::int, CASE WHEN TRUE THEN 1 END, count(*) FROM orders GROUP BY id"
        ),
        "id lower ?column? id int4 case count"
    );
    assert_eq!(names("SELECT a.id, b.id FROM orders a, orders b"), "id id");
    assert_eq!(names("VALUES (1, 2)"), "column1 column2");
    assert_eq!(names("SELECT * FROM generate_series(1, 2)"), "generate_series");
    assert_eq!(names("SELECT * FROM jsonb_each('{}') WITH ORDINALITY"), "key value ordinality");
    let names = |sql: &str| resolved(sql, Dialect::Sqlite, &[]).unwrap().output().join(" ");
    assert_eq!(names("SELECT ID, count(*), sum(amount) FROM orders"), "ID count(*) sum(amount)");
}
