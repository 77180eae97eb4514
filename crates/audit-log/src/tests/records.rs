//! Leaves, personal parts and frames by themselves.

use asuser_core::{Assurance, AuditId, Digest};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::support::*;
use crate::frame::{FRAME_MAX, HEADER, Header, Step, push_frame, step};
use crate::personal::{PERSONAL_MAX, Salted, open};
use crate::*;

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn actor() -> impl Strategy<Value = LeafActor> {
    let assurance = prop_oneof![Just(Assurance::None), Just(Assurance::Credential), Just(Assurance::Token)];
    (any::<String>(), assurance, vec(any::<String>(), 0..4)).prop_map(|(id, assurance, chain)| LeafActor {
        id,
        assurance,
        chain,
    })
}

prop_compose! {
    fn names()(tables in vec(".{0,20}", 0..4), columns in vec(".{0,20}", 0..6), used in vec(".{0,20}", 0..4), masks in vec((".{0,9}", ".{0,9}"), 0..4))
        -> (Vec<String>, Vec<String>, Vec<String>, Vec<MaskedColumn>)
    {
        (tables, columns, used, masks.into_iter().map(|(column, mask)| MaskedColumn { column, mask }).collect())
    }
}

prop_compose! {
    fn any_leaf()(
        (kind, entry, n, t_ms) in (0..Kind::ALL.len(), any::<[u8; 16]>(), any::<u32>(), any::<i64>()),
        (policy, catalogue, config, statement, body) in
            (option::of(digest()), option::of(digest()), option::of(digest()), option::of(digest()), option::of(digest())),
        (service, action, route, reason) in
            (option::of(any::<String>()), option::of(any::<String>()), option::of(any::<String>()), option::of(any::<String>())),
        (run_as, request_id, note) in (option::of(any::<String>()), option::of(any::<String>()), option::of(any::<String>())),
        (tables, columns, used, masks) in names(),
        actor in option::of(actor()),
        (status, rows, bytes, count) in
            (option::of(any::<u16>()), option::of(any::<u64>()), option::of(any::<u64>()), option::of(any::<u64>())),
        who in option::of((any::<u64>(), digest())),
        subject in option::of(any::<[u8; 16]>()),
        commitments in proptest::collection::btree_map(0..Field::ALL.len(), digest(), 0..7),
        window in option::of((any::<i64>(), any::<i64>())),
    ) -> Leaf {
        Leaf {
            kind: Kind::ALL[kind], entry, n, t_ms, policy, catalogue, config, service, action, route, tables, columns,
            used, masks, statement, actor, reason, status, rows, bytes, body,
            who: who.map(|(index, hash)| WhoRef { index, hash }),
            subject: subject.map(SubjectRef),
            commitments: commitments.into_iter().map(|(field, hash)| (Field::ALL[field], hash)).collect(),
            run_as, request_id, count,
            window: window.map(|(from_ms, to_ms)| Window { from_ms, to_ms }),
            note,
        }
    }
}

proptest! {
    #[test]
    fn a_leaf_reads_back_as_it_was(leaf in any_leaf()) {
        let bytes = leaf.encode().unwrap();
        prop_assert_eq!(Leaf::decode(&bytes), Ok(leaf));
    }

    #[test]
    fn no_other_bytes_read_as_the_same_leaf(leaf in any_leaf(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let bytes = leaf.encode().unwrap();
        let mut other = bytes.clone();
        other[at.index(bytes.len())] ^= 1 << bit;
        if let Ok(found) = Leaf::decode(&other) {
            prop_assert_ne!(found, leaf);
        }
    }

    #[test]
    fn any_bytes_are_a_leaf_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        if let Ok(leaf) = Leaf::decode(&bytes) {
            prop_assert_eq!(leaf.encode().unwrap(), bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_fitted_leaf_always_fits(
        letter in prop_oneof![Just("a"), Just("ü"), Just("漢"), Just("\0")], texts in vec(0..600_usize, 8),
        lists in vec(vec(0..300_usize, 0..200), 4), masks in vec(0..300_usize, 0..300),
    ) {
        let text = |length: &usize| letter.repeat(*length);
        let list = |at: usize| lists[at].iter().map(text).collect::<Vec<_>>();
        let mut leaf = full_leaf(|at| text(&texts[at]));
        [leaf.tables, leaf.columns, leaf.used] = [list(0), list(1), list(3)];
        leaf.actor.as_mut().unwrap().chain = list(2);
        leaf.masks = masks.iter().map(|length| MaskedColumn { mask: text(length), column: text(length) }).collect();
        let bytes = leaf.fitted().encode().unwrap();
        prop_assert!(bytes.len() <= LEAF_MAX);
        prop_assert!(Leaf::decode(&bytes).is_ok());
    }
}

/// Every field set, texts as given.
fn full_leaf(text: impl Fn(usize) -> String) -> Leaf {
    let hash = Some(Digest([0xff; 32]));
    Leaf {
        kind: Kind::Outcome,
        entry: [0xff; 16],
        n: u32::MAX,
        t_ms: i64::MAX,
        policy: hash,
        catalogue: hash,
        config: hash,
        statement: hash,
        body: hash,
        service: Some(text(0)),
        action: Some(text(1)),
        route: Some(text(2)),
        reason: Some(text(3)),
        run_as: Some(text(4)),
        request_id: Some(text(5)),
        note: Some(text(6)),
        tables: vec![text(0)],
        columns: vec![text(1)],
        used: vec![text(1)],
        masks: vec![MaskedColumn { column: text(2), mask: "full".into() }],
        actor: Some(LeafActor { id: text(7), assurance: Assurance::Token, chain: vec![text(7)] }),
        status: Some(u16::MAX),
        rows: Some(u64::MAX),
        bytes: Some(u64::MAX),
        count: Some(u64::MAX),
        who: Some(WhoRef { index: u64::MAX, hash: Digest([0xff; 32]) }),
        subject: Some(SubjectRef([0xff; 16])),
        commitments: Field::ALL.iter().map(|field| (*field, Digest([0xff; 32]))).collect(),
        window: Some(Window { from_ms: i64::MIN, to_ms: i64::MAX }),
    }
}

#[test]
fn ten_megabytes_in_every_field_still_fit_and_say_that_they_were_cut() {
    let long = "x".repeat(10 * 1024 * 1024);
    let leaf = full_leaf(|_| long.clone());
    assert!(matches!(leaf.encode(), Err(LeafError::TooLong(_))));
    let fitted = leaf.fitted();
    assert!(fitted.encode().unwrap().len() <= LEAF_MAX);
    assert!(fitted.route.unwrap().ends_with("…[10485760 bytes]"));
}

#[test]
fn only_the_deterministic_encoding_is_a_leaf() {
    let leaf = Leaf { rows: Some(3), ..leaf(Kind::Whole, AuditId::from_bytes([1; 16]), 0) };
    let good = leaf.encode().unwrap();
    assert_eq!(Leaf::decode(&good), Ok(leaf));

    let mut trailing = good.clone();
    trailing.push(0);
    let mut wide = good.clone();
    // The version, 1, in two bytes instead of one (RFC 8949 §4.2.1: shortest form).
    wide.splice(2..3, [0x18, 1]);
    let mut indefinite = good.clone();
    indefinite[0] = 0xbf;
    indefinite.push(0xff);
    let mut swapped = good.clone();
    swapped.splice(1..5, [1, 2, 0, 1]);
    let mut repeated = good.clone();
    repeated[0] += 1;
    repeated.extend([18, 18, 3]);
    for (what, bytes) in [
        ("trailing byte", trailing),
        ("wide integer", wide),
        ("indefinite map", indefinite),
        ("keys out of order", swapped),
        ("repeated key", repeated),
        ("nothing", Vec::new()),
        ("a claim of 2^32 fields", vec![0xba, 0xff, 0xff, 0xff, 0xff]),
        ("a list of 2^64 names", [&[0xa1, 11, 0x9b][..], &[0xff; 8]].concat()),
    ] {
        assert!(Leaf::decode(&bytes).is_err(), "{what}");
    }
}

#[test]
fn an_unknown_version_kind_or_field_is_refused() {
    let good = leaf(Kind::Whole, AuditId::from_bytes([1; 16]), 0).encode().unwrap();
    for (at, value, what) in [(2, 2, "version"), (4, 13, "kind"), (4, 0, "kind"), (3, 23, "field")] {
        let mut bytes = good.clone();
        bytes[at] = value;
        assert!(Leaf::decode(&bytes).is_err(), "{what}");
    }
}

fn facts() -> Personal {
    Personal::none().with(Field::Email, "alice@example.com").with(Field::Address, "192.0.2.7")
}

#[test]
fn a_personal_part_opens_under_its_key_and_leaf_and_nothing_else() {
    let (key, other) = (SubjectKey::random().unwrap(), SubjectKey::random().unwrap());
    let salted = Salted::new(facts()).unwrap();
    let commitments = salted.commitments();
    let sealed = salted.seal(&key, b"leaf").unwrap();
    assert_eq!(open(&sealed, &key, b"leaf", &commitments), Some(facts()));

    assert_eq!(open(&sealed, &key, b"another leaf", &commitments), None);
    assert_eq!(open(&sealed, &other, b"leaf", &commitments), None);
    let impostor = SubjectKey::new(key.id(), Zeroizing::new(*other.expose()));
    assert_eq!(open(&sealed, &impostor, b"leaf", &commitments), None);
    assert_eq!(open(&sealed, &key, b"leaf", &commitments[..1]), None);
    let others = Salted::new(facts()).unwrap().commitments();
    assert_eq!(open(&sealed, &key, b"leaf", &others), None, "the same values under other salts");
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(open(&changed, &key, b"leaf", &commitments), None, "byte {at}");
        assert_eq!(open(&sealed[..at], &key, b"leaf", &commitments), None, "cut at {at}");
    }
}

#[test]
fn a_commitment_has_its_documented_framing_and_hides_its_value() {
    use sha2::Digest as _;
    let salt = [7; 32];
    let expected: [u8; 32] =
        sha2::Sha256::digest([b"asuser/1\x05email".as_slice(), &salt, b"alice@example.com"].concat()).into();
    assert_eq!(commitment(Field::Email, &salt, "alice@example.com"), Digest(expected));
    assert_ne!(commitment(Field::Login, &salt, "alice@example.com"), Digest(expected));
    let (a, b) = (Salted::new(facts()).unwrap().commitments(), Salted::new(facts()).unwrap().commitments());
    assert_ne!(a, b, "the same value commits to something else each time");
}

#[test]
fn the_longest_personal_part_fits_a_frame() {
    let long = "ü".repeat(10_000);
    let personal = Field::ALL.iter().fold(Personal::none(), |personal, field| personal.with(*field, long.as_str()));
    assert!(personal.value(Field::Name).unwrap().len() <= VALUE_MAX);
    let sealed = Salted::new(personal).unwrap().seal(&SubjectKey::random().unwrap(), b"").unwrap();
    assert!(sealed.len() <= PERSONAL_MAX);
}

#[test]
fn keys_and_personal_values_do_not_print() {
    let key = std::sync::Arc::new(SubjectKey::random().unwrap());
    let printed = format!(
        "{key:?} {:?} {:?}",
        facts(),
        Draft::with_personal(Leaf::default(), std::sync::Arc::clone(&key), facts())
    );
    assert!(!printed.contains("alice") && !printed.contains("192.0.2.7"), "{printed}");
}

#[test]
fn a_frame_reads_back_and_belongs_to_its_segment_alone() {
    let (mut bytes, seed) = Header::new(ORIGIN, 0, empty_root()).encode();
    assert_eq!(bytes.len(), HEADER);
    push_frame(&mut bytes, seed, true, b"leaf one", b"personal");
    push_frame(&mut bytes, seed, false, b"leaf two", b"");
    bytes.resize(bytes.len() + 500, 0);
    let Step::Frame(one) = step(&bytes, seed, HEADER) else { panic!("no frame") };
    assert_eq!((one.first_of_commit, one.leaf, one.personal), (true, &b"leaf one"[..], &b"personal"[..]));
    let Step::Frame(two) = step(&bytes, seed, one.end) else { panic!("no frame") };
    assert_eq!((two.first_of_commit, two.leaf, two.personal), (false, &b"leaf two"[..], &b""[..]));
    assert_eq!(step(&bytes, seed, two.end), Step::End);

    let (_, elsewhere) = Header::new(ORIGIN, 1, empty_root()).encode();
    assert!(!matches!(step(&bytes, elsewhere, HEADER), Step::Frame(_)));
}

#[test]
fn torn_and_corrupt_are_told_apart_by_what_was_written_later() {
    let (header, seed) = Header::new(ORIGIN, 0, empty_root()).encode();
    let write = |commits: &[&[&str]]| {
        let mut bytes = header.clone();
        for commit in commits {
            for (at, text) in commit.iter().enumerate() {
                push_frame(&mut bytes, seed, at == 0, text.as_bytes(), b"");
            }
        }
        bytes.resize(bytes.len() + 100, 0);
        bytes[HEADER + 12] ^= 1;
        step(&bytes, seed, HEADER) == Step::Corrupt
    };
    assert!(!write(&[&["the last"]]));
    assert!(!write(&[&["the first of the last commit", "whose second part reached the disk"]]));
    assert!(write(&[&["a commit"], &["a later commit"]]));
    assert!(write(&[&["a commit", "of two"], &["a later commit"]]));
}

#[test]
fn frames_inside_a_callers_text_are_no_frames() {
    let (header, seed) = Header::new(ORIGIN, 0, empty_root()).encode();
    // Whoever sends the text knows the format, not the segment: no seed, or that of an empty log of the same name.
    let mut inner = Vec::new();
    push_frame(&mut inner, 0, true, b"forged", b"");
    let mut bytes = header;
    push_frame(&mut bytes, seed, true, &inner, b"");
    bytes[HEADER + 4] ^= 1;
    bytes.resize(bytes.len() + FRAME_MAX, 0);
    assert_eq!(step(&bytes, seed, HEADER), Step::Torn);
}
