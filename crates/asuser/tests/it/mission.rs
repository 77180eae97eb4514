//! The mission's own program, unchanged but for the URL, in Python with `requests`, for two users.

use std::path::Path;
use std::process::Command;

use crate::site::Site;

/// Everything after the three assignments is the mission's text.
const PROGRAM: &str = r#"
import json, os, requests
URL = os.environ["URL"]
user_token = os.environ["USER_TOKEN"]
query_params = {"filter": "amount > 50", "order": "id", "limit": 10}
answer = requests.get(f"{URL}/api/v2/db/_table/orders", headers={"Authorization": f"Bearer {user_token}", "Content-Type": "application/json"}, params=query_params).json()
print(json.dumps(answer))
"#;

fn run(site: &Site, person: &str) -> serde_json::Value {
    run_with(site, &site.issuer.token_for(person))
}

pub(crate) fn run_with(site: &Site, token: &str) -> serde_json::Value {
    // `scripts/setup test` makes this environment.
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/venv/bin/python");
    assert!(python.exists(), "run `scripts/setup test` first: it installs Python's `requests`");
    let output =
        Command::new(python).args(["-c", PROGRAM]).env("URL", site.url()).env("USER_TOKEN", token).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_missions_program_gets_each_persons_rows() {
    let site = Site::new().started();
    let ids = |person: &str| -> Vec<i64> {
        run(&site, person)["resource"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids("alice"), [1, 3]);
    assert_eq!(ids("bob"), [2, 4]);
    let alices = run(&site, "alice");
    assert_eq!(alices["resource"][0]["email"], "a***@one.example", "masked");
    assert!(!alices.to_string().contains("SECRET"));
}
