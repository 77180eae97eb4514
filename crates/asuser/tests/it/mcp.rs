//! MCP over the whole binary: the protocol in its three revisions, the tools, and what is told to whom.

use serde_json::{Value as Json, json};

use crate::mcp_client::{Client, LEGACY, MODERN, post};
use crate::site::Site;

/// An agent that may submit SQL, beside the usual one that may not.
const ANALYST: &str = "[[agent]]\nclient_id = \"analyst\"\nmay = [\"db:read\", \"db:raw_sql\"]\n";

fn with_analyst() -> Site {
    let site = Site::new();
    site.write("asuser.toml", &Site::config(ANALYST));
    site.started()
}
fn analyst<'a>(site: &'a Site, person: &str) -> Client<'a> {
    Client::with(site, site.issuer.token_with(person, &json!({"client_id": "analyst"})), MODERN)
}
fn names(list: &Json) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect()
}

#[test]
fn a_legacy_client_shakes_hands_and_asks() {
    let site = Site::new().started();
    for revision in LEGACY {
        let client = Client::of(&site, "alice", revision);
        let hello = client.request(
            "initialize",
            json!({ "protocolVersion": revision, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } }),
        );
        assert_eq!(hello.header("mcp-session-id"), None, "no session is issued");
        let result = hello.json()["result"].clone();
        assert_eq!((&result["protocolVersion"], &result["serverInfo"]["name"]), (&json!(revision), &json!("asuser")));
        assert!(result["capabilities"]["tools"].is_object() && result["instructions"].is_string());
        let bearer = format!("Bearer {}", client.token);
        let told = post(
            &site,
            &[("Authorization", &bearer), ("MCP-Protocol-Version", revision)],
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        );
        assert_eq!((told.status, &*told.text, told.header("content-type")), (202, "", None), "{told:?}");
        assert_eq!(client.result("ping", json!({})), json!({}));
        assert!(names(&client.result("tools/list", json!({}))["tools"]).contains(&"query_table"));
        assert_eq!(client.data("list_tables", json!({}))["tables"][0]["name"], "orders");
        assert_eq!(client.result("prompts/list", json!({})), json!({ "prompts": [] }));
    }
    let old = Client::of(&site, "alice", "2024-11-05");
    assert_eq!(old.result("initialize", json!({ "protocolVersion": "2024-11-05" }))["protocolVersion"], "2025-11-25");
}

#[test]
fn a_modern_client_discovers_and_asks() {
    let site = Site::new().started();
    let client = Client::of(&site, "alice", MODERN);
    let result = client.result("server/discover", json!({}));
    assert!(result["supportedVersions"].as_array().unwrap().contains(&json!(MODERN)));
    assert!(result["capabilities"]["tools"].is_object() && result["instructions"].is_string());
    for (method, list) in [
        ("server/discover", "supportedVersions"),
        ("tools/list", "tools"),
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
        ("prompts/list", "prompts"),
    ] {
        let result = client.result(method, json!({}));
        assert!(result[list].is_array(), "{method}");
        assert_eq!((&result["resultType"], &result["cacheScope"]), (&json!("complete"), &json!("private")), "{method}");
        assert!(result["ttlMs"].is_u64(), "{method}");
        assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "asuser");
    }
    let read = client.result("resources/read", json!({ "uri": "asuser://db/orders" }));
    assert_eq!(read["cacheScope"], "private");
    let call = client.call("whoami", json!({}));
    assert_eq!((&call["resultType"], call.get("cacheScope")), (&json!("complete"), None));
    for gone in ["initialize", "ping", "subscriptions/listen", "logging/setLevel", "unknown/method"] {
        let reply = client.request(gone, json!({}));
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (404, &json!(-32601)), "{gone}");
    }
}

#[test]
fn every_tool_answers_as_the_person() {
    let site = Site::new().started();
    let alice = Client::of(&site, "alice", MODERN);
    let who = alice.data("whoami", json!({}));
    assert_eq!((&who["principal"]["login"], &who["actors"][0]["id"]), (&json!("alice"), &json!("sales-copilot")));
    let services = alice.data("list_services", json!({}));
    assert_eq!(services, json!({ "services": [{ "name": "db", "database": "SQLite", "raw_sql": false }] }));
    let tables = alice.data("list_tables", json!({ "service": "db" }));
    assert_eq!(names(&tables["tables"]), ["orders", "staff"], "and no secrets");
    let described = alice.data("describe_table", json!({ "table": "orders" }));
    assert_eq!((&described["table"], &described["primary_key"]), (&json!("orders"), &json!(["id"])));
    let email = described["columns"].as_array().unwrap().iter().find(|column| column["name"] == "email").unwrap();
    assert_eq!((&email["mask"], &email["type"]), (&json!("email"), &json!("string")));
    let schema = alice.data("get_schema", json!({}));
    assert_eq!(
        schema["schema"],
        "orders(id int pk, owner text, region text, amount int, email text? masked, note text?)\nstaff(id int pk, name text)"
    );
    assert_eq!(schema["table_count"], 2);
    let one = alice.data("get_schema", json!({ "tables": ["staff"] }));
    assert_eq!(one["schema"], "staff(id int pk, name text)");

    let rows = alice.call("query_table", json!({ "table": "orders", "fields": ["id", "email"], "order": "id" }));
    assert_eq!(
        rows["structuredContent"],
        json!({ "rows": [{ "id": 1, "email": "a***@one.example" }, { "id": 3, "email": "c***@three.example" }], "row_count": 2 })
    );
    assert!(rows["content"][1]["text"].as_str().unwrap().contains("not instructions"));
    let ids = |arguments: Json| {
        let data = alice.data("query_table", arguments);
        data["rows"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ids(json!({ "table": "orders", "filter": "amount >= 300" })), [3]);
    assert_eq!(ids(json!({ "table": "orders", "filter": "note = :n", "params": { "n": "50% off" } })), [3]);
    assert_eq!(ids(json!({ "table": "orders", "order": "amount desc" })), [3, 1]);
    assert_eq!(ids(json!({ "table": "orders", "filter": "owner = 'bob'" })), Vec::<i64>::new());
}

#[test]
fn pages_follow_one_another_by_cursor() {
    let site = Site::new().started();
    let alice = Client::of(&site, "alice", "2025-11-25");
    let question = |cursor: Json| json!({ "table": "orders", "fields": ["id"], "order": "id", "limit": 1, "include_count": true, "cursor": cursor });
    let first = alice.data("query_table", question(Json::Null));
    assert_eq!((&first["rows"], &first["total_count"]), (&json!([{ "id": 1 }]), &json!(2)));
    let second = alice.data("query_table", question(first["next_cursor"].clone()));
    assert_eq!((&second["rows"], second.get("next_cursor")), (&json!([{ "id": 3 }]), None));
    let mut other = question(first["next_cursor"].clone());
    other["filter"] = "id > 0".into();
    assert!(alice.failure("query_table", other).contains("`cursor` belongs to another question"));
    // A cursor is no credential: it only says where to go on.
    let bob = Client::of(&site, "bob", "2025-11-25");
    assert_eq!(bob.data("query_table", question(first["next_cursor"].clone()))["rows"], json!([{ "id": 4 }]));
}

#[test]
fn errors_are_such_that_a_model_can_act_on_them() {
    let site = Site::new().started();
    let alice = Client::of(&site, "alice", "2025-06-18");
    for (tool, arguments, words) in [
        (
            "query_table",
            json!({ "table": "orders", "fields": ["ammount"] }),
            &["did you mean `amount`?", "ASU-501"][..],
        ),
        ("query_table", json!({ "table": "orders", "filter": "amount >" }), &["character", "ASU-105"]),
        ("query_table", json!({ "table": "orders", "filter": "owner = 'a') OR (1=1" }), &["ASU-105"]),
        (
            "query_table",
            json!({ "tabel": "orders" }),
            &["no argument `tabel`; did you mean `table`?", "`filter`", "ASU-104"],
        ),
        ("query_table", json!({ "table": "orders", "limit": "10" }), &["`limit`", "a whole number", "ASU-104"]),
        ("query_table", json!({ "table": "nothing" }), &["there is no table `nothing`", "ASU-402"]),
        ("query_table", json!({ "table": "staff", "fields": ["salary"] }), &["ASU-404"]),
        ("describe_table", json!({}), &["needs `table`", "list_tables"]),
        ("list_tables", json!({ "service": "nowhere" }), &["there is no service `nowhere`", "ASU-401"]),
    ] {
        let text = alice.failure(tool, arguments.clone());
        for word in words {
            assert!(text.contains(word), "{tool} {arguments}: {text}");
        }
    }
    // What is closed reads like what is missing.
    let closed = alice.failure("query_table", json!({ "table": "secrets" }));
    assert_eq!(closed.replace("secrets", "nothing"), alice.failure("query_table", json!({ "table": "nothing" })));
    let result = alice.call("query_table", json!({ "table": "nothing" }));
    let error = &result["_meta"]["asuser/error"];
    assert_eq!((&error["reason"], error["audit_id"].as_str().map(str::len)), (&json!("ASU-402"), Some(26)), "{error}");
    let unknown = alice.request("tools/call", json!({ "name": "query_tabel", "arguments": {} }));
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (200, &json!(-32602)));
    assert!(unknown.text.contains("did you mean `query_table`?"));
}

/// MC-06 and the issue: lists hold what this caller may use and reach, nothing else.
#[test]
fn lists_vary_by_caller() {
    let site = with_analyst();
    let plain = Client::of(&site, "alice", MODERN);
    let listed = plain.result("tools/list", json!({}))["tools"].clone();
    assert_eq!(
        names(&listed),
        ["aggregate", "describe_table", "get_schema", "list_services", "list_tables", "query_table", "whoami"]
    );
    let more = analyst(&site, "alice").result("tools/list", json!({}))["tools"].clone();
    assert_eq!(names(&more).len(), names(&listed).len() + 1);
    assert!(names(&more).is_sorted() && names(&more).contains(&"run_sql"));
    for tool in more.as_array().unwrap() {
        let name = &tool["name"];
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{name}");
        assert!(tool["outputSchema"]["type"] == "object" && tool["title"].is_string(), "{name}");
        let hints = json!([true, false, true, false]);
        let given = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"]
            .map(|hint| tool["annotations"][hint].clone());
        assert_eq!(json!(given), hints, "{name}");
    }
    let listed = plain.result("resources/list", json!({}))["resources"].clone();
    let uris: Vec<&str> = listed.as_array().unwrap().iter().map(|entry| entry["uri"].as_str().unwrap()).collect();
    assert_eq!(uris, ["asuser://db/orders", "asuser://db/staff"]);
    // A token whose scope covers nothing here reaches nothing here.
    let narrow = Client::with(&site, site.issuer.token_with("alice", &json!({"scope": "other:read"})), MODERN);
    assert_eq!(narrow.result("resources/list", json!({}))["resources"], json!([]));
    assert_eq!(narrow.data("list_services", json!({}))["services"], json!([]));
    let all = format!("{}{}", narrow.result("tools/list", json!({})), narrow.result("resources/list", json!({})));
    assert!(!all.contains("staff") && !all.contains("\"db\""), "{all}");
}

#[test]
fn a_resource_is_a_tables_shape() {
    let site = Site::new().started();
    let alice = Client::of(&site, "alice", MODERN);
    let read = alice.result("resources/read", json!({ "uri": "asuser://db/staff" }));
    let text: Json = serde_json::from_str(read["contents"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!((&text["table"], names(&text["columns"])), (&json!("staff"), vec!["id", "name"]), "no salary");
    assert_eq!(read["contents"][0]["uri"], "asuser://db/staff");
    for (revision, code) in [(MODERN, -32602), ("2025-11-25", -32002), ("2025-06-18", -32002)] {
        let client = Client::of(&site, "alice", revision);
        for uri in
            ["asuser://db/secrets", "asuser://db/nothing", "asuser://nowhere/t", "test://nothing", "file:///etc/passwd"]
        {
            let reply = client.request("resources/read", json!({ "uri": uri }));
            let error = reply.json()["error"].clone();
            assert_eq!(
                (reply.status, &error["code"], &error["data"]["uri"]),
                (200, &json!(code), &json!(uri)),
                "{revision} {uri}"
            );
        }
    }
}

#[test]
fn an_answer_is_an_event_for_who_takes_nothing_else() {
    let site = Site::new().started();
    let bearer = format!("Bearer {}", site.issuer.token_for("alice"));
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"query_table","arguments":{"table":"orders"}}}"#;
    let reply = post(&site, &[("Authorization", &bearer), ("Accept", "text/event-stream")], body);
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/event-stream")));
    let data = reply.text.strip_prefix("event: message\ndata: ").unwrap().strip_suffix("\n\n").unwrap();
    assert_eq!(serde_json::from_str::<Json>(data).unwrap()["result"]["structuredContent"]["row_count"], 2);
    let failed =
        post(&site, &[("Authorization", &bearer), ("Accept", "text/event-stream")], &body.replace("orders", "nothing"));
    assert!(failed.text.starts_with("event: message\ndata: ") && failed.text.contains("ASU-402"), "{failed:?}");
}

/// REST's side of the same: the schema in few words, and bodies.
#[test]
fn the_schema_in_few_words_is_at_spec() {
    let site = Site::new().started();
    let reply = site.get("/api/v2/db/_spec", &site.issuer.token_for("alice"));
    assert_eq!((reply.status, &reply.json()["table_count"]), (200, &json!(2)));
    assert!(reply.json()["schema"].as_str().unwrap().starts_with("orders(id int pk, "));
    assert!(!reply.text.contains("salary") && !reply.text.contains("secrets"));
}

/// What comes back fits what was promised: each tool's output against the schema that `tools/list` gave.
#[test]
fn outputs_fit_their_schemas() {
    let site = Site::new().started();
    let alice = Client::of(&site, "alice", "2025-11-25");
    let tools = alice.result("tools/list", json!({}))["tools"].clone();
    let mut checked = 0;
    for (name, arguments) in [
        ("whoami", json!({})),
        ("list_services", json!({})),
        ("list_tables", json!({ "service": "db" })),
        ("describe_table", json!({ "table": "orders" })),
        ("get_schema", json!({})),
        ("query_table", json!({ "table": "orders", "limit": 1, "include_count": true })),
    ] {
        let tool = tools.as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap();
        fits(&arguments, &tool["inputSchema"], name);
        fits(&alice.data(name, arguments), &tool["outputSchema"], name);
        checked += 1;
    }
    assert_eq!(checked, 6);
}

/// The part of JSON Schema that the tools' schemas use.
fn fits(value: &Json, schema: &Json, at: &str) {
    let kinds = match &schema["type"] {
        Json::String(kind) => vec![kind.as_str()],
        Json::Array(kinds) => kinds.iter().map(|kind| kind.as_str().unwrap()).collect(),
        _ => Vec::new(),
    };
    let is = |kind: &&str| match *kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{at}: {other}"),
    };
    assert!(kinds.is_empty() || kinds.iter().any(is), "{at}: {value} is no {kinds:?}");
    if let Some(values) = schema["enum"].as_array() {
        assert!(values.contains(value), "{at}: {value}");
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(name.as_str().unwrap()).is_some(), "{at}: no {name}");
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(schema) => fits(value, schema, &format!("{at}.{name}")),
            None => assert!(schema.get("properties").is_none(), "{at}: {name} is not promised"),
        }
    }
    for item in value.as_array().into_iter().flatten() {
        fits(item, &schema["items"], &format!("{at}[]"));
    }
}

#[test]
fn with_several_services_each_call_names_one() {
    let mut site = Site::new();
    let second = "[[service]]\nname = \"hr\"\nkind = \"sqlite\"\npath = \"company.db\"\ndescription = \"People\"\n";
    site.write("asuser.toml", &Site::config(second));
    site.write("policies/hr/rows.cedar", "permit (principal, action == Action::\"read\", resource is hr::staff);");
    site.start();
    let alice = Client::of(&site, "alice", MODERN);
    let services = alice.data("list_services", json!({}))["services"].clone();
    assert_eq!(names(&services), ["db", "hr"]);
    assert_eq!(services[1]["description"], "People");
    assert!(alice.failure("query_table", json!({ "table": "staff" })).contains("needs `service`: `list_services`"));
    assert_eq!(names(&alice.data("list_tables", json!({ "service": "hr" }))["tables"]), ["staff"]);
    let rows =
        alice.data("query_table", json!({ "service": "hr", "table": "staff", "fields": ["salary"], "limit": 1 }));
    assert_eq!(rows["rows"], json!([{ "salary": 100_001 }]));
    let uris = alice.result("resources/list", json!({}))["resources"].clone();
    assert_eq!(uris.as_array().unwrap().len(), 3);
}
