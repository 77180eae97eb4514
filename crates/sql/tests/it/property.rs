//! Statements made at random from a grammar are printed, and what is printed is read as the same.

use asuser_sql::Dialect;
use proptest::prelude::*;

use crate::fixed_point::{again, without_numbers};
use crate::qualified::unqualified;
use crate::support::printed_with;

/// A value over `orders AS o` and `customers AS c`, in brackets.
fn expr(dialect: Dialect) -> impl Strategy<Value = String> {
    let postgres = dialect == Dialect::Postgres;
    let leaf = prop_oneof![
        Just("o.id".to_owned()),
        Just("region".to_owned()),
        Just("\"c\".\"name\"".to_owned()),
        Just("NULL".to_owned()),
        Just("TRUE".to_owned()),
        (0..1000_u32).prop_map(|number| number.to_string()),
        (0..100_u32).prop_map(|number| format!("-{number}.5")),
        "[a-zäß'\\\\\"{}%_ ]{0,6}".prop_map(|text| format!("'{}'", text.replace('\'', "''"))),
    ];
    leaf.prop_recursive(5, 60, 4, move |inner| {
        let two = (inner.clone(), inner.clone());
        let three = (inner.clone(), inner.clone(), inner.clone());
        let infix = prop::sample::select(vec![
            "+",
            "-",
            "*",
            "/",
            "%",
            "||",
            "=",
            "<>",
            "<",
            ">",
            "<=",
            ">=",
            "AND",
            "OR",
            "&",
            "|",
            "<<",
            "IS DISTINCT FROM",
            "LIKE",
            "NOT LIKE",
        ]);
        let word = if postgres { "coalesce" } else { "ifnull" };
        prop_oneof![
            (two.clone(), infix).prop_map(|((a, b), op)| format!("({a} {op} {b})")),
            inner.clone().prop_map(|a| format!("(NOT {a})")),
            inner.clone().prop_map(|a| format!("(- {a})")),
            inner.clone().prop_map(|a| format!("({a} IS NOT NULL)")),
            three.clone().prop_map(|(a, b, c)| format!("({a} BETWEEN {b} AND {c})")),
            three.clone().prop_map(|(a, b, c)| format!("({a} NOT IN ({b}, {c}))")),
            three.clone().prop_map(|(a, b, c)| format!("CASE {a} WHEN {b} THEN {c} END")),
            three.prop_map(|(a, b, c)| format!("CASE WHEN {a} THEN {b} ELSE {c} END")),
            two.clone().prop_map(move |(a, b)| format!("{word}({a}, {b})")),
            two.clone().prop_map(|(a, b)| format!("nullif({a}, {b})")),
            inner.clone().prop_map(|a| format!("CAST({a} AS text)")),
            inner.clone().prop_map(|a| format!("lower({a})")),
            inner.clone().prop_map(|a| format!("(SELECT max({a}) FROM items AS i WHERE i.line > 1)")),
            two.prop_map(|(a, b)| format!("({a} IN (SELECT w FROM words WHERE {b}))")),
            inner.clone().prop_map(|a| format!("EXISTS (SELECT {a} FROM days)")),
            inner.prop_map(|a| format!(
                "count({a}) FILTER (WHERE {a}) OVER (PARTITION BY {a} ORDER BY {a} DESC ROWS 1 PRECEDING)"
            )),
        ]
    })
}

fn statement(dialect: Dialect) -> impl Strategy<Value = String> {
    let join = prop::sample::select(vec!["JOIN", "LEFT JOIN", "FULL JOIN"]);
    let set = prop::sample::select(vec![
        "",
        "UNION ALL SELECT 1, 2",
        "EXCEPT SELECT id, n FROM words, days AS id(n)",
        "UNION SELECT n, w FROM words",
    ]);
    (prop::collection::vec(expr(dialect), 2), expr(dialect), join, set, any::<[bool; 6]>()).prop_map(
        move |(items, condition, join, set, flags)| {
            let set = if dialect == Dialect::Sqlite && set.contains("id(n)") { "" } else { set };
            let set = if set.contains("id(n)") { "UNION ALL SELECT id, 1 FROM customers" } else { set };
            let [with, using, distinct, order, limit, wrap] = flags;
            let on = if using { "USING (id)" } else { "ON c.id = o.customer_id" };
            let mut text = if with {
                "WITH c(id, name, extra) AS (SELECT id, name, country FROM customers) ".to_owned()
            } else {
                String::new()
            };
            text.push_str(if distinct { "SELECT DISTINCT " } else { "SELECT " });
            text.push_str(&format!(
                "{} AS a, {} AS b FROM orders AS o {join} {} {on} WHERE {condition} {set}",
                items[0],
                items[1],
                if with { "c" } else { "customers AS c" }
            ));
            text.push_str(if order { " ORDER BY b DESC, 1 NULLS FIRST" } else { "" });
            text.push_str(if limit { " LIMIT 5 OFFSET 1" } else { "" });
            if wrap && !with { format!("SELECT s.b, s.* FROM ({text}) AS s WHERE s.a IS NULL") } else { text }
        },
    )
}

fn check(sql: &str, dialect: Dialect) -> Result<(), TestCaseError> {
    let text = match printed_with(sql, dialect, &[]) {
        Ok(text) => text,
        // Doubled too often.
        Err(asuser_sql::SqlError::TooComplex(_)) => return Ok(()),
        Err(error) => return Err(TestCaseError::fail(format!("{sql}\n{error}"))),
    };
    if dialect == Dialect::Postgres {
        prop_assert_eq!(unqualified(&text), None, "{}", text);
    }
    if text.len() > 60_000 {
        return Ok(());
    }
    match again(&text, dialect) {
        Ok(second) => prop_assert_eq!(without_numbers(&second), without_numbers(&text)),
        Err(asuser_sql::SqlError::TooComplex(_)) => {}
        Err(error) => return Err(TestCaseError::fail(format!("{text}\n{error}"))),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn postgres_reads_what_it_printed(sql in statement(Dialect::Postgres)) {
        check(&sql, Dialect::Postgres)?;
    }

    #[test]
    fn sqlite_reads_what_it_printed(sql in statement(Dialect::Sqlite)) {
        check(&sql, Dialect::Sqlite)?;
    }

    #[test]
    fn no_text_is_too_odd(text in "\\PC{0,60}", ends in "[ -~\\n]{0,60}") {
        for dialect in [Dialect::Postgres, Dialect::Sqlite] {
            let _ = printed_with(&text, dialect, &[]);
            let _ = printed_with(&format!("SELECT {ends}"), dialect, &[]);
        }
    }
}
