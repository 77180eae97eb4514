//! The servers of the tests are what the tests take them for.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use asuser_testkit::{PgDatabase, PostgresServer, Version};

fn text(value: &str) -> Vec<Option<String>> {
    vec![Some(value.to_owned())]
}

/// `psql` over TCP, with the server's certificate verified.
fn psql(database: &PgDatabase, folder: &Path, user: &str, more: &str) -> Output {
    let ca = folder.join("ca.pem");
    std::fs::write(&ca, database.server().ca_pem()).unwrap();
    let place = format!("{}?sslmode=verify-full&sslrootcert={}{more}", database.url(user), ca.display());
    Command::new("psql")
        .args(["-XAtqw", "-c", "SELECT session_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"])
        .arg(place)
        .output()
        .unwrap()
}

fn certificate_of(folder: &Path, (certificate, key): (String, String)) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let (certificate_file, key_file) = (folder.join("client.pem"), folder.join("client.key"));
    std::fs::write(&certificate_file, certificate).unwrap();
    std::fs::write(&key_file, key).unwrap();
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    format!("&sslcert={}&sslkey={}", certificate_file.display(), key_file.display())
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)).trim().to_owned()
}

#[test]
fn statements_run_and_refusals_are_told() {
    let database = PostgresServer::shared(Version::Fifteen).database("words");
    database.execute("CREATE TABLE words (id int, word text); INSERT INTO words VALUES (1, 'ä'), (2, NULL)");
    let rows = [vec![Some("1".into()), Some("ä".into())], vec![Some("2".into()), None]];
    assert_eq!(database.query("SELECT 0; SELECT * FROM words ORDER BY id"), rows);
    let mut session = database.session();
    session.copy_in("COPY words FROM STDIN", b"3\tx\n4\ty\n");
    assert_eq!(session.query("SELECT count(*) FROM words"), [text("4")]);
    assert_eq!(session.try_query("SELECT 1 / 0").unwrap_err().code, "22012");
    assert_eq!(session.try_query("COPY words FROM STDIN").unwrap_err().code, "57014");
    assert_eq!(session.query("SELECT current_database()"), [text(database.name())]);
}

#[test]
fn databases_are_apart_and_go() {
    let server = PostgresServer::shared(Version::Fifteen);
    let (one, two) = (server.database("one"), server.database("one"));
    assert_ne!(one.name(), two.name());
    one.execute("CREATE TABLE here ()");
    assert_eq!(two.query("SELECT to_regclass('here')"), [vec![None]]);
    let left = format!("SELECT count(*) FROM pg_database WHERE datname = '{}'", one.name());
    let open = one.session();
    drop(one);
    assert_eq!(server.query(&left), [text("0")]);
    drop(open);
}

#[test]
fn people_come_in_by_certificate_and_others_by_password() {
    let folder = tempfile::tempdir().unwrap();
    let server = PostgresServer::own(Version::Fifteen);
    let database = server.database("tls");
    server.execute("CREATE ROLE alice LOGIN IN ROLE asuser_users; CREATE ROLE bob LOGIN PASSWORD 'word'");

    let of_alice = certificate_of(folder.path(), server.client_ca().client("alice"));
    assert_eq!(said(&psql(&database, folder.path(), "alice", &of_alice)), "alice|t");
    // The certificate's name counts, and the superuser is no member of the group.
    for user in ["bob", "postgres"] {
        assert!(!psql(&database, folder.path(), user, &of_alice).status.success(), "{user}");
    }
    assert!(!psql(&database, folder.path(), "alice", "&password=word").status.success());
    assert_eq!(said(&psql(&database, folder.path(), "bob", "&password=word")), "bob|t");
    assert!(!psql(&database, folder.path(), "bob", "&password=other").status.success());

    server.execute(&format!("ALTER DATABASE {} SET log_statement = 'all'", database.name()));
    let other = asuser_testkit::postgres::TestCa::new("another");
    let signed_by_other = other.client("alice");
    server.trust_client_ca(&other.pem());
    assert!(!psql(&database, folder.path(), "alice", &of_alice).status.success());
    let of_alice = certificate_of(folder.path(), signed_by_other);
    assert_eq!(said(&psql(&database, folder.path(), "alice", &of_alice)), "alice|t");
    assert!(server.log().contains(&format!("u=alice d={} a=psql", database.name())), "{}", server.log());
}

#[test]
fn a_stopped_server_starts_again_where_it_was() {
    let server = PostgresServer::own(Version::Fifteen);
    let database = server.database("kept");
    database.execute("CREATE TABLE kept AS SELECT 7 AS id");
    let mut open = database.session();
    for stop in [PostgresServer::stop, PostgresServer::crash] {
        stop(&server);
        let refused = std::net::TcpStream::connect((PostgresServer::HOST, server.port())).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        assert!(open.try_query("SELECT 1").is_err());
        server.start();
        assert_eq!(database.query("SELECT id FROM kept"), [text("7")]);
        open = database.session();
    }
    server.restart();
    assert_eq!(database.query("SELECT id FROM kept"), [text("7")]);
}

#[test]
fn nothing_of_a_server_stays_behind() {
    let server = PostgresServer::own(Version::Fifteen);
    let folder = server.socket_folder().to_owned();
    let port = server.port();
    assert!(folder.join("log").exists());
    drop(server);
    assert!(!folder.exists());
    assert!(std::net::TcpListener::bind((PostgresServer::HOST, port)).is_ok());
}

/// The test starts itself, to be killed.
const CHILD: &str = "ASUSER_TESTKIT_CHILD";

#[test]
fn nothing_of_a_killed_test_stays_behind() {
    if std::env::var_os(CHILD).is_some() {
        let server = PostgresServer::own(Version::Fifteen);
        println!("\nfolder {}", server.socket_folder().display());
        loop {
            std::thread::park();
        }
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_of_a_killed_test_stays_behind", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let folder = lines.find_map(|line| line.strip_prefix("folder ").map(PathBuf::from)).unwrap();
    assert!(folder.join("data/postmaster.pid").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while folder.exists() {
        assert!(Instant::now() < until, "{} is still there", folder.display());
        std::thread::yield_now();
    }
}

#[test]
fn eighteen_is_eighteen() {
    let Some(server) = PostgresServer::shared_if_installed(Version::Eighteen) else { return };
    let database = server.database("eighteen");
    let version = database.query("SHOW server_version_num");
    assert!(version[0][0].as_deref().unwrap().starts_with("18"), "{version:?}");
    let icu = database.query("SELECT count(*) > 0 FROM pg_collation WHERE collprovider = 'i'");
    assert_eq!(icu, [text("t")]);
    assert_eq!(server.major(), 18);
}
