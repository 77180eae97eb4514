//! What a service really is: as whom people arrive at the database, what bypasses that, and the SQL that ends it.
//!
//! In: an [`Operator`] and what the configuration says ([`ServiceFacts`]). Out: a [`Report`]. It runs in one read-only transaction and reads
//! catalogues; rows are counted, never read. What the operator may not look at is a finding of its own.

mod counts;
mod exam;
mod expression;
mod facts;
mod functions;
mod grade;
mod logins;
mod policies;
mod relations;
mod render;
mod report;
mod roles;
mod signed;
mod surroundings;

pub use self::facts::{Mapping, RunAs, ServiceDefault, ServiceFacts};
pub use self::report::{Count, Counts, Finding, Grade, Report, Seen, Severity};

use self::exam::Exam;
use crate::{Operator, OpsError};

/// Examines one service.
///
/// # Errors
/// When the server cannot be asked; a single check that the operator has no right to make is a finding instead.
pub async fn examine(operator: &mut Operator, facts: &ServiceFacts) -> Result<Report, OpsError> {
    operator.run("beginning", "BEGIN READ ONLY").await?;
    let examined = checks(operator, facts).await;
    // A transaction that only read may end either way; the connection's state must not be left open.
    let ended = operator.run("ending", "ROLLBACK").await;
    let report = examined?;
    ended.map(|()| report)
}

/// Counts every table's rows: all of them, and what `role` would see. Apart from [`examine`], since it reads the tables.
///
/// # Errors
/// When the server cannot be asked, or the role is not one that the operator may take.
pub async fn count(operator: &mut Operator, facts: &ServiceFacts, role: Option<&str>) -> Result<Counts, OpsError> {
    counts::count(operator, facts, role).await
}

async fn checks(operator: &mut Operator, facts: &ServiceFacts) -> Result<Report, OpsError> {
    let mut exam = Exam::begin(operator, facts).await?;
    logins::check(&mut exam).await?;
    roles::check(&mut exam).await?;
    relations::check(&mut exam).await?;
    functions::check(&mut exam).await?;
    policies::check(&mut exam).await?;
    signed::check(&mut exam).await?;
    surroundings::check(&mut exam).await?;
    Ok(exam.report())
}

/// What is to be said of a database without users: policy alone decides.
#[must_use]
pub fn without_users(service: &str, database: &str) -> Report {
    Report {
        service: service.to_owned(),
        run_as: "filter: the database has no users, asuser's policies alone decide".to_owned(),
        server: database.to_owned(),
        grade: Grade::D,
        because: "nothing behind asuser would deny what a policy permits by mistake, and whoever reads the file sees everything".to_owned(),
        next_rung: "keep the data in a database with users, and run as them".to_owned(),
        findings: Vec::new(),
        counts: None,
    }
}
