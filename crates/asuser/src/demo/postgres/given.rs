//! The company on somebody's server: a schema and roles of its own, marked as the demo's, and gone when it ends.

use anyhow::{Context as _, bail};
use asuser_core::Secret;
use asuser_postgres::{Client, PgError, Row, Target};
use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use data_encoding::{BASE64, BASE64URL_NOPAD};

use super::{Login, PASSWORD, Place, Postgres};
use crate::config::{Loaded, ServiceConfig};
use crate::demo::company::postgres::{self as company, Names};
use crate::demo::{Keys, say};

const NAMES: Names = Names::GIVEN;

/// The comment on what the demo makes. On a role, which all databases of a server share, it names the database too.
const MARK: &str = "made by asuser demo";

const SETTINGS: &str = "SET search_path = pg_catalog, pg_temp; SET lock_timeout = '10s'; SET statement_timeout = '30s'";

/// What is here by the demo's names, and its comment.
const FOUND: &str = r"
    SELECT 'schema', nspname, obj_description(oid, 'pg_namespace'), current_database() FROM pg_namespace WHERE nspname = 'asuser_demo'
    UNION ALL
    SELECT 'role', rolname, shobj_description(oid, 'pg_authid'), current_database() FROM pg_roles WHERE rolname LIKE 'asuser\_demo\_%'
";

/// The statements that remove it.
const REMOVAL: &str = r"
    SELECT statement FROM (
        SELECT 1, 'DROP SCHEMA asuser_demo CASCADE' FROM pg_namespace WHERE nspname = 'asuser_demo'
        UNION ALL
        SELECT 2, format('REVOKE CONNECT ON DATABASE %I FROM asuser_demo_login', d.datname)
        FROM pg_database d CROSS JOIN LATERAL aclexplode(d.datacl) a JOIN pg_roles r ON r.oid = a.grantee
        WHERE d.datname = current_database() AND r.rolname = 'asuser_demo_login'
        UNION ALL
        SELECT 3, 'REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM asuser_demo_login'
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) a JOIN pg_roles r ON r.oid = a.grantee
        WHERE p.oid = 'set_config(text, text, boolean)'::regprocedure AND r.rolname = 'asuser_demo_login'
        UNION ALL
        SELECT 4, 'DROP ROLE ' || string_agg(quote_ident(rolname), ', ' ORDER BY rolname)
        FROM pg_roles WHERE rolname LIKE 'asuser\_demo\_%' HAVING count(*) > 0
    ) removal(place, statement) ORDER BY place
";

/// What asuser's login needs of a server that was hardened: one row, true where it lacks it.
const LACKING: &str = "
    SELECT NOT has_database_privilege('asuser_demo_login', current_database(), 'CONNECT'),
        NOT has_function_privilege('asuser_demo_login', 'set_config(text, text, boolean)', 'EXECUTE'),
        quote_ident(current_database())
";

/// The same database, for asuser's login.
pub(super) fn service_url(url: &str) -> anyhow::Result<String> {
    if url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')).is_some_and(|(user, _)| user.contains(':')) {
        bail!("a password in the URL is seen by others: leave it out, and put it into the variable {PASSWORD}");
    }
    Target::parse(url).context("--postgres: for example postgres://admin@127.0.0.1:5432/postgres")?;
    let (_, rest) = url.split_once("://").context("--postgres is no URL")?;
    let (authority, database) = rest.split_once('/').context("--postgres names no database")?;
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    Ok(format!("postgres://{}@{hosts}/{database}", NAMES.login))
}

/// For the configuration.
pub(super) fn keys(address: &str) -> Keys {
    let service = format!(
        "kind = \"postgres\"\nurl = {}\npassword = \"file:login.password\"\nschemas = [\"{}\"]\nrole = \"{{database_role}}\"\n\
         # These roles cannot log in by themselves; people's own usually can.\nnologin_roles = true\ndefault = \"database\"",
        toml::Value::from(address),
        NAMES.schema,
    );
    Keys { mapping: "mapping.database_role = \"database_role\"\n", service }
}

/// 192 random bits.
pub(super) fn new_password() -> anyhow::Result<String> {
    let mut bytes = [0; 24];
    rand::fill(&mut bytes).context("no random bytes can be had")?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

pub(super) async fn start(url: &str, loaded: &Loaded, service: &ServiceConfig, keep: bool) -> anyhow::Result<Postgres> {
    let login = super::login(loaded, service)?;
    let mut target = login.target.clone();
    target.user = Target::parse(url)?.user;
    let password = std::env::var(PASSWORD).ok().map(Secret::new);
    let admin = Login { target, password };
    let lock = make(&admin, &login, keep).await?;
    Ok(Postgres { names: NAMES, admin, login, place: Place::Given { _lock: lock, keep } })
}

async fn make(admin: &Login, login: &Login, keep: bool) -> anyhow::Result<Client> {
    let mut client = connect(admin).await?;
    let free = client.query("SELECT pg_try_advisory_lock(hashtextextended('asuser demo', 0))", &[]).await?;
    if free.first().and_then(|row| row.get(0)) != Some("t") {
        bail!("another `asuser demo` runs in this database: end it first");
    }
    let found = client.query(FOUND, &[]).await?;
    found.iter().try_for_each(is_ours)?;
    announce(&admin.target, keep, !found.is_empty())?;
    let made = in_one_transaction(&mut client, login).await;
    let user = &admin.target.user;
    made.with_context(|| {
        format!("nothing was changed: `{user}` must be allowed to make schemas in this database and roles (CREATE, CREATEROLE)")
    })?;
    Ok(client)
}

async fn connect(admin: &Login) -> anyhow::Result<Client> {
    let user = &admin.target.user;
    let mut client = admin.connect().await.map_err(|error| {
        // invalid_authorization_specification, invalid_password
        let refused = matches!(error, PgError::Authentication(_)) || matches!(error.code(), Some("28000" | "28P01"));
        let password = match &admin.password {
            None if refused => format!(" (its password is read from the variable {PASSWORD}, which is not set)"),
            _ => String::new(),
        };
        anyhow::Error::new(error).context(format!("`{user}` cannot connect{password}"))
    })?;
    client.execute(SETTINGS).await?;
    Ok(client)
}

/// What somebody else made is not the demo's to drop.
fn is_ours(found: &Row) -> anyhow::Result<()> {
    let text = |at| found.get(at).unwrap_or_default();
    let (kind, name, comment, database) = (text(0), text(1), text(2), text(3));
    if kind == "schema" && comment == MARK || kind == "role" && comment == mark_of_role(database) {
        return Ok(());
    }
    match comment.strip_prefix(MARK).and_then(|rest| rest.strip_prefix(" in the database ")) {
        Some(other) => bail!(
            "the role `{name}` is of a demo in the database `{other}` of this server: end or remove that one first"
        ),
        None => bail!("there is a {kind} `{name}`, which the demo did not make: nothing was changed"),
    }
}

fn mark_of_role(database: &str) -> String {
    format!("{MARK} in the database {database}")
}

fn announce(target: &Target, keep: bool, anew: bool) -> anyhow::Result<()> {
    let hosts: Vec<String> = target.hosts.iter().map(ToString::to_string).collect();
    let roles = NAMES.roles();
    let (own, others) = roles.split_first().context("the demo has no roles")?;
    say(format_args!(
        "In the database `{}` at {}, as `{}`, this makes{}\n   the schema `{}` with four small tables\n   the role `{own}`, asuser's own \
         login, without any right\n   the roles {}, which cannot log in\nand {}.",
        target.database,
        hosts.join(", "),
        target.user,
        if anew { " anew (an earlier demo's are there)" } else { "" },
        NAMES.schema,
        others.join(", "),
        if keep { "leaves them there (--keep)" } else { "removes them when it ends" },
    ))
}

/// All or nothing: whatever fails, the connection is dropped, and the server rolls back.
async fn in_one_transaction(client: &mut Client, login: &Login) -> anyhow::Result<()> {
    client.execute("BEGIN").await?;
    for statement in removal(client).await? {
        client.execute(&statement).await?;
    }
    client.execute(&format!("CREATE SCHEMA {0}; COMMENT ON SCHEMA {0} IS '{MARK}'", NAMES.schema)).await?;
    let password = login.password.as_ref().context("asuser's login has no password")?;
    let login_with = format!("PASSWORD '{}'", verifier(password)?);
    company::create(client, &NAMES, &login_with, "NOLOGIN").await?;
    client.execute("SET LOCAL search_path = pg_catalog, pg_temp").await?;
    for role in NAMES.roles() {
        let mark = mark_of_role(&login.target.database).replace('\'', "''");
        client.execute(&format!("COMMENT ON ROLE \"{role}\" IS '{mark}'")).await?;
    }
    let lacking = client.query(LACKING, &[]).await?;
    let lacks = |at| lacking.first().and_then(|row| row.get(at)) == Some("t");
    if lacks(0) {
        let database = lacking.first().and_then(|row| row.get(2)).unwrap_or_default();
        client.execute(&format!("GRANT CONNECT ON DATABASE {database} TO {}", NAMES.login)).await?;
    }
    if lacks(1) {
        let grant = "GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) TO";
        client.execute(&format!("{grant} {}", NAMES.login)).await?;
    }
    client.execute("COMMIT").await?;
    Ok(())
}

async fn removal(client: &mut Client) -> Result<Vec<String>, PgError> {
    let rows = client.query(REMOVAL, &[]).await?;
    Ok(rows.iter().filter_map(|row| row.get(0).map(str::to_owned)).collect())
}

/// Removes it, or says how to.
pub(super) async fn end(admin: &Login, keep: bool) -> anyhow::Result<()> {
    let by_hand = "it may have left the schema `asuser_demo` and roles named `asuser_demo_…` in the database";
    let mut client = connect(admin).await.context(by_hand)?;
    let statements = removal(&mut client).await.context(by_hand)?;
    if keep {
        let script = statements.join(";\n  ");
        return say(format_args!(
            "\nThe company is still in the database `{}`. To remove it, run there:\n  {script};",
            admin.target.database
        ));
    }
    let script = statements.join("; ");
    let removed = client.execute(&script).await;
    removed.with_context(|| {
        format!("the demo's schema and roles are still in the database; this removes them: {script}")
    })?;
    client.close().await;
    say(format_args!("Removed from the database `{}`: the schema and roles of the demo.", admin.target.database))
}

/// What PostgreSQL keeps of a password (RFC 5803), so that neither its log nor the way there sees the password itself.
fn verifier(password: &Secret) -> anyhow::Result<String> {
    const ITERATIONS: std::num::NonZeroU32 = std::num::NonZeroU32::MIN.saturating_add(4095);
    let mut salt = [0; 16];
    rand::fill(&mut salt).context("no random bytes can be had")?;
    let mut salted = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, &salt, password.expose().as_bytes(), &mut salted);
    // RFC 5802 §3
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let stored = digest::digest(&digest::SHA256, hmac::sign(&key, b"Client Key").as_ref());
    let server = hmac::sign(&key, b"Server Key");
    Ok(format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        BASE64.encode(&salt),
        BASE64.encode(stored.as_ref()),
        BASE64.encode(server.as_ref())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_url_is_the_same_database_for_asusers_login() {
        let url = service_url("postgresql://admin@db.example:6432,[::1]:1/shop?connect_timeout=5").unwrap();
        assert_eq!(url, "postgres://asuser_demo_login@db.example:6432,[::1]:1/shop?connect_timeout=5");
        for (url, word) in [
            ("postgres://admin:hunter2@h/d", PASSWORD),
            ("mysql://admin@h/d", "postgres://"),
            ("postgres://h/d", "user"),
        ] {
            let message = format!("{:#}", service_url(url).unwrap_err());
            assert!(message.contains(word) && !message.contains("hunter2"), "{url}: {message}");
        }
    }
}
