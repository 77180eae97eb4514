//! Counters of answers. They hold no name of a person, table or value.

use std::sync::atomic::{AtomicU64, Ordering};

use asuser_core::Reason;

/// Answers since the start, by how they ended.
#[derive(Debug)]
pub struct Metrics {
    released: AtomicU64,
    refused: Vec<AtomicU64>,
}

/// A reading of [`Metrics`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Answers that hold data.
    pub released: u64,
    /// Refusals and failures by reason, those that occurred.
    pub refused: Vec<(Reason, u64)>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { released: AtomicU64::new(0), refused: Reason::ALL.iter().map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Metrics {
    pub(crate) fn count(&self, ended: Result<(), Reason>) {
        let counter = match ended {
            Ok(()) => Some(&self.released),
            Err(why) => Reason::ALL.iter().zip(&self.refused).find_map(|(reason, at)| (*reason == why).then_some(at)),
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
    /// What was counted.
    #[must_use]
    pub fn read(&self) -> Counts {
        let refused = Reason::ALL.iter().zip(&self.refused).map(|(reason, at)| (*reason, at.load(Ordering::Relaxed)));
        Counts {
            released: self.released.load(Ordering::Relaxed),
            refused: refused.filter(|(_, count)| *count > 0).collect(),
        }
    }
}
