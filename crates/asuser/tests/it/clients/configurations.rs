//! The configurations that the guide has for clients which cannot be run here: read out of its pages, and connected with by the
//! Inspector, which takes the same files. What those clients themselves make of them is not known.

use std::process::Stdio;

use serde_json::{Map, Value as Json, json};

use super::{INSPECTOR, install};
use crate::site::{Site, said};

#[test]
fn the_guides_configurations_connect() {
    if !install::can_run(&INSPECTOR) {
        return;
    }
    let site = Site::new().started();
    let mut connected = 0;
    for (page, wanted) in [("claude-desktop", 1), ("claude-code", 1), ("cursor", 1), ("vscode", 2)] {
        let path = format!("docs/clients/{page}.md");
        let text = std::fs::read_to_string(install::workspace(&path)).unwrap();
        let servers: Vec<Json> = text.split("```json\n").skip(1).filter_map(|rest| server(&path, rest)).collect();
        assert_eq!(servers.len(), wanted, "{path}: configurations that need no browser");
        for server in servers {
            for person in ["alice", "bob"] {
                connects(&site, &server, person);
                connected += 1;
            }
        }
    }
    assert_eq!(connected, 10);
}

/// The server of a block, if it can be connected with without a browser.
fn server(path: &str, rest: &str) -> Option<Json> {
    let (block, _) = rest.split_once("```").unwrap();
    let block: Json = serde_json::from_str(block).unwrap_or_else(|error| panic!("{path}: {error}: {block}"));
    let key = if path.contains("vscode") { "servers" } else { "mcpServers" };
    let server = block[key]["asuser"].clone();
    assert!(server.is_object(), "{path}: {block}");
    (server.get("command").is_some() || server.get("headers").is_some()).then_some(server)
}

fn connects(site: &Site, server: &Json, person: &str) {
    let token = site.issuer.token_for(person);
    let text = server.to_string().replace("https://data.example.com", &site.url());
    let text = text.replace("${ASUSER_TOKEN}", &token).replace("${input:asuser-token}", &token);
    let mut server: Map<String, Json> = serde_json::from_str(&text).unwrap();
    if server.contains_key("command") {
        server.insert("command".into(), env!("CARGO_BIN_EXE_asuser").into());
        // In place of `asuser login`.
        server.insert("env".into(), json!({ "ASUSER_TOKEN": token }));
    }
    site.write("mcp.json", &json!({ "mcpServers": { "asuser": server } }).to_string());
    let mut command = install::inspector();
    install::surround(&mut command, site);
    let output = command
        .args(["--cli", "--config"])
        .arg(site.path("mcp.json"))
        .args(["--server", "asuser", "--protocol-era", "auto", "--format", "json", "--quiet"])
        .args(["--method", "tools/call", "--tool-name", "query_table"])
        .args(["--tool-args-json", r#"{"table":"orders","order":"id"}"#])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let answer: Json = serde_json::from_slice(&output.stdout).unwrap();
    let rows = answer["result"]["structuredContent"]["rows"].as_array().unwrap();
    assert!(rows.len() == 2 && rows.iter().all(|row| row["owner"] == person), "{person}: {answer}");
}
