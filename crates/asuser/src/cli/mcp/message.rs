//! One message of a client.
//!
//! In: a line. Out: what it is, and the headers that its revision wants beside it. Refuses what is no JSON-RPC 2.0 message; batches, which
//! no revision that asuser serves has.

use data_encoding::BASE64;
use http::HeaderValue;
use serde_json::{Value as Json, json};

/// JSON-RPC 2.0 §5.1
pub(super) const PARSE_ERROR: i64 = -32700;
pub(super) const INVALID_REQUEST: i64 = -32600;
pub(super) const INTERNAL_ERROR: i64 = -32603;
/// ASU-201: no credential. Codes outside of JSON-RPC's own are asuser's reasons.
pub(super) const NO_CREDENTIAL: i64 = 201;

const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// The one whose messages say all of themselves, and whose headers repeat it; later ones will.
const LEGACY: &[&str] = &["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// What a line is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line {
    /// A number or a text identifies it; it is answered.
    Request(Message),
    Notification(Message),
    /// `notifications/cancelled`, with the id of the request.
    Cancel(Json),
    /// An answer to a server that asked: no asuser asks.
    Answer,
}

/// A request or a notification.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    /// Whole, as it goes on.
    pub(super) body: Json,
    pub(super) method: String,
    /// Null for a notification.
    pub(super) id: Json,
}

/// Why a line is no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) code: i64,
    pub(super) why: &'static str,
    /// As far as it could be read.
    pub(super) id: Json,
}

/// Reads a line.
pub(super) fn read(line: &[u8]) -> Result<Line, Malformed> {
    let malformed = |code, why| Malformed { code, why, id: Json::Null };
    let body: Json = serde_json::from_slice(line).map_err(|_| malformed(PARSE_ERROR, "the line is no JSON"))?;
    let invalid = |why| malformed(INVALID_REQUEST, why);
    let message = match &body {
        Json::Object(message) => message,
        Json::Array(_) => return Err(invalid("batches are not served: send one message a line")),
        _ => return Err(invalid("the line is no JSON-RPC message, which is an object")),
    };
    let id = message.get("id").filter(|id| id.is_string() || id.is_number());
    let with_id = |why| Malformed { id: id.cloned().unwrap_or_default(), ..invalid(why) };
    if message.get("jsonrpc").and_then(Json::as_str) != Some("2.0") {
        return Err(with_id("the message is not of JSON-RPC 2.0"));
    }
    let Some(method) = message.get("method") else {
        let answers = message.contains_key("result") || message.contains_key("error");
        return if answers { Ok(Line::Answer) } else { Err(with_id("the message has no `method`")) };
    };
    let Some(method) = method.as_str().map(str::to_owned) else { return Err(with_id("`method` is no text")) };
    match (message.get("id"), id.cloned()) {
        (None, _) if method == "notifications/cancelled" => {
            let cancelled = message.get("params").and_then(|params| params.get("requestId")).cloned();
            Ok(Line::Cancel(cancelled.unwrap_or_default()))
        }
        (None, _) => Ok(Line::Notification(Message { body, method, id: Json::Null })),
        (Some(_), Some(id)) => Ok(Line::Request(Message { body, method, id })),
        (Some(_), None) => Err(invalid("`id` is neither a text nor a number")),
    }
}

/// The headers of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Headers {
    pub(super) version: Option<HeaderValue>,
    pub(super) method: Option<HeaderValue>,
    pub(super) name: Option<HeaderValue>,
}

impl Message {
    /// The headers, where `agreed` is the revision that `initialize` settled. `None`: they cannot hold what the message says.
    pub(super) fn headers(&self, agreed: Option<&str>) -> Option<Headers> {
        let params = self.body.get("params");
        let said = params.and_then(|params| params.get("_meta")?.get(META_VERSION)?.as_str());
        // The handshake settles the revision itself.
        let version = said.or(agreed).filter(|_| self.method != "initialize");
        let is_modern = version.is_some_and(|version| !LEGACY.contains(&version));
        let name = match self.method.as_str() {
            "tools/call" | "prompts/get" => params.and_then(|params| params.get("name")?.as_str()),
            "resources/read" => params.and_then(|params| params.get("uri")?.as_str()),
            _ => None,
        };
        Some(Headers {
            version: version.map(HeaderValue::from_str).transpose().ok()?,
            method: is_modern.then(|| HeaderValue::from_str(&self.method)).transpose().ok()?,
            name: name.filter(|_| is_modern).map(|name| HeaderValue::from_str(&encoded(name))).transpose().ok()?,
        })
    }
}

/// What a header cannot hold is base64 (MCP 2026-07-28, Streamable HTTP, value encoding).
fn encoded(value: &str) -> String {
    let plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~')) && value.trim() == value;
    let mistaken = value.starts_with("=?base64?") && value.ends_with("?=");
    if plain && !mistaken {
        return value.to_owned();
    }
    format!("=?base64?{}?=", BASE64.encode(value.as_bytes()))
}

/// An answer of this program's own.
pub(super) fn error(id: &Json, code: i64, message: &str) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: Json) -> Message {
        match read(body.to_string().as_bytes()) {
            Ok(Line::Request(message) | Line::Notification(message)) => message,
            other => panic!("{other:?}"),
        }
    }
    fn headers(body: Json, agreed: Option<&str>) -> [Option<String>; 3] {
        let Headers { version, method, name } = message(body).headers(agreed).unwrap();
        [version, method, name].map(|value| value.map(|value| value.to_str().unwrap().to_owned()))
    }
    fn strings<const N: usize>(values: [Option<&str>; N]) -> [Option<String>; N] {
        values.map(|value| value.map(str::to_owned))
    }

    #[test]
    fn lines_are_told_apart() {
        let kind = |text: &str| match read(text.as_bytes()) {
            Ok(Line::Request(message)) => format!("request {} {}", message.id, message.method),
            Ok(Line::Notification(message)) => format!("notification {}", message.method),
            Ok(Line::Cancel(id)) => format!("cancel {id}"),
            Ok(Line::Answer) => "answer".to_owned(),
            Err(malformed) => format!("{} {}", malformed.code, malformed.id),
        };
        for (text, wanted) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "request 1 ping"),
            (r#"{"jsonrpc":"2.0","id":"a","method":"tools/list","params":{}}"#, "request \"a\" tools/list"),
            (r#" {"jsonrpc":"2.0","method":"notifications/initialized"} "#, "notification notifications/initialized"),
            (r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#, "cancel 7"),
            (r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#, "cancel null"),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "answer"),
            (r#"{"jsonrpc":"2.0","id":1,"error":{}}"#, "answer"),
            ("nonsense", "-32700 null"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping""#, "-32700 null"),
            ("\u{0}", "-32700 null"),
            ("[]", "-32600 null"),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "-32600 null"),
            ("7", "-32600 null"),
            (r#"{"id":1,"method":"ping"}"#, "-32600 1"),
            (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, "-32600 1"),
            (r#"{"jsonrpc":"2.0","id":1}"#, "-32600 1"),
            (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, "-32600 1"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "-32600 null"),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, "-32600 null"),
        ] {
            assert_eq!(kind(text), wanted, "{text}");
        }
        assert!(read(b"\xff\xfe").is_err());
        let deep = "[".repeat(100_000);
        assert!(read(deep.as_bytes()).is_err());
    }

    #[test]
    fn headers_say_what_the_message_says() {
        let meta = json!({ META_VERSION: "2026-07-28" });
        let call =
            |name: &str| json!({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":name,"_meta":meta}});
        assert_eq!(headers(call("whoami"), None), strings([Some("2026-07-28"), Some("tools/call"), Some("whoami")]));
        assert_eq!(headers(call("ä"), None)[2].as_deref(), Some("=?base64?w6Q=?="));
        assert_eq!(headers(call(" a"), None)[2].as_deref(), Some("=?base64?IGE=?="));
        assert_eq!(headers(call("a\r\nX: y"), None)[2].as_deref(), Some("=?base64?YQ0KWDogeQ==?="));
        assert_eq!(headers(call("=?base64?x?="), None)[2].as_deref(), Some("=?base64?PT9iYXNlNjQ/eD89?="));
        let read =
            json!({"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"asuser://db/t","_meta":meta}});
        assert_eq!(headers(read, None)[2].as_deref(), Some("asuser://db/t"));
        let list = json!({"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":meta}});
        assert_eq!(headers(list, Some("2025-11-25")), strings([Some("2026-07-28"), Some("tools/list"), None]));
    }

    #[test]
    fn older_revisions_have_the_version_that_was_agreed_on() {
        let call = json!({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}});
        assert_eq!(headers(call.clone(), None), strings([None, None, None]));
        assert_eq!(headers(call, Some("2025-11-25")), strings([Some("2025-11-25"), None, None]));
        let hello = json!({"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}});
        assert_eq!(headers(hello, Some("2025-11-25")), strings([None, None, None]));
        let note = json!({"jsonrpc":"2.0","method":"notifications/initialized"});
        assert_eq!(headers(note, Some("2025-06-18"))[0].as_deref(), Some("2025-06-18"));
    }

    #[test]
    fn what_a_header_cannot_hold_is_refused() {
        let odd = |version: &str, method: &str| {
            message(json!({"jsonrpc":"2.0","id":1,"method":method,"params":{"_meta":{META_VERSION: version}}}))
                .headers(None)
        };
        assert_eq!(odd("2026-07-28\r\nX: y", "tools/list"), None);
        assert_eq!(odd("2026-07-28", "tools/list\r\nX: y"), None);
        assert!(odd("2026-07-28", "tools/list").is_some());
    }
}
