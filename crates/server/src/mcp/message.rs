//! One message of JSON-RPC 2.0, as MCP narrows it.
//!
//! In: a body. Out: a request or a notification. Refuses batches (since 2025-06-18), responses (asuser asks nothing of a client), and
//! an `id` that is neither text nor a whole number that every JSON reader reads alike.

use serde_json::{Map, Value as Json};

use super::fault::Fault;
use super::json;

/// Longer names of methods are nobody's.
const METHOD_BYTES_MAX: usize = 128;
const ID_BYTES_MAX: usize = 256;
/// ±(2^53 − 1): beyond it a reader that knows only doubles answers another id (RFC 8259 §6).
const ID_NUMBER_MAX: u64 = (1 << 53) - 1;

pub(crate) type Object = Map<String, Json>;

/// A request, or with `id: None` a notification.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    /// As JSON text, to be sent back as it is.
    pub(crate) id: Option<String>,
    pub(crate) method: String,
    pub(crate) params: Object,
}

/// Why there is no message, and the `id` to answer where it could be read.
pub(crate) type Unreadable = (Option<String>, Fault);

/// Reads a body.
pub(crate) fn read(body: &[u8]) -> Result<Message, Unreadable> {
    let value = json::parse(body).map_err(|error| (None, Fault::parse(&error)))?;
    let mut object = match value {
        Json::Object(object) => object,
        Json::Array(_) => return Err((None, Fault::invalid("batches are not taken: send each message by itself"))),
        _ => return Err((None, Fault::invalid("a message is a JSON object"))),
    };
    let id = id(object.remove("id")).map_err(|fault| (None, fault))?;
    let wrong = |words: &str| Err((id.clone(), Fault::invalid(words)));
    if object.get("jsonrpc").and_then(Json::as_str) != Some("2.0") {
        return wrong("`jsonrpc` must be \"2.0\"");
    }
    if object.contains_key("result") || object.contains_key("error") {
        return wrong("asuser asks nothing of a client, so there is nothing to respond to");
    }
    let Some(Json::String(method)) = object.remove("method") else {
        return wrong("`method` must be a text");
    };
    if method.is_empty() || method.len() > METHOD_BYTES_MAX {
        return wrong("`method` is empty or too long");
    }
    let params = match object.remove("params") {
        None => Object::new(),
        Some(Json::Object(params)) => params,
        Some(_) => return wrong("`params` must be an object"),
    };
    Ok(Message { id, method, params })
}

/// The id as JSON text.
fn id(id: Option<Json>) -> Result<Option<String>, Fault> {
    let refused = || Fault::invalid("`id` must be a text of up to 256 bytes or a whole number of up to 53 bits");
    match id {
        None => Ok(None),
        Some(Json::String(text)) if text.len() <= ID_BYTES_MAX => Ok(Some(Json::String(text).to_string())),
        Some(Json::Number(number)) => {
            let size = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            match size {
                Some(size) if size <= ID_NUMBER_MAX => Ok(Some(number.to_string())),
                _ => Err(refused()),
            }
        }
        Some(_) => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Message, Unreadable> {
        read(text.as_bytes())
    }

    #[test]
    fn requests_and_notifications_are_read() {
        let request = read_text(r#"{"jsonrpc":"2.0","id":"a\"b","method":"ping"}"#).unwrap();
        assert_eq!((request.id.as_deref(), &*request.method), (Some(r#""a\"b""#), "ping"));
        let negative = read_text(r#"{"jsonrpc":"2.0","id":-9007199254740991,"method":"ping","params":{}}"#).unwrap();
        assert_eq!(negative.id.as_deref(), Some("-9007199254740991"));
        let told = read_text(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).unwrap();
        assert_eq!(told.id, None);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for (text, code, id) in [
            ("{", -32700, None),
            (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, -32700, None),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600, None),
            ("[]", -32600, None),
            ("7", -32600, None),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600, None),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600, None),
            (r#"{"jsonrpc":"2.0","id":1e3,"method":"ping"}"#, -32600, None),
            (r#"{"jsonrpc":"2.0","id":9007199254740992,"method":"ping"}"#, -32600, None),
            (r#"{"jsonrpc":"2.0","id":99999999999999999999999,"method":"ping"}"#, -32600, None),
            (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, -32600, None),
            (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600, Some("1")),
            (r#"{"id":1,"method":"ping"}"#, -32600, Some("1")),
            (r#"{"jsonrpc":"2.0","id":1}"#, -32600, Some("1")),
            (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, -32600, Some("1")),
            (r#"{"jsonrpc":"2.0","id":1,"method":""}"#, -32600, Some("1")),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}"#, -32600, Some("1")),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, -32600, Some("1")),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#, -32600, Some("1")),
        ] {
            let (found, fault) = read_text(text).unwrap_err();
            assert_eq!((fault.code, found.as_deref()), (code, id), "{text}");
            assert_eq!(fault.status, 400, "{text}");
        }
        let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(257));
        assert_eq!(read_text(&long).unwrap_err().1.code, -32600);
    }
}
