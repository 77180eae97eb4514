//! asuser's own login must have no rights but to become somebody; and `pg_hba.conf` decides who else comes in.

use super::exam::{Exam, OWN_SCHEMA};
use super::facts::RunAs;
use crate::OpsError;
use crate::quote::{grantee, identifier, qualified};

pub(super) async fn check(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = "SELECT oid, rolsuper, rolbypassrls, rolreplication, rolcreaterole, rolcreatedb, rolinherit, rolcanlogin,
        coalesce(rolvaliduntil <= now(), false) FROM pg_roles WHERE rolname = $1";
    let login = exam.facts.login.clone();
    let rows = exam.rows("reading the login", sql, &[&login]).await?;
    let name = identifier(&login);
    let Some(row) = rows.first() else {
        let fix = format!(
            "CREATE ROLE {name} LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOREPLICATION NOCREATEROLE NOCREATEDB;"
        );
        exam.critical(
            "login-missing",
            login,
            "asuser's login is not a role here, so the service does not start",
            Some(fix),
        );
        return access_rules(exam).await;
    };
    let is = |at| row.get(at) == Some("t");
    for (at, what) in [(1, "SUPERUSER"), (2, "BYPASSRLS"), (3, "REPLICATION"), (4, "CREATEROLE"), (5, "CREATEDB")] {
        if is(at) {
            let says = format!(
                "asuser's login is {what}: a fault in one statement would be a fault with that power, so the service does not start"
            );
            exam.critical(
                "login-privileged",
                format!("{login} {what}"),
                says,
                Some(format!("ALTER ROLE {name} NO{what};")),
            );
        }
    }
    if !is(7) || is(8) {
        let says = "asuser's login cannot log in (NOLOGIN, or its VALID UNTIL has passed)";
        exam.critical(
            "login-closed",
            login.as_str(),
            says,
            Some(format!("ALTER ROLE {name} LOGIN VALID UNTIL 'infinity';")),
        );
    }
    if is(6) {
        let says = "the login has the rights of all it is member of, before it becomes anybody: a query that runs without a person would see what they see";
        exam.critical("login-inherits", login.as_str(), says, Some(format!("ALTER ROLE {name} NOINHERIT;")));
    }
    let oid = row.get(0).unwrap_or_default().to_owned();
    memberships(exam, &oid).await?;
    rights(exam, &oid).await?;
    if exam.facts.run_as == RunAs::Role {
        reach(exam).await?;
    }
    access_rules(exam).await
}

async fn memberships(exam: &mut Exam<'_>, login_oid: &str) -> Result<(), OpsError> {
    let modern = exam.version() >= 160_000;
    let inherit = if modern { "m.inherit_option" } else { "false" };
    let sql = format!(
        "SELECT r.rolname, m.admin_option, {inherit}, coalesce(pg_get_userbyid(m.grantor), ''),
            (r.rolname ~ '^pg_' AND r.rolname NOT IN ('pg_checkpoint', 'pg_signal_autovacuum_worker', 'pg_use_reserved_connections'))
                OR r.rolsuper OR r.rolbypassrls OR r.rolreplication OR r.rolcreaterole
        FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE m.member = $1::oid"
    );
    let name = identifier(&exam.facts.login);
    for row in exam.rows("reading the login's memberships", &sql, &[login_oid]).await? {
        let (role, by) = (row.get(0).unwrap_or_default().to_owned(), row.get(3).unwrap_or_default());
        let (quoted, by) = (identifier(&role), identifier(by));
        let by = if modern { format!(" GRANTED BY {by}") } else { String::new() };
        if row.get(1) == Some("t") {
            let says = format!("asuser's login may hand {role} on to anybody");
            let fix = format!("REVOKE ADMIN OPTION FOR {quoted} FROM {name}{by};");
            exam.critical("login-admin-option", role.as_str(), says, Some(fix));
        }
        if row.get(4) == Some("t") {
            let says = format!(
                "asuser's login may become {role}, which reaches beyond what any one person was given; the service does not start"
            );
            exam.critical(
                "login-in-privileged",
                role.as_str(),
                says,
                Some(format!("REVOKE {quoted} FROM {name}{by};")),
            );
        }
        if row.get(2) == Some("t") {
            let says = format!("asuser's login has the rights of {role} before it becomes anybody");
            let fix = format!("GRANT {quoted} TO {name} WITH INHERIT FALSE{by};");
            exam.critical("login-inherits", role.as_str(), says, Some(fix));
        }
    }
    Ok(())
}

/// What the login may do with a table as itself: its own grants, PUBLIC's, and what it owns. Extensions' views are looked at elsewhere.
async fn rights(exam: &mut Exam<'_>, login_oid: &str) -> Result<(), OpsError> {
    let sql = format!(
        "SELECT n.nspname, c.relname, a.grantee = 0, c.relowner = $1::oid, string_agg(DISTINCT a.privilege_type, ', '), NULL::text
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL (
            SELECT * FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner)))
            UNION ALL SELECT x.* FROM pg_attribute t, aclexplode(t.attacl) x WHERE t.attrelid = c.oid AND NOT t.attisdropped) a
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {OWN_SCHEMA} AND a.grantee IN (0, $1::oid)
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
        GROUP BY 1, 2, 3, 4"
    );
    let login = exam.facts.login.clone();
    for row in exam.rows("reading the login's rights", &sql, &[login_oid]).await? {
        let (schema, table) = (row.get(0).unwrap_or_default(), row.get(1).unwrap_or_default());
        let subject = format!("{schema}.{table}");
        let rights = row.get(4).unwrap_or_default();
        if row.get(3) == Some("t") {
            let says = "it belongs to asuser's login, which may therefore do anything with it: give it to another role";
            let fix = exam.give_away(&format!("TABLE {}", qualified(schema, table)));
            exam.critical("login-owns", subject, says, fix);
            continue;
        }
        let public = row.get(2) == Some("t");
        let who = if public { "PUBLIC has" } else { "asuser's login has" };
        let says = format!(
            "{who} {rights} on it, so asuser's login reaches it as nobody in particular; the service does not start"
        );
        let fix = format!(
            "REVOKE ALL ON {} FROM {};",
            qualified(schema, table),
            grantee((!public).then_some(login.as_str()))
        );
        exam.critical("login-has-rights", subject, says, Some(fix));
    }
    Ok(())
}

/// In mode `role`: what the login may become and what the configuration maps should be the same.
async fn reach(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = format!(
        "SELECT r.rolname, m.oid IS NULL, r.oid IS NULL, w.name FROM (SELECT DISTINCT oid FROM ({}) reachable) reach
            JOIN pg_roles r ON r.oid = reach.oid
            FULL JOIN (SELECT unnest($2::text[]) AS name) w ON w.name = r.rolname
            LEFT JOIN pg_roles m ON m.rolname = w.name
        WHERE r.oid IS NULL OR w.name IS NULL",
        exam.reachable()
    );
    let wanted: Vec<String> = match &exam.facts.mapping {
        super::Mapping::Person | super::Mapping::Provider => {
            if exam.mapped_count == 0 {
                let says = "asuser's login may become nobody, so nobody can be served: grant it the people's roles (`asuser provision --plan`)";
                exam.warning("no-mapped-roles", exam.facts.login.clone(), says, None);
            }
            return Ok(());
        }
        super::Mapping::Groups(roles) => roles.iter().cloned().collect(),
        super::Mapping::Shared(role) => vec![role.clone()],
    };
    let (login, names) = (exam.facts.login.clone(), crate::quote::array(&wanted));
    for row in exam.rows("comparing the mapping with the login", &sql, &[&login, &names]).await? {
        match (row.get(0), row.get(3)) {
            (Some(role), None) => {
                let says =
                    format!("asuser's login may become {role}, to which nobody is mapped: a right without a use");
                let fix = format!("REVOKE {} FROM {};", identifier(role), identifier(&login));
                exam.warning("login-can-become-more", role, says, Some(fix));
            }
            (None, Some(role)) if row.get(1) == Some("t") => {
                let says = format!("people are mapped to {role}, which is not a role here: they get nothing");
                let fix = format!("CREATE ROLE {} NOLOGIN;\n{}", identifier(role), exam.become_sql(role));
                exam.warning("mapped-role-missing", role, says, Some(fix));
            }
            (None, Some(role)) => {
                let says =
                    format!("people are mapped to {role}, which asuser's login may not become: they get nothing");
                let fix = exam.become_sql(role);
                exam.warning("mapped-role-out-of-reach", role, says, Some(fix));
            }
            _ => {}
        }
    }
    Ok(())
}

/// `pg_hba.conf`, where the operator may read it.
async fn access_rules(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = "SELECT line_number, type, array_to_string(user_name, ','), coalesce(address, ''), auth_method, coalesce(array_to_string(options, ' '), '')
        FROM pg_hba_file_rules WHERE error IS NULL AND database && ARRAY['all', 'sameuser', 'samerole', current_database()::text] ORDER BY line_number";
    let certificate = exam.facts.run_as == RunAs::Certificate;
    let Some(rules) = exam.rows_if_allowed("reading pg_hba_file_rules", sql).await? else {
        let says =
            "who may log in, and how, could not be examined: it takes a superuser, or EXECUTE on pg_hba_file_rules()";
        exam.note("hba-not-readable", "pg_hba.conf", says, None);
        return Ok(());
    };
    let group = format!("+{}", exam.facts.users_group);
    let mut let_in = false;
    for rule in &rules {
        let text = |at| rule.get(at).unwrap_or_default();
        let (line, users, method, address) = (text(0), text(2), text(4), text(3));
        let subject = format!("pg_hba.conf line {line}");
        let by_certificate = method == "cert" || text(5).contains("clientcert=verify-full");
        let_in |= by_certificate && users.split(',').any(|user| user == group || user == "all");
        if by_certificate && users.split(',').any(|user| user == "all" || user.starts_with('/')) {
            let says = format!(
                "a certificate lets in whoever it names, a superuser too: name the group instead, as in `hostssl all {group} {address} cert map=…`"
            );
            exam.critical("hba-cert-all", subject.as_str(), says, None);
        }
        if method == "trust" {
            let remote = text(1).starts_with("host") && !matches!(address, "127.0.0.1" | "::1" | "localhost");
            let whom = if users.split(',').any(|user| user == "all") { "anybody" } else { users };
            let rule =
                [text(1), users, address, "trust"].into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>();
            let says = format!("`{}` lets anybody in as {whom} without a password, past asuser", rule.join(" "));
            if remote {
                exam.critical("hba-trust", subject, format!("{says}, over the network"), None);
            } else {
                exam.warning("hba-trust", subject, format!("{says}, from this machine"), None);
            }
        }
    }
    if certificate && !let_in {
        let says = format!(
            "no rule lets people in by certificate, so nobody can be served: add `hostssl all {group} 127.0.0.1/32 cert map=asuser` with your addresses, and to pg_ident.conf `asuser /^(.*)$ \\1`"
        );
        exam.critical("hba-no-cert", "pg_hba.conf", says, None);
    }
    if certificate && exam.mapped_count == 0 {
        let says =
            format!("the group {} has no member that may log in, so nobody can be served", exam.facts.users_group);
        exam.warning("no-mapped-roles", exam.facts.users_group.clone(), says, None);
    }
    Ok(())
}
