//! The protocol's official conformance suite, for both revisions that have a requirement set, against the real face, gateway and audit.
//!
//! The suite wants tools, prompts and resources of its own (`fixtures`), which a listener of this test registers beside asuser's, and
//! sends no credential, so a proxy adds one (`serving`). What is expected to fail stands in conformance/expected-*.yaml, each with its
//! reason: the suite fails on any other failure, and on an expected one that passes.

mod fixtures;
mod serving;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use self::serving::Serving;
use crate::clients::install;

const SUITE: &str = "node_modules/@modelcontextprotocol/conformance/dist/index.js";

#[test]
fn revision_2026_07_28() {
    conforms("2026-07-28");
}
#[test]
fn revision_2025_11_25() {
    conforms("2025-11-25");
}

fn conforms(revision: &str) {
    if !install::packages_are_there("the conformance suite") {
        return;
    }
    let serving = Serving::start();
    let expected = std::fs::read_to_string(expected(revision)).unwrap();
    let outcome = run(&serving, revision, &expected);
    assert_eq!(outcome.code, Some(0), "see above what the suite found");
    // That it said so of what it had looked at.
    let passed = outcome.summary.lines().filter(|line| line.contains("\u{2713} ") && !line.contains(" 0 passed"));
    assert!(passed.count() >= 20, "{}", outcome.summary);
    let entries = serving.stop();
    assert!(entries > 50, "each message has its entry in the audit log: {entries}");
}

/// A failure that nobody expected fails the suite, and so does a pass that nobody expected: the files above hide nothing.
#[test]
fn the_lists_of_expected_failures_are_exact() {
    if !install::packages_are_there("the conformance suite") {
        return;
    }
    let serving = Serving::start();
    let unexpected = run(&serving, "2025-11-25", "server: []\n");
    assert_eq!(unexpected.code, Some(1), "{}", unexpected.summary);
    let mut stale = std::fs::read_to_string(expected("2025-11-25")).unwrap();
    stale.push_str("  - ping\n");
    let stale = run(&serving, "2025-11-25", &stale);
    assert_eq!(stale.code, Some(1), "{}", stale.summary);
}

/// The fixtures take the way of everything else: nobody reads one without a token.
#[test]
fn fixtures_are_for_verified_callers() {
    let serving = Serving::start();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"test_simple_text"}}"#;
    let text = "This is a simple text response for testing.";
    let known = serving.post(serving.proxy, body);
    assert_eq!(known.json()["result"]["content"][0]["text"], text, "{known:?}");
    let unknown = serving.post(serving.server, body);
    assert_eq!((unknown.status, unknown.json()["error"]["data"]["reason"].clone()), (401, "ASU-201".into()));
    assert!(!unknown.text.contains(text));
}

/// How the suite ended.
struct Outcome {
    code: Option<i32>,
    summary: String,
}

#[expect(clippy::print_stdout, reason = "what the suite said of each scenario is these tests' outcome")]
fn run(serving: &Serving, revision: &str, expected: &str) -> Outcome {
    let results = tempfile::tempdir().unwrap();
    let list = results.path().join("expected.yaml");
    std::fs::write(&list, expected).unwrap();
    let output = Command::new(install::node())
        .arg(install::workspace(install::PACKAGES).join(SUITE))
        .args(["server", "--url", &serving.url(), "--requirements", revision, "--expected-failures"])
        .arg(list)
        .arg("--output-dir")
        .arg(results.path())
        .env("NO_PROXY", "localhost,127.0.0.1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = crate::site::said(&output);
    let summary = said.split_once("=== SUMMARY ===").map_or(said.as_str(), |(_, summary)| summary).to_owned();
    println!("{summary}{}", complaints(results.path()));
    Outcome { code: output.status.code(), summary }
}

fn expected(revision: &str) -> PathBuf {
    install::workspace(&format!("crates/asuser/tests/it/conformance/expected-{revision}.yaml"))
}

/// Each check that did not pass, in a line.
fn complaints(results: &Path) -> String {
    let mut lines = String::new();
    for scenario in std::fs::read_dir(results).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(text) = std::fs::read_to_string(scenario.join("checks.json")) else { continue };
        let checks: Json = serde_json::from_str(&text).unwrap();
        for check in checks.as_array().into_iter().flatten().filter(|check| check["status"] != "SUCCESS") {
            let name = scenario.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (id, status, why) = (&check["id"], &check["status"], &check["errorMessage"]);
            lines.push_str(&format!("{name}: {id} {status} {why} {}\n", check["details"]));
        }
    }
    lines
}

/// Nothing is excused without a word.
#[test]
fn every_expected_failure_has_a_reason() {
    for revision in ["2026-07-28", "2025-11-25"] {
        let text = std::fs::read_to_string(expected(revision)).unwrap();
        let entries = text.lines().filter(|line| line.trim_start().starts_with("- "));
        for line in entries {
            let reason = line.split_once(" # ").map_or("", |(_, reason)| reason);
            assert!(reason.len() > 20, "{revision}: no reason: {line}");
        }
    }
}
