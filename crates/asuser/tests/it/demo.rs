//! The demo and the command line, as a newcomer meets them.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use asuser_core::Reason;
use asuser_testkit::{PgDatabase, PostgresServer, Version};

use crate::site::{Site, get, said};

fn asuser() -> Command {
    Command::new(env!("CARGO_BIN_EXE_asuser"))
}

/// Demos that start at the same time each look for a port from another one on.
fn demo() -> Command {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = asuser();
    command.args(["demo", "--port", &port.to_string()]);
    command
}

#[test]
fn the_scene_holds() {
    let output = demo().args(["--once"]).output().unwrap();
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    for expected in [
        "John Doe's own",
        "Jane Smith's own",
        "404",
        "401",
        "john.doe@company.com",
        "jane.smith@company.com",
        "sales-copilot",
        "verifies",
    ] {
        assert!(text.contains(expected), "{expected} is missing:\n{text}");
    }
    assert!(!text.contains('✗'), "{text}");
}

#[test]
fn a_busy_port_picks_the_next_and_tokens_go_on_working() {
    let blocker = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = blocker.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().join("kept");
    let (mut demo, seen) = serving(asuser().args(["demo", "--port", &port.to_string(), "--keep"]).arg(&keep));
    let address = seen.split_once("serving at http://").unwrap().1.split(';').next().unwrap().parse().unwrap();
    assert!(!seen.contains(&format!("127.0.0.1:{port}/")), "{seen}");
    let token = |person: &str| {
        let output = asuser().args(["demo", "token", person, "--keep"]).arg(&keep).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let ask = |person: &str, path: &str| {
        get(address, path, &[("Authorization", &format!("Bearer {}", token(person)))]).unwrap()
    };
    assert_eq!(ask("john", "/api/v2/db/_table/orders").ids().len(), 7);
    assert_eq!(ask("jane", "/api/v2/db/_table/orders").ids().len(), 9);
    let salaries = ask("maria", "/api/v2/db/_table/employees");
    assert!(salaries.text.contains("salary"));
    assert!(!ask("john", "/api/v2/db/_table/employees").text.contains("salary"));
    let support = ask("sam", "/api/v2/db/_table/orders");
    assert!(support.text.contains("\"open\"") && !support.text.contains("***@"), "{support:?}");
    assert!(!asuser().args(["demo", "token", "nobody", "--keep"]).arg(&keep).output().unwrap().status.success());
    demo.kill().unwrap();
    demo.wait().unwrap();
}

/// A demo that has played its scene and goes on serving, and what it said.
fn serving(command: &mut Command) -> (Child, String) {
    let mut demo = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(demo.stdout.take().unwrap());
    let mut seen = String::new();
    while !seen.contains("Ctrl-C ends it") {
        assert!(output.read_line(&mut seen).unwrap() > 0, "the demo ended:\n{seen}");
    }
    // What it still says goes nowhere, and does not make it wait.
    std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    (demo, seen)
}

#[test]
fn the_scene_holds_on_a_postgresql_of_its_own() {
    let output = demo().args(["--postgres", "--once"]).output().unwrap();
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    for expected in [
        "Starting PostgreSQL",
        "7 of 40 orders: John Doe's own",
        "9 of 40 orders: Jane Smith's own",
        "404",
        "401",
        "run_sql SELECT",
        "it counts 7 orders",
        "sales-copilot",
        "verifies",
        "asuser_login/john.doe",
        "own row security",
        "own grants",
    ] {
        assert!(text.contains(expected), "{expected} is missing:\n{text}");
    }
    assert!(!text.contains('✗'), "{text}");
    assert!(!postgres_folder(&text).parent().unwrap().exists(), "{text}");
}

/// Where the demo said that its server is.
fn postgres_folder(text: &str) -> PathBuf {
    PathBuf::from(text.split_once("its files in ").unwrap().1.split(',').next().unwrap())
}

fn signal(demo: &Child, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &demo.id().to_string()]).status().unwrap().success());
}

/// A kept demo is as it was, and its server ends with it, however it ends.
#[test]
fn a_server_of_its_own_is_kept_and_ends_with_the_demo() {
    let folder = tempfile::tempdir().unwrap();
    // The server's user passes through.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let keep = folder.path().join("kept");
    for name in ["INT", "TERM", "KILL"] {
        let (mut demo, seen) = serving(demo().args(["--postgres", "--keep"]).arg(&keep));
        let place = postgres_folder(&seen);
        assert_eq!(place, keep.canonicalize().unwrap().join("postgres"), "{seen}");
        let address = seen.split_once("serving at http://").unwrap().1.split(';').next().unwrap().parse().unwrap();
        for (person, orders) in [("john", 7), ("jane", 9), ("sam", 10)] {
            let token = asuser().args(["demo", "token", person, "--keep"]).arg(&keep).output().unwrap();
            let bearer = format!("Bearer {}", String::from_utf8(token.stdout).unwrap().trim());
            let reply = get(address, "/api/v2/db/_table/orders", &[("Authorization", &bearer)]).unwrap();
            assert_eq!(reply.ids().len(), orders, "{person}");
            assert_eq!(reply.text.contains("***@"), person != "sam", "{person}: {}", reply.text);
            let staff = get(address, "/api/v2/db/_table/employees", &[("Authorization", &bearer)]).unwrap();
            assert!(staff.ids().len() == 8 && !staff.text.contains("salary"), "{person}: {staff:?}");
        }
        let log = std::fs::read_to_string(place.join("log")).unwrap();
        assert!(log.contains("user=asuser_login application=asuser/") && log.contains("/john.doe LOG:"), "{log}");
        let mut open = std::os::unix::net::UnixStream::connect(place.join(".s.PGSQL.5432")).unwrap();
        signal(&demo, name);
        demo.wait().unwrap();
        // The server lets go of its connections as it ends.
        let _rest = open.read_to_end(&mut Vec::new());
        if name != "KILL" {
            assert!(!place.join("data/postmaster.pid").exists(), "{name}");
        }
    }
}

#[test]
fn a_kept_folder_is_of_one_kind_of_database() {
    let folder = tempfile::tempdir().unwrap();
    let once = |more: &[&str]| demo().args(["--once", "--keep"]).arg(folder.path()).args(more).output().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let first = once(&[]);
    assert!(first.status.success(), "{}", said(&first));
    for more in [["--postgres"].as_slice(), &["--postgres", "postgres://admin@127.0.0.1:1/d"]] {
        let other = once(more);
        assert!(!other.status.success() && said(&other).contains("another database"), "{}", said(&other));
    }
    assert!(once(&[]).status.success());
}

/// Somebody's server, with the demo's administrator in it.
struct Given {
    database: PgDatabase,
    admin: String,
}

impl Given {
    /// The roles' names are the demo's choice, so each test has a server.
    fn new(version: Version, attributes: &str) -> Self {
        let database = PostgresServer::own(version).database("theirs");
        let admin = "chief".to_owned();
        database.execute(&format!(
            "CREATE ROLE {admin} LOGIN {attributes} PASSWORD 'secret'; GRANT CREATE ON DATABASE {} TO {admin}",
            database.name()
        ));
        Self { database, admin }
    }
    fn demo(&self, more: &[&str]) -> Output {
        let mut command = demo();
        command.args(["--once", "--postgres", &self.database.url(&self.admin)]).args(more);
        command.env("ASUSER_DEMO_PASSWORD", "secret").output().unwrap()
    }
    /// What carries the demo's names.
    fn left(&self) -> Vec<String> {
        let found = self.database.query(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'asuser%'
             UNION ALL SELECT rolname FROM pg_roles WHERE rolname LIKE 'asuser\\_demo%' ORDER BY 1",
        );
        found.into_iter().map(|row| row[0].clone().unwrap()).collect()
    }
}

#[test]
fn the_scene_holds_on_a_given_server_and_leaves_nothing_there() {
    for version in [Version::Fifteen, Version::Eighteen] {
        if !version.is_installed() {
            println!("skipped: {version:?} of PostgreSQL is not installed (scripts/setup test)");
            continue;
        }
        // An administrator who is none of the server's; then a server whose doors are closed.
        let given = Given::new(version, "CREATEROLE");
        let output = given.demo(&[]);
        let text = said(&output);
        assert!(output.status.success() && !text.contains('✗'), "{version:?}: {text}");
        let before = text.split("One agent").next().unwrap();
        assert!(before.contains("schema `asuser_demo`") && before.contains("asuser_demo_jane.smith"), "{text}");
        assert!(text.contains("asuser_demo_login/asuser_demo_john.doe") && text.contains("Removed"), "{text}");
        assert_eq!(given.left(), [""; 0], "{version:?}: {text}");

        let name = given.database.name();
        given.database.execute(&format!(
            "ALTER ROLE chief SUPERUSER; REVOKE ALL ON DATABASE {name} FROM PUBLIC;
             REVOKE EXECUTE ON FUNCTION set_config(text, text, boolean) FROM PUBLIC"
        ));
        let output = given.demo(&[]);
        assert!(output.status.success(), "{version:?}: {}", said(&output));
        assert_eq!(given.left(), [""; 0], "{version:?}");
    }
}

#[test]
fn what_is_kept_on_a_given_server_is_removed_as_it_says() {
    let given = Given::new(Version::Fifteen, "CREATEROLE");
    let folder = tempfile::tempdir().unwrap();
    let keep = ["--keep", folder.path().to_str().unwrap()];
    let first = given.demo(&keep);
    let text = said(&first);
    assert!(first.status.success() && given.left().len() == 9, "{text}");
    // A demo without that folder makes it anew, and takes it away; the kept one makes it again.
    let other = given.demo(&[]);
    assert!(other.status.success() && said(&other).contains("anew"), "{}", said(&other));
    assert_eq!(given.left(), [""; 0]);
    let again = given.demo(&keep);
    assert!(again.status.success(), "{}", said(&again));
    given.database.execute(said(&again).split_once("To remove it, run there:").unwrap().1);
    assert_eq!(given.left(), [""; 0]);
}

#[test]
fn what_the_demo_did_not_make_it_does_not_touch() {
    let given = Given::new(Version::Fifteen, "CREATEROLE");
    let refused = |word: &str| {
        let before = given.left();
        let output = given.demo(&[]);
        let text = said(&output);
        assert!(!output.status.success() && text.contains(word), "{word}: {text}");
        assert_eq!(given.left(), before, "{text}");
    };
    given.database.execute("CREATE SCHEMA asuser_demo; CREATE TABLE asuser_demo.orders (id int)");
    refused("which the demo did not make");
    given.database.execute("DROP SCHEMA asuser_demo CASCADE; CREATE ROLE asuser_demo_sales");
    refused("which the demo did not make");
    given.database.execute("COMMENT ON ROLE asuser_demo_sales IS 'made by asuser demo in the database elsewhere'");
    refused("`elsewhere`");
    given.database.execute("DROP ROLE asuser_demo_sales");
    let mut busy = given.database.session();
    busy.execute("SELECT pg_advisory_lock(hashtextextended('asuser demo', 0))");
    refused("another `asuser demo`");
    drop(busy);
    given.database.execute("ALTER ROLE chief NOCREATEROLE");
    refused("nothing was changed");
    given.database.execute("ALTER ROLE chief CREATEROLE");
    let output = given.demo(&[]);
    assert!(output.status.success(), "{}", said(&output));
    // A password is asked for by its variable, and never taken from the URL.
    let url = given.database.url("chief");
    let start =
        |url: &str| demo().args(["--once", "--postgres", url]).env_remove("ASUSER_DEMO_PASSWORD").output().unwrap();
    assert!(said(&start(&url)).contains("ASUSER_DEMO_PASSWORD"));
    let text = said(&start(&url.replace("chief@", "chief:secret@")));
    assert!(text.contains("ASUSER_DEMO_PASSWORD") && !text.contains("secret"), "{text}");
}

/// What the database lacks is said once, and not by a scene that fails.
#[test]
fn a_given_server_that_is_not_fit_is_named_and_left_clean() {
    let given = Given::new(Version::Fifteen, "CREATEROLE");
    given.database.execute("CREATE TABLE open (id int); GRANT SELECT ON open TO PUBLIC");
    let output = given.demo(&[]);
    let text = said(&output);
    assert!(!output.status.success() && text.contains("REVOKE ALL ON") && text.contains("not ready"), "{text}");
    assert!(!text.contains("One agent"), "{text}");
    assert_eq!(given.left(), [""; 0]);
    given.database.execute("REVOKE ALL ON open FROM PUBLIC");
    assert!(given.demo(&[]).status.success());
}

/// `asuser demo | head`
#[test]
fn a_given_server_is_left_clean_when_nobody_reads() {
    let given = Given::new(Version::Fifteen, "CREATEROLE");
    let mut command = demo();
    command.args(["--once", "--postgres", &given.database.url("chief")]).env("ASUSER_DEMO_PASSWORD", "secret");
    let mut running = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(running.stdout.take().unwrap());
    while !output.by_ref().lines().next().unwrap().unwrap().contains("One agent") {}
    drop(output);
    assert!(running.wait().unwrap().success());
    assert_eq!(given.left(), [""; 0]);
}

/// Asked to stop while it serves, it takes its things away.
#[test]
fn a_given_server_is_left_clean_after_ctrl_c() {
    let given = Given::new(Version::Fifteen, "CREATEROLE");
    let url = given.database.url("chief");
    let (mut demo, _) = serving(demo().args(["--postgres", &url]).env("ASUSER_DEMO_PASSWORD", "secret"));
    assert_eq!(given.left().len(), 9);
    signal(&demo, "INT");
    assert!(demo.wait().unwrap().success());
    assert_eq!(given.left(), [""; 0]);
}

#[test]
fn init_writes_a_configuration_that_loads_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let init = || asuser().arg("init").arg(folder.path()).output().unwrap();
    assert!(init().status.success());
    let again = init();
    assert!(!again.status.success() && said(&again).contains("is there already"), "{}", said(&again));
    // With a database and keys in place, what was written is a working start.
    let site = Site::new();
    std::fs::copy(site.path("company.db"), folder.path().join("company.db")).unwrap();
    std::fs::copy(site.path("keys.json"), folder.path().join("company.jwks.json")).unwrap();
    let check = asuser().args(["policy", "check", "--config"]).arg(folder.path().join("asuser.toml")).output().unwrap();
    assert!(check.status.success(), "{}", said(&check));
}

#[test]
fn policy_check_names_file_line_and_suggestion() {
    let site = Site::new();
    assert!(site.command(&["policy", "check"]).status.success());
    site.write("policies/db/rows.cedar", "// a comment\npermit (principal, action == Action::\"read\", resource is db::orders)\nwhen { principal has login && resource.ownr == principal.login };\n");
    let output = site.command(&["policy", "check"]);
    let text = said(&output);
    assert!(!output.status.success());
    assert!(text.contains("policies/db/rows.cedar:3") && text.contains("`owner`"), "{text}");
}

#[test]
fn whoami_explains_a_refused_token_to_the_operator_and_does_not_repeat_it() {
    let site = Site::new();
    let good = site.issuer.token_for("alice");
    let output = site.command(&["whoami", "--token", &good]);
    assert!(output.status.success() && said(&output).contains("alice"), "{}", said(&output));
    let expired = site.issuer.token_with("alice", &serde_json::json!({"exp": 1_000_000_000}));
    let output = site.command(&["whoami", "--token", &expired]);
    let text = said(&output);
    assert!(!output.status.success() && text.contains("expired"), "{text}");
    assert!(!text.contains(&expired) && !text.contains(expired.rsplit('.').next().unwrap()));
}

#[test]
fn help_teaches_and_completions_complete() {
    let help = said(&asuser().arg("--help").output().unwrap());
    for word in ["serve", "demo", "init", "whoami", "audit", "policy", "completions"] {
        assert!(help.contains(word), "{help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = asuser().args(["completions", shell]).output().unwrap();
        assert!(output.status.success() && output.stdout.len() > 500, "{shell}");
    }
}

/// docs/errors.md is the list that errors point to: it has every reason, with its status.
#[test]
fn the_guide_has_every_reason() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let guide = std::fs::read_to_string(path).unwrap();
    for reason in Reason::ALL {
        let row = format!("| {} | {} |", reason.code(), reason.status());
        assert!(guide.contains(&row), "docs/errors.md has no row `{row}`");
    }
}
