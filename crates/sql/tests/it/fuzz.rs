//! Honest statements, changed at random. Whatever is printed reads as itself, names everything in full, and gives the rows of what was
//! submitted. A short run always; `ASUSER_TEST_LONG=1` runs for `ASUSER_TEST_SECONDS` (600) from another start each time.

use std::time::{Duration, Instant};

use asuser_sql::{Dialect, SqlError};
use asuser_testkit::PgSession;
use asuser_testkit::postgres::{Refusal, Row};

use crate::fixed_point::{again, without_numbers};
use crate::qualified::unqualified;
use crate::support::printed_with;

/// A small generator (Steele et al., SplitMix64): the same start, the same run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}

/// Words, numbers, strings, signs and spaces.
fn pieces(sql: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut chars = sql.chars().peekable();
    while let Some(first) = chars.next() {
        let mut piece = first.to_string();
        if matches!(first, '\'' | '"') {
            for char in chars.by_ref() {
                piece.push(char);
                if char == first {
                    break;
                }
            }
        } else if first.is_alphanumeric() || first == '_' {
            while let Some(char) = chars.next_if(|char| char.is_alphanumeric() || *char == '_') {
                piece.push(char);
            }
        }
        pieces.push(piece);
    }
    pieces
}

const NASTY: &[&str] = &[
    "(",
    ")",
    "((",
    "))",
    ",",
    ";",
    ".",
    "*",
    "'",
    "\"",
    "''",
    "\"\"",
    "--",
    "/*",
    "*/",
    "$$",
    "$a$",
    "E'\\''",
    "U&",
    "::",
    "::text",
    "::regclass",
    ":",
    "[",
    "]",
    "{",
    "}",
    "@",
    "#",
    "~",
    "!",
    "?",
    "$1",
    "\\",
    "\n",
    "\r\n",
    "\t",
    "NOT ",
    " AND ",
    " OR ",
    " IS NULL",
    " ISNULL",
    " IN (SELECT 1)",
    " UNION SELECT ",
    " INTERSECT ",
    "WITH x AS (SELECT 1) ",
    " FOR UPDATE",
    " INTO x",
    " LATERAL ",
    " NATURAL JOIN ",
    " USING (id)",
    " OVER ()",
    " FILTER (WHERE TRUE)",
    "set_config('role','bob',true)",
    "pg_sleep(1)",
    ".ctid",
    "ROW(",
    "ARRAY[",
    "CASE ",
    " END",
    "NULL",
    "1e9",
    "-",
    "- -",
    "0x1",
    "é",
    "\u{a0}",
    " COLLATE \"C\"",
    " AT TIME ZONE 'UTC'",
    " BETWEEN 1 AND 2",
    " = ANY ",
    " LIKE ",
    " ESCAPE ",
    "(SELECT 1)",
    "o.",
    "orders",
    "customers ",
    " AS ",
    "x",
    "DISTINCT ",
    "ALL ",
    "GROUPING SETS ((), (",
    "TABLE days",
    "VALUES (1)",
    " LIMIT 1",
    " OFFSET 1",
    " TABLESAMPLE system (1)",
    "ONLY ",
    "current_user",
];

fn changed(random: &mut Random, corpus: &[Vec<String>]) -> String {
    let mut text = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(3) {
        let at = random.below(text.len() + 1);
        let other = &corpus[random.below(corpus.len())];
        let from = random.below(other.len());
        match random.below(7) {
            0 if at < text.len() => drop(text.remove(at)),
            1 if at < text.len() => text.insert(at, text[at].clone()),
            2 => {
                let with = random.below(text.len());
                if at < text.len() {
                    text.swap(at, with);
                }
            }
            3 => text.insert(at, NASTY[random.below(NASTY.len())].to_owned()),
            4 => text.insert(at, other[from].clone()),
            5 if at < text.len() => text[at].clone_from(&other[from]),
            _ => {
                let to = (from + random.below(12)).min(other.len());
                text.splice(at..at, other[from..to].iter().cloned());
            }
        }
        if text.is_empty() {
            break;
        }
    }
    text.concat()
}

fn outcome(session: &mut PgSession, sql: &str) -> Result<Vec<Row>, Refusal> {
    session.execute("BEGIN READ ONLY");
    let answer = session.try_query(sql);
    session.execute("ROLLBACK");
    answer
}

fn shown(rows: &[Row]) -> Vec<Vec<Option<String>>> {
    let cells = |row: &Row| row.iter().map(|cell| cell.as_deref().map(without_numbers)).collect();
    rows.iter().map(cells).collect()
}

/// Rows that may come in any order, or be any of several.
fn is_open(sql: &str) -> bool {
    let upper = sql.to_uppercase();
    ["LIMIT", "OFFSET", "FETCH", "DISTINCT ON", "OVER", "_AGG", "CURRENT", "NOW", "LOCALT", "USER", "ARRAY("]
        .iter()
        .any(|word| upper.contains(word))
}

#[test]
fn what_is_printed_means_what_was_submitted() {
    let long = std::env::var("ASUSER_TEST_LONG").is_ok_and(|value| value == "1");
    let seconds = std::env::var("ASUSER_TEST_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    let until = Instant::now() + Duration::from_secs(seconds);
    let start = if long {
        u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() & 0xFFFF_FFFF).unwrap()
    } else {
        7
    };
    let mut random = Random(start);
    let corpus: Vec<Vec<String>> = crate::postgres::CORPUS.lines().map(pieces).collect();
    let on_sqlite: Vec<Vec<String>> = crate::sqlite::CORPUS.lines().map(pieces).collect();
    let database = crate::postgres::database();
    let mut session = crate::postgres::session(&database);
    session.execute("SET statement_timeout = '2s'");
    let (mut tried, mut printed, mut lenient, mut wrong) = (0_u64, 0_u64, 0_u64, Vec::new());
    let mut slowest = (Duration::ZERO, String::new());
    while if long { Instant::now() < until } else { tried < 6_000 } {
        tried += 1;
        let sql = changed(&mut random, &on_sqlite);
        if let Ok(text) = printed_with(&sql, Dialect::Sqlite, &[]) {
            match again(&text, Dialect::Sqlite) {
                Ok(second) => assert_eq!(without_numbers(&second), without_numbers(&text), "{sql}"),
                Err(error) => panic!("{sql}\n{text}\n{error}"),
            }
        }
        let sql = changed(&mut random, &corpus);
        let started = Instant::now();
        let result = printed_with(&sql, Dialect::Postgres, &[]);
        if started.elapsed() > slowest.0 {
            slowest = (started.elapsed(), sql.clone());
        }
        let Ok(text) = result else { continue };
        printed += 1;
        assert_eq!(unqualified(&text), None, "{sql}\n{text}");
        if !text.contains("ROWS FROM") {
            match again(&text, Dialect::Postgres) {
                Ok(second) => assert_eq!(without_numbers(&second), without_numbers(&text), "{sql}"),
                // `sqlparser` reads no `((SELECT 1) UNION (SELECT 2))` as a value; the server does, below.
                Err(SqlError::TooComplex(_)) => {}
                Err(SqlError::Syntax { .. }) if text.contains("((SELECT ") => {}
                Err(error) => panic!("{sql}\n{text}\n{error}"),
            }
        }
        match (outcome(&mut session, &sql), outcome(&mut session, &text)) {
            (Ok(mut expected), Ok(mut found)) => {
                if !is_open(&sql) || expected.len() != found.len() {
                    expected.sort();
                    found.sort();
                    // A row that has two columns of one name shows the second with a number.
                    if shown(&expected) != shown(&found) {
                        wrong.push(format!("{sql}\n  {text}\n  {expected:?}\n  {found:?}"));
                    }
                }
            }
            // What the server does not read at all we may.
            (Err(_), Ok(_)) => lenient += 1,
            (_, Err(refusal))
                if refusal.message.starts_with("syntax error at") && !refusal.message.contains("jsonpath") =>
            {
                wrong.push(format!("{sql}\n  {text}\n  {refusal}"))
            }
            (Err(_), Err(_)) => {}
            // It is printed as text, which fewer things can be compared with.
            (Ok(_), Err(refusal)) if refusal.code == "42883" && text.contains("pg_typeof") => {}
            (Ok(expected), Err(refusal)) => wrong.push(format!("{sql}\n  {text}\n  {expected:?}\n  {refusal}")),
        }
    }
    println!(
        "from {start}: {tried} tried, {printed} printed, {lenient} of them not read by the server; slowest {slowest:?}"
    );
    assert!(printed > 100, "{printed}");
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong[..wrong.len().min(25)].join("\n"));
}
