//! What is printed is read again as the same statement.

use asuser_sql::{Dialect, SqlError};

use crate::postgres::CORPUS;
use crate::sqlite::CORPUS as SQLITE_CORPUS;
use crate::support::{postgres, printed_with, sqlite};

/// `sqlparser` reads no `OPERATOR(…) ANY`; in brackets the bare sign is the same.
pub(crate) fn with_bare_operators(text: &str) -> String {
    let mut rest = text;
    let mut bare = String::new();
    while let Some((before, after)) = rest.split_once("OPERATOR(pg_catalog.") {
        let (sign, after) = after.split_once(") ").unwrap();
        bare.push_str(before);
        bare.push_str(sign);
        bare.push(' ');
        rest = after;
    }
    bare + rest
}

/// Prints what was printed.
pub(crate) fn again(text: &str, dialect: Dialect) -> Result<String, SqlError> {
    match dialect {
        Dialect::Postgres => postgres(&with_bare_operators(text)),
        Dialect::Sqlite => sqlite(text),
    }
}

/// Without the numbers that tell names apart: a value that is spelt out twice brings its sources twice.
pub(crate) fn without_numbers(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        plain.push(char);
        if matches!(char, '_' | ' ') {
            let mut digits = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            if chars.peek() == Some(&'"') || chars.peek() == Some(&'_') {
                plain.pop();
            } else {
                plain.push_str(&digits);
            }
        }
    }
    plain
}

#[test]
fn printed_statements_are_fixed_points() {
    for (dialect, corpus) in [(Dialect::Postgres, CORPUS), (Dialect::Sqlite, SQLITE_CORPUS)] {
        for sql in corpus.lines() {
            let text = printed_with(sql, dialect, &[]).unwrap();
            // Two arrays side by side are spelt in a way that is not read.
            if text.contains("ROWS FROM") {
                continue;
            }
            match again(&text, dialect) {
                Ok(second) => assert_eq!(second, text, "{sql}"),
                Err(error) => panic!("{sql}\n{text}\n{error}"),
            }
        }
    }
}
