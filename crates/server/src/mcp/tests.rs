//! Whole messages, as far as the face reads them.

use asuser_core::RequestTree;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

const MODERN: &[(&str, &str)] = &[("mcp-protocol-version", "2026-07-28")];

struct Fixture {
    origins: Origins,
    services: Vec<ServiceName>,
    extra: Option<&'static dyn Extra>,
}

impl Fixture {
    fn new() -> Self {
        let origins =
            Origins::new("http://127.0.0.1:8080".parse().unwrap(), "127.0.0.1:8080".parse().unwrap(), Vec::new());
        Self { origins, services: vec!["db".into(), "hr".into()], extra: None }
    }
    fn read(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> (Request, Asked) {
        let mut builder = http::Request::builder().method(method).uri(target);
        let usual = [("host", "127.0.0.1:8080"), ("content-type", "application/json")];
        for (name, value) in
            usual.iter().filter(|(name, _)| headers.iter().all(|(given, _)| given != name)).chain(headers)
        {
            builder = builder.header(*name, *value);
        }
        let parts = builder.body(()).unwrap().into_parts().0;
        let around = Surroundings {
            origins: &self.origins,
            services: &self.services,
            configured: &|name| name == "top_customers",
            extra: self.extra,
        };
        read(&parts, Ok(body), IpAddr::from([127, 0, 0, 1]), around)
    }
    fn post(&self, headers: &[(&str, &str)], body: &Json) -> (Request, Asked) {
        self.read("POST", "/mcp", headers, body.to_string().as_bytes())
    }
}

fn message(method: &str, params: Json) -> Json {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}
fn code(asked: &Asked) -> Option<(i64, u16)> {
    asked.fault.as_ref().map(|fault| (fault.code, fault.status))
}

#[test]
fn each_method_has_its_ask_and_its_route() {
    let fixture = Fixture::new();
    for (method, params, route) in [
        ("initialize", json!({ "protocolVersion": "2025-11-25" }), "/mcp initialize"),
        ("ping", json!({}), "/mcp ping"),
        ("tools/list", json!({}), "/mcp tools/list"),
        ("resources/list", json!({}), "/mcp resources/list"),
        ("resources/templates/list", json!({}), "/mcp resources/templates/list"),
        ("resources/read", json!({ "uri": "asuser://db/orders" }), "/mcp resources/read"),
        ("prompts/list", json!({}), "/mcp prompts/list"),
        ("tools/call", json!({ "name": "whoami" }), "/mcp tools/call whoami"),
        ("tools/call", json!({ "name": "top_customers", "arguments": {} }), "/mcp tools/call (configured)"),
    ] {
        let (request, asked) = fixture.post(&[], &message(method, params));
        assert!(request.ask.is_ok() && asked.fault.is_none(), "{method}: {:?}", asked.fault);
        assert_eq!((request.facts.route, asked.frame.id.as_deref()), (route, Some("1")));
        assert!(!request.takes_streams);
    }
    let (request, asked) = fixture.post(&[], &json!({ "jsonrpc": "2.0", "method": "notifications/cancelled" }));
    assert!(matches!(request.ask, Ok(Ask::Told { action: "notification", .. })) && asked.is_notification());
}

#[test]
fn a_modern_message_has_modern_methods_only() {
    let fixture = Fixture::new();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}
    });
    let modern = |method: &str| {
        let headers = [MODERN[0], ("mcp-method", method)];
        fixture.post(&headers, &message(method, json!({ "_meta": meta, "protocolVersion": "2025-11-25" }))).1
    };
    assert_eq!(code(&modern("server/discover")), None);
    for gone in
        ["initialize", "ping", "logging/setLevel", "resources/subscribe", "subscriptions/listen", "unknown/method"]
    {
        assert_eq!(code(&modern(gone)), Some((-32601, 404)), "{gone}");
    }
    let (_, legacy) = fixture.post(&[], &message("server/discover", json!({})));
    assert_eq!(code(&legacy), Some((-32601, 200)));
}

#[test]
fn what_http_must_refuse_is_refused_and_still_carried_along() {
    let fixture = Fixture::new();
    let body = message("ping", json!({})).to_string();
    let status = |method: &str, target: &str, headers: &[(&str, &str)]| {
        let (request, asked) = fixture.read(method, target, headers, body.as_bytes());
        assert!(request.ask.is_err());
        code(&asked).unwrap().1
    };
    assert_eq!(status("GET", "/mcp", &[]), 405);
    assert_eq!(status("DELETE", "/mcp", &[]), 405);
    assert_eq!(status("POST", "/mcp?access_token=x", &[]), 401);
    assert_eq!(status("POST", "/mcp?x=y", &[]), 400);
    assert_eq!(status("POST", "/mcp", &[("content-type", "text/plain")]), 415);
    assert_eq!(status("POST", "/mcp", &[("origin", "https://evil.example")]), 403);
    assert_eq!(status("POST", "/mcp", &[("origin", "null")]), 403);
    assert_eq!(status("POST", "/mcp", &[("host", "evil.example")]), 403);
    // MC-01: nobody was ever given a session.
    assert_eq!(status("POST", "/mcp", &[("mcp-session-id", "alices")]), 404);
    let (request, _) = fixture.read("POST", "/mcp", &[("origin", "http://127.0.0.1:8080")], body.as_bytes());
    assert!(request.ask.is_ok());
}

#[test]
fn a_calls_faults_are_the_messages_and_its_arguments_are_the_models() {
    let fixture = Fixture::new();
    let call = |params: Json| fixture.post(&[], &message("tools/call", params));
    for (params, word) in [
        (json!({}), "needs `name`"),
        (json!({ "name": 7 }), "needs `name`"),
        (json!({ "name": "whoami", "arguments": [] }), "`arguments` must be an object"),
    ] {
        let (request, asked) = call(params);
        assert_eq!(code(&asked), Some((-32602, 200)));
        assert!(request.ask.err().unwrap().message.contains(word));
        assert_eq!(asked.route, Route("/mcp tools/call (unknown)"));
    }
    let (request, asked) = call(json!({ "name": "querytable" }));
    assert!(matches!(request.ask, Ok(Ask::Tool { .. })), "it reads like one that this caller cannot reach");
    assert_eq!((asked.route, asked.nearest_tool), (Route("/mcp tools/call (unknown)"), Some("query_table")));
    let (request, asked) = call(json!({ "name": "query_table", "arguments": { "service": "db", "user": "bob" } }));
    assert!(asked.fault.is_none() && asked.is_call());
    assert_eq!(request.ask.err().unwrap().reason, Reason::BadParameter);
    assert_eq!(asked.route, Route("/mcp tools/call query_table"));
}

#[test]
fn scopes_are_named_only_of_services_that_there_are() {
    let fixture = Fixture::new();
    let scopes = |name: &str, service: &str| {
        fixture
            .post(
                &[],
                &message(
                    "tools/call",
                    json!({ "name": name, "arguments": { "service": service, "table": "t", "sql": "s" } }),
                ),
            )
            .1
            .scopes
    };
    assert_eq!(scopes("describe_table", "db"), ["db:read"]);
    assert_eq!(scopes("run_sql", "hr"), ["hr:read", "hr:raw_sql"]);
    assert!(scopes("describe_table", "x\" evil=\"").is_empty());
}

#[test]
fn resources_are_tables_or_not_there() {
    let fixture = Fixture::new();
    let (request, asked) = fixture.post(&[], &message("resources/read", json!({ "uri": "asuser://db/order%20items" })));
    match request.ask {
        Ok(Ask::Service(service, RequestTree::DescribeTable { table })) => {
            assert_eq!((service.as_str(), &*table), ("db", "order items"));
        }
        _ => panic!("another ask"),
    }
    assert_eq!(asked.frame.uri, "asuser://db/order%20items");
    let (_, asked) = fixture.post(&[], &message("resources/read", json!({ "uri": "file:///etc/passwd" })));
    assert_eq!(code(&asked), Some((-32002, 200)));
}

#[test]
fn events_come_only_to_those_who_take_nothing_else() {
    let wants = |accept: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, value.parse().unwrap());
        }
        wants_events(&headers)
    };
    assert!(wants(&["text/event-stream"]) && wants(&["text/event-stream, application/json;q=0"]));
    for json in [
        &[][..],
        &["*/*"],
        &["application/json, text/event-stream"],
        &["text/event-stream", "application/*"],
        &["text/html"],
    ] {
        assert!(!wants(json), "{json:?}");
    }
}

/// A program for tests adds a tool that tells of its progress, and one that fails.
struct Conformance;

impl Extra for Conformance {
    fn capabilities(&self) -> serde_json::Map<String, Json> {
        serde_json::Map::from_iter([("completions".to_owned(), json!({}))])
    }
    fn listed(&self, method: &str) -> Vec<Json> {
        if method == "tools/list" { vec![json!({ "name": "test_progress" })] } else { Vec::new() }
    }
    fn answer(&self, request: &ExtraRequest<'_>) -> Option<ExtraAnswer> {
        match (request.method, request.params.get("name").and_then(Json::as_str)) {
            ("tools/call", Some("test_progress")) => Some(ExtraAnswer::Result {
                result: serde_json::Map::from_iter([("content".to_owned(), json!([]))]),
                before: vec![json!({ "jsonrpc": "2.0", "method": "notifications/progress" })],
            }),
            ("tools/call", Some("test_needs")) => Some(ExtraAnswer::Error {
                code: -32021,
                status: 400,
                message: "needs sampling".to_owned(),
                data: Some(json!({ "requiredCapabilities": { "sampling": {} } })),
            }),
            _ => None,
        }
    }
}

#[test]
fn a_program_for_tests_adds_its_own() {
    let fixture = Fixture { extra: Some(&Conformance), ..Fixture::new() };
    let (request, asked) = fixture.post(&[], &message("tools/call", json!({ "name": "test_progress" })));
    assert!(asked.is_events() && asked.route == Route("/mcp (extra)"));
    let Ok(Ask::Told { body, .. }) = request.ask else { panic!("another ask") };
    let sent = String::from_utf8((request.face.wrap)(&request.face.frame, body)).unwrap();
    assert_eq!(
        sent,
        "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n\
         event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}\n\n"
    );
    let (_, asked) = fixture.post(&[], &message("tools/call", json!({ "name": "test_needs" })));
    assert_eq!(code(&asked), Some((-32021, 400)));
    let (_, asked) = fixture.post(&[], &message("tools/list", json!({})));
    assert_eq!(asked.frame.more, r#"{"name":"test_progress"}"#);
    let (request, _) = fixture.post(&[], &message("initialize", json!({ "protocolVersion": "2025-11-25" })));
    let Ok(Ask::Told { body, .. }) = request.ask else { panic!("another ask") };
    assert!(String::from_utf8(body).unwrap().contains(r#""completions":{}"#));
    // The tools that every installation has are still there.
    assert!(fixture.post(&[], &message("tools/call", json!({ "name": "whoami" }))).0.ask.is_ok());
}

proptest! {
    /// Whatever comes is understood or refused, and each refusal is one that HTTP can say.
    #[test]
    fn nothing_falls_over(body in ".{0,200}", method in "[a-z/]{0,20}", name in ".{0,40}", modern: bool, version in ".{0,20}") {
        let fixture = Fixture::new();
        let params = json!({ "name": name, "uri": name, "cursor": name, "arguments": { "table": name, "sql": name, "filter": name } });
        for body in [body.into_bytes(), message(&method, params.clone()).to_string().into_bytes(), message("tools/call", params).to_string().into_bytes()] {
            let header = if modern { "2026-07-28" } else { version.as_str() };
            let clean = http::HeaderValue::from_str(header).is_ok();
            let headers = [("mcp-protocol-version", header), ("mcp-method", "tools/call")];
            let (request, asked) = fixture.read("POST", "/mcp", if clean { &headers } else { &[] }, &body);
            prop_assert!(request.ask.is_ok() || asked.fault.is_none() || (200..600).contains(&asked.fault.unwrap().status));
        }
    }
}
