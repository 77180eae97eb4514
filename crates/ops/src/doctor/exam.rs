//! An examination under way: who the people are at the database, and what was found so far.

use asuser_postgres::Row;

use super::facts::{Mapping, RunAs, ServiceFacts};
use super::grade;
use super::report::{Finding, Report, Severity};
use crate::quote::{array, identifier};
use crate::{Operator, OpsError};

/// Findings of one kind; a schema of thousands of tables must not bury the rest.
const FINDINGS_MAX: usize = 100;

/// Objects that are the company's: not PostgreSQL's own, not asuser's.
pub(super) const OWN_SCHEMA: &str = "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'asuser')";

/// `c` can be read by one of `$1`.
pub(super) const READABLE: &str = "(c.relowner = ANY ($1::oid[])
    OR EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.privilege_type = 'SELECT' AND a.grantee = ANY ($1::oid[]))
    OR EXISTS (SELECT FROM pg_attribute t, aclexplode(t.attacl) a WHERE t.attrelid = c.oid AND t.attnum > 0 AND NOT t.attisdropped
        AND a.privilege_type = 'SELECT' AND a.grantee = ANY ($1::oid[])))";

/// Those of `$1` that may read `c`, ready for REVOKE; empty where it is the owner alone.
pub(super) const READERS: &str = "(SELECT string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, ', ')
    FROM (SELECT * FROM aclexplode(c.relacl) UNION ALL
        SELECT x.* FROM pg_attribute t, aclexplode(t.attacl) x WHERE t.attrelid = c.oid AND t.attnum > 0 AND NOT t.attisdropped) a
    WHERE a.privilege_type = 'SELECT' AND a.grantee = ANY ($1::oid[]) AND a.grantee <> c.relowner)";

/// An examination.
pub(super) struct Exam<'a> {
    operator: &'a mut Operator,
    pub(super) facts: &'a ServiceFacts,
    server: String,
    findings: Vec<Finding>,
    /// The roles that people are mapped to: oids, as an array's text.
    pub(super) mapped: String,
    pub(super) mapped_count: usize,
    /// Those, whatever they are members of, and PUBLIC (0).
    pub(super) effective: String,
    /// The owner of the database, where nobody is mapped to it: to whom things can be given. Quoted.
    pub(super) keeper: Option<String>,
}

impl<'a> Exam<'a> {
    pub(super) async fn begin(operator: &'a mut Operator, facts: &'a ServiceFacts) -> Result<Self, OpsError> {
        let rows = operator.rows("asking the version", "SELECT current_setting('server_version')", &[]).await?;
        let server = format!("PostgreSQL {}", rows.first().and_then(|row| row.get(0)).unwrap_or_default());
        let empty = String::from("{}");
        let mut exam = Self {
            operator,
            facts,
            server,
            findings: Vec::new(),
            mapped: empty.clone(),
            mapped_count: 0,
            effective: empty,
            keeper: None,
        };
        let mapped = exam.mapped_roles().await?;
        exam.mapped_count = mapped.len();
        exam.mapped = array(mapped);
        exam.effective = exam.everything_they_are().await?;
        exam.keeper = exam.owner_of_database().await?;
        Ok(exam)
    }

    pub(super) const fn version(&self) -> u32 {
        self.operator.version()
    }

    /// Whom the mapping can reach: a list where the configuration names them, else what the server says.
    async fn mapped_roles(&mut self) -> Result<Vec<String>, OpsError> {
        let named: Option<Vec<&str>> = match &self.facts.mapping {
            Mapping::Person | Mapping::Provider => None,
            Mapping::Groups(roles) => Some(roles.iter().map(String::as_str).collect()),
            Mapping::Shared(role) => Some(vec![role]),
        };
        let rows = match (named, self.facts.run_as) {
            (Some(named), _) => {
                let sql = "SELECT oid FROM pg_roles WHERE rolname = ANY ($1::text[]::name[])";
                self.rows("reading the mapped roles", sql, &[&array(named)]).await?
            }
            (None, RunAs::Role) => {
                let sql = format!("SELECT DISTINCT oid FROM ({}) reach", self.reachable());
                self.rows("reading what the login may become", &sql, &[&self.facts.login]).await?
            }
            (None, RunAs::Certificate) => {
                let sql = "WITH RECURSIVE down(oid) AS (
                        SELECT m.member FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE g.rolname = $1
                        UNION SELECT m.member FROM down JOIN pg_auth_members m ON m.roleid = down.oid)
                    SELECT r.oid FROM down JOIN pg_roles r ON r.oid = down.oid WHERE r.rolcanlogin";
                self.rows("reading who may log in by certificate", sql, &[&self.facts.users_group]).await?
            }
        };
        Ok(rows.iter().filter_map(|row| row.get(0).map(str::to_owned)).collect())
    }

    /// What the login `$1` may become.
    pub(super) fn reachable(&self) -> String {
        let set = if self.version() >= 160_000 { "AND m.set_option" } else { "" };
        format!(
            "WITH RECURSIVE reach(oid) AS (
                SELECT m.roleid FROM pg_auth_members m JOIN pg_roles l ON l.oid = m.member WHERE l.rolname = $1 {set}
                UNION SELECT m.roleid FROM reach JOIN pg_auth_members m ON m.member = reach.oid {set})
            SELECT oid FROM reach"
        )
    }

    async fn owner_of_database(&mut self) -> Result<Option<String>, OpsError> {
        let sql = "SELECT o.rolname FROM pg_database d JOIN pg_roles o ON o.oid = d.datdba
            WHERE d.datname = current_database() AND o.oid <> ALL ($1::oid[]) AND o.rolname <> $2";
        let (effective, login) = (self.effective.clone(), self.facts.login.clone());
        let rows = self.rows("reading the database's owner", sql, &[&effective, &login]).await?;
        Ok(rows.first().and_then(|row| row.get(0)).map(identifier))
    }

    /// The statement that gives an object, as `TABLE "a"."b"`, to somebody whom nobody is mapped to.
    pub(super) fn give_away(&self, object: &str) -> Option<String> {
        self.keeper.as_ref().map(|keeper| format!("ALTER {object} OWNER TO {keeper};"))
    }

    async fn everything_they_are(&mut self) -> Result<String, OpsError> {
        let sql = "WITH RECURSIVE up(oid) AS (
                SELECT unnest($1::oid[]) UNION SELECT m.roleid FROM up JOIN pg_auth_members m ON m.member = up.oid)
            SELECT oid FROM up UNION SELECT 0";
        let mapped = self.mapped.clone();
        let rows = self.rows("reading memberships", sql, &[&mapped]).await?;
        Ok(array(rows.iter().filter_map(|row| row.get(0))))
    }

    pub(super) async fn rows(&mut self, doing: &'static str, sql: &str, values: &[&str]) -> Result<Vec<Row>, OpsError> {
        let values: Vec<Option<&str>> = values.iter().map(|value| Some(*value)).collect();
        self.operator.rows(doing, sql, &values).await
    }

    /// Rows for `$1`, everybody that people are at the database.
    pub(super) async fn rows_for_them(&mut self, doing: &'static str, sql: &str) -> Result<Vec<Row>, OpsError> {
        self.operator.rows(doing, sql, &[Some(&self.effective)]).await
    }

    /// Rows that not every operator may read; `None` where the server says no.
    pub(super) async fn rows_if_allowed(
        &mut self,
        doing: &'static str,
        sql: &str,
    ) -> Result<Option<Vec<Row>>, OpsError> {
        self.operator.run(doing, "SAVEPOINT asking").await?;
        match self.operator.try_rows(sql, &[]).await {
            Ok(rows) => Ok(Some(rows)),
            // insufficient_privilege
            Err(error) if error.code() == Some("42501") => {
                self.operator.run(doing, "ROLLBACK TO SAVEPOINT asking").await?;
                Ok(None)
            }
            Err(error) => Err(OpsError::Statement { doing, error }),
        }
    }

    pub(super) fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
    pub(super) fn critical(
        &mut self,
        id: &'static str,
        subject: impl Into<String>,
        says: impl Into<String>,
        fix: Option<String>,
    ) {
        self.found(Finding { id, severity: Severity::Critical, subject: subject.into(), says: says.into(), fix });
    }
    pub(super) fn warning(
        &mut self,
        id: &'static str,
        subject: impl Into<String>,
        says: impl Into<String>,
        fix: Option<String>,
    ) {
        self.found(Finding { id, severity: Severity::Warning, subject: subject.into(), says: says.into(), fix });
    }
    pub(super) fn note(
        &mut self,
        id: &'static str,
        subject: impl Into<String>,
        says: impl Into<String>,
        fix: Option<String>,
    ) {
        self.found(Finding { id, severity: Severity::Note, subject: subject.into(), says: says.into(), fix });
    }

    /// The membership that lets the login become a role.
    pub(super) fn become_sql(&self, role: &str) -> String {
        let with = if self.version() >= 160_000 { " WITH INHERIT FALSE, SET TRUE, ADMIN FALSE" } else { "" };
        format!("GRANT {} TO {}{with};", identifier(role), identifier(&self.facts.login))
    }

    pub(super) fn report(self) -> Report {
        let mut findings = self.findings;
        findings.sort_by(|a, b| (a.severity, a.id, &a.subject, &a.fix).cmp(&(b.severity, b.id, &b.subject, &b.fix)));
        findings.dedup();
        let findings = capped(findings);
        let judged = grade::judge(self.facts, &findings);
        Report {
            service: self.facts.service.clone(),
            run_as: judged.run_as,
            server: self.server,
            grade: judged.grade,
            because: judged.because,
            next_rung: judged.next_rung,
            findings,
            counts: None,
        }
    }
}

fn capped(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    let (mut same, mut more) = (0_usize, 0_usize);
    for finding in findings {
        let continues = kept.last().is_some_and(|last| (last.id, last.severity) == (finding.id, finding.severity));
        if !continues {
            (same, more) = (0, 0);
        }
        same += 1;
        if same <= FINDINGS_MAX {
            kept.push(finding);
            continue;
        }
        more += 1;
        let rest = Finding { subject: format!("and {more} more"), says: "the same".to_owned(), fix: None, ..finding };
        if more > 1 {
            kept.pop();
        }
        kept.push(rest);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_cut_off_and_says_how_much() {
        let finding = |id, at: usize| Finding {
            id,
            severity: Severity::Note,
            subject: format!("{at:04}"),
            says: String::new(),
            fix: None,
        };
        let many: Vec<Finding> = (0..250).map(|at| finding("a", at)).chain([finding("b", 0)]).collect();
        let kept = capped(many);
        assert_eq!(kept.len(), FINDINGS_MAX + 2);
        assert_eq!(kept[FINDINGS_MAX].subject, "and 150 more");
        assert_eq!(kept[FINDINGS_MAX + 1].id, "b");
    }
}
