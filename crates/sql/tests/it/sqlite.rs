//! On SQLite: printed statements give the rows of the submitted ones, and nothing of a hidden row or table comes out.

use asuser_core::ColumnName;
use asuser_sql::{AllowedFunctions, Dialect, Place, Relation, SqlError, parse, print, resolve};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::support::{sqlite, vectors};

pub(crate) const CORPUS: &str = include_str!("corpus_sqlite.sql");

const TABLES: &str = r#"
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT, country TEXT, since TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, owner TEXT, region TEXT, amount REAL, placed_at TEXT, status TEXT, tags TEXT, detail TEXT, customer_id INT);
CREATE TABLE items (order_id INT, line INT, product TEXT, quantity INT, price REAL);
CREATE TABLE days (day TEXT, open INT);
CREATE TABLE words (w TEXT, n INT);
INSERT INTO customers VALUES (1, 'Anna', 'anna@example.com', 'DE', '2019-05-01'), (2, 'Bob', 'b_ob@example.org', 'US', NULL), (9, 'zoe', NULL, 'US', '2023-03-03');
INSERT INTO orders VALUES (1, 'alice', 'EU', 120.5, '2024-01-15 10:00:00', 'paid', '', '{"color":"red","size":3}', 1),
    (2, 'bob', 'US', 20.5, '2024-02-01 00:30:00', 'open', '', '{}', 2), (3, 'alice', 'EU', 75, '2024-02-02', 'paid', NULL, NULL, 1),
    (4, 'carol', NULL, NULL, NULL, 'void', NULL, NULL, NULL);
INSERT INTO items VALUES (1, 1, 'pen', 3, 1.5), (2, 1, 'ink', 1, 7.25);
"#;

/// Names and rows.
fn answer(connection: &Connection, sql: &str) -> Result<(Vec<String>, Vec<Vec<Value>>), String> {
    let mut statement = connection.prepare(sql).map_err(|error| error.to_string())?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let width = names.len();
    let rows =
        statement.query_map([], |row| (0..width).map(|at| row.get(at)).collect()).map_err(|error| error.to_string())?;
    let rows = rows.collect::<Result<Vec<Vec<Value>>, _>>().map_err(|error| error.to_string())?;
    Ok((names, rows))
}

#[test]
fn honest_statements_give_the_same_rows() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(TABLES).unwrap();
    let mut wrong = Vec::new();
    for sql in CORPUS.lines() {
        let text = match sqlite(sql) {
            Ok(text) => text,
            Err(error) => {
                wrong.push(format!("{sql}\n  refused: {error}"));
                continue;
            }
        };
        let (expected, found) = (answer(&connection, sql), answer(&connection, &text));
        match (&expected, &found) {
            (Ok((_, expected)), Ok((_, found))) if expected == found => {}
            _ => wrong.push(format!("{sql}\n  {text}\n  {expected:?}\n  {found:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Alice's rows, with a masked e-mail.
struct Fenced;

impl Place for Fenced {
    type Error = SqlError;

    fn relation(&mut self, out: &mut String, _relation: usize) -> Result<(), SqlError> {
        out.push_str(
            "(SELECT \"id\", \"owner\", \"region\", \"amount\", '****' AS \"email\" FROM \"main\".\"orders\" \
             WHERE \"owner\" = 'alice' LIMIT -1 OFFSET 0)",
        );
        Ok(())
    }

    fn parameter(&mut self, _out: &mut String, _parameter: usize) -> Result<(), SqlError> {
        Err(SqlError::TooComplex("there are none"))
    }
}

fn confined(text: &str) -> Result<String, SqlError> {
    let statement = parse(text, Dialect::Sqlite, &AllowedFunctions::none(), &[])?;
    let mut relations = Vec::new();
    for name in statement.relations() {
        let main = name.schema.as_ref().is_none_or(|schema| schema.eq_ignore_ascii_case("main"));
        if !main || !name.name.eq_ignore_ascii_case("orders") {
            return Err(SqlError::unknown_relation(name, ["orders"].into_iter()));
        }
        let columns = ["id", "owner", "region", "amount", "email"];
        relations.push(Relation { columns: columns.into_iter().map(ColumnName::from).collect() });
    }
    print(&resolve(statement, &relations)?, &mut Fenced)
}

/// Statements that try to reach past what a table shows, beside the public ones.
const OWN_ATTACKS: &[&str] = &[
    "WITH orders AS (SELECT * FROM main.orders) SELECT * FROM orders",
    "SELECT * FROM Orders o JOIN main.\"ORDERS\" p ON o.id <> p.id",
    "SELECT (SELECT max(amount) FROM main.orders)",
    "SELECT * FROM secrets",
    "SELECT * FROM 'orders'",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM pragma_table_info('orders')",
    "SELECT rowid, * FROM orders",
    "SELECT _rowid_ FROM orders",
    "SELECT * FROM temp.orders",
    "WITH t(x) AS (SELECT region FROM orders UNION ALL SELECT x FROM t LIMIT 9) SELECT * FROM t",
];

#[test]
fn nothing_hidden_comes_out() {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, owner, region, amount, email);
             INSERT INTO orders VALUES (1, 'alice', 'EU', 10, 'SECRET@a'), (2, 'bob', 'SECRET-US', 777, 'SECRET@x'), (3, 'alice', 'US', 20, 'SECRET@b');
             CREATE TABLE secrets (v); INSERT INTO secrets VALUES ('SECRET-TABLE'); CREATE VIEW all_orders AS SELECT * FROM orders;",
        )
        .unwrap();
    let public = vectors("sql/sqlite-confinement.sql").unwrap_or_default();
    let lines = public.lines().filter(|line| !line.is_empty() && !line.starts_with("--"));
    let (mut ran, mut refused) = (0, 0);
    for sql in lines.chain(OWN_ATTACKS.iter().copied()) {
        let (text, answer) = match confined(sql) {
            Err(error) => {
                refused += 1;
                (String::new(), format!("{error}"))
            }
            Ok(text) => {
                ran += 1;
                let answer = format!("{:?}", answer(&connection, &text));
                (text, answer)
            }
        };
        // What the caller wrote may be quoted.
        let leaks = ["SECRET", "777"].iter().any(|word| answer.contains(word) && !sql.contains(word));
        assert!(!leaks, "{sql}\n{text}\n{answer}");
    }
    assert!(ran >= 4 && refused >= 5, "{ran} ran, {refused} were refused");
    for line in public.lines().filter_map(|line| line.strip_prefix("-- pair\t")) {
        let mut parts = line.split('\t').skip(1);
        let (probe, control) = (parts.next().unwrap(), parts.next().unwrap());
        let outcome =
            |sql: &str| confined(sql).map_err(|error| error.to_string()).map(|text| answer(&connection, &text));
        assert_eq!(outcome(probe), outcome(control), "{probe}");
    }
}
