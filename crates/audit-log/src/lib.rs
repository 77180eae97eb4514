//! The tamper-evident log: plain facts in, a durable Merkle log out.
//!
//! It knows nothing of queries or policies. A record is a [`Leaf`] of non-personal facts, whose hash is in the tree for
//! good, and an erasable [`Personal`] part that the leaf only commits to. [`Log::append`] resolves when the record is
//! durable and not before. Checkpoints over durable records are signed and leave the host.
//!
//! What is where: `leaf` and `personal` are the record; `frame`, `journal` and `writer` make it durable; `merkle`, `tiles`
//! and `checkpoint` make it provable; `open`, `resume` and `suspect` deal with what the last run left; `keeper` and `keys`
//! are the threads beside the writer; `scan`, `read`, `render` and `verify` look at it from outside, without the lock and
//! without writing.

mod checkpoint;
mod error;
mod file;
mod frame;
mod gate;
mod journal;
mod keeper;
mod keys;
mod leaf;
mod log;
mod merkle;
mod open;
mod personal;
mod read;
mod render;
mod resume;
mod scan;
mod sink;
mod suspect;
mod text;
mod tiles;
mod verify;
mod writer;

pub use checkpoint::{Checkpoint, NoteError, VerifierKey, is_origin, split_notes};
pub use error::{LogError, OpenError};
pub use file::{Files, LogFile, RealFiles, Space};
pub use gate::{Health, HealthState, Metrics};
pub use keys::{Erasure, Who};
pub use leaf::{Kind, LEAF_MAX, LEAF_VERSION, Leaf, LeafActor, LeafError, MaskedColumn, WhoRef, Window};
pub use log::{Draft, Log};
pub use merkle::{
    Frontier, Nodes, ProofError, consistency_proof, empty_root, inclusion_proof, leaf_hash, node_hash, range_root,
    verify_consistency, verify_inclusion,
};
pub use open::{OpenReport, Options};
pub use personal::{
    Field, KeyStore, KeyStoreError, Personal, PersonalState, SubjectKey, SubjectRef, VALUE_MAX, commitment,
};
pub use read::{ProvenLeaf, Reader, Receipt, ReceiptError, ReceiptFault, RecordView, verifier_key};
pub use sink::{CheckpointSink, FileSink, SinkName, StdoutSink};
pub use verify::{Finding, PersonalCounts, Severity, Verification, VerifyOptions, verify};
pub use writer::{Expected, GROUP_MAX, Pending, Position};

#[cfg(test)]
mod tests;
