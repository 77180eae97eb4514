//! What a failed write leaves in doubt.
//!
//! After a failed `fdatasync` the kernel may call pages clean that never reached the disk: they read back well until the
//! next power cut. So the segment is marked, and the next start copies its frames to a new file, syncs that, and keeps the
//! old one as `<name>.suspect` for whoever looks into it.

use std::path::Path;

use crate::error::OpenError;
use crate::file::{Files, LogFile, write_all_at};
use crate::frame::{HEADER, Step, step};
use crate::journal::{JOURNAL, fill, read_segment, segment_name};
use crate::open::make_zeroed;

const MARKER: &str = "suspect";
const MARKER_BYTES: usize = 32;

/// The marker, ready to be overwritten: its block is allocated, so that a full disk does not keep it from being set.
pub(crate) fn marker(files: &dyn Files, folder: &Path) -> Result<Box<dyn LogFile>, OpenError> {
    let path = folder.join(MARKER);
    let at = |error: std::io::Error| OpenError::io(&path, &error);
    if !path.exists() {
        make_zeroed(files, &path, MARKER_BYTES).map_err(at)?;
        files.sync_folder(folder).map_err(at)?;
    }
    files.open(&path).map_err(at)
}

/// Copies a marked segment. Gives its name, if there was one.
pub(crate) fn restore(files: &dyn Files, folder: &Path, origin: &str) -> Result<Option<String>, OpenError> {
    let marker = folder.join(MARKER);
    let Ok(mark) = std::fs::read(&marker) else { return Ok(None) };
    let mark = String::from_utf8_lossy(&mark);
    let name = mark.trim_matches(['\0', ' ']);
    if name.is_empty() {
        return Ok(None);
    }
    let first_index = name
        .strip_suffix(".j")
        .and_then(|hex| u64::from_str_radix(hex, 16).ok())
        .filter(|first| segment_name(*first) == name)
        .ok_or_else(|| {
            OpenError::Io(marker.clone(), "it names no segment: look at the journal, then delete it".into())
        })?;
    copy(files, &folder.join(JOURNAL), origin, first_index)?;
    let cleared = files.open(&marker).and_then(|file| {
        write_all_at(&*file, &[0; MARKER_BYTES], 0)?;
        file.sync_all()
    });
    cleared.map_err(|error| OpenError::io(&marker, &error))?;
    Ok(Some(name.to_owned()))
}

fn copy(files: &dyn Files, journal: &Path, origin: &str, first_index: u64) -> Result<(), OpenError> {
    let name = segment_name(first_index);
    let (path, kept) = (journal.join(&name), journal.join(format!("{name}.suspect")));
    let at = |error: std::io::Error| OpenError::io(&path, &error);
    // An earlier start may have been cut off between the two renames.
    if !path.exists() && kept.exists() {
        files.rename(&kept, &path).map_err(at)?;
    }
    // A segment that was being made when the write failed has no name yet, and nothing in it.
    if !path.exists() {
        return Ok(());
    }
    let segment = read_segment(journal, origin, first_index)?;
    let mut end = HEADER;
    while let Step::Frame(frame) = step(&segment.bytes, segment.seed, end) {
        end = frame.end;
    }
    // Damage in the middle is for the scan to refuse: the copy then keeps all bytes as they are.
    let used = match step(&segment.bytes, segment.seed, end) {
        Step::Corrupt => segment.bytes.len(),
        _ => end,
    };
    let fresh = journal.join("copy.tmp");
    drop(std::fs::remove_file(&fresh));
    let file = files.create(&fresh).map_err(at)?;
    write_all_at(&*file, segment.bytes.get(..used).unwrap_or_default(), 0).map_err(at)?;
    fill(&*file, used as u64, segment.bytes.len() as u64).map_err(at)?;
    file.sync_all().map_err(at)?;
    files.rename(&path, &kept).map_err(at)?;
    files.rename(&fresh, &path).map_err(at)?;
    files.sync_folder(journal).map_err(at)
}
