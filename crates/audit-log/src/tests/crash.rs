//! A process is killed while it appends: whatever was answered is there, once.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::support::*;
use crate::*;

const FOLDER: &str = "ASUSER_TEST_CRASH_FOLDER";
const KILLS: u32 = 50;

fn options(folder: &std::path::Path) -> Options {
    Options {
        segment_bytes: 64 * 1024,
        reserve_bytes: 128 * 1024,
        checkpoint_leaves: 3,
        checkpoint_every_ms: 5,
        ..Options::new(folder, ORIGIN)
    }
}

/// Not a test of its own: the process that is killed. It prints the id of each entry after it is durable.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (log, _) =
        Log::open(options(folder.as_ref()), Arc::new(asuser_core::SystemClock), Arc::new(MemoryStore::default()))
            .unwrap();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let log = log.clone();
            std::thread::spawn(move || {
                loop {
                    let entry = fresh();
                    log.append(vec![Draft::new(leaf(Kind::Intent, entry, 0))]).wait().unwrap();
                    log.append(vec![Draft::new(leaf(Kind::Outcome, entry, 1))]).wait().unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "\nanswered {entry}").and_then(|()| out.flush()).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| drop(thread.join()));
}

#[test]
fn killed_at_any_moment_every_answered_entry_is_there_once() {
    let place = Place::new();
    let mut answered = Vec::new();
    let mut random = [0; KILLS as usize];
    getrandom::fill(&mut random).unwrap();
    for after in random {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::crash::child", "--nocapture", "--test-threads=1"])
            .env(FOLDER, place.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ids = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("answered ").map(str::to_owned));
        let mut ids = ids.peekable();
        // None, or some: in the first case it is killed while it opens.
        for _ in 0..u32::from(after % 24) {
            answered.push(ids.next().expect("the child answers until it is killed"));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it still had said when it was killed counts too.
        answered.extend(ids);
    }
    let (log, _) = Log::open(options(&place.path()), place.clock.clone(), Arc::new(MemoryStore::default())).unwrap();
    drop(log);
    let found = verify(&VerifyOptions {
        folder: place.path(),
        verifier: verifier_key(&place.path()).unwrap(),
        store: None,
        outside: vec![],
    });
    assert!(found.ok(), "{:?}", found.findings);
    assert!(found.open.is_empty(), "each intent has its outcome or was abandoned");
    let mut outcomes: HashMap<String, u32> = HashMap::new();
    place
        .reader()
        .records(0, |record| {
            if record.leaf.kind == Kind::Outcome {
                *outcomes.entry(record.leaf.audit_id().to_string()).or_default() += 1;
            }
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert!(answered.len() > 100, "{}", answered.len());
    for id in &answered {
        assert_eq!(outcomes.get(id), Some(&1), "{id}");
    }
}
