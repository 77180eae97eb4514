//! The one writer: a bounded queue, and the thread that makes it durable.
//!
//! In: groups of encoded records. Out: their places, once they are durable (law 7): drain the queue, number, one `pwrite`,
//! one `fdatasync`, advance the frontier, wake whoever waits. No lock is held while it syncs. After one failed write or
//! sync nothing more is written: the failure is answered to all that wait and come.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use asuser_core::Digest;
use tokio::sync::oneshot;

use crate::error::LogError;
use crate::file::{LogFile, write_all_at};
use crate::frame::{frame_len, push_frame};
use crate::gate::{Counters, Gate, Watch};
use crate::journal::{Journal, segment_name};
use crate::merkle::Frontier;

/// The most records in a group.
pub const GROUP_MAX: usize = 64;
/// Above what new work may fill, the queue keeps room for records that must not be lost.
const SUBMIT_FACTOR: usize = 2;
/// How long a commit waits for others that are under way: about what a sync takes, so that one sync serves them all.
const GATHER: Duration = Duration::from_micros(60);
/// So many others must be under way: who is nearly alone does not wait.
const GATHER_FOR: usize = 3;
/// What one commit takes at most, in bytes, if more than one group waits.
const COMMIT_MAX: usize = 1024 * 1024;

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Its index in the log.
    pub index: u64,
    /// Its Merkle leaf hash.
    pub leaf_hash: Digest,
}

/// An encoded record.
pub(crate) struct Record {
    pub(crate) leaf: Vec<u8>,
    pub(crate) personal: Vec<u8>,
    pub(crate) hash: Digest,
}

type Reply = Result<Vec<Position>, LogError>;

/// Records that follow each other without a gap.
pub(crate) struct Group {
    records: Vec<Record>,
    bytes: usize,
    reply: Option<oneshot::Sender<Reply>>,
}

impl Group {
    pub(crate) fn new(records: Vec<Record>, reply: Option<oneshot::Sender<Reply>>) -> Self {
        let bytes = records.iter().map(|record| frame_len(&record.leaf, &record.personal)).sum();
        Self { records, bytes, reply }
    }
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
    fn answer(self, answer: Reply) {
        if let Some(reply) = self.reply {
            // Whoever waited may have gone; the record is durable all the same.
            let _ = reply.send(answer);
        }
    }
}

/// Records on their way; resolves when they are durable, or known not to be. Dropping it cancels nothing.
#[must_use = "a record is durable only when this has resolved"]
pub struct Pending(Waiting);

enum Waiting {
    Queued(oneshot::Receiver<Reply>),
    Refused(Option<LogError>),
}

impl Pending {
    pub(crate) const fn refused(error: LogError) -> Self {
        Self(Waiting::Refused(Some(error)))
    }
    pub(crate) const fn queued(receiver: oneshot::Receiver<Reply>) -> Self {
        Self(Waiting::Queued(receiver))
    }
    /// Waits on a thread that runs no futures.
    ///
    /// # Errors
    /// As [`crate::Log::append`].
    ///
    /// # Panics
    /// On a thread that drives an async runtime.
    pub fn wait(self) -> Result<Vec<Position>, LogError> {
        match self.0 {
            Waiting::Queued(receiver) => receiver.blocking_recv().unwrap_or(Err(LogError::Closed)),
            Waiting::Refused(error) => Err(error.unwrap_or(LogError::Closed)),
        }
    }
}

impl Future for Pending {
    type Output = Reply;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        match &mut self.0 {
            Waiting::Queued(receiver) => {
                Pin::new(receiver).poll(context).map(|reply| reply.unwrap_or(Err(LogError::Closed)))
            }
            Waiting::Refused(error) => Poll::Ready(Err(error.take().unwrap_or(LogError::Closed))),
        }
    }
}

struct Inner {
    groups: VecDeque<Group>,
    bytes: usize,
    closed: bool,
}

/// The bounded queue before the writer.
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    bell: Condvar,
    groups_max: usize,
    bytes_max: usize,
    /// Entries that have begun and not ended.
    coming: AtomicUsize,
}

/// An entry that has begun: its records will come.
#[derive(Debug)]
pub struct Expected(Arc<Queue>);

impl Expected {
    pub(crate) fn by(queue: &Arc<Queue>) -> Self {
        queue.coming.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(queue))
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.0.coming.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

/// A group that was not queued.
pub(crate) enum NotQueued {
    Full,
    Closed,
}

impl Queue {
    pub(crate) const fn new(groups_max: usize, bytes_max: usize) -> Self {
        let inner = Inner { groups: VecDeque::new(), bytes: 0, closed: false };
        let coming = AtomicUsize::new(0);
        Self { inner: Mutex::new(inner), bell: Condvar::new(), groups_max, bytes_max, coming }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a group. `must`: it may use the room that is kept for records that must not be lost.
    pub(crate) fn push(&self, group: Group, must: bool) -> Result<(), NotQueued> {
        let factor = if must { SUBMIT_FACTOR } else { 1 };
        let mut inner = self.lock();
        if inner.closed {
            return Err(NotQueued::Closed);
        }
        let bytes = inner.bytes.saturating_add(group.bytes);
        if inner.groups.len() >= self.groups_max.saturating_mul(factor) || bytes > self.bytes_max.saturating_mul(factor)
        {
            return Err(NotQueued::Full);
        }
        inner.bytes = bytes;
        inner.groups.push_back(group);
        drop(inner);
        self.bell.notify_one();
        Ok(())
    }

    /// Takes what waits, up to a commit's size; waits for something. `None`: closed and empty.
    fn take(&self) -> Option<Vec<Group>> {
        let mut inner = self.lock();
        while inner.groups.is_empty() {
            if inner.closed {
                return None;
            }
            inner = self.bell.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        if !inner.closed && self.coming.load(Ordering::Relaxed) >= inner.groups.len() + GATHER_FOR {
            drop(inner);
            std::thread::sleep(GATHER);
            inner = self.lock();
        }
        let (mut taken, mut bytes) = (Vec::new(), 0_usize);
        while let Some(group) = inner.groups.pop_front() {
            inner.bytes = inner.bytes.saturating_sub(group.bytes);
            bytes = bytes.saturating_add(group.bytes);
            taken.push(group);
            if bytes >= COMMIT_MAX {
                break;
            }
        }
        Some(taken)
    }

    /// Takes no more; what waits is still written.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.bell.notify_all();
    }
}

/// What is durable, for whoever reads it.
pub(crate) struct Durable {
    frontier: Mutex<Frontier>,
    size: AtomicU64,
}

impl Durable {
    pub(crate) fn new(frontier: Frontier) -> Self {
        let size = AtomicU64::new(frontier.size());
        Self { frontier: Mutex::new(frontier), size }
    }
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }
    pub(crate) fn frontier(&self) -> Frontier {
        self.frontier.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn extend<'a>(&self, hashes: impl Iterator<Item = &'a Digest>) {
        let mut frontier = self.frontier.lock().unwrap_or_else(PoisonError::into_inner);
        for hash in hashes {
            frontier.push(*hash);
        }
        self.size.store(frontier.size(), Ordering::Release);
    }
}

/// The thread's state.
pub(crate) struct Writer {
    pub(crate) queue: Arc<Queue>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) durable: Arc<Durable>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) journal: Journal,
    /// Where the name of a segment whose state is in doubt goes, for the next start.
    pub(crate) suspect: Box<dyn LogFile>,
    /// Told how many records are durable.
    pub(crate) progress: Box<dyn Fn(u64) + Send>,
}

/// Whatever ends the thread, nobody waits for it in vain.
struct Ended(Arc<Queue>, Arc<Gate>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.close();
        while let Some(groups) = self.0.take() {
            for group in groups {
                group.answer(Err(self.1.failure().unwrap_or(LogError::Closed)));
            }
        }
    }
}

impl Writer {
    pub(crate) fn run(mut self) {
        let _ended = Ended(Arc::clone(&self.queue), Arc::clone(&self.gate));
        // Dropped first, so that whoever still waits is told of the failure.
        let _watch = Watch(Arc::clone(&self.gate), "writer");
        let queue = Arc::clone(&self.queue);
        while let Some(groups) = queue.take() {
            self.write(groups);
        }
    }

    fn write(&mut self, groups: Vec<Group>) {
        let mut frames = Vec::with_capacity(groups.iter().map(Group::bytes).sum());
        let mut commit = Vec::with_capacity(groups.len());
        for group in groups {
            let room = usize::try_from(self.journal.room()).unwrap_or(usize::MAX);
            if frames.len().saturating_add(group.bytes) > room {
                self.commit(&mut frames, &mut commit);
                self.rotate();
            }
            for record in &group.records {
                let first = frames.is_empty();
                push_frame(&mut frames, self.journal.seed(), first, &record.leaf, &record.personal);
            }
            commit.push(group);
        }
        self.commit(&mut frames, &mut commit);
    }

    fn rotate(&mut self) {
        if self.gate.failure().is_some() {
            return;
        }
        let frontier = self.durable.frontier();
        if let Err(error) = self.journal.rotate(frontier.size(), frontier.root()) {
            self.fail(format!("a new journal segment could not be made: {error}"));
        }
    }

    fn commit(&mut self, frames: &mut Vec<u8>, groups: &mut Vec<Group>) {
        if groups.is_empty() {
            return;
        }
        if self.gate.failure().is_none()
            && let Err(error) = self.journal.commit(frames)
        {
            self.fail(format!("the journal could not be written: {error}"));
        }
        if let Some(failure) = self.gate.failure() {
            groups.drain(..).for_each(|group| group.answer(Err(failure.clone())));
            frames.clear();
            return;
        }
        let first = self.durable.size();
        self.durable.extend(groups.iter().flat_map(|group| group.records.iter().map(|record| &record.hash)));
        self.count(frames.len() as u64, self.durable.size().saturating_sub(first));
        let mut index = first;
        for group in groups.drain(..) {
            let positions = group.records.iter().zip(index..);
            let positions: Vec<Position> =
                positions.map(|(record, index)| Position { index, leaf_hash: record.hash }).collect();
            index = index.saturating_add(positions.len() as u64);
            group.answer(Ok(positions));
        }
        frames.clear();
        (self.progress)(index);
    }

    fn count(&self, bytes: u64, leaves: u64) {
        self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.counters.leaves.fetch_add(leaves, Ordering::Relaxed);
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters.commit_leaves_max.fetch_max(leaves, Ordering::Relaxed);
    }

    fn fail(&self, why: String) {
        self.gate.fail(why);
        // Best effort. Even unsynced it lives as long in the page cache as the pages that it warns of, and its blocks
        // are allocated already, so a full disk does not keep it from being written.
        let name = format!("{:<32}", segment_name(self.journal.first_index()));
        let marked = write_all_at(&*self.suspect, name.as_bytes(), 0).and_then(|()| self.suspect.sync_data());
        if let Err(error) = marked {
            tracing::error!(%error, "the segment in doubt could not be marked");
        }
    }
}
