//! A plan under an entry, and what came of it.

use std::fmt;

use asuser_core::{AuditId, DatabaseIdentity, Records, SEGMENT_BYTES_MAX, Totals};
use asuser_query::{Listing, Plan, Read, Sql};

use crate::Rest;

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
    pub(crate) rows: u64,
    pub(crate) database: Option<DatabaseIdentity>,
    pub(crate) payload: P,
}

/// Records with the plan that asked for them, not rendered yet.
pub struct ReadResult {
    plan: Plan<Read>,
    records: Records,
    rest: Option<Box<dyn Rest>>,
}

/// How a face writes records: what stands before and after them. Plain functions, which can capture nothing and so carry nothing
/// out.
#[derive(Debug, Clone, Copy)]
pub struct RecordsFace {
    /// Before the first record.
    pub opening: fn(&Plan<Read>) -> Vec<u8>,
    /// After the last one.
    pub closing: fn(&Plan<Read>, &Totals) -> Vec<u8>,
}

/// What SQL gave, with the plan that asked for it, not rendered yet.
pub struct SqlResult {
    plan: Plan<Sql>,
    records: Records,
}

/// How a face writes what SQL gave. Plain functions, as in [`RecordsFace`].
#[derive(Debug, Clone, Copy)]
pub struct SqlFace {
    /// Before the first record.
    pub opening: fn(&Plan<Sql>) -> Vec<u8>,
    /// After the last one.
    pub closing: fn(&Plan<Sql>, &Totals) -> Vec<u8>,
}

/// A rendered body.
pub struct Body(pub(crate) Content);

pub(crate) enum Content {
    Whole(Vec<u8>),
    Long(Box<Long>),
}

/// A body that is longer than one segment.
pub(crate) struct Long {
    /// How it begins.
    pub(crate) first: Vec<u8>,
    /// How many records end there.
    pub(crate) rows: u64,
    pub(crate) count: Option<u64>,
    pub(crate) plan: Plan<Read>,
    pub(crate) closing: fn(&Plan<Read>, &Totals) -> Vec<u8>,
    pub(crate) rest: Box<dyn Rest>,
}

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
        self.came(records, None, database)
    }
    /// How a long answer begins, where the rest comes from, and who the database says has asked.
    #[must_use]
    pub fn begun(self, first: Records, rest: Box<dyn Rest>, database: DatabaseIdentity) -> Unreleased<ReadResult> {
        self.came(first, Some(rest), database)
    }
    fn came(self, records: Records, rest: Option<Box<dyn Rest>>, database: DatabaseIdentity) -> Unreleased<ReadResult> {
        Unreleased {
            entry: self.entry,
            rows: records.rows,
            database: Some(database),
            payload: ReadResult { plan: self.plan, records, rest },
        }
    }
}

impl Intent<Sql> {
    /// What the database gave, and who it says has asked.
    #[must_use]
    pub fn complete(self, records: Records, database: DatabaseIdentity) -> Unreleased<SqlResult> {
        let rows = records.rows;
        let payload = SqlResult { plan: self.plan, records };
        Unreleased { entry: self.entry, rows, database: Some(database), payload }
    }
}

impl Unreleased<SqlResult> {
    /// Whether it is longer than one segment.
    #[must_use]
    pub const fn is_long(&self) -> bool {
        self.payload.records.json.len() > SEGMENT_BYTES_MAX
    }
    /// Renders the body.
    #[must_use]
    pub fn render(self, face: SqlFace) -> Unreleased<Body> {
        let SqlResult { plan, records } = self.payload;
        let mut body = (face.opening)(&plan);
        body.extend_from_slice(&records.json);
        let totals = Totals { rows: records.rows, more: records.more, count: records.count };
        body.extend_from_slice(&(face.closing)(&plan, &totals));
        let payload = Body(Content::Whole(body));
        Unreleased { entry: self.entry, rows: self.rows, database: self.database, payload }
    }
}

impl Unreleased<ReadResult> {
    /// Whether no record came back: for [`asuser_core::Reason::NoSuchRecord`].
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        // A long answer may begin with a part of its first record.
        self.rows == 0 && self.payload.rest.is_none()
    }
    /// Whether more records matched than the plan asked for: with a plan for one record, its key was not a key.
    #[must_use]
    pub const fn has_more(&self) -> bool {
        self.payload.records.more
    }
    /// Whether it is longer than one segment, so that it can only be streamed.
    #[must_use]
    pub const fn is_long(&self) -> bool {
        self.payload.rest.is_some()
    }
    /// Renders the body.
    #[must_use]
    pub fn render(self, face: RecordsFace) -> Unreleased<Body> {
        let ReadResult { plan, records, rest } = self.payload;
        let mut body = (face.opening)(&plan);
        body.extend_from_slice(&records.json);
        let content = match rest {
            Some(rest) => {
                let (rows, count, closing) = (records.rows, records.count, face.closing);
                Content::Long(Box::new(Long { first: body, rows, count, plan, closing, rest }))
            }
            None => {
                let totals = Totals { rows: records.rows, more: records.more, count: records.count };
                body.extend_from_slice(&(face.closing)(&plan, &totals));
                Content::Whole(body)
            }
        };
        Unreleased { entry: self.entry, rows: self.rows, database: self.database, payload: Body(content) }
    }
}

impl Intent<Listing> {
    /// Renders what the caller may know of the catalogue. No connector takes part.
    #[must_use]
    pub fn render(self, face: fn(&Plan<Listing>) -> Vec<u8>) -> Unreleased<Body> {
        let body = face(&self.plan);
        let payload = Body(Content::Whole(body));
        Unreleased { entry: self.entry, rows: 0, database: None, payload }
    }
}

impl Unreleased<Body> {
    /// Puts a protocol's frame around a whole body, before it is recorded: what is recorded is what leaves.
    #[must_use]
    pub fn wrap(mut self, frame: &str, wrap: fn(&str, Vec<u8>) -> Vec<u8>) -> Self {
        if let Content::Whole(body) = &mut self.payload.0 {
            *body = wrap(frame, std::mem::take(body));
        }
        self
    }

    pub(crate) fn of_identity(entry: AuditId, body: Vec<u8>) -> Self {
        let payload = Body(Content::Whole(body));
        Self { entry, rows: 0, database: None, payload }
    }
}

impl fmt::Debug for ReadResult {
    /// Without the records.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadResult").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl fmt::Debug for SqlResult {
    /// Without the records.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlResult").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl fmt::Debug for Body {
    /// Without the records.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}
