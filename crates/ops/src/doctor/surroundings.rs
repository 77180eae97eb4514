//! Around the data: who may make objects, how sessions are protected, and whether PostgreSQL's own log names the person.

use super::exam::Exam;
use super::facts::RunAs;
use super::functions::alter_system;
use crate::OpsError;
use crate::quote::{array, identifier};

pub(super) async fn check(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    schemas(exam).await?;
    temporary(exam).await?;
    server(exam).await?;
    protection(exam);
    Ok(())
}

async fn schemas(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = "SELECT n.nspname, pg_get_userbyid(n.nspowner), n.nspowner = ANY ($1::oid[]),
            (SELECT string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, ', ')
                FROM aclexplode(n.nspacl) a WHERE a.privilege_type = 'CREATE' AND a.grantee = ANY ($1::oid[]) AND a.grantee <> n.nspowner)
        FROM pg_namespace n WHERE n.nspname = ANY ($2::text[])";
    let effective = exam.effective.clone();
    let served = exam.facts.schemas.clone();
    let names = array(served.iter().map(String::as_str).chain(["public", "asuser"]));
    let rows = exam.rows("reading schemas", sql, &[&effective, &names]).await?;
    for row in &rows {
        let (schema, owner) = (row.get(0).unwrap_or_default(), row.get(1).unwrap_or_default());
        if row.get(2) == Some("t") {
            let says = format!(
                "people may be mapped to its owner {owner}, who may replace what others call: give it to a role that nobody is mapped to"
            );
            let fix = exam.give_away(&format!("SCHEMA {}", identifier(schema)));
            exam.critical("schema-owned", schema, says, fix);
        }
        if let Some(who) = row.get(3) {
            let says = format!(
                "{who} may create in it: a function or operator of theirs can take the place of one that others' queries, policies and functions mean"
            );
            let fix = format!("REVOKE CREATE ON SCHEMA {} FROM {who};", identifier(schema));
            exam.critical("schema-writable", schema, says, Some(fix));
        }
    }
    for schema in served {
        if !rows.iter().any(|row| row.get(0) == Some(&schema)) {
            exam.warning("schema-missing", schema, "the configuration serves it, and it is not here", None);
        }
    }
    Ok(())
}

async fn temporary(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = "SELECT d.datname, string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, ', ')
        FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
        WHERE d.datname = current_database() AND a.privilege_type = 'TEMPORARY' AND a.grantee = ANY ($1::oid[]) AND a.grantee <> d.datdba GROUP BY 1";
    for row in exam.rows_for_them("reading who may make temporary tables", sql).await? {
        let (database, who) = (row.get(0).unwrap_or_default(), row.get(1).unwrap_or_default());
        let says = format!(
            "{who} may make temporary tables, which a function without a fixed search_path takes for the real ones"
        );
        exam.note(
            "temporary-tables",
            database,
            says,
            Some(format!("REVOKE TEMPORARY ON DATABASE {} FROM {who};", identifier(database))),
        );
    }
    Ok(())
}

async fn server(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = "SELECT name, setting FROM pg_settings WHERE name IN ('log_line_prefix', 'password_encryption', 'ssl')";
    for row in exam.rows("reading settings", sql, &[]).await? {
        let value = row.get(1).unwrap_or_default();
        match row.get(0).unwrap_or_default() {
            "log_line_prefix" => {
                let (sign, where_) = match exam.facts.run_as {
                    RunAs::Role => ("%a", "application_name, where asuser writes the audit id and the person"),
                    RunAs::Certificate => ("%u", "the login, which is the person"),
                };
                if !value.contains(sign) {
                    let says = format!("it has no {sign} ({where_}): PostgreSQL's own log does not say who asked");
                    exam.warning(
                        "log-without-person",
                        "log_line_prefix",
                        says,
                        Some(alter_system("log_line_prefix", "%m [%p] %q%u@%d %a ")),
                    );
                }
            }
            "password_encryption" if value != "scram-sha-256" => {
                let says = format!(
                    "it is {value}: whoever reads a stored password can log in with it. Set the passwords anew after the fix"
                );
                exam.warning(
                    "password-md5",
                    "password_encryption",
                    says,
                    Some(alter_system("password_encryption", "scram-sha-256")),
                );
            }
            "ssl" if value == "off" && !exam.facts.local => {
                let says = "the server speaks no TLS at all; it needs ssl_cert_file, ssl_key_file and ssl = on";
                exam.warning("server-without-tls", "ssl", says, None);
            }
            _ => {}
        }
    }
    stored_password(exam).await
}

/// pg_authid is a superuser's to read.
async fn stored_password(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let sql = "SELECT rolname FROM pg_authid WHERE rolpassword LIKE 'md5%' AND rolcanlogin";
    let Some(rows) = exam.rows_if_allowed("reading how passwords are stored", sql).await? else { return Ok(()) };
    if rows.iter().any(|row| row.get(0) == Some(&exam.facts.login)) {
        let says = "the login's password is stored as MD5, which is as good as the password itself: set password_encryption = 'scram-sha-256' and the password anew";
        exam.warning("login-password-md5", exam.facts.login.clone(), says, None);
    }
    Ok(())
}

fn protection(exam: &mut Exam<'_>) {
    if exam.facts.local || exam.facts.tls_verified {
        return;
    }
    let says = "the connection leaves this machine without verified TLS: whoever stands between reads the rows and can be the server. Set tls_ca to the CA of the server's certificate";
    exam.critical("tls-off", exam.facts.service.clone(), says, None);
}
