//! The demo and the command line, as a newcomer meets them.

use std::process::Command;

use asuser_core::Reason;

use crate::site::{Site, get, said};

fn asuser() -> Command {
    Command::new(env!("CARGO_BIN_EXE_asuser"))
}

#[test]
fn the_scene_holds() {
    let output = asuser().args(["demo", "--once"]).output().unwrap();
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    for expected in [
        "John Doe's own",
        "Jane Smith's own",
        "404",
        "401",
        "john.doe@company.com",
        "jane.smith@company.com",
        "sales-copilot",
        "verifies",
    ] {
        assert!(text.contains(expected), "{expected} is missing:\n{text}");
    }
    assert!(!text.contains('✗'), "{text}");
}

#[test]
fn a_busy_port_picks_the_next_and_tokens_go_on_working() {
    let blocker = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = blocker.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().join("kept");
    let mut demo = asuser()
        .args(["demo", "--port", &port.to_string(), "--keep"])
        .arg(&keep)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = std::io::BufReader::new(demo.stdout.take().unwrap());
    let mut seen = String::new();
    while !seen.contains("Ctrl-C ends it") {
        assert!(std::io::BufRead::read_line(&mut output, &mut seen).unwrap() > 0, "the demo ended:\n{seen}");
    }
    let address = seen.split_once("serving at http://").unwrap().1.split(';').next().unwrap().parse().unwrap();
    assert!(!seen.contains(&format!("127.0.0.1:{port}/")), "{seen}");
    let token = |person: &str| {
        let output = asuser().args(["demo", "token", person, "--keep"]).arg(&keep).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let ask = |person: &str, path: &str| {
        get(address, path, &[("Authorization", &format!("Bearer {}", token(person)))]).unwrap()
    };
    assert_eq!(ask("john", "/api/v2/db/_table/orders").ids().len(), 7);
    assert_eq!(ask("jane", "/api/v2/db/_table/orders").ids().len(), 9);
    let salaries = ask("maria", "/api/v2/db/_table/employees");
    assert!(salaries.text.contains("salary"));
    assert!(!ask("john", "/api/v2/db/_table/employees").text.contains("salary"));
    let support = ask("sam", "/api/v2/db/_table/orders");
    assert!(support.text.contains("\"open\"") && !support.text.contains("***@"), "{support:?}");
    assert!(!asuser().args(["demo", "token", "nobody", "--keep"]).arg(&keep).output().unwrap().status.success());
    demo.kill().unwrap();
    demo.wait().unwrap();
}

#[test]
fn init_writes_a_configuration_that_loads_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let init = || asuser().arg("init").arg(folder.path()).output().unwrap();
    assert!(init().status.success());
    let again = init();
    assert!(!again.status.success() && said(&again).contains("is there already"), "{}", said(&again));
    // With a database and keys in place, what was written is a working start.
    let site = Site::new();
    std::fs::copy(site.path("company.db"), folder.path().join("company.db")).unwrap();
    std::fs::copy(site.path("keys.json"), folder.path().join("company.jwks.json")).unwrap();
    let check = asuser().args(["policy", "check", "--config"]).arg(folder.path().join("asuser.toml")).output().unwrap();
    assert!(check.status.success(), "{}", said(&check));
}

#[test]
fn policy_check_names_file_line_and_suggestion() {
    let site = Site::new();
    assert!(site.command(&["policy", "check"]).status.success());
    site.write("policies/db/rows.cedar", "// a comment\npermit (principal, action == Action::\"read\", resource is db::orders)\nwhen { principal has login && resource.ownr == principal.login };\n");
    let output = site.command(&["policy", "check"]);
    let text = said(&output);
    assert!(!output.status.success());
    assert!(text.contains("policies/db/rows.cedar:3") && text.contains("`owner`"), "{text}");
}

#[test]
fn whoami_explains_a_refused_token_to_the_operator_and_does_not_repeat_it() {
    let site = Site::new();
    let good = site.issuer.token_for("alice");
    let output = site.command(&["whoami", "--token", &good]);
    assert!(output.status.success() && said(&output).contains("alice"), "{}", said(&output));
    let expired = site.issuer.token_with("alice", &serde_json::json!({"exp": 1_000_000_000}));
    let output = site.command(&["whoami", "--token", &expired]);
    let text = said(&output);
    assert!(!output.status.success() && text.contains("expired"), "{text}");
    assert!(!text.contains(&expired) && !text.contains(expired.rsplit('.').next().unwrap()));
}

#[test]
fn help_teaches_and_completions_complete() {
    let help = said(&asuser().arg("--help").output().unwrap());
    for word in ["serve", "demo", "init", "whoami", "audit", "policy", "completions"] {
        assert!(help.contains(word), "{help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = asuser().args(["completions", shell]).output().unwrap();
        assert!(output.status.success() && output.stdout.len() > 500, "{shell}");
    }
}

/// docs/errors.md is the list that errors point to: it has every reason, with its status.
#[test]
fn the_guide_has_every_reason() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let guide = std::fs::read_to_string(path).unwrap();
    for reason in Reason::ALL {
        let row = format!("| {} | {} |", reason.code(), reason.status());
        assert!(guide.contains(&row), "docs/errors.md has no row `{row}`");
    }
}
