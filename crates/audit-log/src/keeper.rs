//! The keeper: everything that follows the writer at leisure, on a thread of its own.
//!
//! Each second, or after 1,000 records (but at most four times a second, unless somebody asks): look at the disk, have the day's key and a spare segment ready, read the durable
//! records back from the journal into tiles, sign a checkpoint over them, and send it away.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use asuser_core::Clock;
use tokio::sync::oneshot;

use crate::checkpoint::{Checkpoint, NoteSigner};
use crate::error::LogError;
use crate::file::{Files, replace};
use crate::gate::{Counters, Gate, Watch};
use crate::journal::{JOURNAL, prepare_spare};
use crate::merkle::Frontier;
use crate::personal::{KeyStore, SubjectKey};
use crate::resume::{self, OpenEntries};
use crate::scan::Follower;
use crate::sink::Outlet;
use crate::tiles::TileWriter;
use crate::writer::Durable;

/// The file of the newest checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// Between two checkpoints that nobody asked for.
const QUIET: Duration = Duration::from_millis(250);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The key of the day, in the store's own count of days.
pub(crate) struct DayKey(RwLock<(i64, Arc<SubjectKey>)>);

impl DayKey {
    pub(crate) fn new(store: &dyn KeyStore, now_ms: i64) -> Result<Self, LogError> {
        let day = now_ms.div_euclid(DAY_MS);
        Ok(Self(RwLock::new((day, store.day_key(day)?))))
    }
    pub(crate) fn current(&self) -> Arc<SubjectKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).1)
    }
    /// Has the key of today, if the day has changed; until then yesterday's serves.
    fn turn(&self, store: &dyn KeyStore, now_ms: i64) -> Result<(), LogError> {
        let day = now_ms.div_euclid(DAY_MS);
        if self.0.read().unwrap_or_else(PoisonError::into_inner).0 == day {
            return Ok(());
        }
        self.renew(store, day)
    }
    pub(crate) fn renew(&self, store: &dyn KeyStore, day: i64) -> Result<(), LogError> {
        let key = store.day_key(day)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = (day, key);
        Ok(())
    }
    pub(crate) fn day(&self) -> i64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).0
    }
}

type Answer = Result<Checkpoint, LogError>;

#[derive(Default)]
struct Inbox {
    asked: Vec<oneshot::Sender<Answer>>,
    hurry: bool,
    stop: bool,
}

/// How others speak to the keeper.
#[derive(Default)]
pub(crate) struct Bell(Mutex<Inbox>, Condvar);

impl Bell {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Asks for a checkpoint over all that is durable now.
    pub(crate) fn ask(&self) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        self.lock().asked.push(sender);
        self.1.notify_all();
        receiver
    }
    pub(crate) fn hurry(&self) {
        self.lock().hurry = true;
        self.1.notify_all();
    }
    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.1.notify_all();
    }
}

/// The thread's state.
pub(crate) struct Keeper {
    pub(crate) bell: Arc<Bell>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) durable: Arc<Durable>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) day_key: Arc<DayKey>,
    pub(crate) store: Arc<dyn KeyStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) files: Arc<dyn Files>,
    pub(crate) folder: PathBuf,
    pub(crate) segment_bytes: u64,
    pub(crate) every: Duration,
    pub(crate) reserve_bytes: u64,
    pub(crate) warn_percent: u8,
    pub(crate) follower: Follower,
    pub(crate) tiles: TileWriter,
    /// The tree as read back; must be the writer's.
    pub(crate) tree: Frontier,
    /// The entries that are open in it.
    pub(crate) open: OpenEntries,
    pub(crate) signer: NoteSigner,
    pub(crate) outlets: Vec<Outlet>,
    pub(crate) patience: Duration,
    pub(crate) signed: Option<Checkpoint>,
}

impl Keeper {
    pub(crate) fn run(mut self) {
        let _watch = Watch(Arc::clone(&self.gate), "keeper");
        let bell = Arc::clone(&self.bell);
        loop {
            // Under load a thousand records come every few milliseconds, and a checkpoint costs as much as a hundred of them.
            let idle = |inbox: &mut Inbox| inbox.asked.is_empty() && !inbox.stop;
            let quiet = QUIET.min(self.every);
            let inbox = bell.1.wait_timeout_while(bell.lock(), quiet, idle);
            let inbox = inbox.unwrap_or_else(PoisonError::into_inner).0;
            let inbox =
                bell.1.wait_timeout_while(inbox, self.every.saturating_sub(quiet), |inbox| idle(inbox) && !inbox.hurry);
            let mut inbox = inbox.unwrap_or_else(PoisonError::into_inner).0;
            inbox.hurry = false;
            let asked = std::mem::take(&mut inbox.asked);
            let stop = inbox.stop;
            drop(inbox);
            // The last checkpoint is waited for as well: afterwards nobody sends it.
            let answer = self.tick(stop || !asked.is_empty());
            asked.into_iter().for_each(|asker| drop(asker.send(answer.clone())));
            if stop {
                return;
            }
        }
    }

    fn tick(&mut self, flush: bool) -> Answer {
        self.look_at_disk();
        let keys = self.day_key.turn(&*self.store, self.clock.now_ms());
        self.gate.set_trouble("keys", keys.err().map(|error| error.to_string()));
        let spare = prepare_spare(&*self.files, &self.folder.join(JOURNAL), self.segment_bytes);
        self.gate.set_trouble("spare", spare.err().map(|error| format!("no spare segment can be made: {error}")));
        let answer = self.checkpoint();
        let unsigned = answer.as_ref().err().map(|error| match error {
            LogError::Checkpoints(why) => why.clone(),
            other => other.to_string(),
        });
        self.gate.set_trouble("checkpoint", unsigned);
        if flush {
            self.outlets.iter().for_each(|outlet| outlet.flush(self.patience));
        }
        let trouble: Vec<String> = self.outlets.iter().filter_map(|outlet| outlet.trouble(self.patience)).collect();
        self.gate.set_trouble("sinks", (!trouble.is_empty()).then(|| trouble.join("; ")));
        answer
    }

    fn look_at_disk(&self) {
        match self.files.space(&self.folder) {
            Ok(space) => {
                self.gate.set_reserve(space.available < self.reserve_bytes);
                let used = space.total.saturating_sub(space.available);
                let percent = used.saturating_mul(100).checked_div(space.total).unwrap_or(100);
                let full = percent >= u64::from(self.warn_percent);
                self.gate.set_warning("disk", full.then(|| format!("the audit log's disk is {percent} % full")));
            }
            // Not to know is not to have room.
            Err(error) => {
                self.gate.set_reserve(true);
                self.gate.set_warning("disk", Some(format!("the audit log's disk cannot be looked at: {error}")));
            }
        }
    }

    fn checkpoint(&mut self) -> Answer {
        let durable = self.durable.frontier();
        if let Some(signed) = &self.signed
            && signed.size == durable.size()
        {
            return Ok(signed.clone());
        }
        let (size, root) = (durable.size(), durable.root());
        let written = self.derive(size);
        if self.tree.size() == size && self.tree.root() != root {
            let why = format!("the first {size} records read back from the journal are not the ones that were written");
            self.gate.fail(why.clone());
            return Err(LogError::Failed(why));
        }
        let note = self.signer.sign(size, root);
        written
            .and_then(|()| replace(&*self.files, &self.folder, CHECKPOINT, note.as_bytes()))
            .map_err(|error| LogError::Checkpoints(format!("the checkpoint cannot be written: {error}")))?;
        resume::save(&self.folder, &self.follower.place(), &self.open);
        let note: Arc<str> = note.into();
        self.outlets.iter().for_each(|outlet| outlet.offer(&note));
        self.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        let signed = Checkpoint { origin: self.signer.verifier().origin().to_owned(), size, root };
        self.signed = Some(signed.clone());
        Ok(signed)
    }

    /// Reads on to `size` and writes the tiles.
    fn derive(&mut self, size: u64) -> io::Result<()> {
        let (tiles, tree, open) = (&mut self.tiles, &mut self.tree, &mut self.open);
        self.follower.follow(size, |leaf, hash| {
            tiles.push(leaf, hash);
            tree.push(hash);
            // A leaf that is none was not written by this log: the roots then differ.
            drop(open.record(leaf));
        })?;
        self.tiles.flush()?;
        self.tiles.write_partial()
    }
}
