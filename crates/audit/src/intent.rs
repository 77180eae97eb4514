//! A plan under an entry, and what came of it.

use asuser_core::{AuditId, DatabaseIdentity, Records};
use asuser_query::{Listing, Plan, Read};

use crate::record::{PlanFacts, Recorded};

/// A plan that may run, since its entry exists. The only thing a connector takes, so plan, principal and entry cannot differ.
///
/// ```compile_fail,E0451
/// // Law 1 and 3: no intent without a sealed plan and an entry.
/// fn forge(entry: asuser_core::AuditId, plan: asuser_query::Plan<asuser_query::Read>) -> asuser_audit::Intent<asuser_query::Read> {
///     asuser_audit::Intent { entry, plan }
/// }
/// ```
#[derive(Debug)]
pub struct Intent<A> {
    entry: AuditId,
    plan: Plan<A>,
}

/// A result that nobody can read before its record is durable.
///
/// ```compile_fail,E0616
/// // Law 7: no look at the rows before `finish`.
/// fn peek(rows: asuser_audit::Unreleased<asuser_core::Records>) -> asuser_core::Records {
///     rows.payload
/// }
/// ```
#[derive(Debug)]
pub struct Unreleased<P> {
    pub(crate) entry: AuditId,
    pub(crate) facts: PlanFacts,
    pub(crate) rows: u64,
    pub(crate) database: Option<DatabaseIdentity>,
    payload: P,
}

/// Records with the plan that asked for them, not rendered yet.
#[derive(Debug)]
pub struct ReadResult {
    plan: Plan<Read>,
    records: Records,
}

/// A rendered body.
#[derive(Debug)]
pub struct Body(pub(crate) Vec<u8>);

impl<A> Intent<A> {
    pub(crate) const fn new(entry: AuditId, plan: Plan<A>) -> Self {
        Self { entry, plan }
    }
    /// The entry it belongs to: may go into `application_name`.
    #[must_use]
    pub const fn entry(&self) -> AuditId {
        self.entry
    }
    /// What to run.
    #[must_use]
    pub const fn plan(&self) -> &Plan<A> {
        &self.plan
    }
}

impl Intent<Read> {
    /// What the database gave, and who it says has asked.
    #[must_use]
    pub fn complete(self, records: Records, database: DatabaseIdentity) -> Unreleased<ReadResult> {
        Unreleased {
            entry: self.entry,
            facts: self.plan.facts(),
            rows: records.rows,
            database: Some(database),
            payload: ReadResult { plan: self.plan, records },
        }
    }
}

impl Unreleased<ReadResult> {
    /// How many records came back: for [`asuser_core::Reason::NoSuchRecord`].
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }
    /// Renders the body. A plain function, which can capture nothing and so carry nothing out.
    #[must_use]
    pub fn render(self, face: fn(&Plan<Read>, Records) -> Vec<u8>) -> Unreleased<Body> {
        let body = face(&self.payload.plan, self.payload.records);
        Unreleased {
            entry: self.entry,
            facts: self.facts,
            rows: self.rows,
            database: self.database,
            payload: Body(body),
        }
    }
}

impl Intent<Listing> {
    /// Renders what the caller may know of the catalogue. No connector takes part.
    #[must_use]
    pub fn render(self, face: fn(&Plan<Listing>) -> Vec<u8>) -> Unreleased<Body> {
        let body = face(&self.plan);
        Unreleased { entry: self.entry, facts: self.plan.facts(), rows: 0, database: None, payload: Body(body) }
    }
}

impl Unreleased<Body> {
    pub(crate) fn of_identity(entry: AuditId, body: Vec<u8>) -> Self {
        Self { entry, facts: PlanFacts::default(), rows: 0, database: None, payload: Body(body) }
    }
    pub(crate) fn body(&self) -> &[u8] {
        &self.payload.0
    }
    pub(crate) fn into_body(self) -> Vec<u8> {
        self.payload.0
    }
}
