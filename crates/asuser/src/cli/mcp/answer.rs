//! What asuser answered, as lines for a client.
//!
//! In: an HTTP answer to one message. Out: JSON-RPC messages, each one line; for a request always one with its id. What is no such answer
//! (a proxy's page, half a document) becomes an error that says so and repeats none of it.

use asuser_fetch::Answer;
use http::header::CONTENT_TYPE;
use serde_json::{Value as Json, json};

use super::message::{INTERNAL_ERROR, error};

/// An answer, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) lines: Vec<String>,
    /// The revision that `initialize` agreed on.
    pub(super) agreed: Option<String>,
}

/// The lines for a request with this id.
pub(super) fn lines(answer: &Answer, id: &Json, advice: Option<&str>) -> Lines {
    let kind = answer.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let documents = match kind.as_str() {
        "text/event-stream" => events(&answer.body),
        "application/json" => std::str::from_utf8(&answer.body).map(|text| vec![text.to_owned()]).unwrap_or_default(),
        _ => Vec::new(),
    };
    let (mut lines, mut agreed, mut answered) = (Vec::new(), None, false);
    for document in documents {
        let Ok(message) = serde_json::from_str::<Json>(&document) else { continue };
        match whose(&message, id) {
            Whose::Nobodys => {}
            // As it came: numbers in it may be longer than any type here.
            Whose::Notification => lines.push(one_line(&document)),
            Whose::Answer if !answered => {
                answered = true;
                agreed = message.pointer("/result/protocolVersion").and_then(Json::as_str).map(str::to_owned);
                match advice {
                    Some(advice) => lines.push(advised(message, id, advice)),
                    None if message.get("id") == Some(id) => lines.push(one_line(&document)),
                    None => lines.push(with_id(message, id)),
                }
            }
            Whose::Answer => {}
        }
    }
    if !answered {
        let words = advice.map_or_else(String::new, |advice| format!(": {advice}"));
        lines.push(error(id, INTERNAL_ERROR, &format!("asuser answers {}{words}", answer.status)));
    }
    Lines { lines, agreed }
}

enum Whose {
    Answer,
    Notification,
    Nobodys,
}

fn whose(message: &Json, id: &Json) -> Whose {
    if message.get("jsonrpc").and_then(Json::as_str) != Some("2.0") {
        return Whose::Nobodys;
    }
    let is_answer = message.get("result").is_some() || message.get("error").is_some();
    match message.get("id") {
        Some(said) if is_answer && said == id => Whose::Answer,
        // An error before the id could be read (JSON-RPC 2.0 §5).
        None | Some(Json::Null) if message.get("error").is_some() => Whose::Answer,
        None if message.get("method").is_some_and(Json::is_string) => Whose::Notification,
        _ => Whose::Nobodys,
    }
}

/// Valid JSON has line breaks only between its tokens, where a blank does as well.
fn one_line(document: &str) -> String {
    document.trim().replace(['\r', '\n'], " ")
}

fn with_id(mut message: Json, id: &Json) -> String {
    if let Some(message) = message.as_object_mut() {
        message.insert("id".to_owned(), id.clone());
    }
    message.to_string()
}

/// A refusal, with what a person can do about it.
fn advised(mut message: Json, id: &Json, advice: &str) -> String {
    if let Some(words) = message.pointer_mut("/error/message") {
        *words = json!(format!("{}: {advice}", words.as_str().unwrap_or("refused")));
    }
    with_id(message, id)
}

/// The data of server-sent events (HTML, server-sent events §9.2.6). One that is not ended was cut off.
fn events(body: &[u8]) -> Vec<String> {
    let Ok(text) = std::str::from_utf8(body) else { return Vec::new() };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let (mut found, mut data) = (Vec::new(), Vec::new());
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        if line.is_empty() {
            if !data.is_empty() {
                found.push(data.join("\n"));
                data.clear();
            }
        } else if let Some(value) = line.strip_prefix("data:") {
            data.push(value.strip_prefix(' ').unwrap_or(value));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, kind: &str, body: &str) -> Answer {
        let mut headers = http::HeaderMap::new();
        headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        Answer { url: "https://d.example/mcp".parse().unwrap(), status, headers, body: body.to_owned().into() }
    }
    fn read(status: u16, kind: &str, body: &str) -> Vec<String> {
        lines(&answer(status, kind, body), &json!(1), None).lines
    }

    #[test]
    fn an_answer_goes_through_as_it_is() {
        let body =
            "{\"jsonrpc\":\"2.0\",\"id\":1,\n \"result\":{\"n\":12345678901234567890123.10,\"t\":\"a\\nb\"}}\r\n";
        let wanted = "{\"jsonrpc\":\"2.0\",\"id\":1,  \"result\":{\"n\":12345678901234567890123.10,\"t\":\"a\\nb\"}}";
        assert_eq!(read(200, "application/json; charset=utf-8", body), [wanted]);
        let hello = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}"#;
        assert_eq!(
            lines(&answer(200, "application/json", hello), &json!(1), None).agreed.as_deref(),
            Some("2025-11-25")
        );
    }

    #[test]
    fn events_are_unpacked() {
        let stream = "\u{feff}: hello\r\nevent: message\r\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\r\n\r\n\
                      id: 7\ndata:{\"jsonrpc\":\"2.0\",\ndata:\"id\":1,\"result\":{}}\n\nretry: 5\n\ndata: cut off";
        assert_eq!(
            read(200, "text/event-stream", stream),
            [r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#, r#"{"jsonrpc":"2.0", "id":1,"result":{}}"#]
        );
        let cut = read(200, "text/event-stream", "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
        assert!(cut[0].contains("-32603"), "{cut:?}");
    }

    #[test]
    fn an_error_keeps_its_words_and_gets_the_requests_id() {
        let refused =
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"words","data":{"reason":"ASU-110"}}}"#;
        let said: Json = serde_json::from_str(&read(400, "application/json", refused)[0]).unwrap();
        assert_eq!(
            (&said["id"], &said["error"]["code"], &said["error"]["data"]["reason"]),
            (&json!(1), &json!(-32020), &json!("ASU-110"))
        );
        let refused = r#"{"jsonrpc":"2.0","id":1,"error":{"code":204,"message":"the token is over"}}"#;
        let said = lines(&answer(401, "application/json", refused), &json!(1), Some("run `asuser login`"));
        assert!(said.lines[0].contains("the token is over: run `asuser login`"), "{said:?}");
    }

    #[test]
    fn what_is_no_answer_is_an_error_that_repeats_none_of_it() {
        for (status, kind, body) in [
            (502, "text/html", "<html>secret</html>"),
            (200, "application/json", "secret"),
            (200, "application/json", r#"{"jsonrpc":"2.0","id":1,"result":{"secret":"#),
            (200, "application/json", r#"{"jsonrpc":"2.0","id":2,"result":"secret"}"#),
            (200, "application/json", r#"{"jsonrpc":"2.0","id":"1","result":"secret"}"#),
            (200, "application/json", r#"{"id":1,"result":"secret"}"#),
            (200, "application/json", r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#),
            (200, "text/plain", r#"{"jsonrpc":"2.0","id":1,"result":"secret"}"#),
            (202, "application/json", ""),
            (404, "application/json", "{}"),
        ] {
            let said = read(status, kind, body);
            let parsed: Json = serde_json::from_str(&said[0]).unwrap();
            assert_eq!((said.len(), &parsed["id"], &parsed["error"]["code"]), (1, &json!(1), &json!(-32603)), "{body}");
            assert!(!said[0].contains("secret"), "{said:?}");
        }
        let twice = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":2}\n\n";
        assert_eq!(read(200, "text/event-stream", twice).len(), 1);
    }
}
