//! A subject is erased: its personal parts cannot be read, every proof still holds, and nothing else passes for an erasure.

use std::sync::atomic::Ordering;

use super::support::*;
use crate::*;

/// A log in which Alice and Bob have one entry each.
fn two() -> (Place, Log, [asuser_core::AuditId; 2], SubjectRef) {
    let place = Place::new();
    let log = place.open();
    let alice = block_on(log.who(&alice())).unwrap();
    let bob = block_on(log.who(&principal("bob"))).unwrap();
    let entries = [append_personal(&log, &alice), append_personal(&log, &bob)];
    (place, log, entries, alice.key.id())
}

fn order() -> Leaf {
    Leaf::new(Kind::Erase, fresh(), 0, NOW)
}

#[test]
fn an_erased_subject_cannot_be_read_and_the_log_still_verifies() {
    let (place, log, [of_alice, of_bob], _) = two();
    let reader = place.reader();
    assert!(matches!(reader.entry(of_alice).unwrap()[0].personal, PersonalState::Open(_)));
    block_on(log.checkpoint()).unwrap();
    let before = place.checkpoint_note();
    let order = order();
    let entry = block_on(log.erase(Erasure::Principal(alice().key), order.clone())).unwrap();
    assert_eq!(entry, order.audit_id());
    assert!(log.known(&alice()).is_none(), "the cache has forgotten");
    let kinds: Vec<Kind> = place.reader().entry(entry).unwrap().iter().map(|record| record.leaf.kind).collect();
    assert_eq!(kinds, [Kind::Erase, Kind::Erased]);
    assert_eq!(reader.entry(of_alice).unwrap()[0].personal, PersonalState::Erased, "an old reader knows it too");
    assert!(matches!(reader.entry(of_bob).unwrap()[0].personal, PersonalState::Open(_)));
    block_on(log.checkpoint()).unwrap();
    assert!(place.reader().receipt(of_alice).unwrap().verify(log.verifier_key()).is_ok(), "the proof holds");

    let again = block_on(log.who(&alice())).unwrap();
    append_personal(&log, &again);
    drop(log);
    let found = place.verify_with(&[&before]);
    assert!(found.ok(), "{:?}", found.findings);
    assert_eq!((found.personal.erased, found.personal.open, found.outside), (2, 4, 1), "{:?}", found.personal);
}

#[test]
fn who_comes_back_is_a_new_subject() {
    let (_place, log, _, old) = two();
    block_on(log.erase(Erasure::Principal(alice().key), order())).unwrap();
    let again = block_on(log.who(&alice())).unwrap();
    assert_ne!(again.key.id(), old);
}

#[test]
fn nobody_can_be_erased_who_is_not_known() {
    let (_place, log, _, id) = two();
    let size = log.size();
    for unknown in [Erasure::Principal(principal("carol").key), Erasure::Subject(SubjectRef([0; 16])), Erasure::Day(1)]
    {
        assert_eq!(block_on(log.erase(unknown, order())), Err(LogError::NoSuchSubject));
    }
    assert_eq!(log.size(), size, "nothing was recorded");
    assert!(block_on(log.erase(Erasure::Subject(id), order())).is_ok());
    assert_eq!(block_on(log.erase(Erasure::Subject(id), order())), Err(LogError::NoSuchSubject));
}

#[test]
fn the_sources_of_a_day_can_be_erased_too() {
    let place = Place::new();
    let log = place.open();
    let entry = fresh();
    let source = Personal::none().with(Field::Address, "198.51.100.9");
    let refused = || leaf(Kind::Refused, entry, 0);
    log.append(vec![Draft::with_personal(refused(), log.day_key(), source.clone())]).wait().unwrap();
    let old = log.day_key().id();
    block_on(log.erase(Erasure::Day(NOW / 86_400_000), order())).unwrap();
    assert_ne!(log.day_key().id(), old, "the day goes on under another key");
    assert_eq!(place.reader().entry(entry).unwrap()[0].personal, PersonalState::Erased);
    log.append(vec![Draft::with_personal(Leaf { entry: [9; 16], ..refused() }, log.day_key(), source)]).wait().unwrap();
    drop(log);
    let found = place.verify();
    assert!(found.ok(), "{:?}", found.findings);
    assert_eq!((found.personal.erased, found.personal.open), (1, 1));
}

#[test]
fn the_day_key_turns_with_the_day() {
    let place = Place::new();
    let log = place.open();
    let today = log.day_key().id();
    place.clock.set(NOW + 86_400_000);
    block_on(log.checkpoint()).unwrap();
    assert_ne!(log.day_key().id(), today);
}

#[test]
fn an_erasure_that_the_store_refused_is_done_at_the_next_start() {
    let (place, log, [of_alice, _], _) = two();
    place.store.broken.store(true, Ordering::SeqCst);
    let order = order();
    let refused = block_on(log.erase(Erasure::Principal(alice().key), order.clone()));
    assert!(matches!(refused, Err(LogError::Keys(_))));
    drop(log);
    assert!(matches!(place.try_open(place.options()), Err(OpenError::Keys(_))), "not ready before it is done");
    place.store.broken.store(false, Ordering::SeqCst);
    let (log, report) = place.try_open(place.options()).unwrap();
    assert_eq!(report.erased_again, [order.audit_id()]);
    assert!(report.abandoned.is_empty());
    assert_eq!(place.reader().entry(of_alice).unwrap()[0].personal, PersonalState::Erased);
    drop(log);
    assert!(place.verify().ok());
}

#[test]
fn a_key_that_is_gone_without_an_erase_record_is_missing() {
    let (place, log, entries, id) = two();
    drop(log);
    place.store.lose(id);
    let found = place.verify();
    assert!(!found.ok());
    assert_eq!(found.personal.missing, 2, "Alice's `who` and her entry");
    let named = found.findings.iter().any(|finding| finding.index == Some(1) && finding.what.contains("missing"));
    assert!(named, "{:?}", found.findings);
    assert_eq!(place.reader().entry(entries[0]).unwrap()[0].personal, PersonalState::Missing);
}

#[test]
fn a_restored_store_is_noticed() {
    let (place, log, _, _) = two();
    let key = std::sync::Arc::clone(&log.known(&alice()).unwrap().key);
    block_on(log.erase(Erasure::Principal(alice().key), order())).unwrap();
    drop(log);
    place.store.put_back(&key);
    let found = place.verify();
    assert!(found.ok());
    assert!(found.findings.iter().any(|finding| finding.what.contains("backup")), "{:?}", found.findings);
}
