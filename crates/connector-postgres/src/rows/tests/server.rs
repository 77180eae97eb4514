//! What real servers send, compared with what they say of the same value as text.

use asuser_core::Secret;
use asuser_postgres::{Client, Credentials, Target};
use asuser_testkit::{PgDatabase, PostgresServer, Version};
use data_encoding::HEXLOWER;

use super::*;

const TIMES: [&str; 12] = [
    "infinity",
    "-infinity",
    "2000-01-01 00:00",
    "2026-01-31 12:00:00.25",
    "1969-12-31 23:59:59.999999",
    "9999-12-31 23:59:59.999999",
    "10000-01-01",
    "294276-12-31 23:59:59.999999",
    "0001-01-01",
    "0001-12-31 BC",
    "0044-03-15 12:30 BC",
    "4714-11-24 BC",
];
const TIMES_AS_SHOWN: [&str; 12] = [
    "infinity",
    "-infinity",
    "2000-01-01T00:00:00",
    "2026-01-31T12:00:00.25",
    "1969-12-31T23:59:59.999999",
    "9999-12-31T23:59:59.999999",
    "+10000-01-01T00:00:00",
    "+294276-12-31T23:59:59.999999",
    "0001-01-01T00:00:00",
    "0000-12-31T00:00:00",
    "-0043-03-15T12:30:00",
    "-4713-11-24T00:00:00",
];

async fn client(server: &Arc<PostgresServer>, database: &PgDatabase) -> Client {
    let login = server.unique("rows");
    database.execute(&format!("CREATE ROLE {login} LOGIN PASSWORD 'pw'"));
    let target = Target::parse(&database.url(&login)).expect("the kit's URL");
    let credentials = Credentials::of(&login, Some(Secret::new("pw".to_owned())));
    let mut client = Client::connect(&target, &credentials).await.expect("the login may come in");
    client.execute("SET TimeZone = 'UTC'").await.expect("a setting");
    client
}

/// The bytes of an SQL expression, and its text.
async fn sent(client: &mut Client, send: &str, expression: &str) -> (Vec<u8>, String) {
    let sql = format!("SELECT encode({send}({expression}), 'hex'), ({expression})::text");
    let rows = client.query(&sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let cell = |at| rows[0].get(at).expect("no value is NULL").to_owned();
    (HEXLOWER.decode(cell(0).as_bytes()).expect("hexadecimal"), cell(1))
}

fn servers() -> Vec<Arc<PostgresServer>> {
    let mut servers = vec![PostgresServer::shared(Version::Fifteen)];
    servers.extend(PostgresServer::shared_if_installed(Version::Eighteen));
    servers
}

/// One test, so that each server is started once.
#[tokio::test]
async fn values_are_what_the_server_means() {
    for server in servers() {
        let database = server.database("rows");
        let mut client = client(&server, &database).await;
        times(&mut client).await;
        floats_and_bytes(&mut client).await;
        digits(&mut client).await;
    }
}

async fn times(client: &mut Client) {
    for (time, shown) in TIMES.into_iter().zip(TIMES_AS_SHOWN) {
        let is_finite = !time.ends_with("infinity");
        let (cell, _) = sent(client, "timestamp_send", &format!("timestamp '{time}'")).await;
        assert_eq!(value(Form::Timestamp, &cell).unwrap(), format!("\"{shown}\""));
        let (cell, _) = sent(client, "timestamptz_send", &format!("timestamptz '{time}'")).await;
        let zone = if is_finite { "Z" } else { "" };
        assert_eq!(value(Form::Timestamptz, &cell).unwrap(), format!("\"{shown}{zone}\""));
        let (cell, _) = sent(client, "date_send", &format!("date '{time}'")).await;
        let (day, _) = shown.split_once('T').unwrap_or((shown, ""));
        assert_eq!(value(Form::Date, &cell).unwrap(), format!("\"{day}\""));
    }
    let (cell, _) = sent(client, "date_send", "date '5874897-12-31'").await;
    assert_eq!(value(Form::Date, &cell).unwrap(), "\"+5874897-12-31\"");
}

async fn floats_and_bytes(client: &mut Client) {
    for real in
        ["0.1", "-0", "1e15", "3.4028235e38", "1.1754944e-38", "1e-45", "7.038531e-26", "NaN", "Infinity", "-Infinity"]
    {
        let (cell, text) = sent(client, "float4send", &format!("float4 '{real}'")).await;
        let shown = value(Form::Float4, &cell).unwrap();
        assert_eq!(
            shown.trim_matches('"').parse::<f32>().unwrap().to_string(),
            text.parse::<f32>().unwrap().to_string()
        );
    }
    for real in ["0.1", "-0", "1e22", "1.7976931348623157e308", "5e-324", "NaN", "Infinity", "-Infinity"] {
        let (cell, text) = sent(client, "float8send", &format!("float8 '{real}'")).await;
        let shown = value(Form::Float8, &cell).unwrap();
        assert_eq!(
            shown.trim_matches('"').parse::<f64>().unwrap().to_string(),
            text.parse::<f64>().unwrap().to_string()
        );
    }
    let (cell, _) = sent(client, "byteasend", r"'\x00ff10'::bytea").await;
    assert_eq!(value(Form::Bytes, &cell).unwrap(), "\"AP8Q\"");
}

async fn digits(client: &mut Client) {
    let numbers = ["0", "-0", ".5", "-.50", "1e30", "1e-30", "-12.50", "007", "1e131071", "1e-16383", "NaN"];
    for number in numbers {
        let (_, text) = sent(client, "numeric_send", &format!("numeric '{number}'")).await;
        let shown = value(Form::Numeric, text.as_bytes()).unwrap();
        assert_eq!(shown.trim_matches('"'), text);
        // RFC 8259 sets no limit to digits; serde_json's Number has one.
        assert!(text.len() > 300 || serde_json::from_str::<serde_json::Value>(&shown).is_ok(), "{shown}");
    }
    for (send, number, form) in [
        ("int2send", "int2 '-32768'", Form::Integer),
        ("int4send", "int4 '-2147483648'", Form::Integer),
        ("oidsend", "oid '4294967295'", Form::Integer),
        ("int8send", "int8 '-9223372036854775808'", Form::Bigint),
    ] {
        let (_, text) = sent(client, send, number).await;
        assert_eq!(value(form, text.as_bytes()).unwrap(), text);
    }
}
