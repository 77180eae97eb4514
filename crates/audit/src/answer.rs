//! What may leave the process.

use asuser_core::{AuditId, Problem, RequestId};

use crate::ReleasedStream;

/// An answer whose record is durable, or a problem. Made only by [`crate::Entry::finish`].
///
/// ```compile_fail,E0451
/// // Law 7: nobody makes an answer but the audit.
/// fn forge(opened: asuser_audit::Opened) -> asuser_audit::Answer {
///     asuser_audit::Answer { opened }
/// }
/// ```
#[derive(Debug)]
pub struct Answer {
    opened: Opened,
}

/// The parts of an answer, for the listener that writes them to the wire.
#[derive(Debug)]
pub struct Opened {
    /// The entry; `None` only where the log could not be written.
    pub audit_id: Option<AuditId>,
    /// The request's name.
    pub request_id: RequestId,
    /// The body, rendered by the face that asked, or why there is none.
    pub result: Result<Released, Problem>,
}

/// A body whose record is durable.
#[derive(Debug)]
pub enum Released {
    /// All of it.
    Whole(Vec<u8>),
    /// Piece by piece, each with a record of its own.
    Stream(Box<ReleasedStream>),
}

impl Answer {
    pub(crate) const fn new(opened: Opened) -> Self {
        Self { opened }
    }
    /// Opens it. Called by the listener alone (a lint holds that).
    #[must_use]
    pub fn open(self) -> Opened {
        self.opened
    }
}
