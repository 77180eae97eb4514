//! Opening the log: lock, scan, repair what a crash left, refuse what a crash cannot have left, go on.
//!
//! In: [`Options`]. Out: the log and a report of what was found. Refused: a folder in use, on a network file system or that
//! others can write to, a changed record, a tree unlike the local checkpoint. In this order: nothing is written before all of it was read.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asuser_core::{AuditId, Clock, Digest};
use quick_cache::sync::Cache;

use crate::checkpoint::{Checkpoint, NoteSigner, VerifierKey, is_origin};
use crate::error::{LogError, OpenError};
use crate::file::{Files, RealFiles, write_all_at};
use crate::frame::HEADER;
use crate::gate::{Counters, Gate};
use crate::journal::{JOURNAL, Journal, SEGMENT, SEGMENT_MAX, SEGMENT_MIN, Tail, fill, prepare_spare, segment_name};
use crate::keeper::{Bell, CHECKPOINT, DayKey, Keeper};
use crate::keys::{Keys, fresh_entry};
use crate::leaf::{Kind, Leaf};
use crate::log::{Draft, Inner, Log, Shared, Threads};
use crate::merkle::Frontier;
use crate::personal::KeyStore;
use crate::resume::{self, OpenEntries, OpenEntry, Place};
use crate::scan::{Follower, Scanned, scan};
use crate::sink::{CheckpointSink, Outlet};
use crate::suspect;
use crate::tiles::{TILE, TileWriter};
use crate::writer::{Durable, Queue, Writer};

const LOCK: &str = "LOCK";
const KEY: &str = "key";
const VERIFIER: &str = "verifier";

/// How to open a log. Begin with [`Options::new`].
pub struct Options {
    /// The log's folder; made if it is missing.
    pub folder: PathBuf,
    /// The log's name in its checkpoints, such as `asuser.example.com/node1`. Never changes.
    pub origin: String,
    /// Where checkpoints go to be out of reach.
    pub sinks: Vec<Box<dyn CheckpointSink>>,
    /// How long a sink may take, in milliseconds, before no new work is taken.
    pub sink_patience_ms: u64,
    /// The longest time between checkpoints, in milliseconds.
    pub checkpoint_every_ms: u64,
    /// The most records between checkpoints.
    pub checkpoint_leaves: u64,
    /// What must stay free on the disk for new work to be taken, in bytes. At least two segments.
    pub reserve_bytes: u64,
    /// From how full a disk on (in per cent) health warns.
    pub warn_percent: u8,
    /// The length of a journal segment, in bytes.
    pub segment_bytes: u64,
    /// The most groups that wait for the writer.
    pub queue_groups: usize,
    /// The most bytes that wait for the writer.
    pub queue_bytes: usize,
    /// How many principals are remembered.
    pub known_principals: usize,
    /// For the `start` record: which program, which version.
    pub software: String,
    /// For the `start` record: the digest of the configuration.
    pub config: Option<Digest>,
    /// The file system.
    pub files: Arc<dyn Files>,
}

impl Options {
    /// The usual options.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, origin: impl Into<String>) -> Self {
        Self {
            folder: folder.into(),
            origin: origin.into(),
            sinks: Vec::new(),
            sink_patience_ms: 5_000,
            checkpoint_every_ms: 1_000,
            checkpoint_leaves: 1_000,
            reserve_bytes: 4 * SEGMENT,
            warn_percent: 80,
            segment_bytes: SEGMENT,
            queue_groups: 4_096,
            queue_bytes: 16 * 1024 * 1024,
            known_principals: 10_000,
            software: concat!("asuser ", env!("CARGO_PKG_VERSION")).into(),
            config: None,
            files: Arc::new(RealFiles),
        }
    }

    fn check(&self) -> Result<(), OpenError> {
        if !is_origin(&self.origin) {
            return Err(OpenError::BadOrigin(self.origin.clone()));
        }
        if !(SEGMENT_MIN..=SEGMENT_MAX).contains(&self.segment_bytes) {
            return Err(OpenError::Options("segments have 64 KiB to 256 MiB"));
        }
        if self.reserve_bytes < self.segment_bytes.saturating_mul(2) {
            return Err(OpenError::Options("the reserve is at least two segments"));
        }
        if self.queue_groups == 0
            || self.queue_bytes == 0
            || self.checkpoint_leaves == 0
            || self.checkpoint_every_ms == 0
        {
            return Err(OpenError::Options("queues and checkpoints need a size above 0"));
        }
        Ok(())
    }
}

/// What was found on opening.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenReport {
    /// Whether the log was made just now.
    pub created: bool,
    /// How many records there were.
    pub size: u64,
    /// The first record that was read: 0, or where the last checkpoint of the same boot ended.
    pub read_from: u64,
    /// How many bytes of an unfinished commit were cut off. None of it had been answered.
    pub torn_bytes: usize,
    /// Entries whose outcome is not known; each now has an `abandoned` record.
    pub abandoned: Vec<AuditId>,
    /// Erasures that were done again.
    pub erased_again: Vec<AuditId>,
    /// The segment that was copied because an earlier write to it had failed; the old one is kept beside it.
    pub suspect: Option<String>,
}

/// What a scan for opening gathers.
#[derive(Default)]
struct Found {
    open: OpenEntries,
    checkpoint: Option<Checkpoint>,
    size: u64,
}

impl Found {
    fn record(&mut self, record: &Scanned<'_>) -> Result<(), OpenError> {
        self.open
            .record(record.leaf)
            .map_err(|error| OpenError::Corrupt { index: record.index, what: error.to_string() })?;
        self.size = record.frontier.size();
        if let Some(checkpoint) = &self.checkpoint
            && checkpoint.size == self.size
            && checkpoint.root != record.frontier.root()
        {
            let what = format!("its first {} records are not the ones that were signed", checkpoint.size);
            return Err(OpenError::Checkpoint(what));
        }
        Ok(())
    }

    fn long_enough(&self) -> Result<(), OpenError> {
        match &self.checkpoint {
            Some(checkpoint) if checkpoint.size > self.size => Err(OpenError::Checkpoint(format!(
                "it has {} records, the checkpoint {}: the end is missing",
                self.size, checkpoint.size
            ))),
            _ => Ok(()),
        }
    }
}

impl Log {
    /// Opens the log in a folder, or makes one.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing has then been changed that a record or checkpoint says.
    pub fn open(
        options: Options,
        clock: Arc<dyn Clock>,
        store: Arc<dyn KeyStore>,
    ) -> Result<(Self, OpenReport), OpenError> {
        options.check()?;
        let lock = lock_folder(&options.folder)?;
        let journal = options.folder.join(JOURNAL);
        for folder in [&journal, &options.folder.join(TILE)] {
            make_folder(folder)?;
        }
        let suspect = suspect::restore(&*options.files, &options.folder, &options.origin)?;
        let has_records = !crate::journal::segments(&journal).map_err(|e| OpenError::io(&journal, &e))?.is_empty();
        let signer = NoteSigner::open(&*options.files, &options.folder, KEY, &options.origin, !has_records)?;
        let verifier = signer.verifier();
        publish(&options, &verifier)?;

        let checkpoint = local_checkpoint(&options.folder, &verifier)?;
        let (mut tiles, from, open) = begin_at(&options.folder, checkpoint.as_ref());
        let size = from.as_ref().map_or(0, |(place, _)| place.size);
        let mut found = Found { open, checkpoint, size };
        let mut tile_error = None;
        let end = scan(&journal, &options.origin, from, |record| {
            tiles.push(record.leaf, record.hash);
            tile_error = tiles.flush().err().or(tile_error.take());
            found.record(record)
        })?;
        found.long_enough()?;
        if let Some(error) = tile_error {
            return Err(OpenError::io(&options.folder.join(TILE), &error));
        }

        let read_from = size;
        let mut report =
            OpenReport { created: !has_records, size: found.size, read_from, suspect, ..OpenReport::default() };
        let tail = repair(&options, end.tail, &end.frontier, &mut report)?;
        let open = found.open.clone();
        let started = Started { options, clock, store, lock, signer, verifier, tiles, tail, tree: end.frontier, open };
        let log = started.start()?;
        // On a thread of its own: the caller's may be one that drives futures, which must not wait for one.
        std::thread::scope(|scope| scope.spawn(|| log.greet(found.open, &mut report)).join())
            .unwrap_or_else(|_| Err(LogError::Closed.into()))?;
        Ok((log.log, report))
    }
}

/// Makes a folder, if it is missing. One that was there must be ours alone to write to: whoever writes there puts another key,
/// lock or control socket in the place of ours.
fn make_folder(folder: &Path) -> Result<(), OpenError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let found = made.and_then(|()| std::fs::metadata(folder)).map_err(|error| OpenError::io(folder, &error))?;
    if found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(OpenError::Folder(folder.to_owned()));
    }
    Ok(())
}

/// Where to begin: at the last checkpoint, if all that it takes to go on from there is whole; else at the first record.
fn begin_at(folder: &Path, signed: Option<&Checkpoint>) -> (TileWriter, Option<(Place, Frontier)>, OpenEntries) {
    let resumed = signed.zip(resume::load(folder)).and_then(|(signed, (place, open))| {
        let (tiles, tree) = TileWriter::resume(folder, place.size)?;
        (signed.size == place.size && signed.root == tree.root()).then_some((tiles, Some((place, tree)), open))
    });
    resumed.unwrap_or_else(|| (TileWriter::new(folder), None, OpenEntries::default()))
}

/// Takes the folder's lock for as long as the file is open.
fn lock_folder(folder: &Path) -> Result<File, OpenError> {
    make_folder(folder)?;
    if let Some(kind) = network_file_system(folder)? {
        return Err(OpenError::NetworkFileSystem(folder.to_owned(), kind));
    }
    let path = folder.join(LOCK);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| OpenError::io(&path, &error))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked(folder.to_owned())),
        Err(error) => Err(OpenError::io(&path, &error.into())),
    }
}

/// The name of the network file system that the folder is on, if it is on one.
fn network_file_system(folder: &Path) -> Result<Option<&'static str>, OpenError> {
    let stat = rustix::fs::statfs(folder).map_err(|error| OpenError::io(folder, &error.into()))?;
    // The type's width and sign differ between platforms; the magic numbers of statfs(2) have 32 bits.
    let magic = stat.f_type as u32;
    Ok(network_kind(magic))
}

const fn network_kind(magic: u32) -> Option<&'static str> {
    match magic {
        0x6969 => Some("NFS"),
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => Some("SMB"),
        0x5346_414f => Some("AFS"),
        0x7375_7245 => Some("Coda"),
        0x0102_1997 => Some("9P"),
        0x00c3_6400 => Some("Ceph"),
        0x0bd0_0bd0 => Some("Lustre"),
        0x564c => Some("NCP"),
        0x0116_1970 => Some("GFS2"),
        0x7461_636f => Some("OCFS2"),
        // sshfs and the like; that some of them are local cannot be told from here.
        0x6573_5546 => Some("FUSE"),
        _ => None,
    }
}

/// The verifier key, for whoever verifies. A convenience: who does not trust the host keeps a copy elsewhere.
fn publish(options: &Options, verifier: &VerifierKey) -> Result<(), OpenError> {
    let path = options.folder.join(VERIFIER);
    let text = format!("{verifier}\n");
    if std::fs::read(&path).is_ok_and(|found| found == text.as_bytes()) {
        return Ok(());
    }
    std::fs::write(&path, text).map_err(|error| OpenError::io(&path, &error))
}

/// The local checkpoint, if there is one.
pub(crate) fn local_checkpoint(folder: &Path, verifier: &VerifierKey) -> Result<Option<Checkpoint>, OpenError> {
    let path = folder.join(CHECKPOINT);
    match std::fs::read_to_string(&path) {
        Ok(note) => verifier.open(&note).map(Some).map_err(|error| OpenError::Checkpoint(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::io(&path, &error)),
    }
}

/// Cuts off what an unfinished commit left, and has a segment to go on in.
fn repair(options: &Options, tail: Option<Tail>, tree: &Frontier, report: &mut OpenReport) -> Result<Tail, OpenError> {
    let journal = options.folder.join(JOURNAL);
    let Some(mut tail) = tail else {
        let begun = Journal::begin(
            Arc::clone(&options.files),
            journal.clone(),
            &options.origin,
            options.segment_bytes,
            0,
            tree.root(),
        )
        .map_err(|error| OpenError::io(&journal, &error))?;
        let capacity = usize::try_from(options.segment_bytes).unwrap_or(usize::MAX);
        return Ok(Tail { first_index: 0, seed: begun.seed(), offset: HEADER, capacity, torn: 0 });
    };
    if tail.torn > 0 {
        let path = journal.join(segment_name(tail.first_index));
        let offset = tail.offset as u64;
        options
            .files
            .open(&path)
            .and_then(|file| {
                fill(&*file, offset, offset.saturating_add(tail.torn as u64))?;
                file.sync_data()
            })
            .map_err(|error| OpenError::io(&path, &error))?;
        report.torn_bytes = std::mem::take(&mut tail.torn);
    }
    Ok(tail)
}

/// All that the threads need.
struct Started {
    options: Options,
    clock: Arc<dyn Clock>,
    store: Arc<dyn KeyStore>,
    lock: File,
    signer: NoteSigner,
    verifier: VerifierKey,
    tiles: TileWriter,
    tail: Tail,
    tree: Frontier,
    open: OpenEntries,
}

/// The running log, before its first record of this run.
struct Running {
    log: Log,
    shared: Arc<Shared>,
    store: Arc<dyn KeyStore>,
    start: Leaf,
}

impl Started {
    fn start(self) -> Result<Running, OpenError> {
        let Self { options, clock, store, lock, signer, verifier, tiles, tail, tree, open } = self;
        let files = Arc::clone(&options.files);
        let folder = options.folder.clone();
        let journal_folder = folder.join(JOURNAL);
        let at = |error: std::io::Error| OpenError::io(&journal_folder, &error);
        prepare_spare(&*files, &journal_folder, options.segment_bytes).map_err(at)?;
        let journal =
            Journal::resume(Arc::clone(&files), journal_folder.clone(), &options.origin, options.segment_bytes, &tail)
                .map_err(at)?;
        let follower = Follower::after(&journal_folder, &options.origin, &tail, tree.size()).map_err(at)?;
        let suspect = suspect::marker(&*files, &folder)?;

        let now_ms = clock.now_ms();
        let start = Leaf {
            note: Some(options.software.clone()),
            config: options.config,
            ..Leaf::new(Kind::Start, fresh_entry()?, 0, now_ms)
        };
        let shared = Arc::new(Shared {
            queue: Arc::new(Queue::new(options.queue_groups, options.queue_bytes)),
            gate: Arc::new(Gate::default()),
            durable: Arc::new(Durable::new(tree.clone())),
            counters: Arc::new(Counters::default()),
            bell: Arc::new(Bell::default()),
            day_key: Arc::new(DayKey::new(&*store, now_ms)?),
            known: Cache::new(options.known_principals),
            clock: Arc::clone(&clock),
            group_bytes_max: usize::try_from(options.segment_bytes).unwrap_or(usize::MAX).saturating_sub(HEADER),
        });
        let writer = Writer {
            queue: Arc::clone(&shared.queue),
            gate: Arc::clone(&shared.gate),
            durable: Arc::clone(&shared.durable),
            counters: Arc::clone(&shared.counters),
            journal,
            suspect,
            progress: progress(&shared, options.checkpoint_leaves, tree.size()),
        };
        let outlets = options.sinks.into_iter().map(Outlet::start).collect::<Result<Vec<_>, _>>().map_err(at)?;
        let keeper = Keeper {
            bell: Arc::clone(&shared.bell),
            gate: Arc::clone(&shared.gate),
            durable: Arc::clone(&shared.durable),
            counters: Arc::clone(&shared.counters),
            day_key: Arc::clone(&shared.day_key),
            store: Arc::clone(&store),
            clock,
            files,
            folder: folder.clone(),
            segment_bytes: options.segment_bytes,
            every: Duration::from_millis(options.checkpoint_every_ms),
            reserve_bytes: options.reserve_bytes,
            warn_percent: options.warn_percent,
            follower,
            tiles,
            tree,
            open,
            signer,
            outlets,
            patience: Duration::from_millis(options.sink_patience_ms),
            signed: None,
        };
        let (jobs, received) = std::sync::mpsc::sync_channel(1_024);
        let keys = Keys { shared: Arc::clone(&shared), store: Arc::clone(&store) };
        // A thread that cannot be started ends the others: dropping `Inner` closes the queue.
        let mut threads = Threads::default();
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(body).map(Some).map_err(at)
        };
        threads.writer = spawn("audit-writer", Box::new(move || writer.run()))?;
        threads.keeper = spawn("audit-keeper", Box::new(move || keeper.run()))?;
        threads.keys = spawn("audit-keys", Box::new(move || keys.run(&received)))?;
        let threads = Mutex::new(threads);
        let inner = Inner { shared: Arc::clone(&shared), folder, verifier, jobs: Some(jobs), threads, _lock: lock };
        Ok(Running { log: Log::from_inner(inner), shared, store, start })
    }
}

/// Rings the keeper's bell at each so many records.
fn progress(shared: &Arc<Shared>, every: u64, size: u64) -> Box<dyn Fn(u64) + Send> {
    let bell = Arc::clone(&shared.bell);
    let rung = std::cell::Cell::new(size);
    Box::new(move |durable| {
        if durable.saturating_sub(rung.get()) >= every {
            rung.set(durable);
            bell.hurry();
        }
    })
}

impl Running {
    /// Ends what the last run left open, then says that this one has begun, and lets the first checkpoint leave.
    fn greet(&self, open: OpenEntries, report: &mut OpenReport) -> Result<(), OpenError> {
        let t_ms = self.start.t_ms;
        for OpenEntry { leaf, n } in open.into_sorted() {
            let id = leaf.audit_id();
            let n = n.saturating_add(1);
            if leaf.kind == Kind::Erase {
                let subject = leaf.subject.ok_or_else(|| OpenError::Corrupt {
                    index: report.size,
                    what: format!("the erase record of entry {id} names no subject"),
                })?;
                self.store.erase(subject)?;
                self.write(Leaf { kind: Kind::Erased, n, t_ms, ..leaf })?;
                report.erased_again.push(id);
            } else {
                let note = Some("the process ended before the outcome was known".into());
                let nothing_released = (None, None, None, Vec::new());
                let (rows, bytes, body, commitments) = nothing_released;
                self.write(Leaf { kind: Kind::Abandoned, n, t_ms, note, rows, bytes, body, commitments, ..leaf })?;
                report.abandoned.push(id);
            }
        }
        let mut note = self.start.note.clone().unwrap_or_default();
        if report.torn_bytes > 0 {
            note.push_str(&format!("; {} bytes of an unfinished commit were cut off", report.torn_bytes));
        }
        if let Some(suspect) = &report.suspect {
            note.push_str(&format!("; {suspect} was copied after a failed write"));
        }
        self.write(Leaf { note: Some(note), ..self.start.clone() })?;
        let checkpoint = self.shared.bell.ask().blocking_recv().unwrap_or(Err(LogError::Closed));
        checkpoint.map(drop).map_err(OpenError::Log)
    }

    fn write(&self, leaf: Leaf) -> Result<(), OpenError> {
        self.shared.append(vec![Draft::new(leaf)]).wait().map(drop).map_err(OpenError::Log)
    }
}

/// Makes a file of zeros to be overwritten in place later.
pub(crate) fn make_zeroed(files: &dyn Files, path: &Path, bytes: usize) -> std::io::Result<()> {
    let file = files.create(path)?;
    write_all_at(&*file, &vec![0; bytes], 0)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::network_kind;

    #[test]
    fn network_file_systems_are_known_by_their_magic_and_local_ones_pass() {
        assert_eq!(network_kind(0x6969), Some("NFS"));
        assert_eq!(network_kind(0xff53_4d42), Some("SMB"));
        // ext4, xfs, btrfs, tmpfs, overlay, zfs
        for local in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1] {
            assert_eq!(network_kind(local), None);
        }
    }
}
