//! Reading the journal from its first record to its last valid one.
//!
//! In: a folder. Out: each record with its hash, in order, and where the frames end. Refused: a damaged header, a gap
//! between segments, a segment whose root is not the one of the records before it, a frame that is none although later
//! ones follow. It writes nothing, and also reads a log that is being written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use asuser_core::Digest;

use crate::error::OpenError;
use crate::frame::{FRAME_MAX, Frame, HEADER, Header, Step, frame_at, step};
use crate::journal::{Segment, Tail, read_segment, segment_name, segments};
use crate::merkle::{Frontier, leaf_hash};
use crate::resume::Place;

/// A record as it stands in the journal.
pub(crate) struct Scanned<'a> {
    pub(crate) index: u64,
    pub(crate) hash: Digest,
    pub(crate) leaf: &'a [u8],
    pub(crate) personal: &'a [u8],
    /// The tree up to and including this record.
    pub(crate) frontier: &'a Frontier,
}

/// Where the scan ended.
pub(crate) struct ScanEnd {
    pub(crate) frontier: Frontier,
    /// `None`: there is no segment.
    pub(crate) tail: Option<Tail>,
}

/// Reads the records from a place on. `each` may refuse one.
pub(crate) fn scan<E: From<OpenError>>(
    journal: &Path,
    origin: &str,
    from: Option<(Place, Frontier)>,
    mut each: impl FnMut(&Scanned<'_>) -> Result<(), E>,
) -> Result<ScanEnd, E> {
    let mut firsts = segments(journal).map_err(|error| OpenError::io(journal, &error))?;
    let mut tail = None;
    let (mut inside, mut frontier) = (None, Frontier::default());
    if let Some((place, tree)) = from {
        firsts.retain(|first| *first >= place.first_index);
        (inside, frontier) = (Some(place), tree);
    }
    for (at, first) in firsts.iter().enumerate() {
        let last = at.saturating_add(1) == firsts.len();
        let begun = inside.take();
        if *first != begun.map_or(frontier.size(), |place| place.first_index) {
            let what = format!("its segment is missing; the next one begins at {first}");
            return Err(OpenError::Corrupt { index: frontier.size(), what }.into());
        }
        let segment = read_segment(journal, origin, *first)?;
        if begun.is_none() && segment.header.root != frontier.root() {
            let what = "its segment belongs after other records than the ones before it".into();
            return Err(OpenError::Corrupt { index: *first, what }.into());
        }
        if let Some(place) = &begun {
            arrive(&segment, place)?;
        }
        let offset = begun.map_or(HEADER, |place| usize::try_from(place.offset).unwrap_or(usize::MAX));
        tail = Some(scan_segment(journal, origin, segment, (offset, last), &mut frontier, &mut each)?);
    }
    Ok(ScanEnd { frontier, tail })
}

/// Whether the frames of a segment lead to this place. Their checksums are looked at, their hashes are not.
fn arrive(segment: &Segment, place: &Place) -> Result<(), OpenError> {
    let (mut offset, mut index) = (HEADER, place.first_index);
    while index < place.size {
        let Step::Frame(frame) = step(&segment.bytes, segment.seed, offset) else {
            return Err(OpenError::Corrupt { index, what: "the record is damaged, and later ones follow".into() });
        };
        offset = frame.end;
        index = index.saturating_add(1);
    }
    if offset as u64 == place.offset {
        return Ok(());
    }
    let what = "the records of its segment are not the ones that were there at the last checkpoint".into();
    Err(OpenError::Corrupt { index: place.first_index, what })
}

fn scan_segment<E: From<OpenError>>(
    journal: &Path,
    origin: &str,
    mut segment: Segment,
    (mut offset, last): (usize, bool),
    frontier: &mut Frontier,
    each: &mut impl FnMut(&Scanned<'_>) -> Result<(), E>,
) -> Result<Tail, E> {
    let mut again = true;
    loop {
        let index = frontier.size();
        let torn = match step(&segment.bytes, segment.seed, offset) {
            Step::Frame(Frame { leaf, personal, end, .. }) => {
                let hash = leaf_hash(leaf);
                frontier.push(hash);
                each(&Scanned { index, hash, leaf, personal, frontier })?;
                offset = end;
                continue;
            }
            Step::End => 0,
            // The segment may have been read while a commit was being written: then it is whole on a second look.
            Step::Torn | Step::Corrupt if again => {
                again = false;
                segment = read_segment(journal, origin, segment.header.first_index)?;
                continue;
            }
            Step::Torn if last => nonzero(&segment.bytes, offset),
            Step::Torn | Step::Corrupt => {
                let what = "the record is damaged, and later ones follow".into();
                return Err(OpenError::Corrupt { index, what }.into());
            }
        };
        return Ok(Tail {
            first_index: segment.header.first_index,
            seed: segment.seed,
            offset,
            capacity: segment.bytes.len(),
            torn,
        });
    }
}

/// How far the bytes that are not zero reach beyond `offset`.
fn nonzero(segment: &[u8], offset: usize) -> usize {
    let rest = segment.get(offset..).unwrap_or_default();
    rest.iter().rposition(|byte| *byte != 0).map_or(0, |at| at.saturating_add(1))
}

/// Reads on behind a writer: from a known place up to what is durable.
pub(crate) struct Follower {
    journal: PathBuf,
    origin: String,
    file: File,
    first_index: u64,
    seed: u32,
    offset: u64,
    index: u64,
}

impl Follower {
    /// Goes on after the `index` records that a scan has read up to this tail.
    pub(crate) fn after(journal: &Path, origin: &str, tail: &Tail, index: u64) -> io::Result<Self> {
        let file = File::open(journal.join(segment_name(tail.first_index)))?;
        let Tail { first_index, seed, .. } = *tail;
        let offset = tail.offset as u64;
        Ok(Self { journal: journal.to_owned(), origin: origin.to_owned(), file, first_index, seed, offset, index })
    }

    /// Where it stands.
    pub(crate) const fn place(&self) -> Place {
        Place { size: self.index, first_index: self.first_index, offset: self.offset }
    }

    /// Reads up to, not including, record `to`; all of them are durable.
    pub(crate) fn follow(&mut self, to: u64, mut each: impl FnMut(&[u8], Digest)) -> io::Result<()> {
        let mut buffer = vec![0; (256 * 1024).max(FRAME_MAX)];
        while self.index < to {
            let read = self.file.read_at(&mut buffer, self.offset)?;
            let bytes = buffer.get(..read).unwrap_or_default();
            let mut at = 0;
            while self.index < to
                && let Some(frame) = frame_at(bytes, self.seed, at)
            {
                each(frame.leaf, leaf_hash(frame.leaf));
                at = frame.end;
                self.index = self.index.saturating_add(1);
            }
            self.offset = self.offset.saturating_add(at as u64);
            if at == 0 {
                self.next_segment()?;
            }
        }
        Ok(())
    }

    fn next_segment(&mut self) -> io::Result<()> {
        let unreadable = || io::Error::other(format!("record {} cannot be read back from the journal", self.index));
        let file = File::open(self.journal.join(segment_name(self.index))).map_err(|_| unreadable())?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0)?;
        let (header, seed) = Header::decode(&header).ok_or_else(unreadable)?;
        if header.origin != Header::new(&self.origin, 0, Digest([0; 32])).origin {
            return Err(unreadable());
        }
        self.file = file;
        self.first_index = self.index;
        self.seed = seed;
        self.offset = HEADER as u64;
        Ok(())
    }
}
