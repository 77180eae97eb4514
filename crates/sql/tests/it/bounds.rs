//! No text makes it deep or fall over: each is answered, with words, on a small stack.

use asuser_core::ColumnName;
use asuser_sql::{AllowedFunctions, Dialect, Relation, SqlError, parse, resolve};

use crate::support::printed_with;

/// What repeats, with what stands before and after, in up to 100,000 bytes.
fn repeated() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    let mut add = |name: &str, before: &str, part: &str, after: &str| {
        for count in [45, 150, 100_000] {
            let room = (99_000_usize.saturating_sub(before.len() + after.len())) / (part.len() + 1);
            let count = count.min(room);
            let mut text = before.to_owned();
            text.push_str(&part.repeat(count));
            text.push_str(after);
            texts.push((format!("{name} × {count}"), text));
        }
    };
    for part in [
        "(",
        "[",
        "{",
        ")",
        "NOT ",
        "-",
        "- ",
        "+ ",
        "~ ",
        "@ ",
        "1+",
        "1 + ",
        "a.",
        "a::",
        "::int",
        "'",
        "\"",
        "/*",
        "--\n",
        "$$",
        ",",
        ";",
        "1,",
        "x ",
        "CASE WHEN ",
        "CASE ",
        "CAST(",
        "EXISTS(",
        "EXISTS(SELECT ",
        "(SELECT ",
        "(SELECT 1 FROM ",
        "ARRAY[",
        "ARRAY(SELECT ",
        "lower(",
        "POSITION(",
        "SUBSTRING(",
        "TRIM(",
        "EXTRACT(year FROM ",
        "INTERVAL ",
        "INTERVAL (",
        "IF(",
        "a IN (",
        "1 IN (SELECT ",
        "a BETWEEN ",
        "1 BETWEEN 1 AND ",
        "a LIKE ",
        "1 = ANY (",
        "OVERLAY(",
        "CEIL(",
        "a[",
        "ROW(",
        "count(*) OVER (PARTITION BY ",
        "current_time(",
        "VALUES (",
        "f(a => ",
        "a AND ",
        "a OR ",
        "1 UNION SELECT ",
        "1 INTERSECT SELECT ",
        "a = ",
        "a IS NULL = ",
        "a -> ",
        "CONVERT(",
        "GROUPING SETS ((",
        "é",
        "\u{a0}",
        "0x",
        "1e",
        "1.",
        "E'\\",
        "U&'",
        "N'",
        "B'",
        "X'",
        ":",
        "?",
        "$1 ",
        "@@ ",
        "#",
        "`",
        "|| ",
        "DATE ",
        "POINT ",
        "TIMESTAMP ",
        "NULL NOTNULL ",
        "a COLLATE ",
        "a AT TIME ZONE ",
    ] {
        add(&format!("SELECT {part}"), "SELECT ", part, "");
        add(&format!("SELECT {part} 1"), "SELECT ", part, "1");
        add(&format!("FROM {part}"), "SELECT 1 FROM ", part, "x");
    }
    for (open, close) in [
        ("(", ")"),
        ("NOT (", ")"),
        ("-(", ")"),
        ("(SELECT ", ")"),
        ("lower(", ")"),
        ("CASE WHEN TRUE THEN ", " END"),
        ("CAST(", " AS int)"),
        ("ARRAY[", "]"),
        ("coalesce(", ")"),
        ("(SELECT 1 UNION SELECT ", ")"),
        ("(SELECT x FROM (SELECT ", " AS x) s)"),
        ("1 + (", ")"),
        ("(1, ", ")"),
        ("ARRAY(SELECT ", ")"),
        ("EXISTS (SELECT ", ")"),
        ("1 IN (", ")"),
        ("nullif(1, ", ")"),
        ("POSITION('a' IN ", ")"),
        ("TRIM(", ")"),
    ] {
        for count in [40, 80, 5_000] {
            let room = 99_000 / (open.len() + close.len());
            let count = count.min(room);
            texts.push((
                format!("{open}…{close} × {count}"),
                format!("SELECT {}1{}", open.repeat(count), close.repeat(count)),
            ));
        }
    }
    for (open, close) in [
        ("(", ")"),
        ("(SELECT * FROM ", ") t"),
        ("(orders JOIN ", " ON TRUE)"),
        ("orders NATURAL JOIN (", ")"),
        ("LATERAL (SELECT * FROM ", ") t"),
        ("((", "))"),
        ("(SELECT 1 UNION SELECT * FROM ", ") t"),
    ] {
        for count in [40, 80, 5_000] {
            let room = 99_000 / (open.len() + close.len());
            let count = count.min(room);
            texts.push((
                format!("FROM {open}…{close} × {count}"),
                format!("SELECT * FROM {}orders{}", open.repeat(count), close.repeat(count)),
            ));
        }
    }
    for (before, part, after) in [
        ("SELECT 1", "+1", ""),
        ("SELECT 1", " AND TRUE", ""),
        ("SELECT 1", " OR TRUE", ""),
        ("SELECT ''", "||''", ""),
        ("SELECT 1", " UNION SELECT 1", ""),
        ("SELECT 1", "::text", ""),
        ("SELECT tags", "[1]", " FROM orders"),
        ("SELECT 1", " IS NULL", ""),
        ("SELECT 1", " NOTNULL", ""),
        ("SELECT 1 FROM orders", " JOIN orders ON TRUE", ""),
        ("SELECT 1 FROM orders", ", orders", ""),
        ("SELECT 1", ", *", " FROM orders"),
        ("SELECT *", ", *", " FROM orders"),
        ("SELECT CASE", " WHEN TRUE THEN 1", " END"),
        ("VALUES (1)", ", (1)", ""),
        ("SELECT 1 WHERE 1 IN (1", ",1", ")"),
        ("SELECT 1 WHERE 'a' IN ('a'", ",'b'", ")"),
        ("SELECT 1 WHERE (1+1) IN (1+1", ",1+2", ")"),
        ("WITH a AS (SELECT 1)", ", a AS (SELECT 1)", " SELECT 1"),
        ("SELECT 1 ORDER BY 1", ", 1", ""),
        ("SELECT 1 GROUP BY 1", ", 1", ""),
        ("SELECT \"a\"", ".\"a\"", ""),
        ("SELECT 1 FROM orders WHERE region = 'x'", " OR region = 'x'", ""),
        ("SELECT 1", " COLLATE \"C\"", ""),
        ("SELECT 1", " AT TIME ZONE 'x'", ""),
        ("SELECT 1", " = 1", ""),
        ("SELECT 1", " !", ""),
        ("SELECT 1 FROM orders GROUP BY ROLLUP (id", ", id", ")"),
        ("SELECT count(*)", " FILTER (WHERE TRUE)", ""),
        ("SELECT a", ".b", ""),
        ("SELECT 1 x", " x", ""),
        ("SELECT lower(1", ",1", ")"),
    ] {
        for count in [190, 2_000, 50_000] {
            let count = count.min((99_000 - before.len() - after.len()) / part.len());
            texts.push((format!("{before}…{part} × {count}"), format!("{before}{}{after}", part.repeat(count))));
        }
    }
    texts
}

#[test]
fn everything_is_answered_on_a_small_stack() {
    let small = std::thread::Builder::new().stack_size(512 * 1024);
    let run = small.spawn(|| {
        let (mut printed, mut too_much, mut refused) = (0, 0, 0);
        for (_, text) in repeated() {
            for dialect in [Dialect::Postgres, Dialect::Sqlite] {
                match printed_with(&text, dialect, &[]) {
                    Ok(_) => printed += 1,
                    Err(SqlError::TooComplex(_) | SqlError::TooLong { .. }) => too_much += 1,
                    Err(_) => refused += 1,
                }
            }
        }
        (printed, too_much, refused)
    });
    let (printed, too_much, refused) = run.unwrap().join().expect("it came back");
    println!("{printed} printed, {too_much} too complex, {refused} refused");
    assert!(printed > 20 && too_much > 50 && refused > 100, "{printed} {too_much} {refused}");
}

/// A table of 2,000 columns, which are as many as there can be.
#[test]
fn wide_tables_do_not_make_names_dear() {
    let columns: Vec<ColumnName> = (0..2_000).map(|number| ColumnName::from(format!("c{number}"))).collect();
    let run = |text: &str| {
        let statement = parse(text, Dialect::Postgres, &AllowedFunctions::none(), &[])?;
        let relations: Vec<Relation> =
            statement.relations().iter().map(|_| Relation { columns: columns.clone() }).collect();
        resolve(statement, &relations).map(|resolved| resolved.output().len())
    };
    assert_eq!(run("SELECT c0, c1999 FROM wide"), Ok(2));
    let terms = |count: usize| format!("SELECT coalesce({}) FROM wide", vec!["c1999"; count].join(", "));
    assert_eq!(run(&terms(1_000)), Ok(1));
    assert!(matches!(run(&terms(12_000)), Err(SqlError::TooComplex(_))));
    assert!(matches!(run("SELECT * FROM wide"), Err(SqlError::TooComplex(_))));
    let natural = |count: usize| format!("SELECT count(*) FROM wide{}", " NATURAL JOIN wide".repeat(count));
    assert!(matches!(run(&natural(40)), Err(SqlError::TooComplex(_))));
    assert_eq!(run("SELECT a.c0 FROM wide a JOIN wide b USING (c1)"), Ok(1));
    // Names that repeat are told apart by numbers.
    assert_eq!(run(&format!("SELECT {} FROM wide", vec!["c0"; 1_600].join(", "))), Ok(1_600));
}
