//! Tests of the store.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use asuser_audit_log::{KeyStore, SubjectRef};
use asuser_core::PrincipalKey;

use crate::{Store, StoreError};

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    (folder, path)
}

fn principal(name: &str) -> PrincipalKey {
    PrincipalKey { issuer: "https://issuer.example.com".into(), subject: name.into() }
}

/// Whether the store's files hold these bytes anywhere.
fn holds(path: &Path, bytes: &[u8]) -> bool {
    ["", "-wal", "-shm", "-journal"].iter().any(|ending| {
        let file = PathBuf::from(format!("{}{ending}", path.display()));
        std::fs::read(file).is_ok_and(|found| found.windows(bytes.len()).any(|window| window == bytes))
    })
}

#[test]
fn a_subject_is_made_once_and_outlives_the_process() {
    let (_folder, path) = folder();
    let store = Store::open(&path).unwrap();
    let alice = store.subject_key(&principal("alice")).unwrap();
    let bob = store.subject_key(&principal("bob")).unwrap();
    let day = store.day_key(20_000).unwrap();
    assert!(alice.id() != bob.id() && alice.expose() != bob.expose() && day.id() != alice.id());
    assert_eq!(store.subject_key(&principal("alice")).unwrap().id(), alice.id());
    drop(store);

    let store = Store::open(&path).unwrap();
    let again = store.subject_key(&principal("alice")).unwrap();
    assert_eq!((again.id(), again.expose()), (alice.id(), alice.expose()));
    assert_eq!(store.day_key(20_000).unwrap().id(), day.id());
    assert_eq!(store.key(bob.id()).unwrap().unwrap().expose(), bob.expose());
    assert_eq!(store.find(&principal("bob")).unwrap(), Some(bob.id()));
    assert_eq!(store.find_day(20_000).unwrap(), Some(day.id()));
    assert_eq!(store.find(&principal("carol")).unwrap(), None);
    assert_eq!(store.find_day(20_001).unwrap(), None);
    assert!(store.key(SubjectRef([0; 16])).unwrap().is_none());
}

#[test]
fn issuer_and_subject_are_the_key_exactly_as_written() {
    let (_folder, path) = folder();
    let store = Store::open(&path).unwrap();
    let keys = [("a", "b"), ("a", "B"), ("a/", "b"), ("ab", ""), ("", "ab"), ("a", "b ")];
    let ids: std::collections::HashSet<_> = keys
        .iter()
        .map(|(issuer, subject)| {
            let key = PrincipalKey { issuer: (*issuer).into(), subject: (*subject).into() };
            store.subject_key(&key).unwrap().id()
        })
        .collect();
    assert_eq!(ids.len(), keys.len());
}

#[test]
fn a_key_is_committed_before_it_is_given_out() {
    let (_folder, path) = folder();
    let store = Store::open(&path).unwrap();
    let key = store.subject_key(&principal("alice")).unwrap();
    // What another connection sees is committed.
    let other = Store::open_read_only(&path).unwrap();
    assert_eq!(other.key(key.id()).unwrap().unwrap().expose(), key.expose());
}

#[test]
fn an_erased_subject_is_in_none_of_the_files() {
    let (_folder, path) = folder();
    let store = Store::open(&path).unwrap();
    for at in 0..200 {
        store.subject_key(&principal(&format!("somebody-{at}"))).unwrap();
    }
    let subject = principal("erase-me-please");
    let key = store.subject_key(&subject).unwrap();
    assert!(holds(&path, key.expose()) && holds(&path, b"erase-me-please") && holds(&path, &key.id().0));

    store.erase(key.id()).unwrap();
    assert!(!holds(&path, key.expose()) && !holds(&path, b"erase-me-please") && !holds(&path, &key.id().0));
    assert!(store.key(key.id()).unwrap().is_none(), "not from the cache either");
    assert_eq!(store.find(&subject).unwrap(), None);
    assert!(holds(&path, b"somebody-7"), "others are there");
    store.erase(key.id()).unwrap();
    assert_ne!(store.subject_key(&subject).unwrap().id(), key.id(), "who comes back is new");
}

#[test]
fn an_erasure_does_not_count_while_another_process_can_still_read_the_old_pages() {
    let (_folder, path) = folder();
    let store = Store::open(&path).unwrap();
    let key = store.subject_key(&principal("alice")).unwrap();
    let reader = rusqlite::Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM subject;").unwrap();
    store.set_busy_ms(1);
    assert!(store.erase(key.id()).is_err());
    reader.execute_batch("COMMIT").unwrap();
    store.erase(key.id()).unwrap();
    assert!(!holds(&path, key.expose()));
}

#[test]
fn the_files_are_private_and_a_readable_one_is_refused() {
    let (_folder, path) = folder();
    let store = Store::open(&path).unwrap();
    store.subject_key(&principal("alice")).unwrap();
    for ending in ["", "-wal"] {
        let file = PathBuf::from(format!("{}{ending}", path.display()));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{ending}");
    }
    drop(store);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Permissions(_))));
}

#[test]
fn another_version_and_another_database_are_refused() {
    let (_folder, path) = folder();
    drop(Store::open(&path).unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute("UPDATE schema SET version = 2", []).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Version(2))));
    assert!(matches!(Store::open_read_only(&path), Err(StoreError::Version(2))));
    connection.execute("UPDATE schema SET version = 1", []).unwrap();
    assert!(Store::open(&path).is_ok());
    connection.execute_batch("DROP TABLE schema").unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Foreign)));

    let (_folder, path) = folder();
    assert!(Store::open_read_only(&path).is_err(), "reading makes no file");
    assert!(!path.exists());
}

#[test]
fn many_threads_agree_on_who_is_who() {
    let (_folder, path) = folder();
    let store = Arc::new(Store::open(&path).unwrap());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || store.subject_key(&principal("alice")).unwrap().id())
        })
        .collect();
    let ids: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
}
