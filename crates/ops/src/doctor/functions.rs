//! Functions that run with another's rights, or change who asks.

use super::exam::{Exam, OWN_SCHEMA};
use super::facts::RunAs;
use crate::OpsError;
use crate::quote::{array, identifier, literal};

/// How `trusted_functions` spells `p`, and the gateway with it.
pub(super) const SPELLING: &str =
    "format('%s.%s(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))";

/// `p` may be called by one of `$1`.
const CALLABLE: &str = "p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype) AND (p.proowner = ANY ($1::oid[])
    OR EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.privilege_type = 'EXECUTE' AND a.grantee = ANY ($1::oid[])))";

const CALLERS: &str = "(SELECT string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, ', ')
    FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.privilege_type = 'EXECUTE' AND a.grantee = ANY ($1::oid[]) AND a.grantee <> p.proowner)";

pub(super) async fn check(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    definers(exam).await?;
    setters(exam).await?;
    missing_trusted(exam).await
}

async fn definers(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = format!(
        "SELECT p.oid::regprocedure::text, n.nspname, o.rolname,
            o.rolsuper OR o.rolbypassrls OR EXISTS (SELECT FROM pg_class t WHERE t.relowner = o.oid AND t.relrowsecurity AND NOT t.relforcerowsecurity),
            EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c ~* '^search_path='), {CALLERS},
            EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'), {SPELLING}
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles o ON o.oid = p.proowner
        WHERE p.prosecdef AND {OWN_SCHEMA} AND {CALLABLE}"
    );
    for row in exam.rows_for_them("reading SECURITY DEFINER functions", &sql).await? {
        let text = |at| row.get(at).unwrap_or_default();
        let is = |at| row.get(at) == Some("t");
        let (function, schema, owner) = (text(0), text(1), text(2));
        if !is(4) {
            let says = format!(
                "it runs with the rights of {owner} and takes names from the caller's search_path: who can make an object there makes it do anything"
            );
            let fix =
                format!("ALTER ROUTINE {function} SET search_path = pg_catalog, {}, pg_temp;", identifier(schema));
            exam.critical("definer-without-search-path", function, says, Some(fix));
        }
        if exam.facts.trusts(text(7)) || is(6) {
            continue;
        }
        let spelt = text(7);
        let beyond = if is(3) { "whom row security does not bind" } else { "not of the caller" };
        let says = format!(
            "it reads with the rights of {owner}, {beyond}: what it gives back is for everybody who may call it. Close it, or vouch for it: trusted_functions = [\"{spelt}\"]"
        );
        let fix = row.get(5).map(|callers| format!("REVOKE EXECUTE ON ROUTINE {function} FROM {callers};"));
        if is(3) {
            exam.warning("definer-callable", function, says, fix);
        } else {
            exam.note("definer-callable", function, says, fix);
        }
    }
    Ok(())
}

/// A function's own `SET`, and bodies that call set_config.
async fn setters(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = format!(
        "SELECT p.oid::regprocedure::text, (SELECT string_agg(split_part(c, '=', 1), ', ') FROM unnest(p.proconfig) c
                WHERE c ~* '^(role|session_authorization|request[.]jwt[^=]*|asuser[.][^=]*)='), {CALLERS}, p.prosrc ~* 'set_config', p.prosecdef, {SPELLING}
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
        WHERE {OWN_SCHEMA} AND {CALLABLE} AND l.lanname NOT IN ('c', 'internal')
            AND (p.prosrc ~* 'set_config' OR EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c ~* '^(role|session_authorization|request[.]jwt|asuser[.])'))"
    );
    for row in exam.rows_for_them("reading functions that set", &sql).await? {
        let function = row.get(0).unwrap_or_default();
        let close = row.get(2).map(|callers| format!("REVOKE EXECUTE ON ROUTINE {function} FROM {callers};"));
        if let Some(set) = row.get(1) {
            let says = format!("while it runs, {set} is what the function says: inside, its caller is somebody else");
            exam.critical("function-sets-identity", function, says, close);
            continue;
        }
        if exam.facts.trusts(row.get(5).unwrap_or_default()) {
            continue;
        }
        if row.get(4) == Some("t") {
            let says = "it calls set_config with its owner's rights, so closing set_config to PUBLIC does not close this way to other claims";
            exam.warning("function-calls-set-config", function, says, close);
        } else {
            let says = "it calls set_config: it will stop working once set_config is closed to PUBLIC";
            exam.note("function-calls-set-config", function, says, None);
        }
    }
    Ok(())
}

async fn missing_trusted(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = format!(
        "SELECT t FROM unnest($1::text[]) t WHERE NOT EXISTS (
            SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {SPELLING} = t AND n.nspname = split_part(t, '.', 1))"
    );
    let trusted = array(&exam.facts.trusted_functions);
    for row in exam.rows("looking for trusted functions", &sql, &[&trusted]).await? {
        let says = "trusted_functions names it, and no function here is spelt so (`schema.name(argument names and types)`): it has no effect, \
            and whoever makes such a function is trusted at once";
        exam.warning("trusted-function-missing", row.get(0).unwrap_or_default(), says, None);
    }
    Ok(())
}

/// Whether people may call set_config, and the SQL that ends it.
pub(super) async fn set_config(exam: &mut Exam<'_>) -> Result<Option<String>, OpsError> {
    let sql = format!(
        "SELECT {CALLERS} FROM pg_proc p WHERE p.oid = 'pg_catalog.set_config(text,text,boolean)'::regprocedure"
    );
    let rows = exam.rows_for_them("reading who may call set_config", &sql).await?;
    let Some(callers) = rows.first().and_then(|row| row.get(0)) else { return Ok(None) };
    let function = "FUNCTION pg_catalog.set_config(text, text, boolean)";
    let login = identifier(&exam.facts.login);
    Ok(Some(format!("GRANT EXECUTE ON {function} TO {login};\nREVOKE EXECUTE ON {function} FROM {callers};")))
}

/// In mode `certificate` the person's own session says what it needs, so set_config stays open there.
pub(super) fn may_close_set_config(exam: &Exam<'_>) -> bool {
    exam.facts.run_as == RunAs::Role
}

/// A setting for the whole server.
pub(super) fn alter_system(setting: &str, value: &str) -> String {
    format!("ALTER SYSTEM SET {setting} = {};\nSELECT pg_reload_conf();", literal(value))
}
