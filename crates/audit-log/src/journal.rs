//! The journal: the truth, as a row of preallocated segments `journal/<first index, 16 hex>.j`.
//!
//! In: whole commits of frames. Out: durable bytes, or an error after which the journal must not be written again.
//! Segments are filled with zeros and made durable, file and folder, before their first use, so that a commit's
//! `fdatasync` has no sizes or extents to write.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use asuser_core::Digest;

use crate::error::OpenError;
use crate::file::{Files, LogFile, write_all_at};
use crate::frame::{FRAME_MAX, HEADER, Header};

/// The folder of the segments.
pub(crate) const JOURNAL: &str = "journal";
/// A zero-filled file that becomes the next segment.
const SPARE: &str = "spare";
/// The smallest segment: room for the largest frame, and some.
pub(crate) const SEGMENT_MIN: u64 = 64 * 1024;
/// The usual segment.
pub(crate) const SEGMENT: u64 = 16 * 1024 * 1024;
/// The largest, since a segment is read whole.
pub(crate) const SEGMENT_MAX: u64 = 256 * 1024 * 1024;

const _: () = assert!(SEGMENT_MIN as usize > HEADER + FRAME_MAX);

/// The file name of the segment that begins at this index.
pub(crate) fn segment_name(first_index: u64) -> String {
    format!("{first_index:016x}.j")
}

/// The first indices of the segments in a journal's folder, ascending.
pub(crate) fn segments(folder: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        if let Some(hex) = name.to_str().and_then(|name| name.strip_suffix(".j"))
            && hex.len() == 16
            && let Ok(first) = u64::from_str_radix(hex, 16)
            && segment_name(first) == format!("{hex}.j")
        {
            found.push(first);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The segment that is being written.
pub(crate) struct Journal {
    files: Arc<dyn Files>,
    folder: PathBuf,
    origin: String,
    segment_bytes: u64,
    file: Box<dyn LogFile>,
    first_index: u64,
    seed: u32,
    offset: u64,
    capacity: u64,
}

impl Journal {
    /// Begins the segment at `first_index`, after a tree with this root.
    pub(crate) fn begin(
        files: Arc<dyn Files>,
        folder: PathBuf,
        origin: &str,
        segment_bytes: u64,
        first_index: u64,
        root: Digest,
    ) -> io::Result<Self> {
        let (file, seed) = fresh_segment(&*files, &folder, origin, segment_bytes, first_index, root)?;
        Ok(Self {
            files,
            folder,
            origin: origin.to_owned(),
            segment_bytes,
            file,
            first_index,
            seed,
            offset: HEADER as u64,
            capacity: segment_bytes,
        })
    }

    /// Goes on in an existing segment, whose frames end at `tail.offset`.
    pub(crate) fn resume(
        files: Arc<dyn Files>,
        folder: PathBuf,
        origin: &str,
        segment_bytes: u64,
        tail: &Tail,
    ) -> io::Result<Self> {
        let file = files.open(&folder.join(segment_name(tail.first_index)))?;
        Ok(Self {
            files,
            folder,
            origin: origin.to_owned(),
            segment_bytes,
            file,
            first_index: tail.first_index,
            seed: tail.seed,
            offset: tail.offset as u64,
            capacity: tail.capacity as u64,
        })
    }

    /// How many bytes still fit.
    pub(crate) const fn room(&self) -> u64 {
        self.capacity.saturating_sub(self.offset)
    }
    /// The crc that frames of this segment continue.
    pub(crate) const fn seed(&self) -> u32 {
        self.seed
    }
    /// Where this segment begins.
    pub(crate) const fn first_index(&self) -> u64 {
        self.first_index
    }

    /// Writes a commit and makes it durable: one `pwrite`, one `fdatasync`.
    pub(crate) fn commit(&mut self, frames: &[u8]) -> io::Result<()> {
        if frames.len() as u64 > self.room() {
            return Err(io::Error::other("the commit does not fit the segment"));
        }
        write_all_at(&*self.file, frames, self.offset)?;
        self.file.sync_data()?;
        self.offset = self.offset.saturating_add(frames.len() as u64);
        Ok(())
    }

    /// Begins the next segment, at `first_index` after a tree with this root.
    pub(crate) fn rotate(&mut self, first_index: u64, root: Digest) -> io::Result<()> {
        let (file, seed) =
            fresh_segment(&*self.files, &self.folder, &self.origin, self.segment_bytes, first_index, root)?;
        self.file = file;
        self.first_index = first_index;
        self.seed = seed;
        self.offset = HEADER as u64;
        self.capacity = self.segment_bytes;
        Ok(())
    }
}

/// Makes the spare segment, if there is none.
pub(crate) fn prepare_spare(files: &dyn Files, folder: &Path, segment_bytes: u64) -> io::Result<()> {
    let spare = folder.join(SPARE);
    if spare.metadata().is_ok_and(|found| found.len() == segment_bytes) {
        return Ok(());
    }
    zeroed(files, folder, "spare.tmp", segment_bytes)?;
    files.rename(&folder.join("spare.tmp"), &spare)?;
    files.sync_folder(folder)
}

fn fresh_segment(
    files: &dyn Files,
    folder: &Path,
    origin: &str,
    segment_bytes: u64,
    first_index: u64,
    root: Digest,
) -> io::Result<(Box<dyn LogFile>, u32)> {
    // The spare is taken away under another name first: the keeper may be about to put a new one in its place.
    let fresh = folder.join("fresh.tmp");
    let spare = folder.join(SPARE);
    let taken =
        spare.metadata().is_ok_and(|found| found.len() == segment_bytes) && files.rename(&spare, &fresh).is_ok();
    let file = if taken { files.open(&fresh)? } else { zeroed(files, folder, "fresh.tmp", segment_bytes)? };
    let (header, seed) = Header::new(origin, first_index, root).encode();
    write_all_at(&*file, &header, 0)?;
    file.sync_all()?;
    files.rename(&fresh, &folder.join(segment_name(first_index)))?;
    files.sync_folder(folder)?;
    Ok((file, seed))
}

fn zeroed(files: &dyn Files, folder: &Path, name: &str, bytes: u64) -> io::Result<Box<dyn LogFile>> {
    let path = folder.join(name);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = files.create(&path)?;
    fill(&*file, 0, bytes)?;
    file.sync_all()?;
    Ok(file)
}

/// Writes zeros from `from` up to `to`. Written, not merely allocated: an unwritten extent would make each commit change
/// the file's metadata.
pub(crate) fn fill(file: &dyn LogFile, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; 256 * 1024];
    let mut offset = from;
    while offset < to {
        let length = usize::try_from(to.saturating_sub(offset)).unwrap_or(usize::MAX).min(zeros.len());
        write_all_at(file, zeros.get(..length).unwrap_or_default(), offset)?;
        offset = offset.saturating_add(length as u64);
    }
    Ok(())
}

/// Where the last segment's frames end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) first_index: u64,
    pub(crate) seed: u32,
    pub(crate) offset: usize,
    pub(crate) capacity: usize,
    /// How many bytes from `offset` on are not zero and belong to no frame: what a crash left behind.
    pub(crate) torn: usize,
}

/// A segment in memory.
pub(crate) struct Segment {
    pub(crate) bytes: Vec<u8>,
    pub(crate) header: Header,
    pub(crate) seed: u32,
}

/// Reads a segment and checks its header.
pub(crate) fn read_segment(folder: &Path, origin: &str, first_index: u64) -> Result<Segment, OpenError> {
    let path = folder.join(segment_name(first_index));
    let length = path.metadata().map_err(|error| OpenError::io(&path, &error))?.len();
    if length > SEGMENT_MAX {
        return Err(OpenError::Corrupt {
            index: first_index,
            what: "its segment is longer than any segment is".into(),
        });
    }
    let bytes = std::fs::read(&path).map_err(|error| OpenError::io(&path, &error))?;
    let corrupt = |what: &str| OpenError::Corrupt { index: first_index, what: what.to_owned() };
    let (header, seed) = Header::decode(&bytes).ok_or_else(|| corrupt("the header of its segment is damaged"))?;
    if header.first_index != first_index {
        return Err(corrupt("its segment has the name of another"));
    }
    if header.origin != Header::new(origin, 0, Digest([0; 32])).origin {
        return Err(OpenError::Origin(origin.to_owned()));
    }
    Ok(Segment { bytes, header, seed })
}
