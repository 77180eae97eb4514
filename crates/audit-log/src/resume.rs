//! Where the next start may begin to read, so that it need not read the whole journal.
//!
//! Written, unsynced, with each checkpoint: the place after the last signed record, and the entries that are open there.
//! It is used only in the same boot of the machine, where the page cache vouches for it and for the tiles, and only if
//! the tiles lead to the root of the signed checkpoint of the same size. Else the journal is read from its beginning.

use std::collections::HashMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::leaf::{Kind, Leaf, LeafError};

const RESUME: &str = "resume";
const MAGIC: &[u8; 8] = b"ASUR\0\0\0\x01";
/// With more than this in it the file is not worth having, in bytes.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// An entry that has begun and not ended.
#[derive(Clone)]
pub(crate) struct OpenEntry {
    /// Its first leaf.
    pub(crate) leaf: Leaf,
    /// Its last number so far.
    pub(crate) n: u32,
}

/// The entries that have begun and not ended.
#[derive(Clone, Default)]
pub(crate) struct OpenEntries(HashMap<[u8; 16], OpenEntry>);

impl OpenEntries {
    /// Takes the next record.
    pub(crate) fn record(&mut self, leaf: &[u8]) -> Result<(), LeafError> {
        let leaf = Leaf::decode(leaf)?;
        match leaf.kind {
            Kind::Intent | Kind::Erase => drop(self.0.insert(leaf.entry, OpenEntry { n: leaf.n, leaf })),
            Kind::Progress => {
                if let Some(entry) = self.0.get_mut(&leaf.entry) {
                    entry.n = leaf.n;
                }
            }
            _ => drop(self.0.remove(&leaf.entry)),
        }
        Ok(())
    }

    /// In the order of their ids.
    pub(crate) fn into_sorted(self) -> Vec<OpenEntry> {
        let mut open: Vec<OpenEntry> = self.0.into_values().collect();
        open.sort_unstable_by_key(|entry| entry.leaf.entry);
        open
    }
}

/// A place in the journal, after `size` records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) size: u64,
    /// Of the segment.
    pub(crate) first_index: u64,
    /// Within the segment.
    pub(crate) offset: u64,
}

/// Which boot of the machine this is (Linux).
fn boot() -> Option<[u8; 32]> {
    let id = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    (!id.is_empty()).then(|| Sha256::digest(id).into())
}

/// Notes a place and what is open there. What goes wrong only costs the next start its time.
pub(crate) fn save(folder: &Path, place: &Place, open: &OpenEntries) {
    let path = folder.join(RESUME);
    let temporary = folder.join("resume.tmp");
    let written = encode(place, open)
        .is_some_and(|bytes| std::fs::write(&temporary, bytes).is_ok() && std::fs::rename(&temporary, &path).is_ok());
    if !written {
        drop(std::fs::remove_file(path));
    }
}

fn encode(place: &Place, open: &OpenEntries) -> Option<Vec<u8>> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&boot()?);
    for number in [place.size, place.first_index, place.offset] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    for entry in open.0.values() {
        let leaf = entry.leaf.encode().ok()?;
        bytes.extend_from_slice(&entry.n.to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(leaf.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(&leaf);
        if bytes.len() > BYTES_MAX {
            return None;
        }
    }
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    Some(bytes)
}

/// The place that was noted last, if it was noted in this boot and is whole.
pub(crate) fn load(folder: &Path) -> Option<(Place, OpenEntries)> {
    let path = folder.join(RESUME);
    if path.metadata().ok()?.len() > (BYTES_MAX as u64).saturating_mul(2) {
        return None;
    }
    let bytes = std::fs::read(path).ok()?;
    let (bytes, digest) = bytes.split_last_chunk::<32>()?;
    if Sha256::digest(bytes)[..] != digest[..] {
        return None;
    }
    let rest = bytes.strip_prefix(MAGIC)?.strip_prefix(&boot()?)?;
    let (size, rest) = rest.split_first_chunk::<8>()?;
    let (first_index, rest) = rest.split_first_chunk::<8>()?;
    let (offset, mut rest) = rest.split_first_chunk::<8>()?;
    let place = Place {
        size: u64::from_be_bytes(*size),
        first_index: u64::from_be_bytes(*first_index),
        offset: u64::from_be_bytes(*offset),
    };
    let mut open = HashMap::new();
    while !rest.is_empty() {
        let (n, after) = rest.split_first_chunk::<4>()?;
        let (length, after) = after.split_first_chunk::<2>()?;
        let (leaf, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let leaf = Leaf::decode(leaf).ok()?;
        open.insert(leaf.entry, OpenEntry { leaf, n: u32::from_be_bytes(*n) });
        rest = after;
    }
    Some((place, OpenEntries(open)))
}
