//! The disk fails: nothing is answered that is not durable, nothing is tried twice, and the next start makes good.

use super::support::*;
use crate::journal::segment_name;
use crate::*;

/// Fails one append by this fault, and gives the log that has failed.
fn failed_by(place: &Place, fault: Fault) -> (Log, asuser_core::AuditId) {
    let log = place.open();
    append_whole(&log).unwrap();
    place.disk.set(fault, ".j");
    let entry = fresh();
    let error = log.append(vec![Draft::new(leaf(Kind::Whole, entry, 0))]).wait().unwrap_err();
    assert!(matches!(error, LogError::Failed(_)), "{error}");
    assert_eq!(error.problem().reason.status(), 503);
    (log, entry)
}

#[test]
fn after_one_failed_write_or_sync_nothing_is_taken_until_a_restart() {
    for fault in [Fault::Write(EIO), Fault::Sync(EIO), Fault::Write(ENOSPC), Fault::Sync(ENOSPC), Fault::Partly(ENOSPC)]
    {
        let place = Place::new();
        let (log, _) = failed_by(&place, fault);
        place.disk.heal();
        assert!(matches!(append_whole(&log), Err(LogError::Failed(_))), "{fault:?}: healed, but not tried again");
        let begun = vec![Draft::new(leaf(Kind::Outcome, fresh(), 1))];
        assert!(matches!(log.append(begun).wait(), Err(LogError::Failed(_))));
        assert!(matches!(log.health().state, HealthState::Failed(_)));
        assert_eq!(log.size(), 2);
        drop(log);

        let (log, report) = place.try_open(place.options()).unwrap();
        assert_eq!(report.suspect, Some(segment_name(0)), "{fault:?}");
        append_whole(&log).unwrap();
        drop(log);
        let journal = place.path().join("journal");
        assert!(journal.join("0000000000000000.j.suspect").exists());
        let found = place.verify();
        assert!(found.ok(), "{fault:?}: {:?}", found.findings);
        let (_, report) = place.try_open(place.options()).unwrap();
        assert_eq!(report.suspect, None, "only once");
    }
}

#[test]
fn a_record_whose_sync_failed_is_in_the_log_at_most_once_and_never_answered() {
    let place = Place::new();
    let (log, entry) = failed_by(&place, Fault::Sync(EIO));
    place.disk.heal();
    drop(log);
    drop(place.open());
    assert!(place.reader().entry(entry).unwrap().len() <= 1);
    assert!(place.verify().ok());
}

#[test]
fn a_start_that_is_cut_off_while_it_copies_a_suspect_segment_goes_on() {
    let place = Place::new();
    let (log, _) = failed_by(&place, Fault::Sync(EIO));
    place.disk.heal();
    drop(log);
    let journal = place.path().join("journal");
    // Between the two renames: the old one is aside, the new one has no name yet.
    std::fs::rename(journal.join(segment_name(0)), journal.join("0000000000000000.j.suspect")).unwrap();
    let (log, report) = place.try_open(place.options()).unwrap();
    assert_eq!(report.suspect, Some(segment_name(0)));
    append_whole(&log).unwrap();
    drop(log);
    assert!(place.verify().ok());
}

#[test]
fn short_writes_are_finished() {
    let place = Place::new();
    let log = place.open();
    place.disk.set(Fault::Short, ".j");
    let entry = append_whole(&log).unwrap();
    place.disk.heal();
    append_whole(&log).unwrap();
    drop(log);
    assert!(place.verify().ok());
    assert_eq!(place.reader().entry(entry).unwrap().len(), 1);
}

#[test]
fn a_segment_that_cannot_be_made_fails_the_log() {
    let place = Place::new();
    let log = place.open();
    std::fs::remove_file(place.path().join("journal/spare")).unwrap();
    place.disk.set(Fault::Create(ENOSPC), "fresh.tmp");
    let mut answered = 0;
    let error = loop {
        match append_whole(&log) {
            Ok(_) => answered += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, LogError::Failed(why) if why.contains("segment")), "{error}");
    place.disk.heal();
    drop(log);
    drop(place.open());
    let found = place.verify();
    assert!(found.ok(), "{:?}", found.findings);
    assert_eq!(found.kinds.get("whole"), Some(&answered));
}

#[test]
fn without_a_spare_segment_no_new_work_is_taken_until_there_is_one() {
    let place = Place::new();
    let log = place.open();
    std::fs::remove_file(place.path().join("journal/spare")).unwrap();
    place.disk.set(Fault::Create(ENOSPC), "spare.tmp");
    block_on(log.checkpoint()).unwrap();
    assert!(matches!(append_whole(&log), Err(LogError::Checkpoints(why)) if why.contains("spare")));
    place.disk.heal();
    block_on(log.checkpoint()).unwrap();
    append_whole(&log).unwrap();
}

#[test]
fn a_log_does_not_open_on_a_disk_without_room() {
    let place = Place::new();
    place.disk.set(Fault::Create(ENOSPC), ".tmp");
    assert!(matches!(place.try_open(place.options()), Err(OpenError::Io(..))));
    place.disk.heal();
    drop(place.open());
    assert!(place.verify().ok());
}

#[test]
fn a_checkpoint_that_cannot_be_written_stops_new_work_and_is_tried_again() {
    let place = Place::new();
    let log = place.open();
    append_whole(&log).unwrap();
    place.disk.set(Fault::Sync(EIO), "checkpoint.tmp");
    assert!(matches!(block_on(log.checkpoint()), Err(LogError::Checkpoints(_))));
    assert!(matches!(append_whole(&log), Err(LogError::Checkpoints(_))));
    place.disk.heal();
    assert_eq!(block_on(log.checkpoint()).unwrap().size, 2);
    append_whole(&log).unwrap();
}

#[test]
fn at_the_reserve_new_work_is_refused_and_what_has_begun_ends() {
    let place = Place::new();
    let log = place.open();
    let (entry, cancelled) = (fresh(), fresh());
    log.append(vec![Draft::new(leaf(Kind::Intent, entry, 0))]).wait().unwrap();
    log.append(vec![Draft::new(leaf(Kind::Intent, cancelled, 0))]).wait().unwrap();

    place.disk.set_space(200 * 1024, 1 << 20);
    block_on(log.checkpoint()).unwrap();
    assert_eq!(log.health().state, HealthState::Ready);
    assert!(log.health().warnings[0].contains("80 % full"), "{:?}", log.health().warnings);

    place.disk.set_space(100 * 1024, 1 << 20);
    block_on(log.checkpoint()).unwrap();
    assert_eq!(log.health().state, HealthState::Reserve);
    assert_eq!(append_whole(&log), Err(LogError::Reserve));
    assert_eq!(block_on(log.who(&alice())).err(), Some(LogError::Reserve));
    log.append(vec![Draft::new(leaf(Kind::Outcome, entry, 1))]).wait().unwrap();
    log.submit(vec![Draft::new(leaf(Kind::Outcome, cancelled, 1))]);

    place.disk.set_space(1 << 40, 1 << 41);
    block_on(log.checkpoint()).unwrap();
    assert_eq!(log.health(), Health { state: HealthState::Ready, warnings: Vec::new() });
    append_whole(&log).unwrap();
    drop(log);
    let found = place.verify();
    assert!(found.ok() && found.open.is_empty(), "{:?}", found.findings);
}

#[test]
fn the_queue_is_bounded_and_a_record_that_must_not_be_lost_is_not_lost_silently() {
    let place = Place::new();
    let (log, _) = place.try_open(Options { queue_groups: 4, ..place.options() }).unwrap();
    place.disk.set(Fault::Block, ".j");
    // One is in the writer's hands, the others wait.
    let mut pending = vec![log.append(vec![Draft::new(leaf(Kind::Whole, fresh(), 0))])];
    let refused = loop {
        let next = log.append(vec![Draft::new(leaf(Kind::Whole, fresh(), 0))]);
        if log.metrics().busy > 0 {
            break next;
        }
        pending.push(next);
        assert!(pending.len() < 20);
    };
    assert_eq!(refused.wait(), Err(LogError::Busy));
    log.submit(vec![Draft::new(leaf(Kind::Outcome, fresh(), 1))]);
    assert_eq!((log.metrics().lost, log.health().state), (0, HealthState::Ready), "it has room of its own");
    // The writer may take a handful before it meets the disk; then nothing makes room.
    for _ in 0..20 {
        log.submit(vec![Draft::new(leaf(Kind::Outcome, fresh(), 1))]);
    }
    assert!(log.metrics().lost > 0);
    assert!(matches!(log.health().state, HealthState::Failed(why) if why.contains("lost")));
    place.disk.heal();
    for pending in pending {
        // Whatever was being written when it failed is durable or refused; none waits for ever.
        drop(pending.wait());
    }
}

#[test]
fn what_a_crash_tore_is_cut_off_and_overwritten() {
    let place = Place::new();
    let log = place.open();
    append_whole(&log).unwrap();
    drop(log);
    let path = place.path().join("journal").join(segment_name(0));
    let mut bytes = std::fs::read(&path).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // The beginning of a frame, and a sector of it further on.
    bytes[used] = 0x80;
    bytes[used + 3] = 200;
    bytes[used + 700] = 7;
    std::fs::write(&path, &bytes).unwrap();
    let found = place.verify();
    assert!(found.ok() && !found.findings.is_empty(), "{:?}", found.findings);
    let (log, report) = place.try_open(place.options()).unwrap();
    assert_eq!(report.torn_bytes, 701);
    append_whole(&log).unwrap();
    drop(log);
    let found = place.verify();
    assert!(found.ok() && found.findings.is_empty(), "{:?}", found.findings);
}

#[test]
fn a_commit_of_which_only_a_later_part_reached_the_disk_is_torn_not_corrupt() {
    let place = Place::new();
    drop(place.open());
    let before = std::fs::read(place.path().join("journal").join(segment_name(0))).unwrap();
    let copy = place.folder.path().join("copy");
    copy_folder(&place.path(), &copy);
    let log = place.open();
    let entry = fresh();
    let mut group: Vec<Draft> = vec![Draft::new(leaf(Kind::Intent, entry, 0))];
    group.extend((1..20).map(|n| Draft::new(leaf(Kind::Progress, entry, n))));
    log.append(group).wait().unwrap();
    drop(log);
    let after = std::fs::read(place.path().join("journal").join(segment_name(0))).unwrap();
    // As if power had failed during that commit: of what it changed, the first 512 bytes are not there.
    let start = before.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut torn = after;
    torn[start + 200..start + 712].fill(0);
    std::fs::write(copy.join("journal").join(segment_name(0)), torn).unwrap();
    std::fs::remove_dir_all(place.path()).unwrap();
    copy_folder(&copy, &place.path());
    let (log, report) = place.try_open(place.options()).unwrap();
    assert!(report.torn_bytes > 0);
    append_whole(&log).unwrap();
    drop(log);
    assert!(place.verify().ok());
}
