//! What is printed, and what real servers make of it.

mod conditions;
mod filters;
mod indexes;
mod masks;

use std::path::Path;
use std::sync::Arc;

use asuser_core::{
    ColumnAccess, ColumnIx, CompareOp, Condition, Filter, FilterOp, LikePattern, Literal, MaskKind, Operand, OrderTerm,
    OutputColumn, PatternPart, ReadSpec, ServiceName, TableRef, Test, TestKind, Value,
};
use asuser_postgres::{Client, PgError};
use asuser_testkit::{PgDatabase, PostgresServer};

use super::*;
use crate::catalog::tests::{connect, one_server};
use crate::catalog::{self, Known as Catalogue};

/// A database, and a reader of it.
struct Live {
    database: PgDatabase,
    client: Client,
    known: Catalogue,
}

impl Live {
    async fn new(sql: &str) -> Self {
        Self::on(&one_server(), sql).await
    }
    async fn on(server: &Arc<PostgresServer>, sql: &str) -> Self {
        let database = server.database("print");
        let reader = server.unique("reader");
        database.execute(&format!("CREATE ROLE {reader} LOGIN PASSWORD 'pw'"));
        database.execute(sql);
        database.execute(&format!("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {reader}"));
        let mut client = connect(&database, &reader).await;
        let known = catalog::read(&mut client, &ServiceName::from("db"), &["public".to_owned()]).await.unwrap();
        Self { database, client, known }
    }
    fn table(&self, name: &str) -> Arc<PgTable> {
        Arc::clone(&self.known.tables[name])
    }
    /// All columns in the clear, all rows.
    fn spec(&self, name: &str) -> ReadSpec {
        let table = Arc::clone(&self.table(name).table);
        let output = table.columns.iter().zip(0..).map(|(column, at)| output(column.name.as_str(), at)).collect();
        ReadSpec {
            access: vec![ColumnAccess::Clear; table.columns.len()],
            output,
            row_filter: Filter::True,
            condition: None,
            order: Vec::new(),
            order_asked: 0,
            order_by_shown: false,
            limit: 100_000,
            offset: 0,
            count: false,
            as_list: false,
            bytes_max: 1 << 20,
            time_ms_max: 60_000,
            table: TableRef(table),
        }
    }
    fn ix(&self, table: &str, column: &str) -> ColumnIx {
        self.table(table).table.column_ix(column).unwrap()
    }
    fn printed(&self, spec: &ReadSpec) -> Result<Statement, PostgresError> {
        statement(spec, &self.table(spec.table.name.as_str()))
    }
    async fn rows(&mut self, spec: &ReadSpec) -> Result<Vec<Vec<Option<String>>>, PgError> {
        let printed = self.printed(spec).unwrap_or_else(|error| panic!("{error}: {:?}", spec.condition));
        self.run(&printed).await
    }
    async fn run(&mut self, printed: &Statement) -> Result<Vec<Vec<Option<String>>>, PgError> {
        let values: Vec<Option<&str>> = printed.values.iter().map(|value| Some(value.as_str())).collect();
        let width = printed.columns.len();
        let rows = self.client.query(&printed.select, &values).await?;
        Ok(rows.iter().map(|row| (0..width).map(|at| row.get(at).map(str::to_owned)).collect()).collect())
    }
    /// The first column of each row.
    async fn first(&mut self, spec: &ReadSpec) -> Vec<String> {
        let rows = self.rows(spec).await.unwrap_or_else(|error| panic!("{error}: {:?}", self.printed(spec)));
        rows.into_iter().map(|row| row[0].clone().unwrap_or_else(|| "NULL".to_owned())).collect()
    }
}

fn output(name: &str, at: u16) -> OutputColumn {
    OutputColumn { name: name.to_owned(), column: ColumnIx(at) }
}

fn test(column: u16, kind: TestKind) -> Condition<ColumnIx> {
    Condition::Test(Test { column: ColumnIx(column), at: 1, kind })
}

fn text(value: &str) -> Literal {
    Literal::Text(value.to_owned())
}

/// Texts that mean something to somebody, and the public lists where they are.
fn payloads() -> Vec<String> {
    let own = [
        "",
        "'",
        "''",
        "\\",
        "\\\\",
        "\\'",
        "\"",
        "{}",
        "{a,b}",
        "NULL",
        "null",
        "\"NULL\"",
        "$1",
        "$$",
        "$1::int8",
        "%",
        "_",
        "\\%",
        "a%",
        "--",
        "/*",
        "*/",
        ";",
        "\n",
        "\r\n",
        "\t",
        "\u{1}",
        "\u{7f}",
        "\u{a0}",
        "\u{feff}",
        "ü",
        "u\u{308}",
        "漢字",
        "🙂",
        "' OR '1'='1",
        "a,b",
        "(a,b)",
        "{\"a\\\"b\"}",
        "E'\\x41'",
        "U&'\\0041'",
        " x ",
        "x'; DROP TABLE t; --",
        "\u{202e}x",
    ];
    let mut all: Vec<String> = own.map(str::to_owned).into();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/lists");
    let Ok(entries) = std::fs::read_dir(folder) else {
        println!("skipped the public lists: there is no shared/vectors/lists beside the checkout");
        return all;
    };
    for entry in entries.flatten().filter(|entry| entry.path().extension().is_some_and(|ext| ext == "txt")) {
        let bytes = std::fs::read(entry.path()).unwrap();
        all.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_owned));
    }
    all.retain(|line| !line.contains('\0') && line.len() < 5_000);
    all.sort();
    all.dedup();
    all
}

/// The same numbers each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }
}

const ORDERS: &str = r#"
    CREATE TABLE "Or""ders" (id int PRIMARY KEY, "o'wner" text NOT NULL, email varchar(20), price numeric(12,2), at timestamptz, tags text[]);
    CREATE VIEW ratios AS SELECT id, "o'wner" AS owner, 100 / id AS ratio, price FROM "Or""ders";
"#;

#[tokio::test]
async fn a_plan_is_this_text() {
    let live = Live::new(ORDERS).await;
    let mut spec = live.spec("Or\"ders");
    spec.output = vec![output("id", 0), output("email", 2), output("tags", 5)];
    spec.access[2] = ColumnAccess::Masked {
        kind: MaskKind::Full,
        unmask: Filter::test(ColumnIx(1), FilterOp::Eq(Operand::Value(Value::Text("ann".into())))),
    };
    spec.row_filter = Filter::any([
        Filter::test(ColumnIx(1), FilterOp::Eq(Operand::Value(Value::Text("x' OR true --".into())))),
        Filter::test(ColumnIx(3), FilterOp::Ge(Operand::Value(Value::Decimal(-5)))),
    ]);
    spec.condition = Some(Condition::All(vec![
        test(0, TestKind::Compare(CompareOp::Gt, Literal::Integer(7))),
        Condition::Not(Box::new(test(2, TestKind::StartsWith("50%".into())))),
    ]));
    spec.order = vec![OrderTerm { column: ColumnIx(2), descending: true, nulls_first: Some(false) }];
    spec.count = true;
    spec.limit = 10;
    spec.offset = 3;
    let printed = live.printed(&spec).unwrap();
    let masked = "(CASE WHEN (t.\"o'wner\" OPERATOR(pg_catalog.=) $4::pg_catalog.text) THEN t.\"email\" \
                  ELSE (CASE WHEN t.\"email\" IS NULL THEN NULL ELSE '****' END)::pg_catalog.\"varchar\" END)";
    let rows = format!(
        " FROM \"public\".\"Or\"\"ders\" AS t WHERE ((t.\"o'wner\" OPERATOR(pg_catalog.=) $1::pg_catalog.text) OR \
         (t.\"price\" OPERATOR(pg_catalog.<>) 'NaN'::pg_catalog.numeric AND t.\"price\" OPERATOR(pg_catalog.>=) $2::pg_catalog.numeric)) \
         AND ((t.\"id\" OPERATOR(pg_catalog.>) $3::pg_catalog.int8) AND \
         (NOT ({masked}::pg_catalog.text OPERATOR(pg_catalog.~~) $5::pg_catalog.text)))"
    );
    assert_eq!(printed.count.unwrap(), format!("SELECT pg_catalog.count(*){rows}"));
    assert_eq!(
        printed.select,
        format!(
            "SELECT t.\"id\", {masked}, pg_catalog.to_json(t.\"tags\"){rows} ORDER BY {masked} DESC NULLS LAST \
             LIMIT 11 OFFSET $6::pg_catalog.int8"
        )
    );
    assert_eq!(printed.values, ["x' OR true --", "-0.0005", "7", "ann", "50\\%%", "3"]);
    assert_eq!(printed.count_values, 5);
    assert_eq!(printed.columns.iter().map(|column| column.origin.is_some()).collect::<Vec<_>>(), [true, false, false]);
}

/// A view's columns may be expressions that fail on a row: on no row that is hidden.
#[tokio::test]
async fn conditions_on_a_view_stay_behind_the_row_filter() {
    let mut live = Live::new(ORDERS).await;
    live.database.execute(r#"INSERT INTO "Or""ders" VALUES (1, 'a', 'x', 1), (0, 'b', 'y', 2), (5, 'a', 'z', 3)"#);
    let mut spec = live.spec("ratios");
    spec.access[3] = ColumnAccess::Denied;
    spec.output.truncate(3);
    // Dearer than the condition: the server would try it later.
    let owner = |name: &str| Filter::test(ColumnIx(1), FilterOp::Eq(Operand::Value(Value::Text(name.into()))));
    spec.row_filter = Filter::any([owner("a"), owner("c"), owner("d"), owner("e"), owner("f")]);
    spec.condition = Some(test(2, TestKind::Compare(CompareOp::Lt, Literal::Integer(50))));
    assert_eq!(live.first(&spec).await, ["5"]);
    let printed = live.printed(&spec).unwrap().select;
    assert!(
        printed.contains(" FROM (SELECT t.\"id\", t.\"owner\", t.\"ratio\" FROM \"public\".\"ratios\" AS t WHERE ("),
        "{printed}"
    );
    assert!(printed.contains(") OFFSET 0) AS t WHERE (t.\"ratio\" "), "{printed}");
    // Without the fence the hidden row's error comes through.
    let unfenced = printed.replace(") OFFSET 0) AS t WHERE (t.", ")) AS t WHERE (t.");
    let values = live.printed(&spec).unwrap().values;
    let values: Vec<Option<&str>> = values.iter().map(|value| Some(value.as_str())).collect();
    assert_eq!(live.client.query(&unfenced, &values).await.unwrap_err().code(), Some("22012"));
    // So with a virtual column, which PostgreSQL computes since 18 when it is read.
    if one_server().major() >= 18 {
        let mut live = Live::new(
            "CREATE TABLE v (id int, owner text, ratio int GENERATED ALWAYS AS (100 / id) VIRTUAL); INSERT INTO v VALUES (0, 'b'), (5, 'a')",
        )
        .await;
        let mut virtual_column = live.spec("v");
        virtual_column.row_filter = spec.row_filter.clone();
        virtual_column.condition = spec.condition.clone();
        assert_eq!(live.first(&virtual_column).await, ["5"]);
    }
    // A table needs none, and neither do rows that all may see.
    spec.row_filter = Filter::True;
    assert!(!live.printed(&spec).unwrap().select.contains("OFFSET 0"));
}

#[tokio::test]
async fn what_cannot_be_printed_exactly_is_refused() {
    let live =
        Live::new("CREATE TABLE t (c char(4), f float8, n numeric, ts timestamp, b bytea, d date, v text)").await;
    let spec = live.spec("t");
    let refused = |change: &dyn Fn(&mut ReadSpec)| {
        let mut spec = spec.clone();
        change(&mut spec);
        live.printed(&spec).unwrap_err().to_string()
    };
    let eq = |at: u16, value: Value| Filter::test(ColumnIx(at), FilterOp::Eq(Operand::Value(value)));
    for (at, value) in [
        (0, Value::Text("a".into())),
        (1, Value::Integer(1)),
        (3, Value::Timestamp(1)),
        (4, Value::Text("a".into())),
        (5, Value::Integer(1)),
        (6, Value::Integer(1)),
        (99, Value::Integer(1)),
    ] {
        assert!(refused(&|spec| spec.row_filter = eq(at, value.clone())).contains("cannot be printed"), "{at}");
    }
    refused(&|spec| spec.output.clear());
    refused(&|spec| spec.limit = 0);
    refused(&|spec| spec.access[0] = ColumnAccess::Denied);
    refused(&|spec| spec.access.truncate(1));
    refused(&|spec| spec.condition = Some(Condition::Any(vec![])));
    refused(&|spec| spec.condition = Some(test(6, TestKind::In(vec![]))));
    refused(&|spec| spec.condition = Some(test(6, TestKind::Compare(CompareOp::Eq, Literal::Null))));
    refused(&|spec| spec.condition = Some(test(4, TestKind::Compare(CompareOp::Eq, text("a")))));
    refused(&|spec| spec.row_filter = eq(6, Value::Text("a\0".into())));
    let deep = (0..300).fold(test(6, TestKind::IsNull), |inner, _| Condition::Not(Box::new(inner)));
    refused(&|spec| spec.condition = Some(deep.clone()));
    let like = FilterOp::Like(LikePattern(vec![PatternPart::Any]));
    refused(&|spec| spec.row_filter = Filter::test(ColumnIx(2), like.clone()));
    assert!(live.printed(&spec).is_ok());
}
