//! Policies: what a person could change under them, and what makes them slow.

use super::exam::Exam;
use super::{expression, functions};
use crate::OpsError;
use crate::quote::{identifier, qualified};

/// Below this a scan is as good as an index.
const SMALL_ROWS: f64 = 10_000.0;

struct Policy {
    oid: String,
    name: String,
    table: String,
    subject: String,
    table_oid: String,
    rows: f64,
    using: Option<String>,
    check: Option<String>,
}

impl Policy {
    fn conditions(&self) -> impl Iterator<Item = &str> {
        self.using.iter().chain(&self.check).map(String::as_str)
    }
    /// The policy with its conditions rewritten.
    fn alter(&self, rewrite: impl Fn(&str) -> Option<String>) -> String {
        let part = |word: &str, text: &Option<String>| {
            let text = text.as_deref().and_then(&rewrite);
            text.map_or_else(String::new, |text| format!(" {word} ({text})"))
        };
        let (using, check) = (part("USING", &self.using), part("WITH CHECK", &self.check));
        format!("ALTER POLICY {} ON {}{using}{check};", identifier(&self.name), self.table)
    }
}

pub(super) async fn check(exam: &mut Exam<'_>) -> Result<(), OpsError> {
    let policies = read(exam).await?;
    let read_settings = behind(exam, &policies).await?;
    for policy in &policies {
        if let Some(wrapped) = unwrapped(policy) {
            let says =
                "it asks for the setting once a row, where `(select …)` asks once a query and lets an index serve";
            exam.note("policy-setting-not-wrapped", policy.subject.as_str(), says, Some(wrapped));
        }
    }
    settings(exam, &policies, &read_settings).await?;
    indexes(exam, &policies).await
}

async fn read(exam: &mut Exam<'_>) -> Result<Vec<Policy>, OpsError> {
    let sql = "SELECT p.oid, p.polname, n.nspname, c.relname, c.oid, c.reltuples, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
        FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname <> 'asuser'";
    let rows = exam.rows("reading policies", sql, &[]).await?;
    let policies = rows.iter().map(|row| {
        let text = |at| row.get(at).unwrap_or_default().to_owned();
        let (name, schema, table) = (text(1), text(2), text(3));
        Policy {
            oid: text(0),
            subject: format!("{name} on {schema}.{table}"),
            table: qualified(&schema, &table),
            name,
            table_oid: text(4),
            rows: row.get(5).and_then(|rows| rows.parse().ok()).unwrap_or(-1.0),
            using: row.get(6).map(str::to_owned),
            check: row.get(7).map(str::to_owned),
        }
    });
    Ok(policies.collect())
}

fn unwrapped(policy: &Policy) -> Option<String> {
    const ASKING: [&str; 2] = ["current_setting", "asuser.claims"];
    let using = policy.using.as_deref()?;
    expression::wrapped(using, &ASKING)?;
    Some(policy.alter(|text| expression::wrapped(text, &ASKING)))
}

/// The policies whose functions (outside of pg_catalog) read settings; volatile ones are found on the way.
async fn behind(exam: &mut Exam<'_>, policies: &[Policy]) -> Result<Vec<String>, OpsError> {
    let sql = "SELECT d.objid, f.oid::regprocedure::text, f.provolatile, f.prosrc ~* 'current_setting', f.oid = to_regprocedure('asuser.claims()')
        FROM pg_depend d JOIN pg_proc f ON f.oid = d.refobjid WHERE d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_proc'::regclass";
    let mut reading = Vec::new();
    for row in exam.rows("reading what policies call", sql, &[]).await? {
        let Some(policy) = policies.iter().find(|policy| Some(policy.oid.as_str()) == row.get(0)) else { continue };
        let function = row.get(1).unwrap_or_default();
        if row.get(2) == Some("v") {
            let says = format!(
                "it calls {function}, which is VOLATILE: it runs for every row, and no index helps. If it reads only, it is STABLE"
            );
            exam.note(
                "policy-function-volatile",
                policy.subject.as_str(),
                says,
                Some(format!("ALTER FUNCTION {function} STABLE;")),
            );
        }
        if row.get(3) == Some("t") && row.get(4) != Some("t") {
            reading.push(policy.oid.clone());
        }
    }
    Ok(reading)
}

/// Whoever may set what a policy reads may be whom the policy lets in.
async fn settings(exam: &mut Exam<'_>, policies: &[Policy], by_function: &[String]) -> Result<(), OpsError> {
    let Some(close) = functions::set_config(exam).await? else { return Ok(()) };
    let closable = functions::may_close_set_config(exam);
    for policy in policies {
        let direct = policy.conditions().any(|text| expression::calls(text, "current_setting"));
        if !direct && !by_function.contains(&policy.oid) {
            continue;
        }
        let (says, fix) = if closable {
            let says = "it decides by a setting, and everybody may change settings with set_config: one that runs SQL of their own is whom they like. \
                The fix leaves set_config to asuser's login; tools and functions that call it as anybody else stop working. \
                Better, use `(select asuser.claims() ->> 'sub')`, which cannot be forged";
            (says, Some(close.clone()))
        } else {
            let says = "it decides by a setting, and everybody may change settings: use session_user, which is the person in mode certificate, or `(select asuser.claims() ->> 'sub')`";
            (says, None)
        };
        exam.warning("policy-reads-setting", policy.subject.as_str(), says, fix);
    }
    Ok(())
}

/// Columns that policies compare, without an index that serves.
async fn indexes(exam: &mut Exam<'_>, policies: &[Policy]) -> Result<(), OpsError> {
    let sql = "SELECT a.attrelid, quote_ident(a.attname), a.atttypid IN (25, 1043), a.attcollation = 950, c.relkind = 'p',
            EXISTS (SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
                WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum AND i.indpred IS NULL AND i.indisvalid AND m.amname IN ('btree', 'hash'))
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE a.attrelid IN (SELECT polrelid FROM pg_policy) AND a.attnum > 0 AND NOT a.attisdropped";
    for row in exam.rows("reading indexes", sql, &[]).await? {
        let column = row.get(1).unwrap_or_default();
        let is = |at| row.get(at) == Some("t");
        let (textual, in_c, partitioned, indexed) = (is(2), is(3), is(4), is(5));
        for policy in policies.iter().filter(|policy| Some(policy.table_oid.as_str()) == row.get(0)) {
            let Some(using) = &policy.using else { continue };
            if textual && !in_c && expression::with_collation(using, column).is_some() {
                let fixable = expression::with_collation(using, column).flatten().is_some();
                let fix = fixable.then(|| {
                    policy.alter(|text| {
                        Some(expression::with_collation(text, column).flatten().unwrap_or_else(|| text.to_owned()))
                    })
                });
                let says = format!(
                    "it compares the text column {column} with the user's name, which is of type name and collation C: no index on {column} can serve, every query scans"
                );
                report(exam, policy, "policy-scans-for-user", says, fix);
            }
            if !indexed && expression::compares(using, column) {
                let says =
                    format!("it compares {column}, and no index begins with that column: every query scans the table");
                // A partitioned table takes no CONCURRENTLY.
                let how = if partitioned { "" } else { " CONCURRENTLY" };
                let fix = Some(format!("CREATE INDEX{how} ON {} ({column});", policy.table));
                report(exam, policy, "policy-without-index", says, fix);
            }
        }
    }
    Ok(())
}

fn report(exam: &mut Exam<'_>, policy: &Policy, id: &'static str, says: String, fix: Option<String>) {
    if policy.rows >= SMALL_ROWS {
        exam.warning(id, policy.subject.as_str(), says, fix);
    } else {
        exam.note(id, policy.subject.as_str(), says, fix);
    }
}
