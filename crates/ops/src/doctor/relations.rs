//! Tables that row security does not guard, and the views that go around it.

use super::exam::{Exam, OWN_SCHEMA, READABLE, READERS};
use super::facts::ServiceDefault;
use crate::OpsError;
use crate::quote::{array, qualified};

pub(super) async fn check(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    tables(exam).await?;
    views(exam).await?;
    foreign(exam).await?;
    statements_view(exam).await
}

async fn tables(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = format!(
        "SELECT n.nspname, c.relname, c.relrowsecurity, c.relispartition,
            EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polcmd IN ('r', '*'))
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND {OWN_SCHEMA} AND n.nspname = ANY ($2::text[]) AND {READABLE}
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"
    );
    let (effective, schemas) = (exam.effective.clone(), array(&exam.facts.schemas));
    let database_decides = exam.facts.default == ServiceDefault::Database;
    for row in exam.rows("reading tables", &sql, &[&effective, &schemas]).await? {
        let (schema, table) = (row.get(0).unwrap_or_default(), row.get(1).unwrap_or_default());
        let subject = format!("{schema}.{table}");
        let guarded = row.get(2) == Some("t");
        if guarded && row.get(4) != Some("t") {
            let says = "row security is on and no policy lets anybody read: it looks empty to all but its owner";
            exam.note("rls-without-policy", subject, says, None);
        } else if !guarded {
            let what = if row.get(3) == Some("t") {
                "a partition of its own, which the parent's row security does not guard"
            } else {
                "without row security"
            };
            let says = format!("it is {what}: whoever may read it sees every row");
            let fix = Some(format!("ALTER TABLE {} ENABLE ROW LEVEL SECURITY;", qualified(schema, table)));
            if database_decides {
                let says = format!(
                    "{says}. With default = \"database\" nothing else narrows it. (The fix closes it until it has a policy.)"
                );
                exam.warning("table-without-rls", subject, says, fix);
            } else {
                let says = format!("{says} that asuser's policies permit. (The fix closes it until it has a policy.)");
                exam.note("table-without-rls", subject, says, fix);
            }
        }
    }
    Ok(())
}

/// Follows each view that people may read to the tables behind it, and remembers with whose rights it arrives there: 0 the caller's, -1 those
/// of whoever refreshed a materialized view, else an owner's.
async fn views(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    const INVOKER: &str = "EXISTS (SELECT FROM unnest(c.reloptions) o WHERE lower(o) IN ('security_invoker=true', 'security_invoker=on', 'security_invoker=yes', 'security_invoker=1'))";
    let sql = format!(
        "WITH RECURSIVE walk(rel, runner, culprit) AS (
            SELECT c.oid, CASE WHEN c.relkind = 'm' THEN -1 WHEN {INVOKER} THEN 0 ELSE c.relowner::bigint END,
                CASE WHEN c.relkind = 'm' OR NOT {INVOKER} THEN c.oid END
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') AND {OWN_SCHEMA} AND {READABLE}
            UNION
            SELECT c.oid, CASE WHEN w.runner = -1 OR c.relkind = 'm' THEN -1 WHEN c.relkind = 'v' AND NOT {INVOKER} THEN c.relowner::bigint ELSE w.runner END,
                CASE WHEN w.runner = -1 THEN w.culprit WHEN c.relkind = 'm' OR (c.relkind = 'v' AND NOT {INVOKER}) THEN c.oid ELSE w.culprit END
            FROM walk w JOIN pg_rewrite r ON r.ev_class = w.rel
                JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> w.rel
                JOIN pg_class k ON k.oid = w.rel AND k.relkind IN ('v', 'm') JOIN pg_class c ON c.oid = d.refobjid
        )
        SELECT n.nspname, c.relname, c.relkind, o.rolname,
            bool_or(w.runner = -1 OR o.rolsuper OR o.rolbypassrls OR (NOT t.relforcerowsecurity AND pg_has_role(o.oid, t.relowner, 'USAGE'))),
            string_agg(DISTINCT w.rel::regclass::text, ', '), {READERS}
        FROM walk w JOIN pg_class t ON t.oid = w.rel AND t.relkind IN ('r', 'p') AND t.relrowsecurity
            JOIN pg_class c ON c.oid = w.culprit JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
        GROUP BY n.nspname, c.relname, c.relkind, o.rolname, c.oid, c.relacl, c.relowner"
    );
    let invoker_exists = exam.version() >= 150_000;
    for row in exam.rows_for_them("following views", &sql).await? {
        let text = |at| row.get(at).unwrap_or_default();
        let (schema, view, owner, tables) = (text(0), text(1), text(3), text(5));
        let (subject, name) = (format!("{schema}.{view}"), qualified(schema, view));
        let revoke = row.get(6).map(|readers| format!("REVOKE SELECT ON {name} FROM {readers};"));
        if text(2) == "m" {
            let says = format!(
                "a materialized view over {tables}: it holds the rows that its owner saw at the last refresh, and shows them to everybody who may read it"
            );
            exam.critical("materialized-view-over-rls", subject, says, revoke);
            continue;
        }
        let fix =
            if invoker_exists { Some(format!("ALTER VIEW {name} SET (security_invoker = true);")) } else { revoke };
        let how = if invoker_exists {
            "With the fix, callers need SELECT on what it reads; where it hides columns on purpose, give it to an owner whom row security binds instead"
        } else {
            "Before PostgreSQL 15 a view cannot run as its caller: close it, or give it to an owner whom row security binds"
        };
        if row.get(4) == Some("t") {
            let says = format!(
                "it reads {tables} with the rights of {owner}, whom row security does not bind: everybody who may read it sees every row. {how}"
            );
            exam.critical("view-without-security-invoker", subject, says, fix);
        } else {
            let says = format!(
                "it reads {tables} with the grants of {owner}, and policies for roles (`TO …`) are those for {owner}, not for the caller. {how}"
            );
            exam.note("view-runs-as-owner", subject, says, fix);
        }
    }
    Ok(())
}

async fn foreign(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = format!(
        "SELECT n.nspname, c.relname, s.srvname, {READERS} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_foreign_table f ON f.ftrelid = c.oid JOIN pg_foreign_server s ON s.oid = f.ftserver
        WHERE c.relkind = 'f' AND {OWN_SCHEMA} AND {READABLE}"
    );
    for row in exam.rows_for_them("reading foreign tables", &sql).await? {
        let text = |at| row.get(at).unwrap_or_default();
        let says = format!("it reads the server {} as whom the user mapping names, not as the person", text(2));
        let fix = row.get(3).map(|readers| format!("REVOKE SELECT ON {} FROM {readers};", qualified(text(0), text(1))));
        exam.warning("foreign-table", format!("{}.{}", text(0), text(1)), says, fix);
    }
    Ok(())
}

async fn statements_view(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = format!(
        "SELECT n.nspname, c.relname, {READERS} FROM pg_extension e JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
            JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE e.extname = 'pg_stat_statements' AND c.relname = 'pg_stat_statements' AND {READABLE}"
    );
    for row in exam.rows_for_them("looking for pg_stat_statements", &sql).await? {
        let text = |at| row.get(at).unwrap_or_default();
        let says =
            "it shows the statements of everybody who has the same role, with whatever values are written in them";
        let fix = row.get(2).map(|readers| format!("REVOKE SELECT ON {} FROM {readers};", qualified(text(0), text(1))));
        let subject = format!("{}.{}", text(0), text(1));
        if exam.facts.is_shared() {
            exam.warning("stat-statements-readable", subject, says, fix);
        } else {
            exam.note("stat-statements-readable", subject, says, fix);
        }
    }
    Ok(())
}
