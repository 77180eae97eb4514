//! What an examination found.

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody reaches what the database would deny them, or the service does not run.
    Critical,
    /// It holds today, and one more step breaks it; or it is slow.
    Warning,
    /// Good to know.
    Note,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind; stable, explained in docs/doctor.md.
    pub id: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What it is about: a table, role, function, setting.
    pub subject: String,
    /// What it means, and for whom.
    pub says: String,
    /// The exact SQL that ends it, a statement a line.
    pub fix: Option<String>,
}

/// How well the person's identity holds at the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Grade {
    /// The session is the person, and nothing was found that bypasses it.
    A,
    /// A role for each person, or the session is the person with warnings open.
    B,
    /// A role for each group, or one for all with signed claims.
    C,
    /// One role for all, told apart by a setting.
    D,
    /// Something bypasses it.
    F,
}

/// What a service really is.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The service.
    pub service: String,
    /// The run-as mode that it really has, in words.
    pub run_as: String,
    /// The server's version.
    pub server: String,
    /// The grade.
    pub grade: Grade,
    /// Why this grade.
    pub because: String,
    /// How to climb.
    pub next_rung: String,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// Rows, if they were counted.
    pub counts: Option<Counts>,
}

impl Report {
    /// 1 where something critical was found, else 0.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(self.count(Severity::Critical) > 0)
    }
    pub(super) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Rows of the service's tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// For whom `seen` was counted.
    pub role: Option<String>,
    /// Each table.
    pub tables: Vec<Count>,
    /// Tables beyond the limit, which were not counted.
    pub left_out: usize,
}

/// A table's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// `schema.table`
    pub table: String,
    /// All rows: what a shared service account that may read everything would see.
    pub total: u64,
    /// `total` is the planner's estimate: counting took too long, or the operator does not see all rows.
    pub estimated: bool,
    /// What the role sees.
    pub seen: Option<Seen>,
}

/// How many rows a role sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// So many.
    Rows(u64),
    /// It may not read the table.
    Denied,
    /// It was not counted, and why.
    Unknown(String),
}
