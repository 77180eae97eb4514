//! The REST dialect over a real database: what is asked, what comes back, and what is refused.

use serde_json::json;

use crate::site::{Reply, Site};

#[test]
fn a_list_holds_the_callers_rows_in_the_dialects_envelope() {
    let site = Site::new().started();
    let reply = site.ask("alice", "orders", &[("order", "id")]);
    assert_eq!(
        reply.json(),
        json!({"resource": [
            {"id": 1, "owner": "alice", "region": "EU", "amount": 100, "email": "a***@one.example", "note": null},
            {"id": 3, "owner": "alice", "region": "EU", "amount": 300, "email": "c***@three.example", "note": "50% off"},
        ]})
    );
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("audit-id").map(str::len), Some(26));
}

#[test]
fn every_parameter_does_what_it_says() {
    let site = Site::new().started();
    let ids = |parameters: &[(&str, &str)]| site.ask("alice", "orders", parameters).ids();
    assert_eq!(ids(&[("filter", "amount >= 300")]), [3]);
    assert_eq!(ids(&[("where", "(amount = 100) or (note like '50\\%%')"), ("sort", "id desc")]), [3, 1]);
    assert_eq!(ids(&[("filter", "amount > :least"), ("params", r#"{"least": 100}"#)]), [3]);
    assert_eq!(ids(&[("order", "amount desc"), ("limit", "1")]), [3]);
    assert_eq!(ids(&[("order", "id"), ("offset", "1")]), [3]);
    assert_eq!(ids(&[("ids", "3,1,2"), ("order", "id")]), [1, 3], "2 is Bob's");
    assert_eq!(ids(&[("ids", "300"), ("id_field", "amount")]), [3]);
    let names = site.ask("alice", "orders", &[("as_list", "true"), ("order", "id")]);
    assert_eq!(names.json(), json!({"resource": [1, 3]}));
    let counted = site.ask("alice", "orders", &[("include_count", "true"), ("limit", "1"), ("fields", "id")]);
    assert_eq!(counted.json(), json!({"resource": [{"id": 1}], "meta": {"count": 2, "next": 1}}));
}

#[test]
fn one_record_comes_unwrapped_and_anothers_does_not_exist() {
    let site = Site::new().started();
    let own = site.ask("alice", "orders/1", &[("fields", "id,amount")]);
    assert_eq!((own.status, own.json()), (200, json!({"id": 1, "amount": 100})));
    let bobs = site.ask("alice", "orders/2", &[]);
    let nobodys = site.ask("alice", "orders/99", &[]);
    assert_eq!((bobs.status, bobs.reason()), (404, "ASU-504".into()));
    assert_eq!(bobs.json()["error"]["message"], nobodys.json()["error"]["message"], "the two must read alike");
    assert_eq!(site.ask("bob", "orders/2", &[]).status, 200);
    let several = site.ask("alice", "orders/EU", &[("id_field", "region")]);
    assert_eq!((several.status, several.reason()), (400, "ASU-503".into()), "two of hers are in the EU");
    assert_eq!(site.ask("carol", "orders/APAC", &[("id_field", "region")]).json()["id"], 5);
}

#[test]
fn a_client_filter_cannot_leave_the_policys() {
    let site = Site::new().started();
    for filter in [
        "id>0) OR (id>0",
        "1=1",
        "id>0 OR 1=1",
        "id > 0 -- ",
        "id > 0; DROP TABLE orders",
        "id = 1 UNION SELECT * FROM secrets",
        "owner = {user.login}",
        "(SELECT 1) = 1",
        "id IN (SELECT id FROM orders)",
    ] {
        let reply = site.ask("alice", "orders", &[("filter", filter)]);
        assert_eq!((reply.status, reply.reason()), (400, "ASU-105".into()), "{filter}");
        assert!(!reply.text.contains("SECRET"));
    }
    for filter in
        ["id > 0", "owner = 'bob' OR owner = 'alice'", "NOT (owner = 'nobody')", "owner != 'x' XOR 1 != 1 OR id > 0"]
    {
        let reply = site.ask("alice", "orders", &[("filter", filter), ("order", "id")]);
        if reply.status == 200 {
            assert_eq!(reply.ids(), [1, 3], "{filter}");
        }
    }
    assert_eq!(site.ask("alice", "orders", &[("filter", "region = 'SECRET-US'")]).ids(), Vec::<i64>::new());
}

/// RM-04 as far as structured reads reach: filter, order and keys see the masked value.
#[test]
fn a_mask_holds_wherever_the_column_is_used() {
    let site = Site::new().started();
    let ids = |filter: &str| site.ask("alice", "orders", &[("filter", filter), ("order", "id")]).ids();
    assert_eq!(ids("email = 'ada@one.example'"), Vec::<i64>::new());
    assert_eq!(ids("email LIKE 'ada%'"), Vec::<i64>::new());
    assert_eq!(ids("email = 'a***@one.example'"), [1]);
    assert_eq!(
        site.ask("alice", "orders", &[("ids", "ada@one.example"), ("id_field", "email")]).ids(),
        Vec::<i64>::new()
    );
    let ordered = site.ask("alice", "orders", &[("order", "email desc"), ("fields", "id,email")]);
    assert_eq!(ordered.ids(), [3, 1]);
    assert!(!ordered.text.contains("ada@"));
}

#[test]
fn a_denied_column_is_absent_and_refused_where_named() {
    let site = Site::new().started();
    let staff = site.ask("alice", "staff", &[]);
    assert_eq!(staff.json()["resource"][0], json!({"id": 1, "name": "Alice"}));
    for parameters in
        [[("fields", "salary")], [("filter", "salary > 1")], [("order", "salary")], [("id_field", "salary")]]
    {
        let parameters = [parameters[0], ("ids", "1")];
        let reply = site.ask("alice", "staff", &parameters);
        assert_eq!((reply.status, reply.reason()), (403, "ASU-404".into()), "{parameters:?}");
        assert!(!reply.text.contains("10000"));
    }
    let hr = site.issuer.token_with("maria", &json!({"groups": ["hr"]}));
    let reply = site.get("/api/v2/db/_table/staff?filter=salary%3E100001", &hr);
    assert_eq!(reply.json()["resource"], json!([{"id": 2, "name": "Bob", "salary": 100_002}]));
}

/// RM-01: other spellings of a table's name.
#[test]
fn only_the_catalogues_spelling_reaches_a_table() {
    let site = Site::new().started();
    for name in [
        "ORDERS",
        "Orders",
        "main.orders",
        "%22orders%22",
        "%60orders%60",
        "%5Borders%5D",
        "orders%20",
        "%27orders%27",
        "orders--",
        "sqlite_master",
        "sqlite_schema",
        "secrets",
        "nothing",
        "orders%00",
        "temp.orders",
    ] {
        let reply = site.get(&format!("/api/v2/db/_table/{name}"), &site.issuer.token_for("alice"));
        assert!([400, 404].contains(&reply.status), "{name}: {reply:?}");
        assert!(!reply.text.contains("SECRET-"), "{name}");
    }
    let closed =
        site.ask("alice", "secrets", &[]).json()["error"]["message"].as_str().unwrap().replace("secrets", "nothing");
    assert_eq!(closed, site.ask("alice", "nothing", &[]).json()["error"]["message"], "closed and missing read alike");
}

#[test]
fn listings_name_only_what_the_caller_reaches() {
    let site = Site::new().started();
    let token = site.issuer.token_for("alice");
    let names = site.get("/api/v2/db/_table?as_list=true", &token);
    assert_eq!(names.json(), json!({"resource": ["orders", "staff"]}));
    let staff = site.get("/api/v2/db/_schema/staff", &token);
    assert!(!staff.text.contains("salary"), "{staff:?}");
    let orders = site.get("/api/v2/db/_schema/orders", &token).json();
    let field =
        |name: &str| orders["field"].as_array().unwrap().iter().find(|field| field["name"] == name).unwrap().clone();
    assert_eq!(field("email")["mask"], "email");
    assert_eq!(field("id")["is_primary_key"], true);
    let secrets = site.get("/api/v2/db/_schema/secrets", &token);
    assert_eq!(secrets.status, 404);
    assert_eq!(site.get("/api/v2/nowhere/_table", &token).reason(), "ASU-401");
}

#[test]
fn whoami_explains_an_accepted_token() {
    let site = Site::new().started();
    let reply = site.get("/whoami", &site.issuer.token_with("alice", &json!({"region": "EU"})));
    let body = reply.json();
    assert_eq!(body["principal"]["login"], "alice");
    assert_eq!(body["principal"]["attributes"], json!({"region": "EU"}));
    assert_eq!(body["actors"][0]["id"], "sales-copilot");
    assert_eq!(body["actors"][0]["assurance"], "token");
}

#[test]
fn errors_say_what_to_do() {
    let site = Site::new().started();
    let error = |reply: Reply| reply.json()["error"].clone();
    let typo = error(site.ask("alice", "orders", &[("fields", "ammount")]));
    assert_eq!((typo["code"].clone(), typo["reason"].clone()), (json!(400), json!("ASU-501")));
    assert!(typo["message"].as_str().unwrap().contains("amount"), "{typo}");
    assert!(typo["audit_id"].is_string() && typo["request_id"].is_string());
    let unknown = error(site.ask("alice", "orders", &[("fitler", "id=1")]));
    assert!(unknown["message"].as_str().unwrap().contains("filter"), "{unknown}");
    let later = site.ask("alice", "orders", &[("related", "customers")]);
    assert_eq!(later.status, 501);
    let position = error(site.ask("alice", "orders", &[("filter", "id = 1 AND")]));
    assert!(position["context"]["position"].is_number(), "{position}");
}

#[test]
fn scope_and_agents_narrow() {
    let mut site = Site::new();
    let key_hash = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"; // sha256 of "key"
    let agents = format!(
        "[[agent]]\nclient_id = \"sales-copilot\"\nmay = [\"db:read\"]\n[[agent]]\nclient_id = \"off\"\nmay = [\"db:read\"]\nenabled = false\n\
         [[agent]]\nclient_id = \"poor\"\nmay = []\nkey_hash = \"{key_hash}\"\n"
    );
    site.write("asuser.toml", &Site::config(&agents));
    site.start();
    let with = |changes| site.get("/api/v2/db/_table/orders", &site.issuer.token_with("alice", &changes));
    assert_eq!(with(json!({})).status, 200);
    assert_eq!(with(json!({"scope": "openid db:read"})).status, 200);
    assert_eq!(with(json!({"scope": "openid profile"})).status, 200, "no scope of ours, and none required");
    let narrow = with(json!({"scope": "other:read"}));
    assert_eq!((narrow.status, narrow.reason()), (403, "ASU-302".into()));
    assert!(narrow.header("www-authenticate").unwrap().contains(r#"error="insufficient_scope", scope="db:read""#));
    assert_eq!(with(json!({"client_id": "off"})).reason(), "ASU-303");
    assert_eq!(with(json!({"client_id": "somebody-new"})).status, 200, "the unregistered profile");
    let bearer = format!("Bearer {}", site.issuer.token_for("alice"));
    let keyed =
        |key| site.get_with("/api/v2/db/_table/orders", &[("Authorization", &bearer), ("X-DreamFactory-API-Key", key)]);
    assert_eq!(keyed("key").reason(), "ASU-303", "both actors must be allowed");
    assert_eq!(keyed("wrong").reason(), "ASU-214");
}

/// A near name is suggested, and only one that the caller can reach.
#[test]
fn a_missing_table_is_answered_with_one_that_is_near_and_open() {
    let site = Site::new().started();
    let message = |path: &str| {
        let reply = site.get(path, &site.issuer.token_for("alice"));
        assert_eq!((reply.status, reply.reason().as_str()), (404, "ASU-402"), "{path}: {reply:?}");
        reply.json()["error"]["message"].as_str().unwrap().to_owned()
    };
    for path in ["/api/v2/db/_table/odrers", "/api/v2/db/_schema/Orders", "/api/v2/db/_table/order?fields=COUNT(*)"] {
        assert!(message(path).ends_with("did you mean `orders`?"), "{path}");
    }
    for path in ["/api/v2/db/_table/secret", "/api/v2/db/_table/secrets", "/api/v2/db/_schema/nothing"] {
        assert!(!message(path).contains("did you mean"), "{path}");
    }
}
