//! What a real PostgreSQL makes of certificates: who gets in, as whom, and who does not. With the lines of docs/certificates.md in its
//! pg_hba.conf: `hostssl all +asuser_users … cert map=…` and a map that takes the common name as the role.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use asuser_core::{Clock as _, SystemClock};
use asuser_credential::{AuthorityFolder, BUNDLE, CertificateAuthority, Kind};
use asuser_postgres::{Client, Credentials, PgError, Target, Tls};
use asuser_testkit::{PgDatabase, PostgresServer, Version};

struct Rig {
    server: Arc<PostgresServer>,
    database: PgDatabase,
    target: Target,
    folder: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        // Its own: the authorities that it trusts change.
        let server = PostgresServer::own(Version::Fifteen);
        let database = server.database("login");
        let mut target = Target::parse(&database.url("nobody")).unwrap();
        target.tls = Tls::verified(server.ca_pem().as_bytes()).unwrap();
        Self { server, database, target, folder: tempfile::tempdir().unwrap() }
    }

    fn authority(&self, name: &str) -> AuthorityFolder {
        let folder = AuthorityFolder::new(self.folder.path().join(name));
        folder.init(Kind::Own, "asuser", 1, now_ms()).unwrap();
        self.trust(name);
        folder
    }

    fn trust(&self, name: &str) {
        let bundle = Path::new(name).join(BUNDLE);
        self.server.trust_client_ca(&std::fs::read_to_string(self.folder.path().join(bundle)).unwrap());
    }

    /// `session_user` of a login as `role` with a certificate for `name`.
    async fn login(&self, authority: &CertificateAuthority, name: &str, role: &str) -> Result<String, PgError> {
        let minted = authority.mint(name, now_ms(), 60).unwrap();
        let chain = std::iter::once(minted.certificate).chain(minted.chain).collect();
        let credentials = Credentials { user: role.into(), password: None, certificate: Some((chain, minted.key)) };
        let mut client = Client::connect(&self.target, &credentials).await?;
        let rows = client.query("SELECT session_user", &[]).await?;
        Ok(rows[0].get(0).unwrap().to_owned())
    }
}

fn now_ms() -> i64 {
    SystemClock.now_ms()
}

/// SQLSTATE of a refusal by the server: 28000 is invalid_authorization_specification.
fn refused(result: Result<String, PgError>) -> bool {
    matches!(&result, Err(error) if error.code() == Some("28000"))
}

#[tokio::test]
async fn a_member_logs_in_as_their_own_role_and_nobody_else() {
    let rig = Rig::new();
    let authority = rig.authority("ca").open(now_ms()).unwrap();
    let odd = r#"Ünï, "x" CN=postgres"#;
    let quoted = asuser_testkit::postgres::quoted(odd);
    rig.database.execute(&format!(
        "CREATE ROLE \"ann@example.com\" LOGIN; CREATE ROLE {quoted} LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE asleep;
         GRANT asuser_users TO \"ann@example.com\", {quoted}, asleep"
    ));
    assert_eq!(rig.login(&authority, "ann@example.com", "ann@example.com").await.unwrap(), "ann@example.com");
    assert_eq!(rig.login(&authority, odd, odd).await.unwrap(), odd);
    // The name is another's.
    assert!(refused(rig.login(&authority, "ann@example.com", odd).await));
    assert!(refused(rig.login(&authority, "ANN@example.com", "ann@example.com").await));
    // Not in the group: the line does not hold for them. The superuser is in it only if it was granted.
    assert!(rig.login(&authority, "bob", "bob").await.is_err());
    assert!(rig.login(&authority, "postgres", "postgres").await.is_err());
    assert!(refused(rig.login(&authority, "asleep", "asleep").await));
    rig.database.execute("GRANT asuser_users TO bob");
    assert_eq!(rig.login(&authority, "bob", "bob").await.unwrap(), "bob");
}

#[tokio::test]
async fn through_a_rotation_everyone_gets_in_and_afterwards_the_old_authority_is_worth_nothing() {
    let rig = Rig::new();
    rig.database.execute("CREATE ROLE ann LOGIN; GRANT asuser_users TO ann");
    let folder = rig.authority("ca");
    let old = folder.open(now_ms()).unwrap();
    let ann = async |authority| rig.login(authority, "ann", "ann").await;
    assert_eq!(ann(&old).await.unwrap(), "ann");

    folder.prepare(None, None, 1, now_ms()).unwrap();
    rig.trust("ca");
    assert_eq!(ann(&old).await.unwrap(), "ann");
    folder.activate(now_ms()).unwrap();
    let new = folder.open(now_ms()).unwrap();
    // Both have the same name; each certificate says whose key signed it.
    assert_eq!(ann(&new).await.unwrap(), "ann");
    assert_eq!(ann(&old).await.unwrap(), "ann");

    folder.finish(now_ms() + 700_000).unwrap();
    rig.trust("ca");
    assert_eq!(ann(&new).await.unwrap(), "ann");
    assert!(ann(&old).await.is_err());
}

#[tokio::test]
async fn a_node_under_an_offline_root_is_trusted_by_the_root_alone() {
    let rig = Rig::new();
    rig.database.execute("CREATE ROLE ann LOGIN; GRANT asuser_users TO ann");
    let root = AuthorityFolder::new(rig.folder.path().join("root"));
    root.init(Kind::OfflineRoot, "root", 5, now_ms()).unwrap();
    let node = AuthorityFolder::new(rig.folder.path().join("node"));
    node.init(Kind::Under(&root), "node-1", 1, now_ms()).unwrap();
    let authority = node.open(now_ms()).unwrap();
    assert!(rig.login(&authority, "ann", "ann").await.is_err());
    rig.trust("node");
    assert_eq!(rig.login(&authority, "ann", "ann").await.unwrap(), "ann");
}
