//! The leaf: the non-personal facts of one record, and their one possible encoding.
//!
//! In: a [`Leaf`] filled by whoever knows what happened. Out: deterministic CBOR (RFC 8949 §4.2.1), a map with integer
//! keys, at most [`LEAF_MAX`] bytes. Refused: on the way out a leaf that is too long; on the way in anything that is not
//! byte for byte what this module would have written, so that one set of facts has one hash.

mod codec;

use asuser_core::{Assurance, AuditId, Digest};
use minicbor::decode::Decoder;
use minicbor::encode::Encoder;

use crate::personal::{Field, SubjectRef};
use crate::text::{clip, clip_list};

/// The format's version, in every leaf.
pub const LEAF_VERSION: u32 = 1;
/// The longest encoded leaf, in bytes.
pub const LEAF_MAX: usize = 16 * 1024;
/// The longest single text of a fitted leaf, in bytes.
const TEXT_MAX: usize = 256;
/// What all texts of a list may take together in a fitted leaf, in bytes.
const TABLES_MAX: usize = 1024;
const COLUMNS_MAX: usize = 4096;
const MASKS_MAX: usize = 3072;
const USED_MAX: usize = 3072;
const CHAIN_MAX: usize = 1024;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Kind {
    /// A principal, as a reference and commitments: once per principal and process, before its first use.
    Who = 1,
    /// A request, from intent to outcome, in one record.
    #[default]
    Whole = 2,
    /// What is about to be run.
    Intent = 3,
    /// How far a streamed answer has come.
    Progress = 4,
    /// How what was intended ended.
    Outcome = 5,
    /// A request that was refused before anything ran.
    Refused = 6,
    /// How many unauthenticated requests were turned away in a window.
    Summary = 7,
    /// The log was opened.
    Start = 8,
    /// A configuration came into force.
    Config = 9,
    /// A subject is about to be erased.
    Erase = 10,
    /// It is erased.
    Erased = 11,
    /// An intent whose outcome the log does not know: the process ended before it.
    Abandoned = 12,
}

impl Kind {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Who,
        Self::Whole,
        Self::Intent,
        Self::Progress,
        Self::Outcome,
        Self::Refused,
        Self::Summary,
        Self::Start,
        Self::Config,
        Self::Erase,
        Self::Erased,
        Self::Abandoned,
    ];
    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| *kind as u8 == number)
    }
    /// Its name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Who => "who",
            Self::Whole => "whole",
            Self::Intent => "intent",
            Self::Progress => "progress",
            Self::Outcome => "outcome",
            Self::Refused => "refused",
            Self::Summary => "summary",
            Self::Start => "start",
            Self::Config => "config",
            Self::Erase => "erase",
            Self::Erased => "erased",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The agent, as a leaf keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafActor {
    /// Its client id.
    pub id: String,
    /// How it is known.
    pub assurance: Assurance,
    /// Earlier actors, nearest first.
    pub chain: Vec<String>,
}

/// The place and hash of the `who` record that says whose request this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WhoRef {
    /// Its index in the log.
    pub index: u64,
    /// Its Merkle leaf hash.
    pub hash: Digest,
}

/// A masked column and the kind of its mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskedColumn {
    /// The column, spelt as in `columns`.
    pub column: String,
    /// `full`, `partial`, …
    pub mask: String,
}

/// A span of time, in milliseconds since 1970, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first millisecond.
    pub from_ms: i64,
    /// The last.
    pub to_ms: i64,
}

/// The non-personal facts of one record. Nothing in it may name a person: what does goes into
/// [`crate::Personal`], and only its commitments stand here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leaf {
    /// What the record is.
    pub kind: Kind,
    /// The entry it belongs to; the request's `Audit-Id`.
    pub entry: [u8; 16],
    /// Its place within the entry: 0, 1, …
    pub n: u32,
    /// When, in milliseconds since 1970.
    pub t_ms: i64,
    /// Digest of the policies in force.
    pub policy: Option<Digest>,
    /// Digest of the catalogue in force.
    pub catalogue: Option<Digest>,
    /// Digest of the configuration in force.
    pub config: Option<Digest>,
    /// The service.
    pub service: Option<String>,
    /// What was to be done: `read`, …
    pub action: Option<String>,
    /// The route as a template, never with key values.
    pub route: Option<String>,
    /// The tables that the request reaches.
    pub tables: Vec<String>,
    /// The columns that the answer holds.
    pub columns: Vec<String>,
    /// The columns that the caller's key, filter or order looked at, whether the answer holds them or not.
    pub used: Vec<String>,
    /// The columns of the answer, and those looked at, that were masked.
    pub masks: Vec<MaskedColumn>,
    /// A digest of the statement with its values removed.
    pub statement: Option<Digest>,
    /// The agent.
    pub actor: Option<LeafActor>,
    /// Why it was refused or failed: an `ASU-` code.
    pub reason: Option<String>,
    /// The HTTP status answered.
    pub status: Option<u16>,
    /// Rows released so far.
    pub rows: Option<u64>,
    /// Bytes of body released so far.
    pub bytes: Option<u64>,
    /// SHA-256 of the body so far.
    pub body: Option<Digest>,
    /// Whose request it is.
    pub who: Option<WhoRef>,
    /// `who`, `erase`, `erased`: the subject (or day) whose key the personal parts are under.
    pub subject: Option<SubjectRef>,
    /// Commitments to the personal fields of this record. Filled in when the record is sealed; ascending by field.
    pub commitments: Vec<(Field, Digest)>,
    /// The run-as mode that the database confirmed.
    pub run_as: Option<String>,
    /// The caller's or our request id.
    pub request_id: Option<String>,
    /// `summary`: how many.
    pub count: Option<u64>,
    /// `summary`: in which window.
    pub window: Option<Window>,
    /// `start`, `config`, `abandoned`, `erase`: what else is to be said, in our own words.
    pub note: Option<String>,
}

/// Why bytes are not a leaf, or facts cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// Over [`LEAF_MAX`].
    #[error("the leaf is {0} bytes long, more than {LEAF_MAX}")]
    TooLong(usize),
    /// Not CBOR of the expected shape.
    #[error("the leaf is not of the expected form: {0}")]
    Malformed(String),
    /// The right facts in an encoding that is not the deterministic one.
    #[error("the leaf is not in its deterministic encoding")]
    NotCanonical,
}

impl Leaf {
    /// A leaf of this kind in this entry.
    #[must_use]
    pub fn new(kind: Kind, entry: AuditId, n: u32, t_ms: i64) -> Self {
        Self { kind, entry: *entry.as_bytes(), n, t_ms, ..Self::default() }
    }

    /// The entry's id.
    #[must_use]
    pub const fn audit_id(&self) -> AuditId {
        AuditId::from_bytes(self.entry)
    }

    /// The same leaf with over-long texts cut and marked and over-long lists ended by a count, so that it fits [`LEAF_MAX`].
    #[must_use]
    pub fn fitted(mut self) -> Self {
        for text in [
            &mut self.service,
            &mut self.action,
            &mut self.route,
            &mut self.reason,
            &mut self.run_as,
            &mut self.request_id,
            &mut self.note,
        ]
        .into_iter()
        .flatten()
        {
            clip(text, TEXT_MAX);
        }
        clip_list(&mut self.tables, TABLES_MAX, TEXT_MAX);
        clip_list(&mut self.columns, COLUMNS_MAX, TEXT_MAX);
        clip_list(&mut self.used, USED_MAX, TEXT_MAX);
        self.fit_masks();
        if let Some(actor) = &mut self.actor {
            clip(&mut actor.id, TEXT_MAX);
            clip_list(&mut actor.chain, CHAIN_MAX, TEXT_MAX);
        }
        self
    }

    fn fit_masks(&mut self) {
        let mut used = 0_usize;
        let mut kept = 0_usize;
        for masked in &mut self.masks {
            clip(&mut masked.column, TEXT_MAX);
            clip(&mut masked.mask, TEXT_MAX);
            used = used.saturating_add(masked.column.len()).saturating_add(masked.mask.len()).saturating_add(8);
            if used > MASKS_MAX {
                break;
            }
            kept = kept.saturating_add(1);
        }
        if kept < self.masks.len() {
            let more = self.masks.len().saturating_sub(kept);
            self.masks.truncate(kept);
            self.masks.push(MaskedColumn { column: format!("…[{more} more]"), mask: String::new() });
        }
    }

    /// The deterministic encoding.
    ///
    /// # Errors
    /// [`LeafError::TooLong`]: see [`Self::fitted`].
    pub fn encode(&self) -> Result<Vec<u8>, LeafError> {
        let mut encoder = Encoder::new(Vec::with_capacity(512));
        // Writing into a vector cannot fail; the error type only says so to the compiler.
        self.write(&mut encoder).map_err(|error| LeafError::Malformed(error.to_string()))?;
        let bytes = encoder.into_writer();
        if bytes.len() > LEAF_MAX { Err(LeafError::TooLong(bytes.len())) } else { Ok(bytes) }
    }

    /// Reads a leaf.
    ///
    /// # Errors
    /// Where the bytes are not exactly what [`Self::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, LeafError> {
        if bytes.len() > LEAF_MAX {
            return Err(LeafError::TooLong(bytes.len()));
        }
        let mut decoder = Decoder::new(bytes);
        let leaf = codec::read(&mut decoder)?;
        if decoder.position() != bytes.len() || leaf.encode()? != bytes {
            return Err(LeafError::NotCanonical);
        }
        Ok(leaf)
    }
}
