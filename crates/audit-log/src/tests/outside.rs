//! Checkpoints that have left the host catch what the host alone cannot; and while they cannot leave, nothing is taken.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use super::support::*;
use crate::*;

fn with_sink(place: &Place, sink: Box<dyn CheckpointSink>) -> Options {
    Options { sinks: vec![sink], ..place.options() }
}

#[test]
fn a_log_agrees_with_every_checkpoint_that_left() {
    let place = Place::new();
    let outside = place.folder.path().join("outside");
    for _ in 0..3 {
        let (log, _) = place.try_open(with_sink(&place, Box::new(FileSink(outside.clone())))).unwrap();
        for _ in 0..5 {
            append_whole(&log).unwrap();
            block_on(log.checkpoint()).unwrap();
        }
    }
    let notes = std::fs::read_to_string(&outside).unwrap();
    let found = place.verify_with(&[&notes]);
    assert!(found.ok(), "{:?}", found.findings);
    assert_eq!(found.outside, 18, "one a start, one an entry");
}

#[test]
fn a_cut_tail_verifies_by_itself_and_fails_against_an_outside_checkpoint() {
    let place = Place::new();
    let log = place.open();
    for _ in 0..5 {
        append_whole(&log).unwrap();
    }
    block_on(log.checkpoint()).unwrap();
    let yesterday = place.folder.path().join("yesterday");
    copy_folder(&place.path(), &yesterday);
    for _ in 0..5 {
        append_whole(&log).unwrap();
    }
    drop(log);
    let outside = place.checkpoint_note();
    assert!(place.verify_with(&[&outside]).ok());

    // Yesterday's copy is restored.
    std::fs::remove_dir_all(place.path()).unwrap();
    copy_folder(&yesterday, &place.path());
    assert!(place.verify().ok(), "by itself it is whole");
    let found = place.verify_with(&[&outside]);
    assert!(!found.ok());
    assert_eq!(found.findings[0].index, Some(6), "{:?}", found.findings);

    // It goes on, and so becomes another log than the one that was seen outside.
    let log = place.open();
    for _ in 0..5 {
        append_whole(&log).unwrap();
    }
    drop(log);
    assert!(place.verify().ok());
    let found = place.verify_with(&[&outside]);
    assert!(found.findings.iter().any(|finding| finding.what.contains("other records")), "{:?}", found.findings);
}

#[test]
fn a_log_that_is_older_than_its_local_checkpoint_does_not_open() {
    let place = Place::new();
    drop(place.open());
    let yesterday = place.folder.path().join("yesterday");
    copy_folder(&place.path(), &yesterday);
    drop(place.open());
    let today = place.checkpoint_note();
    std::fs::remove_dir_all(place.path()).unwrap();
    copy_folder(&yesterday, &place.path());
    assert!(place.try_open(place.options()).is_ok(), "its own checkpoint fits");
    std::fs::remove_dir_all(place.path()).unwrap();
    copy_folder(&yesterday, &place.path());
    std::fs::write(place.path().join("checkpoint"), today).unwrap();
    assert!(matches!(place.try_open(place.options()), Err(OpenError::Checkpoint(_))));
}

#[test]
fn only_checkpoints_by_this_key_count() {
    let (place, other) = (Place::new(), Place::new());
    drop(place.open());
    drop(other.open());
    for (what, text) in [
        ("another key's", other.checkpoint_note()),
        ("nobody's", place.checkpoint_note().replace('—', "-")),
        ("an edited one", place.checkpoint_note().replacen("\n1\n", "\n2\n", 1)),
        ("nothing", "\n\n".into()),
    ] {
        let found = place.verify_with(&[&text]);
        assert!(!found.ok() && found.outside == 0, "{what}");
    }
    assert!(place.verify_with(&[&place.checkpoint_note()]).ok());
}

#[test]
fn notes_are_split_with_blank_lines_between_them_or_not() {
    let note = "origin\n5\nroot\n\n— origin sig\n— witness sig\n";
    assert_eq!(split_notes(&format!("{note}{note}")), [note, note]);
    assert_eq!(split_notes(&format!("\n\n{note}\n\n{note}\n")), [note, note]);
    assert!(split_notes("\n \n".trim_matches(' ')).len() <= 1);
    assert!(split_notes("").is_empty());
}

/// A sink that fails while it is told to.
struct Moody(Arc<AtomicBool>);

impl CheckpointSink for Moody {
    fn name(&self) -> String {
        "moody".into()
    }
    fn deliver(&mut self, _: &str) -> io::Result<()> {
        if self.0.load(Ordering::SeqCst) { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }
}

#[test]
fn while_a_sink_fails_no_new_work_is_taken_and_what_has_begun_ends() {
    let place = Place::new();
    let failing = Arc::new(AtomicBool::new(false));
    let (log, _) = place.try_open(with_sink(&place, Box::new(Moody(Arc::clone(&failing))))).unwrap();
    let entry = fresh();
    log.append(vec![Draft::new(leaf(Kind::Intent, entry, 0))]).wait().unwrap();
    failing.store(true, Ordering::SeqCst);
    block_on(log.checkpoint()).unwrap();
    assert!(matches!(log.health().state, HealthState::Checkpoints(why) if why.contains("moody")));
    assert!(matches!(append_whole(&log), Err(LogError::Checkpoints(_))));
    log.append(vec![Draft::new(leaf(Kind::Outcome, entry, 1))]).wait().unwrap();

    failing.store(false, Ordering::SeqCst);
    block_on(log.checkpoint()).unwrap();
    assert_eq!(log.health().state, HealthState::Ready);
    append_whole(&log).unwrap();
}

#[test]
fn a_full_device_as_sink_is_known_before_the_first_request() {
    if !Path::new("/dev/full").exists() {
        println!("skipped: there is no /dev/full");
        return;
    }
    let place = Place::new();
    let (log, _) = place.try_open(with_sink(&place, Box::new(FileSink("/dev/full".into())))).unwrap();
    assert!(matches!(append_whole(&log), Err(LogError::Checkpoints(_))));
}

/// A sink that takes nothing until it is let go, like a pipe that nobody reads.
struct Blocked(Arc<(Mutex<bool>, Condvar)>);

impl CheckpointSink for Blocked {
    fn name(&self) -> String {
        "blocked".into()
    }
    fn deliver(&mut self, _: &str) -> io::Result<()> {
        let (go, bell) = &*self.0;
        drop(bell.wait_while(go.lock().unwrap(), |go| !*go).unwrap());
        Ok(())
    }
}

#[test]
fn a_sink_that_blocks_is_waited_for_so_long_and_no_longer() {
    let place = Place::new();
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let options = Options { sink_patience_ms: 20, ..with_sink(&place, Box::new(Blocked(Arc::clone(&gate)))) };
    let (log, _) = place.try_open(options).unwrap();
    assert!(matches!(log.admit(), Err(LogError::Checkpoints(why)) if why.contains("blocked")));
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    while log.admit().is_err() {
        block_on(log.checkpoint()).unwrap();
    }
    append_whole(&log).unwrap();
}

#[test]
fn sinks_are_named_as_the_configuration_does() {
    assert_eq!("stdout".parse(), Ok(SinkName::Stdout));
    assert_eq!("file:/mnt/x:y".parse(), Ok(SinkName::File("/mnt/x:y".into())));
    for wrong in ["", "file:", "stderr", "https://example.com/", "stdout:"] {
        assert!(wrong.parse::<SinkName>().is_err(), "{wrong}");
    }
}
