//! An ordinary life: open, append, close, open again; reading, proving, following.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::support::*;
use crate::*;

#[test]
fn what_was_appended_is_there_after_a_restart_and_verifies() {
    let place = Place::new();
    let log = place.open();
    let entry = fresh();
    let group = vec![Draft::new(leaf(Kind::Intent, entry, 0)), Draft::new(leaf(Kind::Outcome, entry, 1))];
    let positions = log.append(group).wait().unwrap();
    assert_eq!(positions.iter().map(|at| at.index).collect::<Vec<_>>(), [1, 2], "after the start record");
    drop(log);

    let (log, report) = place.try_open(place.options()).unwrap();
    assert_eq!((report.created, report.size, report.torn_bytes), (false, 3, 0));
    assert!(report.abandoned.is_empty());
    let records = place.reader().entry(entry).unwrap();
    assert_eq!(records.iter().map(|record| record.leaf.kind).collect::<Vec<_>>(), [Kind::Intent, Kind::Outcome]);
    assert_eq!(records[0].hash, positions[0].leaf_hash);
    drop(log);
    let found = place.verify();
    assert!(found.ok(), "{:?}", found.findings);
    assert_eq!((found.size, found.entries, found.uncovered), (4, 3, 0));
}

#[test]
fn many_at_once_share_syncs_and_all_are_there() {
    let place = Place::new();
    let log = place.open();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let log = log.clone();
            std::thread::spawn(move || {
                let pending: Vec<Pending> =
                    (0..300).map(|_| log.append(vec![Draft::new(leaf(Kind::Whole, fresh(), 0))])).collect();
                pending.into_iter().map(|pending| pending.wait().unwrap()[0].index).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut indices: Vec<u64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    indices.sort_unstable();
    assert_eq!(indices, (1..=1_200).collect::<Vec<_>>());
    let metrics = log.metrics();
    assert_eq!((metrics.leaves, metrics.size, metrics.lost), (1_201, 1_201, 0));
    assert!(metrics.commits <= 1_201 && metrics.commit_leaves_max >= 1);
    drop(log);
    // Several segments of 64 KiB, four full tiles and a partial one.
    assert!(crate::journal::segments(&place.path().join("journal")).unwrap().len() > 1);
    let found = place.verify();
    assert!(found.ok(), "{:?}", found.findings);
    assert!(found.findings.is_empty(), "{:?}", found.findings);
}

#[test]
fn a_group_is_of_one_entry_in_order_and_bounded() {
    let place = Place::new();
    let log = place.open();
    let (a, b) = (fresh(), fresh());
    let draft = |entry, n| Draft::new(leaf(Kind::Progress, entry, n));
    for group in
        [vec![], vec![draft(a, 0), draft(b, 1)], vec![draft(a, 0), draft(a, 2)], (0..65).map(|n| draft(a, n)).collect()]
    {
        assert!(matches!(log.append(group).wait(), Err(LogError::Group(_))));
    }
    assert_eq!(log.size(), 1);
    assert!(log.append((0..64).map(|n| draft(a, n)).collect()).wait().is_ok());
}

#[test]
fn a_principal_is_written_once_and_again_when_its_facts_change() {
    let place = Place::new();
    let log = place.open();
    let alice = alice();
    assert!(log.known(&alice).is_none());
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (log, alice) = (log.clone(), alice.clone());
            std::thread::spawn(move || block_on(log.who(&alice)).unwrap())
        })
        .collect();
    let all: Vec<Arc<Who>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(all.iter().all(|who| who.at == all[0].at));
    assert_eq!(log.size(), 2, "start and one `who`");
    assert_eq!(log.known(&alice).unwrap().at, all[0].at);

    let mut married = alice.clone();
    married.name = Some("Alice Other".into());
    let other = block_on(log.who(&married)).unwrap();
    assert_ne!(other.at, all[0].at);
    assert_eq!(other.key.id(), all[0].key.id(), "the same subject");
    assert_eq!(place.store.made.load(Ordering::SeqCst), 2, "Alice and the day");
    append_personal(&log, &other);
    drop(log);
    let found = place.verify();
    assert!(found.ok(), "{:?}", found.findings);
    assert_eq!(found.personal.open, 3);
}

#[test]
fn records_read_back_with_what_is_personal_in_them() {
    let place = Place::new();
    let log = place.open();
    let who = block_on(log.who(&alice())).unwrap();
    let entry = append_personal(&log, &who);
    let refused = fresh();
    let source = Personal::none().with(Field::Address, "198.51.100.9");
    log.append(vec![Draft::with_personal(leaf(Kind::Refused, refused, 0), log.day_key(), source.clone())])
        .wait()
        .unwrap();

    let reader = place.reader();
    assert_eq!(reader.size().unwrap(), 4);
    let record = reader.entry(entry).unwrap().remove(0);
    assert_eq!(record.personal, PersonalState::Open(Personal::none().with(Field::Address, "192.0.2.7")));
    let json = record.json();
    assert_eq!((&json["kind"], &json["personal"]["address"]), (&"whole".into(), &"192.0.2.7".into()));
    assert_eq!((&json["tables"][0], json.get("rows")), (&"orders".into(), None));
    let who_record = reader.record(record.leaf.who.unwrap().index).unwrap().unwrap();
    let PersonalState::Open(facts) = who_record.personal else { panic!("not open") };
    assert_eq!(facts.value(Field::Email), Some("alice@example.com"));
    assert_eq!(reader.entry(refused).unwrap()[0].personal, PersonalState::Open(source));
    assert!(reader.entry(fresh()).unwrap().is_empty());
    let blind = Reader::new(place.path(), log.verifier_key().clone(), None);
    assert_eq!(blind.entry(entry).unwrap()[0].personal, PersonalState::Sealed);

    let mut seen = Vec::new();
    reader
        .records(2, |record| {
            seen.push(record.index);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seen, [2, 3]);
}

#[test]
fn personal_values_are_nowhere_in_the_folder() {
    let place = Place::new();
    let log = place.open();
    let who = block_on(log.who(&alice())).unwrap();
    append_personal(&log, &who);
    drop(log);
    fn files(folder: &std::path::Path, found: &mut Vec<u8>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path, found) } else { found.extend(std::fs::read(path).unwrap()) }
        }
    }
    let mut all = Vec::new();
    files(&place.path(), &mut all);
    for secret in ["alice", "192.0.2.7", "issuer.example.com"] {
        assert!(!all.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "{secret}");
    }
    assert!(!all.windows(32).any(|bytes| bytes == who.key.expose()));
}

#[test]
fn a_receipt_proves_its_entry_by_itself() {
    let place = Place::new();
    let log = place.open();
    let mut entries = Vec::new();
    for _ in 0..300 {
        entries.push(append_whole(&log).unwrap());
    }
    let reader = place.reader();
    assert_eq!(reader.receipt(entries[299]), Err(ReceiptError::NotCovered));
    let head = block_on(log.checkpoint()).unwrap();
    for entry in entries.iter().step_by(37).chain(entries.last()) {
        let receipt = reader.receipt(*entry).unwrap();
        assert_eq!(receipt.verify(log.verifier_key()), Ok(head.clone()));
        let mut other = receipt.clone();
        other.leaves[0].index ^= 1;
        assert!(other.verify(log.verifier_key()).is_err());
        let mut other = receipt.clone();
        other.leaves[0].leaf[40] ^= 1;
        assert!(matches!(other.verify(log.verifier_key()), Err(ReceiptFault::Proof(..))));
        let mut other = receipt.clone();
        other.entry = fresh();
        assert!(matches!(other.verify(log.verifier_key()), Err(ReceiptFault::Leaf(_))));
        assert_eq!(receipt.json()["entry"], entry.to_string());
    }
    assert_eq!(reader.receipt(fresh()), Err(ReceiptError::NoSuchEntry));
}

#[test]
fn a_running_log_verifies_and_its_open_entries_are_named() {
    let place = Place::new();
    let log = place.open();
    let entry = fresh();
    log.append(vec![Draft::new(leaf(Kind::Intent, entry, 0))]).wait().unwrap();
    let found = place.verify();
    assert!(found.ok(), "{:?}", found.findings);
    assert_eq!((found.open, found.uncovered), (vec![entry], 1));
    let writing = {
        let log = log.clone();
        std::thread::spawn(move || (0..400).all(|_| append_whole(&log).is_ok()))
    };
    while !writing.is_finished() {
        block_on(log.checkpoint()).unwrap();
        let found = place.verify();
        assert!(found.ok(), "{:?}", found.findings);
    }
    assert!(writing.join().unwrap());
}

#[test]
fn intents_of_a_process_that_ended_are_abandoned_before_the_next_start() {
    let place = Place::new();
    let log = place.open();
    let (open, closed) = (fresh(), fresh());
    log.append(vec![Draft::new(leaf(Kind::Intent, open, 0)), Draft::new(leaf(Kind::Progress, open, 1))])
        .wait()
        .unwrap();
    log.append(vec![Draft::new(leaf(Kind::Intent, closed, 0)), Draft::new(leaf(Kind::Outcome, closed, 1))])
        .wait()
        .unwrap();
    drop(log);
    let (log, report) = place.try_open(place.options()).unwrap();
    assert_eq!(report.abandoned, [open]);
    let kinds: Vec<Kind> = place.reader().entry(open).unwrap().iter().map(|record| record.leaf.kind).collect();
    assert_eq!(kinds, [Kind::Intent, Kind::Progress, Kind::Abandoned]);
    let last = place.reader().record(log.size() - 1).unwrap().unwrap();
    assert_eq!(last.leaf.kind, Kind::Start);
    drop(log);
    assert!(place.verify().ok());
    let (_, report) = place.try_open(place.options()).unwrap();
    assert!(report.abandoned.is_empty(), "only once");
}

#[test]
fn a_second_process_is_refused_while_the_first_has_the_log() {
    let place = Place::new();
    let log = place.open();
    assert_eq!(place.try_open(place.options()).err(), Some(OpenError::Locked(place.path())));
    drop(log);
    assert!(place.try_open(place.options()).is_ok());
}

#[test]
fn the_key_is_private_and_belongs_to_its_log() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let first = place.open().verifier_key().to_string();
    assert_eq!(place.open().verifier_key().to_string(), first, "the same key again");
    let key = place.path().join("key");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(VerifierKey::parse(&first).unwrap().to_string(), first);

    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(place.try_open(place.options()), Err(OpenError::Key(..))));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let other = Options { origin: "another.example.com".into(), ..place.options() };
    assert!(matches!(place.try_open(other), Err(OpenError::Key(..))));
    for origin in ["", "two words", "a+b", "line\nbreak"] {
        assert!(matches!(
            place.try_open(Options { origin: origin.into(), ..place.options() }),
            Err(OpenError::BadOrigin(_))
        ));
    }
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(place.try_open(place.options()), Err(OpenError::Key(..))), "a log with records gets no new key");
}

/// Whoever can write to the folder can put another key or control socket there.
#[test]
fn a_folder_that_others_can_write_to_is_refused() {
    use std::os::unix::fs::{PermissionsExt, chown};
    let place = Place::new();
    drop(place.open());
    for folder in [place.path(), place.path().join("journal"), place.path().join("tile")] {
        let with_mode = |mode| std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o777, 0o770, 0o1777, 0o702] {
            with_mode(mode);
            assert_eq!(place.try_open(place.options()).err(), Some(OpenError::Folder(folder.clone())), "{mode:o}");
        }
        for mode in [0o755, 0o700] {
            with_mode(mode);
            assert!(place.try_open(place.options()).is_ok(), "{mode:o}");
        }
        if rustix::process::geteuid().is_root() {
            chown(&folder, Some(65_534), None).unwrap();
            assert_eq!(place.try_open(place.options()).err(), Some(OpenError::Folder(folder.clone())), "another's");
            chown(&folder, Some(0), None).unwrap();
        } else {
            println!("skipped: only root can give a folder away");
        }
    }
    assert!(OpenError::Folder(place.path()).to_string().contains("chmod 700"));
    drop(place.open());
}

#[test]
fn hostile_text_stays_one_well_formed_record() {
    let place = Place::new();
    let log = place.open();
    let texts = [
        "line\nbreak\r\n",
        "nul\0byte",
        "\u{1b}[31mred\u{1b}[0m",
        "— forged signature",
        "{\"kind\":\"outcome\"}",
        "\u{202e}reversed",
    ];
    let bad_utf8 = String::from_utf8_lossy(b"bad \xff\xfe utf-8").into_owned();
    let long = "A".repeat(10 * 1024 * 1024);
    let mut entries = Vec::new();
    for text in texts.iter().copied().chain([bad_utf8.as_str(), long.as_str()]) {
        let entry = fresh();
        let hostile = Leaf {
            service: Some(text.into()),
            request_id: Some(text.into()),
            tables: vec![text.into(); 3],
            ..Leaf::new(Kind::Refused, entry, 0, NOW)
        };
        let personal = Personal::none().with(Field::Address, text);
        log.append(vec![Draft::with_personal(hostile, log.day_key(), personal)]).wait().unwrap();
        entries.push((entry, text));
    }
    drop(log);
    let found = place.verify();
    assert!(found.ok(), "{:?}", found.findings);
    assert_eq!(found.kinds.get("refused"), Some(&8));
    for (entry, text) in entries {
        let records = place.reader().entry(entry).unwrap();
        assert_eq!(records.len(), 1);
        let service = records[0].leaf.service.as_deref().unwrap();
        assert!(service == text || service.ends_with("…[10485760 bytes]"), "{service:?}");
    }
}

#[test]
fn missing_or_changed_tiles_are_rebuilt_at_the_next_start() {
    let place = Place::new();
    let log = place.open();
    for _ in 0..260 {
        append_whole(&log).unwrap();
    }
    drop(log);
    let tile = place.path().join("tile/0/000");
    let good = std::fs::read(&tile).unwrap();
    std::fs::remove_dir_all(place.path().join("tile/entries")).unwrap();
    let found = place.verify();
    assert!(found.ok() && !found.findings.is_empty(), "missing tiles are noticed: {:?}", found.findings);
    std::fs::write(&tile, vec![0; good.len()]).unwrap();
    assert!(!place.verify().ok(), "changed ones fail");
    place.forget_place();
    drop(place.open());
    assert_eq!(std::fs::read(&tile).unwrap(), good);
    let found = place.verify();
    assert!(found.findings.is_empty(), "{:?}", found.findings);
}

#[test]
fn the_independent_verifier_agrees() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/verify_audit.py");
    let place = Place::new();
    let outside = place.folder.path().join("outside");
    let options = Options { sinks: vec![Box::new(FileSink(outside.clone()))], ..place.options() };
    let (log, _) = place.try_open(options).unwrap();
    for _ in 0..600 {
        append_whole(&log).unwrap();
    }
    let key = log.verifier_key().to_string();
    drop(log);
    let run = |folder: &std::path::Path| {
        let mut command = std::process::Command::new("python3");
        command.arg(&script).arg(folder).args(["--key", &key, "--checkpoint"]).arg(&outside);
        command.output().map(|output| (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
    };
    let Ok((code, out)) = run(&place.path()) else {
        println!("skipped: there is no python3");
        return;
    };
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("601 records") && out.contains("2 outside"), "{out}");

    for (file, at) in [("tile/entries/001", 100), ("tile/0/001", 3), ("tile/1/000.p/2", 3), ("checkpoint", 30)] {
        let copy = place.folder.path().join("copy");
        copy_folder(&place.path(), &copy);
        let mut bytes = std::fs::read(copy.join(file)).unwrap();
        bytes[at] ^= 1;
        std::fs::write(copy.join(file), bytes).unwrap();
        let (code, out) = run(&copy).unwrap();
        assert_eq!(code, Some(1), "{file}: {out}");
        std::fs::remove_dir_all(copy).unwrap();
    }
    let yesterday = place.folder.path().join("yesterday");
    copy_folder(&place.path(), &yesterday);
    let options = Options { sinks: vec![Box::new(FileSink(outside.clone()))], ..place.options() };
    drop(place.try_open(options).unwrap());
    assert_eq!(run(&place.path()).unwrap().0, Some(0));
    let (code, out) = run(&yesterday).unwrap();
    assert!(code == Some(1) && out.contains("cut tail"), "{out}");
}

#[test]
fn a_start_reads_on_from_the_last_checkpoint_and_knows_what_was_open_there() {
    let place = Place::new();
    let log = place.open();
    let (old, new, done) = (fresh(), fresh(), fresh());
    log.append(vec![Draft::new(leaf(Kind::Intent, old, 0)), Draft::new(leaf(Kind::Progress, old, 1))]).wait().unwrap();
    log.append(vec![Draft::new(leaf(Kind::Intent, done, 0))]).wait().unwrap();
    for _ in 0..1_500 {
        append_whole(&log).unwrap();
    }
    let head = block_on(log.checkpoint()).unwrap();
    log.append(vec![Draft::new(leaf(Kind::Intent, new, 0))]).wait().unwrap();
    log.append(vec![Draft::new(leaf(Kind::Outcome, done, 1))]).wait().unwrap();
    // As a kill would leave it: without the checkpoint that closing makes.
    let killed = place.folder.path().join("killed");
    copy_folder(&place.path(), &killed);
    drop(log);
    std::fs::remove_dir_all(place.path()).unwrap();
    copy_folder(&killed, &place.path());

    let (log, report) = place.try_open(place.options()).unwrap();
    assert_eq!((report.read_from, report.size), (head.size, head.size + 2));
    let mut abandoned = report.abandoned;
    abandoned.sort_unstable();
    let mut expected = [old, new];
    expected.sort_unstable();
    assert_eq!(abandoned, expected);
    drop(log);
    let found = place.verify();
    assert!(found.ok() && found.findings.is_empty(), "{:?}", found.findings);

    // What only looks like the place is not gone on from.
    for file in ["resume", "tile/0/005.p/224", "tile/entries/005.p/224"] {
        let bytes = std::fs::read(killed.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            std::fs::remove_dir_all(place.path()).unwrap();
            copy_folder(&killed, &place.path());
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            std::fs::write(place.path().join(file), changed).unwrap();
            let (log, report) = place.try_open(place.options()).unwrap();
            assert_eq!((report.read_from, report.abandoned.len()), (0, 2), "{file} {at}");
            drop(log);
            assert!(place.verify().findings.is_empty());
        }
    }
}

#[test]
fn a_log_can_be_opened_used_and_dropped_where_futures_run() {
    let place = Place::new();
    block_on(async {
        let log = place.open();
        let entry = fresh();
        log.append(vec![Draft::new(leaf(Kind::Intent, entry, 0))]).await.unwrap();
        drop(log);
        // With an intent to abandon.
        let log = place.open();
        let who = log.who(&alice()).await.unwrap();
        assert!(who.at.index > 0);
    });
    assert!(place.verify().ok());
}

#[test]
fn whoever_drops_a_pending_record_has_written_it_all_the_same() {
    let place = Place::new();
    let log = place.open();
    let (dropped, submitted) = (fresh(), fresh());
    drop(log.append(vec![Draft::new(leaf(Kind::Whole, dropped, 0))]));
    log.submit(vec![Draft::new(leaf(Kind::Refused, submitted, 0))]);
    append_whole(&log).unwrap();
    assert_eq!(place.reader().entry(dropped).unwrap().len(), 1);
    assert_eq!(place.reader().entry(submitted).unwrap().len(), 1);
}
