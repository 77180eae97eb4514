//! Whoever owns the host changes the log: every change is found, and named.

use super::support::*;
use crate::frame::{HEADER, Step, push_frame, step};
use crate::journal::{SEGMENT_MIN, segment_name};
use crate::*;

/// A closed log of a few records of all sorts.
fn small() -> (Place, Vec<u8>) {
    let place = Place::new();
    let log = place.open();
    let who = block_on(log.who(&alice())).unwrap();
    append_personal(&log, &who);
    let entry = fresh();
    log.append(vec![Draft::new(leaf(Kind::Intent, entry, 0)), Draft::new(leaf(Kind::Outcome, entry, 1))])
        .wait()
        .unwrap();
    append_whole(&log).unwrap();
    drop(log);
    assert!(place.verify().ok());
    let bytes = std::fs::read(segment(&place)).unwrap();
    (place, bytes)
}

fn segment(place: &Place) -> std::path::PathBuf {
    place.path().join("journal").join(segment_name(0))
}

type Frames = Vec<(Vec<u8>, Vec<u8>)>;
/// What is done to the records, in words; the first that is not as it was; and in deed.
type PlainChange = fn(&mut Frames);
type Change = (&'static str, u64, Box<dyn Fn(&mut Frames)>);

/// The records of the first segment, leaf and personal part.
fn frames(bytes: &[u8]) -> Frames {
    let (_, seed) = crate::frame::Header::decode(bytes).unwrap();
    let (mut found, mut at) = (Vec::new(), HEADER);
    while let Step::Frame(frame) = step(bytes, seed, at) {
        found.push((frame.leaf.to_vec(), frame.personal.to_vec()));
        at = frame.end;
    }
    found
}

/// Writes a first segment of these records, as the log itself would.
fn rewrite(place: &Place, header: &[u8], frames: &Frames) {
    let (_, seed) = crate::frame::Header::decode(header).unwrap();
    let mut bytes = header[..HEADER].to_vec();
    for (leaf, personal) in frames {
        push_frame(&mut bytes, seed, true, leaf, personal);
    }
    bytes.resize(SEGMENT_MIN as usize, 0);
    std::fs::write(segment(place), bytes).unwrap();
}

fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

#[test]
fn every_flipped_byte_of_the_journal_is_found() {
    let (place, good) = small();
    let used = used(&good);
    for at in (0..used).chain((used..good.len()).step_by(4_099)) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(segment(&place), &bad).unwrap();
        let found = place.verify();
        if at < used {
            assert!(!found.ok(), "byte {at} of {used}");
            let named = found.findings.iter().any(|finding| finding.index.is_some());
            assert!(named || at < HEADER, "byte {at}: {:?}", found.findings);
        } else {
            // Beyond the last record only zeros are expected: noticed, but no record is touched.
            assert!(found.ok() && !found.findings.is_empty(), "byte {at}: {:?}", found.findings);
        }
    }
}

#[test]
fn every_flipped_byte_of_checkpoint_and_tiles_is_found() {
    let (place, _) = small();
    for file in ["checkpoint", "tile/0/000.p/6", "tile/entries/000.p/6"] {
        let path = place.path().join(file);
        let good = std::fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(if file == "checkpoint" { 1 } else { 7 }) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            // A changed end of line after the signature changes nothing that is said.
            let last = file == "checkpoint" && at + 1 == good.len();
            assert!(last || !place.verify().ok(), "byte {at} of {file}");
        }
        std::fs::write(&path, &good).unwrap();
    }
    assert!(place.verify().ok());
}

#[test]
fn a_journal_written_anew_with_right_checksums_fails_against_the_checkpoint() {
    let (place, good) = small();
    let records = frames(&good);
    let changes: Vec<Change> = vec![
        ("delete", 3, Box::new(|frames| drop(frames.remove(3)))),
        (
            "insert",
            3,
            Box::new(|frames| frames.insert(3, (leaf(Kind::Whole, fresh(), 0).encode().unwrap(), Vec::new()))),
        ),
        ("duplicate", 3, Box::new(|frames| frames.insert(3, frames[2].clone()))),
        ("duplicate at the end", 6, Box::new(|frames| frames.push(frames[5].clone()))),
        ("reorder", 2, Box::new(|frames| frames.swap(2, 5))),
        (
            "change",
            5,
            Box::new(|frames| {
                let mut leaf = Leaf::decode(&frames[5].0).unwrap();
                leaf.tables = vec!["other".into()];
                frames[5].0 = leaf.encode().unwrap();
            }),
        ),
        ("cut", 4, Box::new(|frames| frames.truncate(4))),
        ("empty", 0, Box::new(Vec::clear)),
    ];
    for (what, first, change) in changes {
        let mut changed = records.clone();
        change(&mut changed);
        rewrite(&place, &good, &changed);
        let found = place.verify();
        assert!(!found.ok(), "{what}");
        assert!(found.findings.iter().any(|finding| finding.index == Some(first)), "{what}: {:?}", found.findings);
        // A record added behind the signed ones is none that opening could refuse: it may be what a crash left.
        let kept = place.folder.path().join("kept");
        copy_folder(&place.path(), &kept);
        place.forget_place();
        let refused = place.try_open(place.options()).is_err();
        assert!(refused || what == "duplicate at the end", "opening after {what}");
        std::fs::remove_dir_all(place.path()).unwrap();
        std::fs::rename(&kept, place.path()).unwrap();
        std::fs::write(segment(&place), &good).unwrap();
    }
}

#[test]
fn personal_parts_cannot_be_swapped_dropped_or_invented() {
    let (place, good) = small();
    let records = frames(&good);
    assert!(!records[1].1.is_empty() && !records[2].1.is_empty() && records[5].1.is_empty());
    let changes: [(&str, PlainChange); 5] = [
        ("swapped", |frames| {
            let one = std::mem::take(&mut frames[1].1);
            frames[1].1 = std::mem::replace(&mut frames[2].1, one);
        }),
        ("dropped", |frames| frames[2].1.clear()),
        ("invented", |frames| frames[5].1 = frames[2].1.clone()),
        ("changed", |frames| *frames[2].1.last_mut().unwrap() ^= 1),
        ("under another key", |frames| frames[2].1[0] ^= 1),
    ];
    for (what, change) in changes {
        let mut changed = records.clone();
        change(&mut changed);
        rewrite(&place, &good, &changed);
        let found = place.verify();
        assert!(!found.ok(), "{what}");
        assert!(found.personal.missing + found.personal.mismatch > 0, "{what}: {:?}", found.personal);
        assert!(found.findings.iter().all(|finding| finding.index.is_some() && finding.entry.is_some()), "{what}");
    }
}

#[test]
fn entries_that_are_not_whole_are_found_even_where_they_were_signed() {
    let cases = [
        ("an outcome without an intent", vec![vec![(Kind::Outcome, 1)]]),
        ("two outcomes", vec![vec![(Kind::Intent, 0), (Kind::Outcome, 1), (Kind::Outcome, 2)]]),
        ("a gap", vec![vec![(Kind::Intent, 0)], vec![(Kind::Outcome, 2)]]),
        ("twice", vec![vec![(Kind::Whole, 0)], vec![(Kind::Whole, 0)]]),
        ("not from 0", vec![vec![(Kind::Whole, 1)]]),
        ("erased without erase", vec![vec![(Kind::Erased, 1)]]),
    ];
    for (what, groups) in cases {
        let place = Place::new();
        let log = place.open();
        let entry = fresh();
        for group in groups {
            let drafts = group.into_iter().map(|(kind, n)| Draft::new(leaf(kind, entry, n))).collect();
            log.append(drafts).wait().unwrap();
        }
        drop(log);
        let found = place.verify();
        assert!(!found.ok(), "{what}");
        assert!(found.findings.iter().any(|finding| finding.entry == Some(entry)), "{what}: {:?}", found.findings);
    }
}

#[test]
fn a_who_reference_must_lead_to_that_who() {
    let place = Place::new();
    let log = place.open();
    let who = block_on(log.who(&alice())).unwrap();
    for at in [WhoRef { index: 0, ..who.at }, WhoRef { hash: empty_root(), ..who.at }, WhoRef { index: 99, ..who.at }] {
        log.append(vec![Draft::new(Leaf { who: Some(at), ..leaf(Kind::Whole, fresh(), 0) })]).wait().unwrap();
    }
    append_personal(&log, &who);
    drop(log);
    assert_eq!(place.verify().failures, 3);
}

#[test]
fn damage_before_a_later_commit_is_refused_at_start_and_named() {
    let (place, good) = small();
    let mut bad = good.clone();
    bad[HEADER + 30] ^= 1;
    std::fs::write(segment(&place), &bad).unwrap();
    for _ in 0..2 {
        let error = place.try_open(place.options()).err().unwrap();
        assert!(matches!(error, OpenError::Corrupt { index: 0, .. }), "{error}");
        assert_eq!(std::fs::read(segment(&place)).unwrap(), bad, "nothing was changed");
        drop(std::fs::remove_file(place.path().join("resume")));
    }
}

#[test]
fn a_missing_segment_is_found() {
    let place = Place::new();
    let log = place.open();
    for _ in 0..2_500 {
        append_whole(&log).unwrap();
    }
    drop(log);
    let journal = place.path().join("journal");
    let firsts = crate::journal::segments(&journal).unwrap();
    assert!(firsts.len() >= 3, "{firsts:?}");
    for gone in [firsts[0], firsts[1], *firsts.last().unwrap()] {
        let (path, aside) = (journal.join(segment_name(gone)), place.folder.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        let found = place.verify();
        assert!(
            !found.ok() && found.findings.iter().any(|finding| finding.index == Some(gone)),
            "{:?}",
            found.findings
        );
        drop(std::fs::remove_file(place.path().join("resume")));
        assert!(place.try_open(place.options()).is_err());
        std::fs::rename(&aside, &path).unwrap();
    }
    // A segment in another's place.
    std::fs::copy(journal.join(segment_name(firsts[1])), journal.join(segment_name(firsts[2]))).unwrap();
    assert!(!place.verify().ok());
}
