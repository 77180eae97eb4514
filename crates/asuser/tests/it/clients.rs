//! The recipes of examples/mcp as they stand there: real clients of MCP ask the running asuser, as alice, as bob, and as nobody.
//!
//! In: a recipe, a person's token from a real identity provider. Out: what the client printed. What `scripts/setup test` could not install
//! is skipped in a plain line, and fails where CI is set.

mod configurations;
pub(crate) mod install;
mod provider;
mod sign_in;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use asuser_testkit::Glewlwyd;
use provider::Company;

use crate::site::Site;

/// A client and how it is run.
pub(crate) struct Recipe {
    /// Its folder in examples/mcp.
    pub(crate) folder: &'static str,
    pub(crate) runs: Runs,
    /// What it speaks.
    revision: &'static str,
    /// What its user reads who sends no token.
    without_token: &'static str,
}

#[derive(Clone, Copy)]
pub(crate) enum Runs {
    /// Python in this environment of target/.
    Python(&'static str),
    /// Node.js, which takes TypeScript as it is.
    Node,
    /// A shell, and the Inspector's command line.
    Inspector,
}

const TYPESCRIPT: Recipe =
    Recipe { folder: "typescript", runs: Runs::Node, revision: "2025-11-25", without_token: "code: 401" };
const PYTHON: Recipe = Recipe {
    folder: "python",
    runs: Runs::Python("venv-mcp"),
    revision: "2026-07-28",
    without_token: "MCPError: no credential: send",
};
const FASTMCP: Recipe = Recipe {
    folder: "fastmcp",
    runs: Runs::Python("venv-mcp"),
    revision: "2026-07-28",
    without_token: "MCPError: no credential: send",
};
const LANGCHAIN: Recipe = Recipe {
    folder: "langchain",
    runs: Runs::Python("venv-agents"),
    revision: "2025-11-25",
    without_token: "HTTPStatusError: Client error '401 Unauthorized'",
};
const OPENAI_AGENTS: Recipe = Recipe {
    folder: "openai-agents",
    runs: Runs::Python("venv-agents"),
    revision: "2025-11-25",
    without_token: "UserError: Failed to connect to MCP server 'asuser': HTTP error 401",
};
const INSPECTOR: Recipe = Recipe {
    folder: "inspector",
    runs: Runs::Inspector,
    revision: "2026-07-28",
    without_token: r#""code":"auth_required""#,
};

#[test]
fn typescript_sdk() {
    asks_as_each_person(&TYPESCRIPT);
}
#[test]
fn python_sdk() {
    asks_as_each_person(&PYTHON);
}
#[test]
fn fastmcp_client() {
    asks_as_each_person(&FASTMCP);
}
#[test]
fn langchain_adapter() {
    asks_as_each_person(&LANGCHAIN);
}
#[test]
fn openai_agents_sdk() {
    asks_as_each_person(&OPENAI_AGENTS);
}
#[test]
fn inspector_command_line() {
    asks_as_each_person(&INSPECTOR);
}

/// What a run of a recipe told.
#[derive(Debug, PartialEq)]
struct Told {
    tools: Vec<String>,
    person: String,
    rows: Vec<Json>,
    refused: String,
}

impl Told {
    fn ids(&self) -> Vec<i64> {
        self.rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
    }
}

/// Everything else that a recipe is for.
fn asks_as_each_person(recipe: &Recipe) {
    if !install::can_run(recipe) {
        return;
    }
    let company = Company::start();
    let site = &company.site;
    let alice = told(recipe, site, &company.token("alice"));
    // What a new key signs is good at once.
    company.rotate_keys();
    let bob = told(recipe, site, &company.token("bob"));
    assert_eq!((alice.person.as_str(), alice.ids()), ("alice", vec![1, 3]), "{alice:?}");
    assert_eq!((bob.person.as_str(), bob.ids()), ("bob", vec![2, 4]), "{bob:?}");
    assert_eq!(alice.rows[0]["email"], "a***@one.example", "masked");
    for one in [&alice, &bob] {
        let listed = ["describe_table", "list_tables", "query_table", "whoami"];
        assert!(listed.iter().all(|name| one.tools.iter().any(|tool| tool == name)), "{one:?}");
        assert!(one.refused.contains("there is no table `secrets` in `db` that you can reach (ASU-402)"), "{one:?}");
        // Neither of them may ask in SQL, so neither is shown how.
        assert!(!one.tools.iter().any(|tool| tool == "run_sql"), "{one:?}");
    }
    assert!(!format!("{alice:?}").contains("SECRET"), "{alice:?}");
    assert_eq!(revision_of(site), recipe.revision, "docs/clients/README.md says so");

    let output = install::command(recipe, site).output().unwrap();
    let said = crate::site::said(&output);
    assert!(!output.status.success() && said.contains(recipe.without_token), "{said}");
    assert!(!said.contains("EU") && !said.contains("query_table"), "nobody is told anything: {said}");
}

/// The same client with tokens by another hand.
#[test]
fn tokens_of_a_second_provider() {
    if !install::can_run(&TYPESCRIPT) {
        return;
    }
    let Some(glewlwyd) = Glewlwyd::start_if_installed(&["alice", "bob"]) else { return };
    let site = provider::site(&glewlwyd.config("partner", ""));
    for (person, ids) in [("alice", vec![1, 3]), ("bob", vec![2, 4])] {
        let token = glewlwyd.tokens(person).access_token;
        provider::wait_for_keys(&site, &token);
        let told = told(&TYPESCRIPT, &site, &token);
        assert_eq!((told.person.as_str(), told.ids()), (person, ids), "{told:?}");
    }
}

/// How the client began, as the audit log has it: a client of 2026-07-28 shakes no hands.
fn revision_of(site: &Site) -> &'static str {
    let log = crate::site::said(&site.command(&["audit", "tail", "--lines", "1000"]));
    match (log.contains("discover"), log.contains("initialize")) {
        (true, false) => "2026-07-28",
        (false, true) => "2025-11-25",
        other => panic!("{other:?}: {log}"),
    }
}

fn told(recipe: &Recipe, site: &Site, token: &str) -> Told {
    let output = install::command(recipe, site).env("ASUSER_TOKEN", token).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    match recipe.runs {
        Runs::Inspector => results(&said),
        Runs::Python(_) | Runs::Node => lines(&said),
    }
}

/// What the programs print.
fn lines(said: &str) -> Told {
    let line = |name: &str| {
        let found = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or_else(|| panic!("no line `{name}`: {said}"))
    };
    Told {
        tools: line("tools").split(", ").map(str::to_owned).collect(),
        person: line("person").to_owned(),
        rows: serde_json::from_str(line("rows")).unwrap(),
        refused: line("refused").to_owned(),
    }
}

/// What the Inspector prints: a result of the protocol for each question.
fn results(said: &str) -> Told {
    let results: Vec<Json> =
        said.lines().map(|line| serde_json::from_str::<Json>(line).unwrap()["result"].clone()).collect();
    let [tools, person, rows, refused] = &results[..] else { panic!("four answers: {said}") };
    let name = |tool: &Json| tool["name"].as_str().unwrap().to_owned();
    assert_eq!(refused["isError"], true, "{refused}");
    Told {
        tools: tools["tools"].as_array().unwrap().iter().map(name).collect(),
        person: person["structuredContent"]["principal"]["login"].as_str().unwrap().to_owned(),
        rows: rows["structuredContent"]["rows"].as_array().unwrap().clone(),
        refused: refused["content"][0]["text"].as_str().unwrap().to_owned(),
    }
}
