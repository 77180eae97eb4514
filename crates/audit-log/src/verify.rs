//! The offline verifier.
//!
//! In: a log's folder, its verifier key, and, where they are at hand, the store of keys and checkpoints that had left the
//! host. Out: counts and findings, each naming its record. It reads only, and also a log that is being written.
//!
//! What it shows: that the records are whole, canonical and in order; that each entry has its parts; that the tree is the
//! one that was signed, here and outside; that what is personal is what was committed to, or was erased by an `erase`
//! record. What it cannot show without an outside checkpoint: that whoever owns the host did not write and sign it all anew.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use asuser_core::{AuditId, Digest};

use crate::checkpoint::{Checkpoint, VerifierKey, split_notes};
use crate::error::OpenError;
use crate::journal::JOURNAL;
use crate::leaf::{Kind, Leaf};
use crate::merkle::empty_root;
use crate::open::local_checkpoint;
use crate::personal::{self, KeyStore, PersonalState, SubjectRef};
use crate::read::{personal_state, sealed};
use crate::scan::{ScanEnd, Scanned, scan};
use crate::tiles::TileChecker;

/// The most findings that are kept; more are counted.
const FINDINGS_MAX: usize = 1_000;

/// What to verify.
pub struct VerifyOptions<'a> {
    /// The log's folder.
    pub folder: PathBuf,
    /// The key that signs its checkpoints.
    pub verifier: VerifierKey,
    /// The store of keys, to open personal parts.
    pub store: Option<&'a dyn KeyStore>,
    /// Files of checkpoints that had left the host: a name for messages, and the text, with one or many notes.
    pub outside: Vec<(String, String)>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; the log verifies.
    Notice,
    /// The log does not verify.
    Failure,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The record.
    pub index: Option<u64>,
    /// Its entry.
    pub entry: Option<AuditId>,
    /// In words.
    pub what: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(index) = self.index {
            write!(f, "record {index}: ")?;
        }
        if let Some(entry) = self.entry {
            write!(f, "entry {entry}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// How many personal parts are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PersonalCounts {
    /// They open and are what was committed to.
    pub open: u64,
    /// Not opened, since no store was given.
    pub sealed: u64,
    /// Erased, and an `erase` record says so.
    pub erased: u64,
    /// Gone without an `erase` record.
    pub missing: u64,
    /// Something else than was committed to.
    pub mismatch: u64,
}

/// What the verifier found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// How many records are whole.
    pub size: u64,
    /// The root over them, if all could be read.
    pub root: Option<Digest>,
    /// The local checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// How many records the local checkpoint does not cover yet.
    pub uncovered: u64,
    /// How many outside checkpoints the log agrees with.
    pub outside: u64,
    /// How many entries.
    pub entries: u64,
    /// Entries that have begun and not ended: in flight, if the log is being written.
    pub open: Vec<AuditId>,
    /// How many records of each kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Of the personal parts.
    pub personal: PersonalCounts,
    /// What is not as it should be, at most 1,000.
    pub findings: Vec<Finding>,
    /// How many failures there are, kept or not.
    pub failures: u64,
}

impl Verification {
    /// Whether the log verifies.
    #[must_use]
    pub const fn ok(&self) -> bool {
        self.failures == 0
    }

    fn find(&mut self, severity: Severity, index: Option<u64>, entry: Option<AuditId>, what: impl Into<String>) {
        if severity == Severity::Failure {
            self.failures = self.failures.saturating_add(1);
        }
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { severity, index, entry, what: what.into() });
        }
    }
    fn fail(&mut self, what: impl Into<String>) {
        self.find(Severity::Failure, None, None, what);
    }
}

/// A tree head that the log must have passed through.
struct Head {
    name: String,
    root: Digest,
    outside: bool,
}

struct Check<'a> {
    store: Option<&'a dyn KeyStore>,
    heads: BTreeMap<u64, Vec<Head>>,
    covered: u64,
    tiles: TileChecker,
    open: HashMap<[u8; 16], (Kind, u32, u64)>,
    closed: HashSet<[u8; 16]>,
    who: HashMap<u64, Digest>,
    erased: HashSet<SubjectRef>,
    /// Keys that the store does not have: how many records are under each, and the first of them.
    missing: BTreeMap<SubjectRef, (u64, u64, AuditId)>,
    opened: HashSet<SubjectRef>,
    result: Verification,
}

/// Verifies a log.
#[must_use]
pub fn verify(options: &VerifyOptions<'_>) -> Verification {
    let mut check = Check {
        store: options.store,
        heads: BTreeMap::new(),
        covered: 0,
        tiles: TileChecker::new(&options.folder),
        open: HashMap::new(),
        closed: HashSet::new(),
        who: HashMap::new(),
        erased: HashSet::new(),
        missing: BTreeMap::new(),
        opened: HashSet::new(),
        result: Verification::default(),
    };
    // The heads are read before the records: a log that is being written only grows meanwhile.
    check.outside(options);
    check.local(options);
    check.heads_at(0, empty_root());
    let end = scan(&options.folder.join(JOURNAL), options.verifier.origin(), None, |record| {
        check.record(record);
        Ok::<(), OpenError>(())
    });
    check.finish(end);
    check.result
}

impl Check<'_> {
    fn outside(&mut self, options: &VerifyOptions<'_>) {
        for (name, text) in &options.outside {
            let notes = split_notes(text);
            if notes.is_empty() {
                self.result.fail(format!("`{name}` holds no checkpoint"));
            }
            for (at, note) in notes.iter().enumerate() {
                let name = format!("checkpoint {} of `{name}`", at.saturating_add(1));
                match options.verifier.open(note) {
                    Ok(checkpoint) => {
                        let head = Head { name, root: checkpoint.root, outside: true };
                        self.heads.entry(checkpoint.size).or_default().push(head);
                    }
                    Err(error) => self.result.fail(format!("{name}: {error}")),
                }
            }
        }
    }

    fn local(&mut self, options: &VerifyOptions<'_>) {
        match local_checkpoint(&options.folder, &options.verifier) {
            Ok(Some(checkpoint)) => {
                self.covered = checkpoint.size;
                let head = Head { name: "the local checkpoint".into(), root: checkpoint.root, outside: false };
                self.heads.entry(checkpoint.size).or_default().push(head);
                self.result.checkpoint = Some(checkpoint);
            }
            Ok(None) => self.result.fail("the local checkpoint is missing"),
            Err(error) => self.result.fail(error.to_string()),
        }
    }

    /// Holds the tree of `size` records against the heads of that size.
    fn heads_at(&mut self, size: u64, root: Digest) {
        for head in self.heads.remove(&size).unwrap_or_default() {
            if head.root != root {
                let what = format!("{} is over other records than the first {size} of this log", head.name);
                self.result.find(Severity::Failure, size.checked_sub(1), None, what);
            } else if head.outside {
                self.result.outside = self.result.outside.saturating_add(1);
            }
        }
    }

    fn record(&mut self, record: &Scanned<'_>) {
        let size = record.frontier.size();
        self.result.size = size;
        if self.heads.contains_key(&size) {
            self.heads_at(size, record.frontier.root());
        }
        let leaf = Leaf::decode(record.leaf);
        if size <= self.covered {
            let entry = leaf.as_ref().map_or(AuditId::from_bytes([0; 16]), Leaf::audit_id);
            self.tiles.push(record.leaf, record.hash, entry);
            if size == self.covered {
                self.tiles.partial();
            }
        }
        match leaf {
            Err(error) => self.result.find(Severity::Failure, Some(record.index), None, error.to_string()),
            Ok(leaf) => {
                let count = self.result.kinds.entry(leaf.kind.as_str()).or_default();
                *count = count.saturating_add(1);
                self.structure(record, &leaf);
                self.personal(record, &leaf);
            }
        }
    }

    /// One entry, whole and in order: a single record of its own kind; or intent, progress …, outcome; or erase, erased.
    fn structure(&mut self, record: &Scanned<'_>, leaf: &Leaf) {
        let mut wrong = |what: &str| {
            self.result.find(Severity::Failure, Some(record.index), Some(leaf.audit_id()), what);
        };
        if leaf.who.is_some_and(|who| self.who.get(&who.index) != Some(&who.hash)) {
            wrong("its `who` record is not where it says, or another one");
        }
        let begun = self.open.get(&leaf.entry).copied();
        let (first, follows, ends) = match leaf.kind {
            Kind::Who | Kind::Whole | Kind::Summary | Kind::Start | Kind::Config => (true, None, true),
            Kind::Intent | Kind::Erase => (true, None, false),
            Kind::Progress => (false, Some(Kind::Intent), false),
            Kind::Outcome | Kind::Abandoned => (false, Some(Kind::Intent), true),
            // Before anything ran, or as the end of what had begun.
            Kind::Refused => (leaf.n == 0, Some(Kind::Intent), true),
            Kind::Erased => (false, Some(Kind::Erase), true),
        };
        if first {
            if leaf.n != 0 {
                wrong("the record that begins the entry is not its number 0");
            }
            if begun.is_some() || self.closed.contains(&leaf.entry) {
                wrong("the entry is in the log already");
            }
        } else {
            match begun {
                Some((kind, n, _)) if Some(kind) == follows => {
                    if n.checked_add(1) != Some(leaf.n) {
                        wrong("the records of the entry are not numbered in order");
                    }
                }
                _ => wrong("nothing has begun that this record could belong to"),
            }
        }
        if leaf.kind == Kind::Start {
            for (entry, (_, _, index)) in self.open.drain() {
                let what = "it has neither an outcome nor an `abandoned` record";
                self.result.find(Severity::Failure, Some(index), Some(AuditId::from_bytes(entry)), what);
            }
        }
        if leaf.kind == Kind::Who {
            self.who.insert(record.index, record.hash);
        }
        if leaf.kind == Kind::Erase {
            self.erased.extend(leaf.subject);
        }
        if ends {
            self.open.remove(&leaf.entry);
            self.closed.insert(leaf.entry);
        } else {
            let kind = begun.map_or(leaf.kind, |(kind, _, _)| kind);
            let index = begun.map_or(record.index, |(_, _, index)| index);
            self.open.insert(leaf.entry, (kind, leaf.n, index));
        }
    }

    fn personal(&mut self, record: &Scanned<'_>, leaf: &Leaf) {
        let state = match self.store {
            None => Ok(sealed(record.personal, leaf)),
            Some(store) => personal_state(store, record.personal, record.leaf, leaf),
        };
        let key = personal::key_id(record.personal);
        let counts = &mut self.result.personal;
        let (count, what) = match state {
            Err(error) => return self.result.fail(error.to_string()),
            Ok(PersonalState::None) => return,
            Ok(PersonalState::Sealed) => (&mut counts.sealed, None),
            Ok(PersonalState::Open(_)) => {
                self.opened.extend(key);
                (&mut counts.open, None)
            }
            Ok(PersonalState::Mismatch) => {
                (&mut counts.mismatch, Some("its personal part is not what it committed to"))
            }
            Ok(PersonalState::Missing | PersonalState::Erased) => match key {
                // Whether it was erased is known at the end.
                Some(key) => {
                    let first = (0, record.index, leaf.audit_id());
                    let (count, _, _) = self.missing.entry(key).or_insert(first);
                    *count = count.saturating_add(1);
                    return;
                }
                None => (&mut counts.missing, Some("its personal part is missing")),
            },
        };
        *count = count.saturating_add(1);
        if let Some(what) = what {
            self.result.find(Severity::Failure, Some(record.index), Some(leaf.audit_id()), what);
        }
    }

    fn finish(&mut self, end: Result<ScanEnd, OpenError>) {
        match end {
            Ok(end) => self.ended(&end),
            Err(OpenError::Corrupt { index, what }) => self.result.find(Severity::Failure, Some(index), None, what),
            Err(error) => self.result.fail(error.to_string()),
        }
        for (key, (count, index, entry)) in std::mem::take(&mut self.missing) {
            if self.erased.contains(&key) {
                self.result.personal.erased = self.result.personal.erased.saturating_add(count);
            } else {
                self.result.personal.missing = self.result.personal.missing.saturating_add(count);
                let what = format!(
                    "the key of its personal part is missing, and no `erase` record names it ({count} records in all)"
                );
                self.result.find(Severity::Failure, Some(index), Some(entry), what);
            }
        }
        for key in self.erased.intersection(&self.opened) {
            let what = format!("subject {key} was erased, but the store has its key again: was a backup restored?");
            self.result.find(Severity::Notice, None, None, what);
        }
        let tiles = std::mem::replace(&mut self.tiles, TileChecker::new(&PathBuf::new())).finish();
        for (name, record) in tiles.other {
            let (index, entry) = record.unzip();
            let what = format!("{name} says something else than the journal");
            self.result.find(Severity::Failure, index, entry, what);
        }
        if let Some(first) = tiles.first_missing {
            let what = format!(
                "{} tiles are missing, the first is {first}; a start without the file `resume` rebuilds them",
                tiles.missing
            );
            self.result.find(Severity::Notice, None, None, what);
        }
        let mut open: Vec<[u8; 16]> = self.open.keys().copied().collect();
        open.sort_unstable();
        self.result.entries = self.closed.len().saturating_add(open.len()) as u64;
        self.result.open = open.into_iter().map(AuditId::from_bytes).collect();
        self.result.uncovered = self.result.size.saturating_sub(self.covered);
    }

    /// All segments were read: what is signed beyond the end is missing.
    fn ended(&mut self, end: &ScanEnd) {
        let size = end.frontier.size();
        self.result.root = Some(end.frontier.root());
        let torn = end.tail.map_or(0, |tail| tail.torn);
        for (signed, heads) in std::mem::take(&mut self.heads) {
            for head in heads {
                let found = if torn > 0 { "damaged" } else { "missing" };
                let what = format!("{found}: the log has {size} records, {} has {signed}", head.name);
                self.result.find(Severity::Failure, Some(size), None, what);
            }
        }
        if torn > 0 {
            let what = format!("{torn} bytes after the last record belong to none: an unfinished commit, or damaged");
            self.result.find(Severity::Notice, Some(size), None, what);
        }
    }
}
