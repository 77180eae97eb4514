//! A client of MCP as small as can be: what it sends is what the test says.

use serde_json::{Value as Json, json};

use crate::site::{Reply, Site};

pub(crate) const MODERN: &str = "2026-07-28";
pub(crate) const LEGACY: [&str; 2] = ["2025-06-18", "2025-11-25"];

/// Somebody who speaks MCP in one revision.
pub(crate) struct Client<'a> {
    pub(crate) site: &'a Site,
    pub(crate) token: String,
    pub(crate) revision: &'a str,
}

/// `POST /mcp` with these headers and this body.
pub(crate) fn post(site: &Site, headers: &[(&str, &str)], body: &str) -> Reply {
    send(site, "POST /mcp", headers, body)
}

/// Any request to this server, with a body.
pub(crate) fn send(site: &Site, line: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut head = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
    let named = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    if !named("host") {
        head.push_str(&format!("Host: {}\r\n", site.address()));
    }
    if !named("content-type") {
        head.push_str("Content-Type: application/json\r\n");
    }
    if !named("content-length") && !named("transfer-encoding") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    Reply::parse(&site.send(format!("{head}\r\n{body}").as_bytes()))
}

/// A request as 2026-07-28 wants it: method, name and version in the headers, too.
pub(crate) fn modern_headers(method: &str, params: &Json) -> Vec<(&'static str, String)> {
    let mut headers = vec![("MCP-Protocol-Version", MODERN.to_owned()), ("Mcp-Method", method.to_owned())];
    let named = if method == "resources/read" { "uri" } else { "name" };
    if let Some(name) =
        params[named].as_str().filter(|_| ["tools/call", "resources/read", "prompts/get"].contains(&method))
    {
        headers.push(("Mcp-Name", name.to_owned()));
    }
    headers
}

impl<'a> Client<'a> {
    /// A person, through the usual agent.
    pub(crate) fn of(site: &'a Site, person: &str, revision: &'a str) -> Self {
        Self { site, token: site.issuer.token_for(person), revision }
    }
    pub(crate) fn with(site: &'a Site, token: String, revision: &'a str) -> Self {
        Self { site, token, revision }
    }

    /// A request.
    pub(crate) fn request(&self, method: &str, params: Json) -> Reply {
        let mut params = params;
        let mut headers = vec![("Authorization", format!("Bearer {}", self.token))];
        headers.push(("Accept", "application/json, text/event-stream".to_owned()));
        if self.revision == MODERN {
            headers.extend(modern_headers(method, &params));
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
            });
        } else if method != "initialize" {
            headers.push(("MCP-Protocol-Version", self.revision.to_owned()));
        }
        let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        post(self.site, &headers, &body.to_string())
    }
    /// A request that succeeds, by its result.
    pub(crate) fn result(&self, method: &str, params: Json) -> Json {
        let reply = self.request(method, params);
        assert_eq!(reply.status, 200, "{method}: {reply:?}");
        let body = reply.json();
        assert_eq!((&body["jsonrpc"], &body["id"]), (&json!("2.0"), &json!(7)), "{body}");
        assert!(body.get("error").is_none(), "{method}: {body}");
        assert_eq!(reply.header("audit-id").map(str::len), Some(26), "{method}");
        body["result"].clone()
    }
    /// A call of a tool, by its result.
    pub(crate) fn call(&self, tool: &str, arguments: Json) -> Json {
        self.result("tools/call", json!({ "name": tool, "arguments": arguments }))
    }
    /// What a call gives that works.
    pub(crate) fn data(&self, tool: &str, arguments: Json) -> Json {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], false, "{tool}: {result}");
        let text = result["content"][0]["text"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Json>(text).unwrap(), result["structuredContent"], "the text says the same");
        result["structuredContent"].clone()
    }
    /// What a model reads of a call that fails.
    pub(crate) fn failure(&self, tool: &str, arguments: Json) -> String {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], true, "{tool}: {result}");
        assert!(result.get("structuredContent").is_none(), "it would have to fit the tool's output schema");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }
}
