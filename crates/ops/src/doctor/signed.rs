//! The signed `asuser.claims()`, where the gateway signs: is it there, is it ours, and is its key closed.

use super::exam::Exam;
use crate::OpsError;
use crate::install::claims_source;
use crate::quote::{grantee, identifier};

pub(super) async fn check(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = "SELECT p.prosrc, p.prosecdef AND p.provolatile = 's' AND p.proparallel = 'r' AND p.proconfig = ARRAY['search_path=pg_catalog, pg_temp'],
            pg_has_role(p.proowner, 'pg_read_all_stats', 'USAGE'), pg_get_userbyid(p.proowner), to_regclass('asuser.key') IS NOT NULL
        FROM pg_proc p WHERE p.oid = to_regprocedure('asuser.claims()')";
    let rows = exam.rows("looking for asuser.claims()", sql, &[]).await?;
    let again = format!("run `asuser install --service {}` again", exam.facts.service);
    let Some(row) = rows.first() else {
        if exam.facts.claims_signed {
            let says = format!("the gateway signs claims, and nothing here checks them: {again}");
            exam.critical("claims-not-installed", "asuser.claims()", says, None);
        }
        return Ok(());
    };
    if row.get(0).map(str::trim) != Some(claims_source().trim()) || row.get(1) != Some("t") {
        let says = format!("its text is not what this version of asuser installs: {again}");
        exam.critical("claims-changed", "asuser.claims()", says, None);
    }
    let owner = row.get(3).unwrap_or_default();
    if row.get(2) != Some("t") {
        let says = format!("its owner {owner} may not see when a session began, so it says NULL to everybody");
        exam.critical(
            "claims-blind",
            "asuser.claims()",
            says,
            Some(format!("GRANT pg_read_all_stats TO {};", identifier(owner))),
        );
    }
    if row.get(4) == Some("t") {
        key(exam).await?;
    }
    if exam.facts.claims_signed && !exam.facts.prepare {
        let says = "prepare = false says that a pooler stands between, and claims are signed for one server process: through a pooler of transactions they are NULL";
        exam.warning("claims-through-pooler", exam.facts.service.clone(), says, None);
    }
    Ok(())
}

async fn key(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = "SELECT DISTINCT CASE a.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END
        FROM pg_class c, LATERAL (SELECT * FROM aclexplode(c.relacl) UNION ALL SELECT x.* FROM pg_attribute t, aclexplode(t.attacl) x WHERE t.attrelid = c.oid) a
        WHERE c.oid = 'asuser.key'::regclass AND a.grantee <> c.relowner";
    for row in exam.rows("reading who may read the key", sql, &[]).await? {
        let who = row.get(0);
        let says = format!(
            "{} has rights on the key, and whoever reads it signs for anybody. Then make a new key: `asuser install --rotate`",
            who.unwrap_or("PUBLIC")
        );
        let fix = format!("REVOKE ALL ON asuser.key FROM {};", grantee(who));
        exam.critical("claims-key-open", "asuser.key", says, Some(fix));
    }
    let sql = "SELECT relrowsecurity, EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid) FROM pg_class c WHERE c.oid = 'asuser.key'::regclass";
    let rows = exam.rows("reading how the key is kept", sql, &[]).await?;
    if rows.first().is_some_and(|row| row.get(0) != Some("t") || row.get(1) == Some("t")) {
        let says = "row security does not close the key, so members of pg_read_all_data read it";
        exam.critical(
            "claims-key-open",
            "asuser.key",
            says,
            Some("ALTER TABLE asuser.key ENABLE ROW LEVEL SECURITY;".to_owned()),
        );
    }
    Ok(())
}
