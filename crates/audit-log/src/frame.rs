//! The bytes of a journal segment: its header, and the frames after it.
//!
//! ```text
//! header = "ASUJ" | u32 version 1 | SHA-256(origin) | u64 first index | u64 tree size | 32 root | 4 zero | u32 crc32c   (96 bytes)
//! frame  = u32 len | u32 crc32c | u16 leaf_len | leaf | personal
//! ```
//! All integers are big-endian. `len` counts what follows the crc; 0 is the end. Its top bit says that this frame is the
//! first of a commit, which means that everything before it was durable when it was written. So, after a power cut, frames
//! of the last commit that survive behind a torn one can be told from frames behind a corrupted one. A frame's crc continues
//! the header's and covers `len` too, so a frame of another segment, or one inside a caller's text, is no frame here.
//!
//! The first index and the tree size before it are the same number; both stand there, and a header where they differ is refused.

use asuser_core::Digest;
use sha2::{Digest as _, Sha256};

use crate::leaf::LEAF_MAX;
use crate::personal::PERSONAL_MAX;

const MAGIC: &[u8; 4] = b"ASUJ";
const VERSION: u32 = 1;
/// The header's length.
pub(crate) const HEADER: usize = 96;
const FIRST_OF_COMMIT: u32 = 1 << 31;
/// `len` and crc.
const PREFIX: usize = 8;
const CONTENT_MAX: usize = 2 + LEAF_MAX + PERSONAL_MAX;
/// The longest frame.
pub(crate) const FRAME_MAX: usize = PREFIX + CONTENT_MAX;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) origin: [u8; 32],
    pub(crate) first_index: u64,
    /// The root of the tree of `first_index` leaves.
    pub(crate) root: Digest,
}

impl Header {
    pub(crate) fn new(origin: &str, first_index: u64, root: Digest) -> Self {
        Self { origin: Sha256::digest(origin.as_bytes()).into(), first_index, root }
    }

    /// The header's bytes, and the crc that the frames' crcs continue.
    pub(crate) fn encode(&self) -> (Vec<u8>, u32) {
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&self.origin);
        bytes.extend_from_slice(&self.first_index.to_be_bytes());
        bytes.extend_from_slice(&self.first_index.to_be_bytes());
        bytes.extend_from_slice(&self.root.0);
        bytes.extend_from_slice(&[0; 4]);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        (bytes, crc)
    }

    /// Reads a header; anything but what [`Self::encode`] writes is none.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, u32)> {
        let bytes = bytes.get(..HEADER)?;
        let origin = bytes.get(8..40)?.try_into().ok()?;
        let first_index = u64::from_be_bytes(bytes.get(40..48)?.try_into().ok()?);
        let root = Digest(bytes.get(56..88)?.try_into().ok()?);
        let header = Self { origin, first_index, root };
        let (expected, crc) = header.encode();
        (expected == bytes).then_some((header, crc))
    }
}

/// Appends a frame to `out`.
pub(crate) fn push_frame(out: &mut Vec<u8>, seed: u32, first_of_commit: bool, leaf: &[u8], personal: &[u8]) {
    let content = leaf.len().saturating_add(personal.len()).saturating_add(2);
    // Both are bounded far below 2^16 and 2^31 where they are made.
    let len = u32::try_from(content).unwrap_or(u32::MAX >> 1) | if first_of_commit { FIRST_OF_COMMIT } else { 0 };
    let leaf_len = u16::try_from(leaf.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut crc = crc32c::crc32c_append(seed, &len.to_be_bytes());
    crc = crc32c::crc32c_append(crc, &leaf_len);
    crc = crc32c::crc32c_append(crc, leaf);
    crc = crc32c::crc32c_append(crc, personal);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&crc.to_be_bytes());
    out.extend_from_slice(&leaf_len);
    out.extend_from_slice(leaf);
    out.extend_from_slice(personal);
}

/// How long the frame of this record is.
pub(crate) const fn frame_len(leaf: &[u8], personal: &[u8]) -> usize {
    PREFIX.saturating_add(2).saturating_add(leaf.len()).saturating_add(personal.len())
}

/// A frame in a segment's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) first_of_commit: bool,
    pub(crate) leaf: &'a [u8],
    pub(crate) personal: &'a [u8],
    /// Where the next one begins.
    pub(crate) end: usize,
}

/// What stands at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    Frame(Frame<'a>),
    /// Zeros to the end of the segment.
    End,
    /// No frame and not the end; after it comes nothing that was written later: what a crash leaves behind.
    Torn,
    /// No frame, but a later commit follows: what was durable has been changed.
    Corrupt,
}

/// Reads what stands at `offset` of a segment whose header has the crc `seed`.
pub(crate) fn step(segment: &[u8], seed: u32, offset: usize) -> Step<'_> {
    if let Some(frame) = frame_at(segment, seed, offset) {
        return Step::Frame(frame);
    }
    let rest = segment.get(offset..).unwrap_or_default();
    if rest.iter().all(|byte| *byte == 0) {
        return Step::End;
    }
    let later = |at: usize| frame_at(segment, seed, at).is_some_and(|frame| frame.first_of_commit);
    let mut from = offset.saturating_add(1);
    // Frames that begin a commit have the top bit of their first byte set: only there is it worth looking.
    while let Some(found) = segment.get(from..).and_then(|rest| rest.iter().position(|byte| byte & 0x80 != 0)) {
        let at = from.saturating_add(found);
        if later(at) {
            return Step::Corrupt;
        }
        from = at.saturating_add(1);
    }
    Step::Torn
}

pub(crate) fn frame_at(segment: &[u8], seed: u32, offset: usize) -> Option<Frame<'_>> {
    let rest = segment.get(offset..)?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let word = u32::from_be_bytes(*len);
    let content_len = (word & !FIRST_OF_COMMIT) as usize;
    if !(2..=CONTENT_MAX).contains(&content_len) {
        return None;
    }
    let content = rest.get(..content_len)?;
    let expected = crc32c::crc32c_append(crc32c::crc32c_append(seed, len), content);
    if expected != u32::from_be_bytes(*crc) {
        return None;
    }
    let (leaf_len, content) = content.split_first_chunk::<2>()?;
    let (leaf, personal) = content.split_at_checked(usize::from(u16::from_be_bytes(*leaf_len)))?;
    let end = offset.saturating_add(PREFIX).saturating_add(content_len);
    Some(Frame { first_of_commit: word & FIRST_OF_COMMIT != 0, leaf, personal, end })
}
