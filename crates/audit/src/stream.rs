//! [`ReleasedStream`]: an answer that is longer than one segment, released piece by piece.
//!
//! In: the rest of a result, as the connector gives it. Out: the pieces of the body, each after the record that covers it is
//! durable: the first after `intent` and `progress`, the last after `outcome`. While a piece is on its way to the caller the next
//! one's record is being written. Refuses to go on after any failure; the entry's end then says why and how much had left.

use std::fmt;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use asuser_audit_log::{Draft, Kind, Leaf, Pending, Personal, SubjectKey};
use asuser_core::{AuditId, DatabaseIdentity, Digest, Problem, Reason, RequestId, Segment, Totals};
use sha2::{Digest as _, Sha256};

use crate::Entry;
use crate::intent::Long;

/// How the records of a long answer go on; the connector's side of it.
pub trait Rest: Send + 'static {
    /// The next segment, or why there is none. Not asked again after the last segment or a failure.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Segment, Problem>>;
    /// When it ends, taken or not.
    fn deadline(&self) -> Option<Instant>;
}

/// The body of a long answer. Dropped before its end, it records that the caller went away, or was too slow.
///
/// ```compile_fail,E0616
/// // Law 7: no look at a piece before its record is durable.
/// fn peek(stream: &asuser_audit::ReleasedStream) {
///     let _ = &stream.step;
/// }
/// ```
pub struct ReleasedStream {
    entry: Entry,
    id: AuditId,
    key: Arc<SubjectKey>,
    database: Option<DatabaseIdentity>,
    long: Box<Long>,
    /// What the records cover, and what of it has left.
    recorded: Extent,
    released: Extent,
    /// The number of the entry's next record.
    n: u32,
    step: Step,
}

/// How far a body has come.
#[derive(Clone, Default)]
struct Extent {
    rows: u64,
    bytes: u64,
    hash: Sha256,
}

enum Step {
    /// A piece whose record is being written.
    Recording(Pending, Piece),
    /// A piece whose record is durable.
    Recorded(Piece),
    /// Between two pieces.
    Reading,
    /// The entry has ended with this, and the caller was not told yet.
    Broken(Problem),
    Ended,
}

struct Piece {
    bytes: Vec<u8>,
    /// How far the body has come with it.
    upto: Extent,
    last: bool,
}

impl Extent {
    fn with(mut self, rows: u64, bytes: &[u8]) -> Self {
        self.rows = self.rows.saturating_add(rows);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        self.hash.update(bytes);
        self
    }
    /// The leaf that says so.
    fn said_in(&self, leaf: Leaf) -> Leaf {
        let body = Digest(self.hash.clone().finalize().into());
        Leaf { rows: Some(self.rows), bytes: Some(self.bytes), body: Some(body), ..leaf }
    }
}

impl ReleasedStream {
    /// Begins a stream: its intent and the record of its first piece are durable when this returns. Where they are not, the entry
    /// has ended, and nothing leaves.
    pub(crate) async fn begin(
        mut entry: Entry,
        id: AuditId,
        key: Arc<SubjectKey>,
        mut long: Box<Long>,
        database: Option<DatabaseIdentity>,
    ) -> Result<Self, Problem> {
        // From here on this value ends the entry.
        entry.ended = true;
        let bytes = std::mem::take(&mut long.first);
        let piece = Piece { upto: Extent::default().with(long.rows, &bytes), bytes, last: false };
        let (recorded, released) = (piece.upto.clone(), Extent::default());
        entry.expected = None;
        let mut stream = Self { entry, id, key, database, long, recorded, released, n: 0, step: Step::Reading };
        let group = vec![stream.intent(), stream.progress()];
        // Looked at below before anything else can happen, so a stream that is dropped later has its intent in the log.
        let pending = stream.entry.audit.log().append(group);
        stream.step = Step::Recording(pending, piece);
        if let Err(problem) = poll_fn(|context| stream.poll_recorded(context)).await {
            stream.step = Step::Ended;
            stream.entry.count(Err(problem.reason));
            return Err(problem);
        }
        Ok(stream)
    }

    /// The next piece of the body; `None` after the last one. An error breaks the body off, and nothing follows it.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, Problem>>> {
        loop {
            match &self.step {
                Step::Reading => ready!(self.poll_read(context)),
                Step::Recording(..) => {
                    if let Err(problem) = ready!(self.poll_recorded(context)) {
                        // The record that is not there leaves its number to the entry's end.
                        self.n = self.n.saturating_sub(1);
                        self.break_off(problem);
                    }
                }
                Step::Recorded(_) | Step::Broken(_) | Step::Ended => return Poll::Ready(self.release(context)),
            }
        }
    }
    /// Nothing follows any more.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        matches!(self.step, Step::Ended)
    }
    /// When it ends, taken or not.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.long.rest.deadline()
    }
    /// The request's name, for the operator's log.
    #[must_use]
    pub const fn request_id(&self) -> &RequestId {
        &self.entry.known.facts.request_id
    }

    fn release(&mut self, context: &mut Context<'_>) -> Option<Result<Vec<u8>, Problem>> {
        match std::mem::replace(&mut self.step, Step::Ended) {
            Step::Recorded(piece) => {
                self.released = piece.upto;
                if piece.last {
                    self.entry.count(Ok(()));
                } else {
                    self.step = Step::Reading;
                    // What is there already is recorded while this piece is on its way.
                    let _ = self.poll_read(context);
                }
                Some(Ok(piece.bytes))
            }
            Step::Broken(problem) => Some(Err(problem)),
            Step::Recording(..) | Step::Reading | Step::Ended => None,
        }
    }

    /// Takes the next segment and begins its record.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match ready!(self.long.rest.poll_next(context)) {
            Ok(segment) => self.record(segment),
            Err(problem) => self.break_off(problem),
        }
        Poll::Ready(())
    }

    fn record(&mut self, segment: Segment) {
        let mut bytes = segment.json;
        if let Some(end) = segment.end {
            let rows = self.recorded.rows.saturating_add(segment.rows);
            let totals = Totals { rows, more: end.more, count: self.long.count };
            bytes.extend_from_slice(&(self.long.closing)(&self.long.plan, &totals));
        }
        self.recorded = std::mem::take(&mut self.recorded).with(segment.rows, &bytes);
        let last = segment.end.is_some();
        let draft = if last { self.outcome(&self.recorded.clone(), None) } else { self.progress() };
        let pending = self.entry.audit.log().append(vec![draft]);
        self.step = Step::Recording(pending, Piece { bytes, upto: self.recorded.clone(), last });
    }

    fn poll_recorded(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Problem>> {
        let Step::Recording(pending, _) = &mut self.step else { return Poll::Ready(Ok(())) };
        if let Err(error) = ready!(Pin::new(pending).poll(context)) {
            return Poll::Ready(Err(error.problem()));
        }
        if let Step::Recording(_, piece) = std::mem::replace(&mut self.step, Step::Reading) {
            self.step = Step::Recorded(piece);
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the entry before the body's end. Nobody waits for the record: nothing leaves after it.
    fn break_off(&mut self, problem: Problem) {
        let draft = self.outcome(&self.released.clone(), Some(&problem));
        self.entry.audit.log().submit(vec![draft]);
        self.entry.count(Err(problem.reason));
        self.step = Step::Broken(problem);
    }

    fn intent(&mut self) -> Draft {
        let leaf = self.leaf(Kind::Intent);
        self.draft(self.entry.known.intended(leaf), self.entry.known.personal(None))
    }
    fn progress(&mut self) -> Draft {
        let leaf = self.leaf(Kind::Progress);
        self.draft(self.recorded.said_in(leaf), Personal::none())
    }
    fn outcome(&mut self, extent: &Extent, problem: Option<&Problem>) -> Draft {
        let leaf = extent.said_in(self.leaf(Kind::Outcome));
        // What the status line said, unless it never left.
        let status = problem.filter(|_| extent.bytes == 0).map_or(200, |problem| problem.reason.status());
        let leaf = self.entry.known.ended(leaf, self.database.as_ref(), status, problem);
        self.draft(leaf, self.entry.known.personal(self.database.as_ref()))
    }
    /// The entry's next record.
    fn leaf(&mut self, kind: Kind) -> Leaf {
        let leaf = self.entry.leaf(kind, self.id, self.n);
        self.n = self.n.saturating_add(1);
        leaf
    }
    fn draft(&self, leaf: Leaf, personal: Personal) -> Draft {
        self.entry.draft(leaf, personal, Arc::clone(&self.key))
    }
}

impl Drop for ReleasedStream {
    fn drop(&mut self) {
        match &self.step {
            Step::Broken(_) | Step::Ended => {}
            // Its outcome is on the way to the log, which knows no later word: the record is before the answer.
            Step::Recording(_, piece) | Step::Recorded(piece) if piece.last => {
                self.entry.count(Err(Reason::Cancelled));
            }
            Step::Recording(..) | Step::Recorded(_) | Step::Reading => {
                let late = self.deadline().is_some_and(|deadline| Instant::now() >= deadline);
                self.break_off(if late {
                    Problem::new(Reason::DatabaseTimeout, "the caller took the answer too slowly")
                } else {
                    Problem::new(Reason::Cancelled, "the caller went away")
                });
            }
        }
    }
}

impl fmt::Debug for ReleasedStream {
    /// Without the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReleasedStream").field("id", &self.id).field("n", &self.n).finish_non_exhaustive()
    }
}
