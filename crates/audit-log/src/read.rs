//! Reading records back: to follow the log, to search it, to show an entry, to prove it.
//!
//! In: the log's folder, and the store of keys where personal parts are to be opened. Out: records and receipts. It takes
//! no lock and writes nothing, and works while the log is being written. It does not verify the log: [`crate::verify()`] does.

use std::collections::HashSet;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use asuser_core::{AuditId, Digest};
use data_encoding::BASE64;
use serde_json::{Value as Json, json};

use crate::checkpoint::{Checkpoint, NoteError, VerifierKey};
use crate::error::OpenError;
use crate::frame::{HEADER, Step, step};
use crate::journal::{JOURNAL, read_segment, segments};
use crate::keeper::CHECKPOINT;
use crate::leaf::{Kind, Leaf};
use crate::merkle::{ProofError, inclusion_proof, leaf_hash, verify_inclusion};
use crate::personal::{self, KeyStore, PersonalState, SubjectRef};
use crate::tiles::TileReader;

/// A record, read back.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordView {
    /// Its index in the log.
    pub index: u64,
    /// Its Merkle leaf hash.
    pub hash: Digest,
    /// Its facts.
    pub leaf: Leaf,
    /// Its personal part.
    pub personal: PersonalState,
}

/// Why there is no receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] OpenError),
    /// No record of this entry.
    #[error("the log has no entry of that id")]
    NoSuchEntry,
    /// The newest checkpoint does not cover the entry yet; it will within a second.
    #[error("no checkpoint covers the entry yet: ask again in a second")]
    NotCovered,
    /// The checkpoint is missing or not this log's.
    #[error("the log's checkpoint cannot be used: {0}")]
    Checkpoint(String),
    /// A tile is missing or damaged.
    #[error("the log's tiles cannot be used: {0}")]
    Tiles(String),
}

/// Proof that an entry is in the log: its leaves, their inclusion proofs, and a signed checkpoint that covers them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The entry.
    pub entry: AuditId,
    /// Its leaves, ascending.
    pub leaves: Vec<ProvenLeaf>,
    /// The signed note.
    pub checkpoint: String,
}

/// A leaf and its way to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenLeaf {
    /// Its index.
    pub index: u64,
    /// The encoded leaf.
    pub leaf: Vec<u8>,
    /// The hashes beside its way to the root, from below.
    pub proof: Vec<Digest>,
}

/// Why a receipt proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptFault {
    /// Of the checkpoint.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Of a proof.
    #[error("the proof of record {0} fails: {1}")]
    Proof(u64, ProofError),
    /// Of a leaf.
    #[error("record {0} is not of this entry, or no leaf at all")]
    Leaf(u64),
    /// There is nothing in it.
    #[error("the receipt has no records")]
    Empty,
}

impl Receipt {
    /// Checks the receipt by itself: signature, proofs, and that each leaf is of this entry.
    ///
    /// # Errors
    /// Where one of them fails.
    pub fn verify(&self, key: &VerifierKey) -> Result<Checkpoint, ReceiptFault> {
        let checkpoint = key.open(&self.checkpoint)?;
        if self.leaves.is_empty() {
            return Err(ReceiptFault::Empty);
        }
        for proven in &self.leaves {
            let hash = leaf_hash(&proven.leaf);
            verify_inclusion(&hash, proven.index, checkpoint.size, &proven.proof, &checkpoint.root)
                .map_err(|error| ReceiptFault::Proof(proven.index, error))?;
            match Leaf::decode(&proven.leaf) {
                Ok(leaf) if leaf.audit_id() == self.entry => {}
                _ => return Err(ReceiptFault::Leaf(proven.index)),
            }
        }
        Ok(checkpoint)
    }

    /// As JSON; bytes in base64.
    #[must_use]
    pub fn json(&self) -> Json {
        let leaves: Vec<Json> = self
            .leaves
            .iter()
            .map(|proven| {
                let proof: Vec<String> = proven.proof.iter().map(|hash| BASE64.encode(&hash.0)).collect();
                json!({ "index": proven.index, "leaf": BASE64.encode(&proven.leaf), "proof": proof })
            })
            .collect();
        json!({ "entry": self.entry.to_string(), "leaves": leaves, "checkpoint": self.checkpoint })
    }
}

/// A log as seen from outside.
pub struct Reader {
    folder: PathBuf,
    verifier: VerifierKey,
    store: Option<Arc<dyn KeyStore>>,
    /// How many records were searched for erasures, and the subjects that they name. Searched when a key is found missing.
    erased: Mutex<(u64, HashSet<SubjectRef>)>,
}

/// A record before its leaf is decoded.
struct Raw<'a> {
    index: u64,
    leaf: &'a [u8],
    personal: &'a [u8],
}

impl Reader {
    /// Reads the log in `folder`, whose checkpoints are signed by `verifier`.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, verifier: VerifierKey, store: Option<Arc<dyn KeyStore>>) -> Self {
        Self { folder: folder.into(), verifier, store, erased: Mutex::default() }
    }

    fn journal(&self) -> PathBuf {
        self.folder.join(JOURNAL)
    }

    fn segments(&self) -> Result<Vec<u64>, OpenError> {
        let journal = self.journal();
        segments(&journal).map_err(|error| OpenError::io(&journal, &error))
    }

    /// The segments that hold the record at this index and later ones.
    fn segments_from(&self, index: u64) -> Result<Vec<u64>, OpenError> {
        let mut firsts = self.segments()?;
        let start = firsts.partition_point(|first| *first <= index).saturating_sub(1);
        Ok(firsts.split_off(start.min(firsts.len())))
    }

    /// Reads records from index `from` on, up to the newest, or until `each` breaks off.
    ///
    /// # Errors
    /// Where a record is damaged.
    pub fn records(&self, from: u64, mut each: impl FnMut(RecordView) -> ControlFlow<()>) -> Result<(), OpenError> {
        for first in self.segments_from(from)? {
            let flow = self.segment(first, |raw| {
                if raw.index < from { Ok(ControlFlow::Continue(())) } else { Ok(each(self.view(&raw)?)) }
            })?;
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The record at this index, if there is one.
    ///
    /// # Errors
    /// Where it is damaged.
    pub fn record(&self, index: u64) -> Result<Option<RecordView>, OpenError> {
        let mut found = None;
        self.records(index, |record| {
            found = (record.index == index).then_some(record);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// How many records there are.
    ///
    /// # Errors
    /// Where the newest segment cannot be read.
    pub fn size(&self) -> Result<u64, OpenError> {
        let Some(first) = self.segments()?.pop() else { return Ok(0) };
        let mut size = first;
        let _ = self.segment(first, |raw| {
            size = raw.index.saturating_add(1);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(size)
    }

    /// The records of an entry, ascending; none if there is no such entry. The newest segments are looked at first.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub fn entry(&self, id: AuditId) -> Result<Vec<RecordView>, OpenError> {
        let mut found = Vec::new();
        for first in self.segments()?.into_iter().rev() {
            let mut here = Vec::new();
            let _ = self.segment(first, |raw| {
                // The entry's id stands in the leaf as it is: most leaves need not be decoded.
                if raw.leaf.windows(16).any(|bytes| bytes == id.as_bytes()) {
                    let record = self.view(&raw)?;
                    if record.leaf.entry == *id.as_bytes() {
                        here.push(record);
                    }
                }
                Ok(ControlFlow::Continue(()))
            })?;
            here.append(&mut found);
            found = here;
            if found.first().is_some_and(|record| record.leaf.n == 0) {
                break;
            }
        }
        Ok(found)
    }

    /// The entry's receipt under the newest checkpoint.
    ///
    /// # Errors
    /// See [`ReceiptError`].
    pub fn receipt(&self, id: AuditId) -> Result<Receipt, ReceiptError> {
        let records = self.entry(id)?;
        if records.is_empty() {
            return Err(ReceiptError::NoSuchEntry);
        }
        // A running log replaces partial tiles with each checkpoint: then the newer one is there already.
        self.prove(id, &records).or_else(|error| match error {
            ReceiptError::Tiles(_) => self.prove(id, &records),
            other => Err(other),
        })
    }

    fn prove(&self, entry: AuditId, records: &[RecordView]) -> Result<Receipt, ReceiptError> {
        let note = std::fs::read_to_string(self.folder.join(CHECKPOINT))
            .map_err(|error| ReceiptError::Checkpoint(error.to_string()))?;
        let head = self.verifier.open(&note).map_err(|error| ReceiptError::Checkpoint(error.to_string()))?;
        let tiles = TileReader::new(&self.folder, head.size);
        let proven = |record: &RecordView| {
            if record.index >= head.size {
                return Err(ReceiptError::NotCovered);
            }
            let proof = inclusion_proof(&tiles, record.index, head.size)
                .map_err(|error: io::Error| ReceiptError::Tiles(error.to_string()))?;
            let leaf = record.leaf.encode().map_err(|error| ReceiptError::Tiles(error.to_string()))?;
            Ok(ProvenLeaf { index: record.index, leaf, proof })
        };
        let leaves = records.iter().map(proven).collect::<Result<_, _>>()?;
        Ok(Receipt { entry, leaves, checkpoint: note })
    }

    /// Walks one segment.
    fn segment(
        &self,
        first: u64,
        mut each: impl FnMut(Raw<'_>) -> Result<ControlFlow<()>, OpenError>,
    ) -> Result<ControlFlow<()>, OpenError> {
        let segment = read_segment(&self.journal(), self.verifier.origin(), first)?;
        let (mut offset, mut index) = (HEADER, first);
        loop {
            match step(&segment.bytes, segment.seed, offset) {
                Step::Frame(frame) => {
                    if each(Raw { index, leaf: frame.leaf, personal: frame.personal })?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    offset = frame.end;
                    index = index.saturating_add(1);
                }
                // What is torn may just be being written.
                Step::End | Step::Torn => return Ok(ControlFlow::Continue(())),
                Step::Corrupt => {
                    return Err(OpenError::Corrupt {
                        index,
                        what: "the record is damaged, and later ones follow".into(),
                    });
                }
            }
        }
    }

    fn view(&self, raw: &Raw<'_>) -> Result<RecordView, OpenError> {
        let leaf =
            Leaf::decode(raw.leaf).map_err(|error| OpenError::Corrupt { index: raw.index, what: error.to_string() })?;
        let mut state = match &self.store {
            None => sealed(raw.personal, &leaf),
            Some(store) => personal_state(&**store, raw.personal, raw.leaf, &leaf)?,
        };
        if state == PersonalState::Missing
            && let Some(id) = personal::key_id(raw.personal)
            && self.is_erased(id)?
        {
            state = PersonalState::Erased;
        }
        Ok(RecordView { index: raw.index, hash: leaf_hash(raw.leaf), leaf, personal: state })
    }

    /// Whether an `erase` record names this subject. Only what was written since the last search is read.
    fn is_erased(&self, id: SubjectRef) -> Result<bool, OpenError> {
        let mut erased = self.erased.lock().unwrap_or_else(PoisonError::into_inner);
        let (searched, subjects) = &mut *erased;
        if subjects.contains(&id) {
            return Ok(true);
        }
        for first in self.segments_from(*searched)? {
            let _ = self.segment(first, |raw| {
                if let Ok(Leaf { kind: Kind::Erase, subject: Some(subject), .. }) = Leaf::decode(raw.leaf) {
                    subjects.insert(subject);
                }
                *searched = raw.index.saturating_add(1);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(subjects.contains(&id))
    }
}

/// What can be said of a personal part without keys.
pub(crate) fn sealed(personal: &[u8], leaf: &Leaf) -> PersonalState {
    match (personal.is_empty(), leaf.commitments.is_empty()) {
        (true, true) => PersonalState::None,
        (true, false) => PersonalState::Missing,
        (false, true) => PersonalState::Mismatch,
        (false, false) if leaf.kind == Kind::Who && personal::key_id(personal) != leaf.subject => {
            PersonalState::Mismatch
        }
        (false, false) => PersonalState::Sealed,
    }
}

/// What became of a personal part; [`PersonalState::Missing`] where its key is not in the store, erased or not.
pub(crate) fn personal_state(
    store: &dyn KeyStore,
    personal: &[u8],
    leaf_bytes: &[u8],
    leaf: &Leaf,
) -> Result<PersonalState, OpenError> {
    let state = sealed(personal, leaf);
    if state != PersonalState::Sealed {
        return Ok(state);
    }
    let Some(id) = personal::key_id(personal) else { return Ok(PersonalState::Mismatch) };
    Ok(match store.key(id)? {
        None => PersonalState::Missing,
        Some(key) => personal::open(personal, &key, leaf_bytes, &leaf.commitments)
            .map_or(PersonalState::Mismatch, PersonalState::Open),
    })
}

/// The verifier key that a log's folder holds, for whoever has no copy elsewhere.
///
/// # Errors
/// Where there is none.
pub fn verifier_key(folder: &Path) -> Result<VerifierKey, OpenError> {
    let path = folder.join("verifier");
    let text = std::fs::read_to_string(&path).map_err(|error| OpenError::io(&path, &error))?;
    VerifierKey::parse(&text).map_err(|error| OpenError::Key(path, error.to_string()))
}
