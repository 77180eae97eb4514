//! The signed `asuser.claims()`. In: an operator and, for a first installation or a rotation, a key. Out: what was done. Refuses a schema or
//! an object in it that belongs to somebody else, an owner who may not see when a session began, and to take away what policies rely on.

use crate::quote::{grantee, identifier};
use crate::{Operator, OpsError};
use asuser_credential::claims::{ClaimsKey, Place};

/// What is run, without the key: for reading before it happens.
pub const INSTALL_SQL: &str = include_str!("install.sql");

/// What an installation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Nothing of it was there before.
    pub first: bool,
    /// The keys that are accepted now, the current one last: two at most.
    pub key_ids: Vec<u32>,
}

/// What a removal took with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uninstalled {
    /// It was there.
    pub was_installed: bool,
    /// The policies, views and defaults that went too, in PostgreSQL's words.
    pub dropped: Vec<String>,
}

/// The keys that the database accepts, ascending; none where nothing is installed.
///
/// # Errors
/// When the server refuses, as it does to whoever does not own the keys.
pub async fn key_ids(operator: &mut Operator) -> Result<Vec<u32>, OpsError> {
    let there = operator.rows("looking for asuser.key", "SELECT to_regclass('asuser.key') IS NOT NULL", &[]).await?;
    if there.first().and_then(|row| row.get(0)) != Some("t") {
        return Ok(Vec::new());
    }
    // Row security would hide the rows from others and look like "none": so it is an error instead.
    operator.run("reading the keys' numbers", "SET row_security = off").await?;
    let rows = operator.rows("reading the keys' numbers", "SELECT id FROM asuser.key ORDER BY id", &[]).await?;
    operator.run("reading the keys' numbers", "SET row_security = on").await?;
    rows.iter()
        .map(|row| row.get(0).and_then(|id| id.parse().ok()).ok_or(OpsError::Answer("reading the keys' numbers")))
        .collect()
}

/// Creates or repairs `asuser.claims()`, and adds `key` if there is one; of the keys before, the newest stays valid.
///
/// All or nothing: it checks itself with a signed and a forged text before it commits.
///
/// # Errors
/// When the operator may not, something of that name belongs to another, or the check fails.
pub async fn install(operator: &mut Operator, key: Option<&ClaimsKey>) -> Result<Installed, OpsError> {
    refuse_weak_owner(operator).await?;
    refuse_foreign(operator).await?;
    operator.run("beginning", "BEGIN").await?;
    let done = install_inside(operator, key).await;
    match done {
        Ok(installed) => operator.run("committing", "COMMIT").await.map(|()| installed),
        Err(error) => {
            // The first error is the one to hear of.
            let _ = operator.run("undoing", "ROLLBACK").await;
            Err(error)
        }
    }
}

async fn install_inside(operator: &mut Operator, key: Option<&ClaimsKey>) -> Result<Installed, OpsError> {
    let first =
        operator.rows("looking for asuser.claims()", "SELECT to_regprocedure('asuser.claims()') IS NULL", &[]).await?;
    let first = first.first().and_then(|row| row.get(0)) == Some("t");
    operator.run("creating asuser.claims()", INSTALL_SQL).await?;
    revoke_defaults(operator).await?;
    if let Some(key) = key {
        insert(operator, key).await?;
    }
    let ids = key_ids(operator).await?;
    if ids.is_empty() {
        return Err(OpsError::Refused("the first installation needs a key".to_owned()));
    }
    if let Some(key) = key {
        check_itself(operator, key).await?;
    }
    Ok(Installed { first, key_ids: ids })
}

/// `backend_start` of another's session is shown to pg_read_all_stats alone; the function runs as its owner.
async fn refuse_weak_owner(operator: &mut Operator) -> Result<(), OpsError> {
    let sql = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')";
    let rows = operator.rows("checking the operator's rights", sql, &[]).await?;
    if rows.first().and_then(|row| row.get(0)) == Some("t") {
        return Ok(());
    }
    let name = identifier(operator.name());
    Err(OpsError::Refused(format!(
        "asuser.claims() runs with the rights of {name}, which must see when a session began: GRANT pg_read_all_stats TO {name};"
    )))
}

/// `CREATE OR REPLACE` keeps an owner, and the owner of the schema may replace what is in it.
async fn refuse_foreign(operator: &mut Operator) -> Result<(), OpsError> {
    let sql = "SELECT what, pg_get_userbyid(owner) FROM (
            SELECT 'the schema asuser' AS what, nspowner AS owner FROM pg_namespace WHERE nspname = 'asuser'
            UNION ALL SELECT pg_describe_object('pg_class'::regclass, c.oid, 0), c.relowner FROM pg_class c WHERE c.relnamespace = to_regnamespace('asuser')
            UNION ALL SELECT pg_describe_object('pg_proc'::regclass, p.oid, 0), p.proowner FROM pg_proc p WHERE p.pronamespace = to_regnamespace('asuser')
        ) found WHERE pg_get_userbyid(owner) <> current_user LIMIT 1";
    let rows = operator.rows("looking at the schema asuser", sql, &[]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let (what, owner) = (row.get(0).unwrap_or_default(), row.get(1).unwrap_or_default());
    Err(OpsError::Refused(format!(
        "{what} belongs to {}, not to {}: run this as the owner, or remove it",
        identifier(owner),
        identifier(operator.name())
    )))
}

/// `ALTER DEFAULT PRIVILEGES` may have given away what was just made.
async fn revoke_defaults(operator: &mut Operator) -> Result<(), OpsError> {
    let sql = "SELECT DISTINCT 'TABLE asuser.key', CASE a.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END FROM pg_class c, aclexplode(c.relacl) a
            WHERE c.oid = 'asuser.key'::regclass AND a.grantee <> c.relowner
        UNION SELECT 'FUNCTION asuser.backend_start()', CASE a.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END FROM pg_proc p, aclexplode(p.proacl) a
            WHERE p.oid = 'asuser.backend_start()'::regprocedure AND a.grantee <> p.proowner
        UNION SELECT 'SCHEMA asuser', pg_get_userbyid(a.grantee) FROM pg_namespace n, aclexplode(n.nspacl) a
            WHERE n.nspname = 'asuser' AND a.grantee <> n.nspowner AND a.grantee <> 0";
    for row in operator.rows("looking for default privileges", sql, &[]).await? {
        let (what, who) = (row.get(0).unwrap_or_default(), grantee(row.get(1)));
        operator.run("revoking default privileges", &format!("REVOKE ALL ON {what} FROM {who}")).await?;
    }
    Ok(())
}

async fn insert(operator: &mut Operator, key: &ClaimsKey) -> Result<(), OpsError> {
    const DOING: &str = "storing the key";
    if operator.is_superuser() {
        // The server's log must not hold the key; only a superuser may say so.
        operator.run(DOING, "SET LOCAL log_statement = 'none'; SET LOCAL log_min_duration_statement = -1; SET LOCAL log_min_error_statement = 'panic'; SET LOCAL log_parameter_max_length = 0").await?;
    }
    let (inner, outer) = key.pads();
    let id = key.id().to_string();
    operator.rows(DOING, "DELETE FROM asuser.key WHERE id <> (SELECT max(id) FROM asuser.key)", &[]).await?;
    let sql = "INSERT INTO asuser.key (id, ipad, opad) VALUES ($1::integer, decode($2, 'hex'), decode($3, 'hex'))";
    operator.rows(DOING, sql, &[Some(&id), Some(inner.expose()), Some(outer.expose())]).await?;
    Ok(())
}

async fn check_itself(operator: &mut Operator, key: &ClaimsKey) -> Result<(), OpsError> {
    const DOING: &str = "checking asuser.claims()";
    let sql = "SELECT pg_backend_pid(), (extract(epoch FROM backend_start) * 1000000)::bigint, session_user, current_setting('role'),
            (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 10000
        FROM pg_stat_get_activity(pg_backend_pid())";
    let rows = operator.rows(DOING, sql, &[]).await?;
    let row = rows.first().ok_or(OpsError::Answer(DOING))?;
    let text = |at| row.get(at).ok_or(OpsError::Answer(DOING));
    let number = |at| text(at)?.parse::<i64>().map_err(|_| OpsError::Answer(DOING));
    let pid = i32::try_from(number(0)?).map_err(|_| OpsError::Answer(DOING))?;
    let place = Place { pid, backend_start_us: number(1)?, session_user: text(2)?, role: text(3)? };
    let payload = format!(r#"{{"exp_ms":{}}}"#, number(4)?);
    let elsewhere = Place { pid: pid.wrapping_add(1), ..place };
    for (signed, good) in [(key.sign(place, &payload), "t"), (key.sign(elsewhere, &payload), "f")] {
        operator.rows(DOING, "SELECT set_config('asuser.claims', $1, true)", &[Some(&signed)]).await?;
        let rows = operator.rows(DOING, "SELECT asuser.claims() IS NOT NULL", &[]).await?;
        if rows.first().and_then(|row| row.get(0)) != Some(good) {
            return Err(OpsError::Refused(
                "asuser.claims() does not tell signed from forged here; nothing was installed".to_owned(),
            ));
        }
    }
    Ok(())
}

/// Removes it. Policies that use it would be gone with it, which leaves their tables closed: only with `cascade`.
///
/// # Errors
/// When something depends on it and `cascade` is not given, or the server refuses.
pub async fn uninstall(operator: &mut Operator, cascade: bool) -> Result<Uninstalled, OpsError> {
    let there =
        operator.rows("looking for the schema asuser", "SELECT to_regnamespace('asuser') IS NOT NULL", &[]).await?;
    if there.first().and_then(|row| row.get(0)) != Some("t") {
        return Ok(Uninstalled { was_installed: false, dropped: Vec::new() });
    }
    let dropped = dependents(operator).await?;
    if !dropped.is_empty() && !cascade {
        return Err(OpsError::Refused(format!(
            "asuser.claims() is used by {}: change them first, or give --cascade to drop them (a table that loses its policies is closed to everybody)",
            dropped.join(", ")
        )));
    }
    let how = if cascade { "CASCADE" } else { "RESTRICT" };
    let statements = [
        format!("DROP FUNCTION IF EXISTS asuser.claims() {how}"),
        "DROP FUNCTION IF EXISTS asuser.backend_start() RESTRICT".to_owned(),
        "DROP TABLE IF EXISTS asuser.key RESTRICT".to_owned(),
        // Whatever else somebody put there stays, and the removal with it.
        "DROP SCHEMA asuser RESTRICT".to_owned(),
    ];
    operator.run_all("removing asuser.claims()", &statements).await?;
    Ok(Uninstalled { was_installed: true, dropped })
}

async fn dependents(operator: &mut Operator) -> Result<Vec<String>, OpsError> {
    let sql = "SELECT DISTINCT CASE WHEN d.classid = 'pg_rewrite'::regclass
                THEN (SELECT pg_describe_object('pg_class'::regclass, r.ev_class, 0) FROM pg_rewrite r WHERE r.oid = d.objid)
                ELSE pg_describe_object(d.classid, d.objid, d.objsubid) END
        FROM pg_depend d
        WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = to_regprocedure('asuser.claims()') AND d.deptype = 'n' ORDER BY 1";
    let rows = operator.rows("looking for what uses asuser.claims()", sql, &[]).await?;
    Ok(rows.iter().filter_map(|row| row.get(0).map(str::to_owned)).collect())
}

/// The body of `asuser.claims()`, as `pg_proc.prosrc` has it.
pub(crate) fn claims_source() -> &'static str {
    INSTALL_SQL.split("$function$").nth(3).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::claims_source;

    #[test]
    fn the_source_is_that_of_the_second_function() {
        assert!(claims_source().contains("expires_ms") && !claims_source().contains("CREATE"));
    }
}
