//! The suite that every connector passes, over real PostgreSQL servers: in each run-as mode, with each mapping of people to roles.
//!
//! Every table that has an `owner` has row security too, which asks the session who it is: a session that were somebody else's would
//! find no rows, whatever asuser's own conditions say.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use asuser_conformance::{Cell, ColumnSpec, Database, Fixture, PoolSize, TableSpec, conformance_tests};
use asuser_connector::{Connector, RoleMapping};
use asuser_connector_postgres::{PostgresConnector, PostgresOptions, RunAs};
use asuser_core::{Clock as _, ColumnKind, GroupName, Secret, SystemClock};
use asuser_credential::{CertificateAuthority, NewAuthority};
use asuser_postgres::{Target, Tls};
use asuser_testkit::{PgDatabase, PostgresServer, Version};

/// Logs in, and has rights to nothing.
const LOGIN: &str = "asuser_login";
const PASSWORD: &str = "a password of the tests";
/// The groups of the suite's people that have roles, `staff_role` and so on.
const GROUPS: [&str; 4] = ["staff", "auditors", "even", "odd"];
const SHARED: &str = "authenticated";

/// How people become roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mapping {
    User,
    Group,
    Claims,
}

#[derive(Debug, Clone, Copy)]
struct Postgres {
    version: Version,
    mapping: Mapping,
    by_certificate: bool,
    prepare: bool,
    bleed_s: u64,
}

/// A role per user, whom asuser's login becomes for each transaction.
const USUAL: Postgres =
    Postgres { version: Version::Fifteen, mapping: Mapping::User, by_certificate: false, prepare: true, bleed_s: 10 };

struct Made {
    database: PgDatabase,
    mapping: Mapping,
    connector: Arc<PostgresConnector>,
}

impl Fixture for Postgres {
    fn mode(&self) -> &'static str {
        if self.by_certificate { "certificate" } else { "role" }
    }
    fn user(&self, login: &str) -> Option<String> {
        let session_user = if self.by_certificate { login } else { LOGIN };
        let current_user = match self.mapping {
            Mapping::User => login.to_owned(),
            // The suite's people are of the staff where it does not say otherwise.
            Mapping::Group => match login.strip_prefix('p').and_then(|number| number.parse::<u32>().ok()) {
                Some(number) => if number.is_multiple_of(2) { "even_role" } else { "odd_role" }.to_owned(),
                None => "staff_role".to_owned(),
            },
            Mapping::Claims => SHARED.to_owned(),
        };
        Some(format!("{session_user}/{current_user}"))
    }
    fn database(&self, tables: &[TableSpec], pool: PoolSize) -> Box<dyn Database> {
        let (server, authority) = place(self.version, self.by_certificate);
        let database = server.database("conformance");
        database.execute(
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC;
             ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO readers",
        );
        let connector = Arc::new(PostgresConnector::open(self.options(&database, authority, pool)).unwrap());
        let made = Made { database, mapping: self.mapping, connector };
        tables.iter().for_each(|table| made.create(table));
        Box::new(made)
    }
    fn text_holds_nul(&self) -> bool {
        false
    }
    fn bleed_s(&self) -> u64 {
        self.bleed_s
    }
    fn absent(&self) -> Option<String> {
        let absent = self.version != Version::Fifteen && !self.version.is_installed();
        absent.then(|| format!("PostgreSQL ({:?}) is not installed here: scripts/setup test", self.version))
    }
}

impl Postgres {
    fn options(&self, database: &PgDatabase, authority: &NewAuthority, pool: PoolSize) -> PostgresOptions {
        let mut target = Target::parse(&database.url(LOGIN)).unwrap();
        target.tls = Tls::verified(database.server().ca_pem().as_bytes()).unwrap();
        let role = match self.mapping {
            Mapping::User => RoleMapping::Login,
            Mapping::Claims => RoleMapping::Constant(SHARED.to_owned()),
            Mapping::Group => {
                let role_of = |group: &str| (GroupName::from(group), format!("{group}_role"));
                RoleMapping::Groups(GROUPS.into_iter().map(role_of).collect())
            }
        };
        let mut options = PostgresOptions::new("db".into(), target, role);
        options.connections = pool.connections;
        options.waiting_max = pool.waiting_max;
        options.prepare = self.prepare;
        if self.by_certificate {
            let (certificate, key) = (authority.certificate_pem.as_bytes(), &authority.key_pem);
            let authority = CertificateAuthority::load(certificate, key, SystemClock.now_ms()).unwrap();
            options.run_as = RunAs::Certificate(Box::new(authority));
        }
        options.password = Some(Secret::new(PASSWORD.to_owned()));
        options
    }
}

/// A server with everybody's roles, and the authority that it trusts to name people.
type Place = (Arc<PostgresServer>, NewAuthority);

/// The process's servers. Who can become people is one of them in the eyes of `pg_hba.conf`, so that the login of one mode would not
/// be let in by password where people come by certificate.
fn place(version: Version, by_certificate: bool) -> &'static Place {
    static PLACES: [OnceLock<Place>; 4] = [const { OnceLock::new() }; 4];
    let at = usize::from(version == Version::Eighteen) * 2 + usize::from(by_certificate);
    PLACES.get(at).unwrap().get_or_init(|| {
        let server = PostgresServer::own(version);
        server.execute(&roles(by_certificate));
        let authority = CertificateAuthority::init("asuser conformance", 1, SystemClock.now_ms()).unwrap();
        server.trust_client_ca(&authority.certificate_pem);
        (server, authority)
    })
}

fn roles(by_certificate: bool) -> String {
    let mut sql = format!("CREATE ROLE readers; CREATE ROLE {LOGIN} LOGIN NOINHERIT PASSWORD '{PASSWORD}';");
    let named = ["alice", "bob", "carol", "ALICE"].map(str::to_owned);
    for person in named.into_iter().chain((0..50).map(|number| format!("p{number}"))) {
        if by_certificate {
            writeln!(sql, "CREATE ROLE \"{person}\" LOGIN IN ROLE readers, asuser_users;").unwrap();
        } else {
            writeln!(sql, "CREATE ROLE \"{person}\" LOGIN IN ROLE readers; GRANT \"{person}\" TO {LOGIN};").unwrap();
        }
    }
    let groups = GROUPS.map(|group| format!("{group}_role"));
    for role in groups.into_iter().chain([SHARED.to_owned()]) {
        writeln!(sql, "CREATE ROLE {role} IN ROLE readers; GRANT {role} TO {LOGIN};").unwrap();
    }
    sql
}

impl Database for Made {
    fn connector(&self) -> Arc<dyn Connector> {
        Arc::clone(&self.connector) as Arc<dyn Connector>
    }
    fn execute(&self, sql: &str) {
        self.database.execute(sql);
    }
    fn create(&self, table: &TableSpec) {
        let column = |(at, column): (usize, &ColumnSpec)| {
            let declared = match column.kind {
                ColumnKind::Text => "text",
                ColumnKind::Integer => "bigint",
                ColumnKind::Float => "double precision",
                ColumnKind::Binary => "bytea",
                other => unreachable!("no fixture has a column of kind {other:?}"),
            };
            let key = if at == 0 { " PRIMARY KEY" } else { "" };
            let null = if column.nullable { "" } else { " NOT NULL" };
            format!("{} {declared}{key}{null}", column.name)
        };
        let columns: Vec<String> = table.columns.iter().enumerate().map(column).collect();
        let mut sql = format!("CREATE TABLE {} ({});", table.name, columns.join(", "));
        if table.columns.iter().any(|column| column.name == "owner") {
            let who = match self.mapping {
                Mapping::User => "current_user::text",
                Mapping::Group | Mapping::Claims => "current_setting('request.jwt.claims')::json ->> 'login'",
            };
            let name = table.name;
            write!(
                sql,
                "ALTER TABLE {name} ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON {name} USING (owner = ({who}));"
            )
            .unwrap();
        }
        let mut session = self.database.session();
        session.execute(&sql);
        session.copy_in(&format!("COPY {} FROM STDIN", table.name), copied(&table.rows).as_bytes());
    }
    fn kill_connections(&self) -> bool {
        self.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.5",
        );
        true
    }
}

/// Rows in COPY's text format.
fn copied(rows: &[Vec<Cell>]) -> String {
    let mut text = String::new();
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            text.push_str(if at == 0 { "" } else { "\t" });
            match cell {
                Cell::Null => text.push_str("\\N"),
                Cell::Integer(number) => write!(text, "{number}").unwrap(),
                Cell::Real(real) => write!(text, "{real:e}").unwrap(),
                Cell::Text(value) => text.push_str(&escaped(value)),
                Cell::Bytes(bytes) => {
                    text.push_str("\\\\x");
                    bytes.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
                }
            }
        }
        text.push('\n');
    }
    text
}

fn escaped(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '\t', '\n', '\r']) {
        return value.into();
    }
    let escapes = [("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")];
    escapes.iter().fold(value.to_owned(), |value, (from, to)| value.replace(from, to)).into()
}

mod role_per_user {
    use super::*;
    conformance_tests!(USUAL);
}

mod role_per_group {
    use super::*;
    conformance_tests!(Postgres { mapping: Mapping::Group, bleed_s: 2, ..USUAL });
}

mod one_role_and_claims {
    use super::*;
    conformance_tests!(Postgres { mapping: Mapping::Claims, bleed_s: 2, ..USUAL });
}

mod certificate {
    use super::*;
    conformance_tests!(Postgres { by_certificate: true, ..USUAL });
}

mod without_prepared_statements {
    use super::*;
    conformance_tests!(Postgres { prepare: false, bleed_s: 2, ..USUAL });
}

mod eighteen_role_per_user {
    use super::*;
    conformance_tests!(Postgres { version: Version::Eighteen, bleed_s: 2, ..USUAL });
}

mod eighteen_certificate {
    use super::*;
    conformance_tests!(Postgres { version: Version::Eighteen, by_certificate: true, bleed_s: 2, ..USUAL });
}
