//! Counters of what never became a request: it has no record in the audit log, so it has a number at least.

use std::sync::atomic::{AtomicU64, Ordering};

/// Connections since the start that ended otherwise than with an answer.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// What was sent is no HTTP, or its head is too large: answered 400 or 431, or closed.
    pub(crate) malformed: AtomicU64,
    /// Nothing of the answer was taken for too long.
    pub(crate) stalled: AtomicU64,
    /// The address had too many connections already.
    pub(crate) crowded: AtomicU64,
}

impl Counts {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn read(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
