//! C2SP tlog-tiles, derived from the journal: anyone can check proofs and the root with standard tools, and a proof needs
//! only a few small files.
//!
//! `tile/<level>/<n>` holds 256 hashes, `tile/entries/<n>` the leaves of 256 records (u16 length, leaf); the one at the
//! right edge is partial, `<n>.p/<width>`. Nothing is synced: what a power cut takes is rebuilt at the next start.

use std::io;
use std::path::{Path, PathBuf};

use asuser_core::{AuditId, Digest};

use crate::merkle::{Frontier, Nodes, leaf_hash, node_hash};

/// Hashes to a full tile.
const WIDTH: usize = 256;
const HEIGHT: u32 = 8;
/// The folder of the tiles.
pub(crate) const TILE: &str = "tile";

/// C2SP tlog-tiles: three digits at a time, all but the last marked `x`.
fn number_path(number: u64) -> String {
    let mut path = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

fn tile_path(level: Option<usize>, number: u64, width: usize) -> String {
    let level = level.map_or_else(|| "entries".to_owned(), |level| level.to_string());
    let full = format!("{level}/{}", number_path(number));
    if width == WIDTH { full } else { format!("{full}.p/{width}") }
}

/// The root of a full or partial row of equal subtrees that is a power of two wide.
fn fold(hashes: &[Digest]) -> Option<Digest> {
    match hashes {
        [] => None,
        [one] => Some(*one),
        _ => {
            let (left, right) = hashes.split_at_checked(hashes.len() / 2)?;
            Some(node_hash(&fold(left)?, &fold(right)?))
        }
    }
}

/// A tile or bundle: its path under the folder of tiles, and its bytes.
type TileFile = (String, Vec<u8>);

/// Grows tiles as records come. In memory: the open tile of each level, and one bundle of leaves.
#[derive(Default)]
struct Rows {
    size: u64,
    levels: Vec<Vec<Digest>>,
    bundle: Vec<u8>,
}

impl Rows {
    /// Takes the next record; gives the tiles that are full with it.
    fn push(&mut self, leaf: &[u8], hash: Digest) -> Vec<TileFile> {
        // A leaf is at most 16 KiB long, so its length fits.
        self.bundle.extend_from_slice(&u16::try_from(leaf.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.bundle.extend_from_slice(leaf);
        let mut number = self.size / WIDTH as u64;
        self.size = self.size.saturating_add(1);
        let mut full = Vec::new();
        if self.size.is_multiple_of(WIDTH as u64) {
            full.push((tile_path(None, number, WIDTH), std::mem::take(&mut self.bundle)));
        }
        let mut carried = Some(hash);
        let mut level = 0;
        while let Some(hash) = carried.take() {
            if self.levels.len() <= level {
                self.levels.push(Vec::with_capacity(WIDTH));
            }
            let Some(row) = self.levels.get_mut(level) else { break };
            row.push(hash);
            if row.len() == WIDTH {
                full.push((tile_path(Some(level), number, WIDTH), concat(row)));
                carried = fold(row);
                row.clear();
            }
            level = level.saturating_add(1);
            number /= WIDTH as u64;
        }
        full
    }

    /// The tiles at the right edge.
    fn partial(&self) -> Vec<TileFile> {
        let mut files = Vec::new();
        let mut number = self.size;
        for (level, row) in self.levels.iter().enumerate() {
            number /= WIDTH as u64;
            if !row.is_empty() {
                files.push((tile_path(Some(level), number, row.len()), concat(row)));
            }
        }
        if let Some(row) = self.levels.first()
            && !row.is_empty()
        {
            files.push((tile_path(None, self.size / WIDTH as u64, row.len()), self.bundle.clone()));
        }
        files
    }
}

fn concat(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// Writes tiles as records come.
pub(crate) struct TileWriter {
    folder: PathBuf,
    rows: Rows,
    /// Full tiles that are not written yet: where the disk refused one, it is tried again.
    unwritten: Vec<TileFile>,
    /// The partial tiles of the newest checkpoint.
    partial: Vec<PathBuf>,
}

impl TileWriter {
    pub(crate) fn new(audit: &Path) -> Self {
        Self { folder: audit.join(TILE), rows: Rows::default(), unwritten: Vec::new(), partial: Vec::new() }
    }

    /// Goes on after `size` records with the tiles that are there; `None` where one of the open ones is not whole. The tree's
    /// frontier comes with it: whoever goes on holds it against a signed root.
    pub(crate) fn resume(audit: &Path, size: u64) -> Option<(Self, Frontier)> {
        let mut tiles = Self::new(audit);
        let reader = TileReader::new(audit, size);
        let mut counts = Vec::new();
        let mut count = size;
        while count > 0 {
            counts.push(count);
            count /= WIDTH as u64;
        }
        let mut subtrees = Vec::new();
        for (level, count) in counts.iter().enumerate().rev() {
            let width = usize::try_from(count % WIDTH as u64).ok()?;
            let number = count / WIDTH as u64;
            let row = if width == 0 { Vec::new() } else { reader.row(u32::try_from(level).ok()?, number).ok()? };
            let mut rest = row.as_slice();
            // Within a row the larger subtrees come first, as they do from row to row.
            for bit in (0..HEIGHT).rev().filter(|bit| width >> bit & 1 == 1) {
                let (subtree, after) = rest.split_at_checked(1 << bit)?;
                subtrees.push(fold(subtree)?);
                rest = after;
            }
            if width > 0 {
                tiles.partial.push(tiles.folder.join(tile_path(Some(level), number, width)));
            }
            tiles.rows.levels.insert(0, row);
        }
        if let Some(row) = tiles.rows.levels.first().filter(|row| !row.is_empty()) {
            let path = tiles.folder.join(tile_path(None, size / WIDTH as u64, row.len()));
            tiles.rows.bundle = std::fs::read(&path).ok()?;
            if !bundle_is(&tiles.rows.bundle, row) {
                return None;
            }
            tiles.partial.push(path);
        }
        tiles.rows.size = size;
        Some((tiles, Frontier::of(size, subtrees)?))
    }

    /// Takes the next record. [`Self::flush`] writes what is full with it.
    pub(crate) fn push(&mut self, leaf: &[u8], hash: Digest) {
        let full = self.rows.push(leaf, hash);
        self.unwritten.extend(full);
    }

    /// Writes the full tiles that are not written yet.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while let Some((name, bytes)) = self.unwritten.last() {
            let path = self.folder.join(name);
            write_if_other(&path, bytes)?;
            // C2SP tlog-tiles: partial tiles may go once the full one is there.
            let mut partial = path.into_os_string();
            partial.push(".p");
            match std::fs::remove_dir_all(PathBuf::from(partial)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.unwritten.pop();
        }
        Ok(())
    }

    /// Writes the tiles at the right edge, for a checkpoint of exactly this size; the ones of the checkpoint before stay,
    /// for whoever is just reading by it.
    pub(crate) fn write_partial(&mut self) -> io::Result<()> {
        let mut written = Vec::new();
        for (name, bytes) in self.rows.partial() {
            let path = self.folder.join(name);
            write_if_other(&path, &bytes)?;
            written.push(path);
        }
        let before = std::mem::replace(&mut self.partial, written);
        for path in &self.partial {
            remove_others(path, &before)?;
        }
        Ok(())
    }
}

/// Whether a bundle holds the leaves of these hashes and nothing else.
fn bundle_is(mut bundle: &[u8], hashes: &[Digest]) -> bool {
    for hash in hashes {
        let Some((length, rest)) = bundle.split_first_chunk::<2>() else { return false };
        let Some((leaf, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))) else { return false };
        if leaf_hash(leaf) != *hash {
            return false;
        }
        bundle = rest;
    }
    bundle.is_empty()
}

/// Removes the partial tiles beside `path` that are neither it nor one of the checkpoint before.
fn remove_others(path: &Path, before: &[PathBuf]) -> io::Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    for entry in std::fs::read_dir(folder)? {
        let found = entry?.path();
        if found != path && !before.contains(&found) {
            std::fs::remove_file(&found)?;
        }
    }
    Ok(())
}

/// Leaves a file that already says so alone, which makes rebuilding cheap; otherwise a reader sees the old or the new.
fn write_if_other(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if std::fs::read(path).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut temporary = path.to_owned().into_os_string();
    temporary.push(".tmp");
    std::fs::write(&temporary, bytes)?;
    std::fs::rename(&temporary, path)
}

/// The tiles of a checkpoint, as a source of hashes for proofs.
pub(crate) struct TileReader {
    folder: PathBuf,
    size: u64,
}

impl TileReader {
    /// The tiles for the tree of `size` records.
    pub(crate) fn new(audit: &Path, size: u64) -> Self {
        Self { folder: audit.join(TILE), size }
    }

    /// How many hashes the tile holds in a tree of this size.
    fn width(&self, level: u32, number: u64) -> usize {
        let hashes = self.size.checked_shr(level.saturating_mul(HEIGHT)).unwrap_or(0);
        usize::try_from(hashes.saturating_sub(number.saturating_mul(WIDTH as u64))).unwrap_or(WIDTH).min(WIDTH)
    }

    fn row(&self, level: u32, number: u64) -> io::Result<Vec<Digest>> {
        let width = self.width(level, number);
        let path = self.folder.join(tile_path(Some(level as usize), number, width));
        let bytes = std::fs::read(&path)?;
        let row: Vec<Digest> = bytes.as_chunks::<32>().0.iter().map(|hash| Digest(*hash)).collect();
        if row.len() == width && bytes.len() == width.saturating_mul(32) {
            Ok(row)
        } else {
            Err(io::Error::other(format!("the tile {} has the wrong length", path.display())))
        }
    }
}

impl Nodes for TileReader {
    type Error = io::Error;
    fn node(&self, level: u32, index: u64) -> io::Result<Digest> {
        let (tile_level, inside) = (level / HEIGHT, level % HEIGHT);
        let first = index << inside;
        let row = self.row(tile_level, first / WIDTH as u64)?;
        let at = usize::try_from(first % WIDTH as u64).unwrap_or(WIDTH);
        let hashes = row.get(at..at.saturating_add(1 << inside));
        hashes.and_then(fold).ok_or_else(|| io::Error::other("the hash is outside of the tree"))
    }
}

/// The most differences that are kept.
const DIFFERENCES_MAX: usize = 1_000;

/// What became of the tiles, compared with the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TileDifferences {
    /// How many files are not there, and the first of them.
    pub(crate) missing: u64,
    pub(crate) first_missing: Option<String>,
    /// Files that say something else than the journal, and the first record of which they do.
    pub(crate) other: Vec<(String, Option<(u64, AuditId)>)>,
}

/// Compares tiles with the records of the journal without writing.
pub(crate) struct TileChecker {
    folder: PathBuf,
    rows: Rows,
    /// The entries of the records in the open tile.
    entries: Vec<AuditId>,
    found: TileDifferences,
}

impl TileChecker {
    pub(crate) fn new(audit: &Path) -> Self {
        let folder = audit.join(TILE);
        Self { folder, rows: Rows::default(), entries: Vec::new(), found: TileDifferences::default() }
    }

    /// Takes the next record; compares what is full with it.
    pub(crate) fn push(&mut self, leaf: &[u8], hash: Digest, entry: AuditId) {
        self.entries.push(entry);
        let full = self.rows.push(leaf, hash);
        self.compare_all(full);
        if self.entries.len() == WIDTH {
            self.entries.clear();
        }
    }

    /// Compares the tiles at the right edge, for a checkpoint of exactly this size.
    pub(crate) fn partial(&mut self) {
        self.compare_all(self.rows.partial());
    }

    pub(crate) fn finish(self) -> TileDifferences {
        self.found
    }

    fn compare_all(&mut self, files: Vec<TileFile>) {
        for (name, bytes) in files {
            match std::fs::read(self.folder.join(&name)) {
                Ok(found) if found == bytes => {}
                Ok(found) if self.found.other.len() < DIFFERENCES_MAX => {
                    let record = if name.starts_with("0/") { self.first_other(&found, &bytes) } else { None };
                    self.found.other.push((format!("{TILE}/{name}"), record));
                }
                Ok(_) => {}
                Err(_) => {
                    self.found.missing = self.found.missing.saturating_add(1);
                    self.found.first_missing.get_or_insert_with(|| format!("{TILE}/{name}"));
                }
            }
        }
    }

    /// The first record of the open tile whose hash is another.
    fn first_other(&self, found: &[u8], expected: &[u8]) -> Option<(u64, AuditId)> {
        let hashes = found.as_chunks::<32>().0.iter().zip(expected.as_chunks::<32>().0);
        let at = hashes.take_while(|(found, expected)| found == expected).count();
        let first = self.rows.size.saturating_sub(self.entries.len() as u64);
        Some((first.saturating_add(at as u64), *self.entries.get(at)?))
    }
}
