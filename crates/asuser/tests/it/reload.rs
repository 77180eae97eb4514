//! Reload (FA-02): all or nothing, under load, and never an answer under no policy.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::site::{POLICY, Site, get};

#[test]
fn a_reload_takes_effect_or_changes_nothing() {
    let mut site = Site::new().started();
    let ids = |site: &Site| site.ask("alice", "orders", &[("order", "id")]).ids();
    assert_eq!(ids(&site), [1, 3]);

    for broken in ["permit (", "permit (principal, action, resource) when { resource.nope == 1 };", "\u{0}"] {
        site.write("policies/db/rows.cedar", broken);
        site.signal("HUP");
        let line = site.wait_for_log("not reloaded");
        assert!(line.contains("rows.cedar"), "{line}");
        assert_eq!(ids(&site), [1, 3], "the old policy stays: {broken}");
    }

    site.write("policies/db/rows.cedar", &format!("{POLICY}\nforbid (principal, action == Action::\"read\", resource is db::orders) when {{ resource.amount > 200 }};"));
    site.signal("HUP");
    site.wait_for_log("in force");
    assert_eq!(ids(&site), [1], "the new policy is in force");

    // A file that is gone or empty is half of an edit: what it forbade or masked would be open.
    for (name, lose) in
        [("policies/db/rows.cedar", true), ("policies/db/rows.cedar", false), ("policies/db/masks.toml", true)]
    {
        let text = std::fs::read_to_string(site.path(name)).unwrap();
        if lose {
            std::fs::remove_file(site.path(name)).unwrap()
        } else {
            site.write(name, "\n")
        }
        site.signal("HUP");
        let line = site.wait_for_log("not reloaded");
        assert!(line.contains(name), "{line}");
        assert_eq!(ids(&site), [1]);
        assert!(!site.ask("alice", "orders", &[]).text.contains("ada@one"), "masks stay");
        site.write(name, &text);
    }
    // Said on purpose, it is a policy: nothing is permitted any more.
    site.write("policies/db/rows.cedar", "// nobody, for now\n");
    site.signal("HUP");
    site.wait_for_log("in force");
    assert_eq!(site.ask("alice", "orders", &[]).status, 404);

    site.write("asuser.toml", "[server]\nlisten_ = 1\n");
    site.signal("HUP");
    site.wait_for_log("not reloaded");
    assert_eq!(site.ask("alice", "orders", &[]).status, 404);
}

/// A key that is removed from the provider's file vouches for nobody after the reload, verdict cache or not.
#[test]
fn a_removed_key_ends_its_tokens() {
    let mut site = Site::new().started();
    let token = site.issuer.token_for("alice");
    assert_eq!(site.get("/whoami", &token).status, 200);
    let other = asuser_testkit::TestIssuer::new(crate::site::ISSUER, crate::site::AUDIENCE);
    site.write("keys.json", &other.jwks());
    site.signal("HUP");
    site.wait_for_log("in force");
    assert_eq!(site.get("/whoami", &token).status, 401);
    assert_eq!(site.get("/whoami", &other.token_for("alice")).status, 200);
}

#[test]
fn reloads_under_load_never_answer_without_a_policy() {
    let mut site = Site::new().started();
    let (stop, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    let address = site.address();
    let bearer = format!("Bearer {}", site.issuer.token_for("alice"));
    let strict = format!(
        "{POLICY}\nforbid (principal, action == Action::\"read\", resource is db::orders) when {{ resource.amount > 200 }};"
    );
    let reloads = if std::env::var_os("ASUSER_TEST_LONG").is_some() { 1000 } else { 100 };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let reply =
                        get(address, "/api/v2/db/_table/orders?order=id", &[("Authorization", &bearer)]).unwrap();
                    let ids = reply.ids();
                    assert!(ids == [1, 3] || ids == [1], "{ids:?}");
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for nth in 0..reloads {
            let text = match nth % 3 {
                0 => &*strict,
                1 => "permit (principal, action, resource) when",
                _ => POLICY,
            };
            // Half-written on purpose: no rename.
            site.write("policies/db/rows.cedar", text);
            site.signal("HUP");
            site.wait_for_log(if nth % 3 == 1 { "not reloaded" } else { "in force" });
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(answers.load(Ordering::Relaxed) > 0);
}
