//! The roles that people are mapped to: what they are beyond a person's rights, and what is set on them.

use super::exam::Exam;
use super::facts::{Mapping, RunAs};
use crate::OpsError;
use crate::quote::{identifier, qualified};

/// PostgreSQL's own roles that let nobody see, change or become anything.
const HARMLESS: [&str; 3] = ["pg_checkpoint", "pg_signal_autovacuum_worker", "pg_use_reserved_connections"];

pub(super) async fn check(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    attributes(exam).await?;
    privileged_memberships(exam).await?;
    owners(exam).await?;
    settings(exam).await?;
    shared(exam);
    Ok(())
}

async fn attributes(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = "SELECT rolname, rolsuper, rolbypassrls, rolreplication, rolcreaterole, coalesce(rolvaliduntil <= now(), false), rolcanlogin
        FROM pg_roles WHERE oid = ANY ($1::oid[]) AND (rolsuper OR rolbypassrls OR rolreplication OR rolcreaterole OR rolvaliduntil <= now() OR NOT rolcanlogin)";
    let must_log_in = exam.facts.run_as == RunAs::Certificate || exam.facts.mapping == Mapping::Person;
    let mapped = exam.mapped.clone();
    for row in exam.rows("reading the mapped roles", sql, &[&mapped]).await? {
        let role = row.get(0).unwrap_or_default();
        let is = |at| row.get(at) == Some("t");
        for (at, what, means) in [
            (1, "SUPERUSER", "nothing is denied to it"),
            (2, "BYPASSRLS", "row security does not bind it"),
            (3, "REPLICATION", "it may copy the whole cluster"),
            (4, "CREATEROLE", "it may make and change roles"),
        ] {
            if is(at) {
                let says =
                    format!("people may be mapped to {role}, which is {what}: {means}. asuser refuses to run as it");
                exam.critical(
                    "role-privileged",
                    format!("{role} {what}"),
                    says,
                    Some(format!("ALTER ROLE {} NO{what};", identifier(role))),
                );
            }
        }
        if is(5) {
            let says =
                "its VALID UNTIL has passed: its requests are refused (unless role_valid_until = \"password-only\")";
            exam.note(
                "role-expired",
                role,
                says,
                Some(format!("ALTER ROLE {} VALID UNTIL 'infinity';", identifier(role))),
            );
        }
        if !is(6) && must_log_in {
            let says = "it is NOLOGIN, which is how a person is locked out: its requests are refused";
            exam.note("role-nologin", role, says, Some(format!("ALTER ROLE {} LOGIN;", identifier(role))));
        }
    }
    Ok(())
}

async fn privileged_memberships(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = "WITH RECURSIVE up(oid) AS (
            SELECT unnest($1::oid[]) UNION SELECT m.roleid FROM up JOIN pg_auth_members m ON m.member = up.oid)
        SELECT DISTINCT r.rolname, u.rolname, coalesce(pg_get_userbyid(m.grantor), '')
        FROM up JOIN pg_auth_members m ON m.member = up.oid JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
        WHERE r.rolname ~ '^pg_' OR r.rolsuper OR r.rolbypassrls OR r.rolreplication OR r.rolcreaterole OR r.rolname = $2";
    let (mapped, login) = (exam.mapped.clone(), exam.facts.login.clone());
    let modern = exam.version() >= 160_000;
    for row in exam.rows("reading the mapped roles' memberships", sql, &[&mapped, &login]).await? {
        let text = |at| row.get(at).unwrap_or_default();
        let (role, member) = (text(0), text(1));
        let by = if modern { format!(" GRANTED BY {}", identifier(text(2))) } else { String::new() };
        let fix = Some(format!("REVOKE {} FROM {}{by};", identifier(role), identifier(member)));
        let subject = format!("{member} in {role}");
        let says =
            format!("people's role {member} is a member of {role}, which reaches beyond what any one person was given");
        if HARMLESS.contains(&role) {
            exam.warning("role-in-privileged", subject, says, fix);
        } else {
            exam.critical("role-in-privileged", subject, says, fix);
        }
    }
    Ok(())
}

async fn owners(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = "SELECT o.rolname, n.nspname, c.relname, c.relforcerowsecurity
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
        WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND c.relowner = ANY ($1::oid[]) AND n.nspname <> 'asuser'";
    for row in exam.rows_for_them("reading who owns protected tables", sql).await? {
        let text = |at| row.get(at).unwrap_or_default();
        let (owner, schema, table) = (text(0), text(1), text(2));
        let subject = format!("{schema}.{table}");
        let fix = exam.give_away(&format!("TABLE {}", qualified(schema, table)));
        if row.get(3) == Some("t") {
            let says = format!(
                "people may be mapped to its owner {owner}, who can switch its row security off; asuser refuses to run as it. Give it to a role that nobody is mapped to"
            );
            exam.warning("owner-can-alter", subject, says, fix);
        } else {
            let says = format!(
                "people may be mapped to its owner {owner}, whom its row security does not bind; asuser refuses to run as it. Give it to a role that nobody is mapped to"
            );
            exam.critical("owner-bypasses-rls", subject, says, fix);
        }
    }
    let sql = "SELECT d.datname, o.rolname FROM pg_database d JOIN pg_roles o ON o.oid = d.datdba
        WHERE d.datname = current_database() AND d.datdba = ANY ($1::oid[])";
    for row in exam.rows_for_them("reading who owns the database", sql).await? {
        let (database, owner) = (row.get(0).unwrap_or_default(), row.get(1).unwrap_or_default());
        let says = format!(
            "people may be mapped to {owner}, who owns the database: give it to a role that nobody is mapped to"
        );
        exam.critical("owner-of-database", database, says, None);
    }
    Ok(())
}

/// `ALTER ROLE … SET` and `ALTER DATABASE … SET` of what an identity hangs on.
async fn settings(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = "SELECT coalesce(r.rolname, ''), coalesce(d.datname, ''), split_part(c, '=', 1), c
        FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) c LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
        WHERE (s.setrole = 0 OR s.setrole = ANY ($1::oid[]) OR r.rolname = $2) AND (s.setdatabase = 0 OR d.datname = current_database())
            AND (lower(split_part(c, '=', 1)) IN ('role', 'session_authorization') OR lower(c) ~ '^row_security=(off|false|no|0|f|n)'
                OR lower(c) ~ '^(request[.]jwt|asuser[.])')";
    let (effective, login) = (exam.effective.clone(), exam.facts.login.clone());
    for row in exam.rows("reading roles' settings", sql, &[&effective, &login]).await? {
        let text = |at| row.get(at).unwrap_or_default();
        let (role, database, setting) = (text(0), text(1), text(2));
        let target = match (role, database) {
            ("", database) => format!("DATABASE {}", identifier(database)),
            (role, "") => format!("ROLE {}", identifier(role)),
            (role, database) => format!("ROLE {} IN DATABASE {}", identifier(role), identifier(database)),
        };
        let name: Vec<String> = setting.split('.').map(identifier).collect();
        let fix = Some(format!("ALTER {target} RESET {};", name.join(".")));
        let subject = format!("{target} SET {setting}").replace('"', "");
        if setting.eq_ignore_ascii_case("row_security") {
            let says = "row security is off there: instead of their own rows, people get an error";
            exam.warning("row-security-off", subject, says, fix);
        } else {
            let says = "it makes every session of that role somebody else; asuser refuses to run as it";
            exam.critical("setting-is-identity", subject, says, fix);
        }
    }
    Ok(())
}

fn shared(exam: &mut Exam<'_>) {
    if !exam.facts.is_shared() {
        return;
    }
    let subject = match &exam.facts.mapping {
        Mapping::Shared(role) => role.clone(),
        Mapping::Groups(_) | Mapping::Person | Mapping::Provider => "group roles".to_owned(),
    };
    let says = "several people have one role: as this role they could read each other's SQL in pg_stat_activity and end each other's statements, \
        so raw SQL is refused in the modes that keep a session";
    exam.note("shared-role", subject, says, None);
}
