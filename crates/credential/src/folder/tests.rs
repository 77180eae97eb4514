use std::os::unix::fs::PermissionsExt as _;

use asuser_core::{Clock as _, SystemClock};
use tempfile::TempDir;

use super::*;

const TEN_MINUTES_MS: i64 = 600_000;

fn now_ms() -> i64 {
    SystemClock.now_ms()
}

/// A folder of a folder, so that `init` makes it.
fn place() -> (TempDir, AuthorityFolder) {
    let outer = tempfile::tempdir().unwrap();
    let folder = AuthorityFolder::new(outer.path().join("asuser-ca"));
    (outer, folder)
}

fn own() -> (TempDir, AuthorityFolder) {
    let (outer, folder) = place();
    folder.init(Kind::Own, "asuser", 5, now_ms()).unwrap();
    (outer, folder)
}

fn mode(folder: &AuthorityFolder, name: &str) -> u32 {
    fs::metadata(folder.0.join(name)).unwrap().mode() & 0o7777
}

fn names(folder: &AuthorityFolder) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn serials(folder: &AuthorityFolder) -> Vec<String> {
    folder.bundle().unwrap().iter().map(|trusted| Facts::of(trusted).unwrap().serial).collect()
}

#[test]
fn init_makes_an_authority_that_opens() {
    let (_outer, folder) = own();
    let authority = folder.open(now_ms()).unwrap();
    assert!(authority.mint("ann", now_ms(), 60).is_ok());
    assert_eq!(names(&folder), ["ca-bundle.crt", "ca.crt", "ca.key"]);
    assert_eq!((mode(&folder, ""), mode(&folder, KEY), mode(&folder, CERTIFICATE)), (0o700, 0o600, 0o644));
    assert_eq!(folder.read(CERTIFICATE).unwrap(), folder.read(BUNDLE).unwrap());
}

#[test]
fn nothing_is_overwritten() {
    let (_outer, folder) = own();
    let before = folder.read(KEY).unwrap();
    assert!(matches!(folder.init(Kind::Own, "x", 1, now_ms()), Err(CredentialError::Exists(_))));
    assert_eq!(folder.read(KEY).unwrap(), before);
    for name in [CERTIFICATE, KEY, BUNDLE, "next.key", "old.crt"] {
        let (_outer, folder) = place();
        fs::create_dir(&folder.0).unwrap();
        fs::write(folder.0.join(name), "mine").unwrap();
        assert!(matches!(folder.init(Kind::Own, "x", 1, now_ms()), Err(CredentialError::Exists(_))));
        assert_eq!(names(&folder), [name]);
    }
    // Nor a name that appears between the look and the writing, nor a link to elsewhere.
    let (outer, folder) = own();
    let elsewhere = outer.path().join("elsewhere");
    std::os::unix::fs::symlink(&elsewhere, folder.0.join("x")).unwrap();
    assert!(matches!(folder.write_new("x", "text", 0o600), Err(CredentialError::Exists(_))));
    assert!(!elsewhere.exists() && !names(&folder).iter().any(|name| name.contains(".new")));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let (_outer, folder) = own();
    let path = folder.0.join(KEY);
    for loose in [0o640, 0o604, 0o660, 0o601] {
        fs::set_permissions(&path, fs::Permissions::from_mode(loose)).unwrap();
        assert!(matches!(folder.open(now_ms()), Err(CredentialError::Loose { .. })), "{loose:o}");
        assert!(matches!(folder.kept().unwrap()[0].key, KeyState::Refused(CredentialError::Loose { .. })));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(folder.open(now_ms()).is_ok());
    assert!(matches!(folder.kept().unwrap()[0].key, KeyState::Fine));
    fs::remove_file(&path).unwrap();
    assert!(matches!(folder.open(now_ms()), Err(CredentialError::File { .. })));
    assert!(matches!(folder.kept().unwrap()[0].key, KeyState::Absent));
}

#[test]
fn a_folder_that_others_can_write_to_is_refused() {
    let (_outer, folder) = own();
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o770)).unwrap();
    assert!(matches!(folder.open(now_ms()), Err(CredentialError::LooseFolder(_))));
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(folder.open(now_ms()).is_ok());
}

#[test]
fn what_is_no_file_of_ours_is_refused() {
    let (_outer, folder) = own();
    fs::remove_file(folder.0.join(CERTIFICATE)).unwrap();
    fs::create_dir(folder.0.join(CERTIFICATE)).unwrap();
    assert!(matches!(folder.open(now_ms()), Err(CredentialError::NotAFile(_))));
    let (_outer, folder) = own();
    fs::write(folder.0.join(CERTIFICATE), vec![b'-'; 65 * 1024]).unwrap();
    assert!(matches!(folder.open(now_ms()), Err(CredentialError::NotAFile(_))));
}

#[test]
fn one_command_at_a_time() {
    let (_outer, folder) = own();
    let held = folder.lock().unwrap();
    assert!(matches!(folder.prepare(None, None, 1, now_ms()), Err(CredentialError::Busy(_))));
    drop(held);
    assert!(folder.prepare(None, None, 1, now_ms()).is_ok());
}

#[test]
fn a_rotation_trusts_both_until_the_old_is_over() {
    let (_outer, folder) = own();
    let old = folder.open(now_ms()).unwrap();
    folder.prepare(None, None, 5, now_ms()).unwrap();
    // Until it is activated the old one mints.
    assert_eq!(folder.open(now_ms()).unwrap().facts(), old.facts());
    let next = folder.kept().unwrap().remove(1);
    assert_eq!((next.file, next.facts.common_name.as_deref()), ("next.crt", Some("asuser")));
    assert_eq!(serials(&folder), [next.facts.serial.clone(), old.facts().serial.clone()]);
    assert!(matches!(folder.prepare(None, None, 5, now_ms()), Err(CredentialError::Rotation(_))));
    assert!(matches!(folder.finish(now_ms() + TEN_MINUTES_MS * 2), Err(CredentialError::Rotation(_))));

    folder.activate(now_ms()).unwrap();
    assert_eq!(folder.open(now_ms()).unwrap().facts(), &next.facts);
    assert_eq!(names(&folder), ["ca-bundle.crt", "ca.crt", "ca.key", "old.crt", "old.key"]);
    assert_eq!(mode(&folder, KEY), 0o600);
    assert!(matches!(folder.activate(now_ms()), Err(CredentialError::Rotation(_))));
    assert!(matches!(folder.prepare(None, None, 5, now_ms()), Err(CredentialError::Rotation(_))));

    // Its certificates may still be in force.
    assert!(matches!(folder.finish(now_ms()), Err(CredentialError::Rotation(_))));
    assert_eq!(serials(&folder).len(), 2);
    folder.finish(now_ms() + TEN_MINUTES_MS + 2000).unwrap();
    assert_eq!(serials(&folder), [next.facts.serial]);
    assert_eq!(names(&folder), ["ca-bundle.crt", "ca.crt", "ca.key"]);
    assert!(matches!(folder.finish(now_ms()), Err(CredentialError::Rotation(_))));
    // And once more.
    folder.prepare(None, Some("second"), 5, now_ms()).unwrap();
}

#[test]
fn an_interrupted_activation_goes_on() {
    let steps = [(KEY, OLD.1), (CERTIFICATE, OLD.0), (NEXT.0, CERTIFICATE), (NEXT.1, KEY)];
    for done in 0..steps.len() {
        let (_outer, folder) = own();
        folder.prepare(None, None, 5, now_ms()).unwrap();
        let next = folder.kept().unwrap().remove(1).facts;
        for (from, to) in &steps[..done] {
            folder.rename(from, to).unwrap();
        }
        folder.activate(now_ms()).unwrap();
        assert_eq!(folder.open(now_ms()).unwrap().facts(), &next, "after {done} steps");
        assert_eq!(names(&folder), ["ca-bundle.crt", "ca.crt", "ca.key", "old.crt", "old.key"]);
    }
}

#[test]
fn an_interrupted_preparation_begins_anew() {
    // The key is written last, so that a certificate without it is no rotation.
    let (_outer, folder) = own();
    folder.prepare(None, None, 5, now_ms()).unwrap();
    fs::remove_file(folder.0.join(NEXT.1)).unwrap();
    assert!(matches!(folder.activate(now_ms()), Err(CredentialError::Rotation(_))));
    assert!(folder.open(now_ms()).is_ok());
    folder.prepare(None, None, 5, now_ms()).unwrap();
    folder.activate(now_ms()).unwrap();
    folder.finish(now_ms() + TEN_MINUTES_MS + 2000).unwrap();
    assert_eq!(serials(&folder), [folder.open(now_ms()).unwrap().facts().serial.clone()]);
}

#[test]
fn a_node_under_an_offline_root_moves_to_the_next_root() {
    let (_one, root) = place();
    root.init(Kind::OfflineRoot, "root", 10, now_ms()).unwrap();
    let (_two, node) = place();
    node.init(Kind::Under(&root), "node-1", 1, now_ms()).unwrap();
    assert_eq!(serials(&node), serials(&root));
    assert!(node.open(now_ms()).unwrap().mint("ann", now_ms(), 60).is_ok());
    assert!(matches!(root.open(now_ms()), Err(CredentialError::SignsAuthorities)));
    assert!(matches!(root.prepare(None, None, 1, now_ms()), Err(CredentialError::Rotation(_))));
    assert!(matches!(node.prepare(None, None, 1, now_ms()), Err(CredentialError::Rotation(_))));

    // Under the same root nothing changes for the database.
    node.prepare(Some(&root), None, 1, now_ms()).unwrap();
    assert_eq!(serials(&node), serials(&root));
    node.activate(now_ms()).unwrap();
    node.finish(now_ms() + TEN_MINUTES_MS + 2000).unwrap();
    assert_eq!(serials(&node), serials(&root));

    let (_three, newer) = place();
    newer.init(Kind::OfflineRoot, "root", 10, now_ms()).unwrap();
    node.prepare(Some(&newer), None, 1, now_ms()).unwrap();
    assert_eq!(serials(&node), [serials(&newer), serials(&root)].concat());
    node.activate(now_ms()).unwrap();
    node.finish(now_ms() + TEN_MINUTES_MS + 2000).unwrap();
    assert_eq!(serials(&node), serials(&newer));
}

#[test]
fn an_offline_root_whose_key_others_can_read_signs_nothing() {
    let (_one, root) = place();
    root.init(Kind::OfflineRoot, "root", 10, now_ms()).unwrap();
    fs::set_permissions(root.0.join(KEY), fs::Permissions::from_mode(0o644)).unwrap();
    let (_two, node) = place();
    assert!(matches!(node.init(Kind::Under(&root), "node-1", 1, now_ms()), Err(CredentialError::Loose { .. })));
    assert!(!node.0.exists());
}
