//! Whether work is let in, and why not.
//!
//! Three things close the gate: a failure (until a restart), the disk's reserve, and checkpoints that do not leave the host
//! (both until they are over). What has begun passes the last two, so that outcomes are recorded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::LogError;

/// How the log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether it takes new work.
    pub state: HealthState,
    /// What an operator should see to, in order of urgency: the disk at 80 %, …
    pub warnings: Vec<String>,
}

/// Whether the log takes new work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthState {
    /// It does.
    Ready,
    /// Not until there is room on the disk again.
    Reserve,
    /// Not until checkpoints leave the host again, or what else it says is over.
    Checkpoints(String),
    /// Not until a restart.
    Failed(String),
}

/// Counted since the log was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metrics {
    /// Records in the log.
    pub size: u64,
    /// Records written.
    pub leaves: u64,
    /// Bytes written, framing included.
    pub bytes: u64,
    /// Commits, each one fdatasync.
    pub commits: u64,
    /// The most records in one commit.
    pub commit_leaves_max: u64,
    /// Records refused because too many waited.
    pub busy: u64,
    /// Records that could not be queued and are lost; the log has then failed.
    pub lost: u64,
    /// Checkpoints signed.
    pub checkpoints: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) leaves: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) commit_leaves_max: AtomicU64,
    pub(crate) busy: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self, size: u64) -> Metrics {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Metrics {
            size,
            leaves: of(&self.leaves),
            bytes: of(&self.bytes),
            commits: of(&self.commits),
            commit_leaves_max: of(&self.commit_leaves_max),
            busy: of(&self.busy),
            lost: of(&self.lost),
            checkpoints: of(&self.checkpoints),
        }
    }
}

#[derive(Default)]
pub(crate) struct Gate {
    failed: OnceLock<String>,
    reserve: AtomicBool,
    troubled: AtomicBool,
    troubles: Mutex<BTreeMap<&'static str, String>>,
    warnings: Mutex<BTreeMap<&'static str, String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gate {
    /// Closes the gate until a restart. The first reason stays.
    pub(crate) fn fail(&self, why: String) {
        tracing::error!(why, "the audit log has failed");
        let _ = self.failed.set(why);
    }
    pub(crate) fn failure(&self) -> Option<LogError> {
        self.failed.get().map(|why| LogError::Failed(why.clone()))
    }
    pub(crate) fn set_reserve(&self, reserve: bool) {
        if self.reserve.swap(reserve, Ordering::Relaxed) != reserve {
            tracing::warn!(reserve, "the audit log's disk reserve was reached or is free again");
        }
    }
    /// Sets or lifts what keeps checkpoints from leaving.
    pub(crate) fn set_trouble(&self, of: &'static str, why: Option<String>) {
        let mut troubles = lock(&self.troubles);
        match why {
            Some(why) => drop(troubles.insert(of, why)),
            None => drop(troubles.remove(of)),
        }
        self.troubled.store(!troubles.is_empty(), Ordering::Relaxed);
    }
    pub(crate) fn set_warning(&self, of: &'static str, what: Option<String>) {
        let mut warnings = lock(&self.warnings);
        match what {
            Some(what) => drop(warnings.insert(of, what)),
            None => drop(warnings.remove(of)),
        }
    }
    fn trouble(&self) -> String {
        lock(&self.troubles).values().cloned().collect::<Vec<_>>().join("; ")
    }

    /// Lets work in, or says why not.
    pub(crate) fn admit(&self, begun: bool) -> Result<(), LogError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        if begun {
            return Ok(());
        }
        if self.reserve.load(Ordering::Relaxed) {
            return Err(LogError::Reserve);
        }
        if self.troubled.load(Ordering::Relaxed) {
            return Err(LogError::Checkpoints(self.trouble()));
        }
        Ok(())
    }

    pub(crate) fn health(&self) -> Health {
        let state = match self.admit(false) {
            Ok(()) => HealthState::Ready,
            Err(LogError::Reserve) => HealthState::Reserve,
            Err(LogError::Failed(why)) => HealthState::Failed(why),
            Err(other) => HealthState::Checkpoints(match other {
                LogError::Checkpoints(why) => why,
                other => other.to_string(),
            }),
        };
        Health { state, warnings: lock(&self.warnings).values().cloned().collect() }
    }
}

/// Held by a thread that the log cannot do without: should it ever panic, the log has failed.
pub(crate) struct Watch(pub(crate) Arc<Gate>, pub(crate) &'static str);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(format!("the {} thread ended unexpectedly", self.1));
        }
    }
}
