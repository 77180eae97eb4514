//! How a refusal or failure is said in MCP.
//!
//! In: the problem that ended a request, and what was understood of the request. Out: an HTTP status and a body. A call of a tool that
//! failed is a result with `isError`, which a model reads and can act on. What concerns the caller's right to be here at all keeps its
//! HTTP status (a client begins to sign in at 401, or at 403 with `insufficient_scope`, and nowhere else). All other errors are JSON-RPC
//! errors; those of asuser's own have the number of their reason as code (`ASU-402` is 402).

use asuser_audit::Opened;
use asuser_core::{Problem, Reason};
use serde_json::{Value as Json, json};

use super::Asked;
use super::fault::{Fault, INTERNAL_ERROR, INVALID_PARAMS};
use super::frame::{Frame, Kind, envelope};
use super::revision::Era;
use super::text::push_json;

/// An answer without data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    /// The body is an event stream.
    pub(crate) events: bool,
    pub(crate) body: Vec<u8>,
}

/// Says why there is no data.
pub(crate) fn write(asked: &Asked, opened: &Opened, problem: &Problem) -> Failure {
    let (status, words) = said(asked, opened, problem);
    // Only a status of 200 can carry events.
    let frame = Frame { events: asked.frame.events && status == 200, ..asked.frame.clone() };
    let mut body = Vec::new();
    envelope(&frame, &mut body, |out| {
        out.extend_from_slice(words.name.as_bytes());
        push_json(out, words.value.to_string().as_bytes());
    });
    Failure { status, events: frame.events, body }
}

/// `"error":` or `"result":`, and what follows.
struct Words {
    name: &'static str,
    value: Json,
}

fn said(asked: &Asked, opened: &Opened, problem: &Problem) -> (u16, Words) {
    let particulars = json!({
        "reason": problem.reason.code(),
        "context": problem.context,
        "request_id": opened.request_id,
        "audit_id": opened.audit_id.map(|id| id.to_string()),
    });
    if let Some(fault) = asked.fault_of(problem) {
        let words = error(fault.code, &fault.problem.message, &with(particulars, fault.data.as_deref()));
        return (fault.status, words);
    }
    let status = problem.reason.status();
    if asked.is_call() && !keeps_status(problem.reason) && problem.reason != Reason::NoSuchTool {
        return (200, failed_call(asked.frame.era, problem, particulars));
    }
    let mut message = problem.message.clone();
    let (code, data) = match problem.reason {
        Reason::NoSuchTool => {
            message.extend(asked.nearest_tool.map(|near| format!("; did you mean `{near}`?")));
            (INVALID_PARAMS, None)
        }
        Reason::NoSuchTable | Reason::NoSuchService if asked.frame.kind == Kind::Resource => {
            let fault = Fault::resource(&asked.frame.uri, asked.frame.era == Era::Modern);
            (fault.code, fault.data)
        }
        Reason::Internal => (INTERNAL_ERROR, None),
        reason => (number(reason), None),
    };
    // To a client of an older revision any other status is a fault of the connection, and the error in it is not looked at.
    let status = match status {
        401 | 403 | 405 | 413 | 415 | 429 | 500.. => status,
        _ => 200,
    };
    (status, error(code, &message, &with(particulars, data.as_deref())))
}

/// Concerns the caller or asuser itself, not what was asked.
fn keeps_status(reason: Reason) -> bool {
    let unverified = reason.code().starts_with("ASU-2") && matches!(reason.status(), 401 | 503);
    unverified
        || matches!(
            reason,
            Reason::InsufficientScope | Reason::TooManyRequests | Reason::AuditUnavailable | Reason::OriginDenied
        )
}

fn number(reason: Reason) -> i64 {
    reason.code().strip_prefix("ASU-").and_then(|digits| digits.parse().ok()).unwrap_or(INTERNAL_ERROR)
}

/// The protocol's own particulars beside ours.
fn with(mut particulars: Json, more: Option<&Json>) -> Json {
    if let (Some(particulars), Some(Json::Object(more))) = (particulars.as_object_mut(), more) {
        particulars.extend(more.clone());
    }
    particulars
}

fn error(code: i64, message: &str, data: &Json) -> Words {
    Words { name: r#""error":"#, value: json!({ "code": code, "message": message, "data": data }) }
}

/// The message is for the model. Particulars are metadata: structured content would have to fit the tool's output schema.
fn failed_call(era: Era, problem: &Problem, particulars: Json) -> Words {
    let message = match problem.reason {
        // The gateway's words are about HTTP.
        Reason::AnswerTooLarge => {
            "the answer is too large: ask for fewer columns or rows (`limit`), or filter more".to_owned()
        }
        _ => problem.message.clone(),
    };
    let text = format!("{message} ({})", problem.reason.code());
    let mut value = json!({
        "content": [{ "type": "text", "text": text }],
        "isError": true,
        "_meta": { "asuser/error": with(particulars, Some(&json!({ "message": message }))) },
    });
    if let (Era::Modern, Some(result)) = (era, value.as_object_mut()) {
        result.insert("resultType".to_owned(), "complete".into());
    }
    Words { name: r#""result":"#, value }
}

#[cfg(test)]
mod tests {
    use asuser_core::AuditId;

    use super::*;

    fn written(kind: Kind, era: Era, fault: Option<Fault>, problem: &Problem) -> (u16, Json) {
        let mut frame = Frame::new(era);
        (frame.kind, frame.id, frame.uri) = (kind, Some("1".into()), "asuser://db/t".into());
        let asked = Asked { frame, fault, nearest_tool: Some("query_table"), ..Asked::new(era, "/mcp") };
        let opened = Opened {
            audit_id: Some(AuditId::from_bytes([0; 16])),
            request_id: "r".into(),
            result: Err(problem.clone()),
        };
        let failure = write(&asked, &opened, problem);
        (failure.status, serde_json::from_slice(&failure.body).unwrap())
    }
    fn problem(reason: Reason) -> Problem {
        Problem::new(reason, "words")
    }

    #[test]
    fn a_failed_call_is_a_result_that_a_model_reads() {
        let (status, body) = written(Kind::Tool, Era::Modern, None, &problem(Reason::NoSuchColumn));
        assert_eq!((status, &body["result"]["isError"]), (200, &json!(true)));
        assert_eq!(body["result"]["content"], json!([{"type": "text", "text": "words (ASU-501)"}]));
        assert_eq!(body["result"]["_meta"]["asuser/error"]["audit_id"], "aaaaaaaaaaaaaaaaaaaaaaaaaa");
        assert_eq!(
            (body["result"].get("structuredContent"), &body["result"]["resultType"]),
            (None, &json!("complete"))
        );
        for reason in
            [Reason::Denied, Reason::NoSuchTable, Reason::DatabaseTimeout, Reason::ActorNotAllowed, Reason::Internal]
        {
            assert_eq!(written(Kind::Pages, Era::Legacy, None, &problem(reason)).0, 200, "{reason}");
        }
        let (_, large) = written(Kind::Rows, Era::Legacy, None, &problem(Reason::AnswerTooLarge));
        assert!(large["result"]["content"][0]["text"].as_str().unwrap().contains("`limit`"));
    }

    #[test]
    fn who_may_not_be_here_is_told_by_the_status() {
        for reason in Reason::ALL.iter().copied().filter(|reason| reason.status() == 401) {
            let (status, body) = written(Kind::Tool, Era::Modern, None, &problem(reason));
            assert_eq!((status, body["error"]["code"].as_i64()), (401, Some(number(reason))), "{reason}");
        }
        for (reason, wanted) in
            [(Reason::InsufficientScope, 403), (Reason::TooManyRequests, 429), (Reason::AuditUnavailable, 503)]
        {
            let (status, body) = written(Kind::Tool, Era::Legacy, None, &problem(reason));
            assert_eq!((status, &body["error"]["data"]["reason"]), (wanted, &json!(reason.code())));
        }
    }

    #[test]
    fn a_fault_of_the_message_has_the_protocols_code() {
        let fault = Fault::method("tools/run", 404);
        let (status, body) = written(Kind::Plain, Era::Modern, Some(fault.clone()), &fault.problem);
        assert_eq!((status, &body["error"]["code"], &body["id"]), (404, &json!(-32601), &json!(1)));
        // A caller who was not verified is told that first.
        let (status, body) = written(Kind::Plain, Era::Modern, Some(fault), &problem(Reason::NoCredential));
        assert_eq!((status, &body["error"]["code"]), (401, &json!(201)));
        let (status, body) = written(Kind::Rows, Era::Legacy, None, &problem(Reason::NoSuchTool));
        assert_eq!((status, &body["error"]["code"]), (200, &json!(-32602)));
        assert_eq!(body["error"]["message"], "words; did you mean `query_table`?");
    }

    #[test]
    fn a_resource_that_is_not_there_has_its_revisions_code() {
        for (era, code) in [(Era::Modern, -32602), (Era::Legacy, -32002)] {
            for reason in [Reason::NoSuchTable, Reason::NoSuchService] {
                let (status, body) = written(Kind::Resource, era, None, &problem(reason));
                assert_eq!((status, &body["error"]["code"]), (200, &json!(code)));
                assert_eq!(body["error"]["data"]["uri"], "asuser://db/t");
            }
        }
    }

    #[test]
    fn a_foreign_page_is_told_so_whoever_it_brings() {
        let fault = Fault::http(problem(Reason::OriginDenied));
        for reason in [Reason::OriginDenied, Reason::NoCredential, Reason::BadSignature, Reason::TooManyRequests] {
            assert_eq!(written(Kind::Plain, Era::Legacy, Some(fault.clone()), &problem(reason)).0, 403, "{reason}");
        }
    }
}
