//! Which operator comes first: whatever is not refused means to the database what it meant as it was written.

use asuser_testkit::{PostgresServer, Version};
use rusqlite::Connection;

use crate::support::{postgres, sqlite};

/// Expressions of two operators, without brackets.
fn pairs(infix: &[&str], prefix: &[&str], postfix: &[&str], values: &[(&str, &str, &str)]) -> Vec<String> {
    let mut texts = Vec::new();
    for (a, b, c) in values {
        for one in infix {
            for other in infix {
                texts.push(format!("SELECT {a} {one} {b} {other} {c}"));
            }
            for before in prefix {
                texts.push(format!("SELECT {before} {a} {one} {b}"));
                texts.push(format!("SELECT {a} {one} {before} {b}"));
                texts.push(format!("SELECT {a} {one} {before} {b} {one} {c}"));
                for after in postfix {
                    texts.push(format!("SELECT {before} {a} {after}"));
                }
            }
            for after in postfix {
                texts.push(format!("SELECT {a} {one} {b} {after}"));
                texts.push(format!("SELECT {a} {after} {one} {b}"));
                for second in postfix {
                    texts.push(format!("SELECT {a} {after} {second}"));
                }
            }
        }
        for one in prefix {
            for other in prefix {
                texts.push(format!("SELECT {one} {other} {a}"));
            }
        }
    }
    texts.sort();
    texts.dedup();
    texts
}

#[test]
fn on_postgres() {
    let database = PostgresServer::shared(Version::Fifteen).database("precedence");
    let mut session = database.session();
    let infix = [
        "+",
        "-",
        "*",
        "/",
        "%",
        "^",
        "&",
        "|",
        "#",
        "<<",
        ">>",
        "=",
        "<>",
        "<",
        ">",
        "<=",
        ">=",
        "AND",
        "OR",
        "||",
        "IS DISTINCT FROM",
        "LIKE",
        "NOT LIKE",
        "BETWEEN 1 AND",
        "~",
        "= ANY (ARRAY[1,3]) AND 2 =",
        "OPERATOR(pg_catalog.+)",
        "OPERATOR(pg_catalog.*)",
        "->",
        "@>",
    ];
    let prefix = ["-", "+", "~", "NOT", "@", "|/"];
    let postfix = [
        "IS NULL",
        "IS NOT NULL",
        "ISNULL",
        "NOTNULL",
        "IS TRUE",
        "IS NOT FALSE",
        "::text",
        "::int",
        "IN (1, 3)",
        "NOT IN (1, 7)",
        "BETWEEN 1 AND 5",
        "COLLATE \"C\"",
        "AT TIME ZONE 'UTC'",
        "= ANY (ARRAY[1, 7])",
        "[1]",
    ];
    let values = [
        ("7", "3", "2"),
        ("2", "2", "5"),
        ("TRUE", "FALSE", "TRUE"),
        ("NULL", "1", "0"),
        ("'a'", "'b'", "'c'"),
        ("7", "3", "TRUE"),
        ("TRUE", "3", "1"),
    ];
    let (mut accepted, mut wrong) = (0, Vec::new());
    for sql in pairs(&infix, &prefix, &postfix, &values) {
        let Ok(text) = postgres(&sql) else { continue };
        let (expected, found) = (session.try_query(&sql), session.try_query(&text));
        accepted += 1;
        match (expected, found) {
            (Ok(expected), Ok(found)) if expected == found => {}
            (Err(_), Err(_)) => {}
            (expected, found) => wrong.push(format!("{sql}\n  {text}\n  {expected:?}\n  {found:?}")),
        }
    }
    assert!(accepted > 2_000, "{accepted}");
    assert!(wrong.is_empty(), "{} of {accepted}:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
}

#[test]
fn on_sqlite() {
    let connection = Connection::open_in_memory().unwrap();
    let value = |sql: &str| {
        connection.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0)).map_err(|error| error.to_string())
    };
    let infix = [
        "+",
        "-",
        "*",
        "/",
        "%",
        "&",
        "|",
        "<<",
        ">>",
        "=",
        "==",
        "<>",
        "!=",
        "<",
        ">",
        "<=",
        ">=",
        "AND",
        "OR",
        "||",
        "IS",
        "IS NOT",
        "IS DISTINCT FROM",
        "LIKE",
        "NOT LIKE",
        "BETWEEN 1 AND",
        "NOT BETWEEN 1 AND",
        "->",
        "->>",
    ];
    let prefix = ["-", "+", "~", "NOT"];
    let postfix = [
        "IS NULL",
        "IS NOT NULL",
        "ISNULL",
        "NOTNULL",
        "NOT NULL",
        "IN (1, 3)",
        "NOT IN (1, 7)",
        "BETWEEN 1 AND 5",
        "COLLATE NOCASE",
        "LIKE '7%'",
    ];
    let values = [
        ("7", "3", "2"),
        ("2", "2", "5"),
        ("1", "0", "1"),
        ("NULL", "1", "0"),
        ("'a'", "'B'", "'b'"),
        ("'7'", "3", "'2'"),
    ];
    let (mut accepted, mut wrong) = (0, Vec::new());
    for sql in pairs(&infix, &prefix, &postfix, &values) {
        let Ok(text) = sqlite(&sql) else { continue };
        let (expected, found) = (value(&sql), value(&text));
        accepted += 1;
        match (expected, found) {
            (Ok(expected), Ok(found)) if expected == found => {}
            (Err(_), Err(_)) => {}
            (expected, found) => wrong.push(format!("{sql}\n  {text}\n  {expected:?}\n  {found:?}")),
        }
    }
    assert!(accepted > 2_000, "{accepted}");
    assert!(wrong.is_empty(), "{} of {accepted}:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
}
