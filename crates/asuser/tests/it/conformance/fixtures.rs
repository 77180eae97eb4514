//! What the suite wants to find on a server, as far as one without sessions and without questions to the client can have it.
//!
//! Names and texts are the suite's. Left out, and so expected to fail: what needs a stream that the server speaks on first (sampling and
//! elicitation before 2026-07-28, subscriptions), and levels of a log that a client would set.

use asuser_server::{Extra, ExtraAnswer, ExtraRequest};
use serde_json::{Map, Value as Json, json};

type Object = Map<String, Json>;

/// A red point, and an eighth of a second of silence.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const WAV: &str = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";
const META: &str = "io.modelcontextprotocol";

/// Tools without arguments, and what is to be read of them.
const TOOLS: &[(&str, &str)] = &[
    ("test_simple_text", "A text"),
    ("test_image_content", "An image"),
    ("test_audio_content", "A sound"),
    ("test_embedded_resource", "A resource in a result"),
    ("test_multiple_content_types", "Text, image and resource in one result"),
    ("test_error_handling", "Always fails"),
    ("test_tool_with_progress", "Tells its progress"),
    ("test_tool_with_logging", "Logs before it answers"),
    ("test_missing_capability", "Wants a client that can sample"),
    ("test_streaming_elicitation", "Tells its progress without being asked"),
    ("test_logging_tool", "Logs where the request has a level"),
    ("test_input_required_result_elicitation", "Asks for a name"),
    ("test_input_required_result_sampling", "Asks the client's model"),
    ("test_input_required_result_list_roots", "Asks for roots"),
    ("test_input_required_result_request_state", "Gets its state back"),
    ("test_input_required_result_multiple_inputs", "Asks for three things at once"),
    ("test_input_required_result_multi_round", "Asks twice"),
    ("test_input_required_result_tampered_state", "Knows its own state"),
    ("test_input_required_result_capabilities", "Asks for what the client can give"),
];

/// The suite's tools, prompts and resources.
pub(super) struct Fixtures;

impl Extra for Fixtures {
    fn capabilities(&self) -> Object {
        object(json!({ "completions": {} }))
    }

    fn listed(&self, method: &str) -> Vec<Json> {
        match method {
            "tools/list" => tools(),
            "prompts/list" => prompts(),
            "resources/list" => vec![
                json!({ "uri": "test://static-text", "name": "static-text", "mimeType": "text/plain" }),
                json!({ "uri": "test://static-binary", "name": "static-binary", "mimeType": "image/png" }),
            ],
            "resources/templates/list" => {
                vec![
                    json!({ "uriTemplate": "test://template/{id}/data", "name": "template", "mimeType": "application/json" }),
                ]
            }
            _ => Vec::new(),
        }
    }

    fn answer(&self, request: &ExtraRequest<'_>) -> Option<ExtraAnswer> {
        let text = |name: &str| request.params.get(name).and_then(Json::as_str).unwrap_or_default();
        match request.method {
            "tools/call" => call(text("name"), request),
            "prompts/get" => prompt(text("name"), request.params),
            "resources/read" => resource(text("uri"), request.modern),
            "completion/complete" => {
                Some(result(json!({ "completion": { "values": [], "total": 0, "hasMore": false } })))
            }
            _ => None,
        }
    }
}

// ---- tools

fn tools() -> Vec<Json> {
    let tool = |(name, description): &(&str, &str)| json!({ "name": name, "description": description, "inputSchema": { "type": "object", "properties": {} } });
    let mut tools: Vec<Json> = TOOLS.iter().map(tool).collect();
    // Every keyword of JSON Schema 2020-12 that the suite looks for.
    tools.push(json!({
        "name": "json_schema_2020_12_tool",
        "description": "Has a schema with all that there is",
        "inputSchema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": { "address": { "$anchor": "addressDef", "type": "object", "properties": {
                "street": { "type": "string" }, "city": { "type": "string" } } } },
            "properties": {
                "name": { "type": "string" },
                "address": { "$ref": "#/$defs/address" },
                "contactMethod": { "type": "string", "enum": ["phone", "email"] },
                "phone": { "type": "string" },
                "email": { "type": "string" },
            },
            "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
            "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
            "then": { "required": ["phone"] },
            "else": { "required": ["email"] },
            "additionalProperties": false,
        },
    }));
    tools
}

fn call(name: &str, request: &ExtraRequest<'_>) -> Option<ExtraAnswer> {
    let meta = request.params.get("_meta");
    let embedded = |uri: &str, media: &str, text: &str| json!({ "type": "resource", "resource": { "uri": uri, "mimeType": media, "text": text } });
    let image = json!({ "type": "image", "data": PNG, "mimeType": "image/png" });
    Some(match name {
        "test_simple_text" => content(vec![said("This is a simple text response for testing.")]),
        "test_image_content" => content(vec![image]),
        "test_audio_content" => content(vec![json!({ "type": "audio", "data": WAV, "mimeType": "audio/wav" })]),
        "test_embedded_resource" => {
            content(vec![embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")])
        }
        "test_multiple_content_types" => content(vec![
            said("Multiple content types test:"),
            image,
            embedded("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
        ]),
        "test_error_handling" => result(
            json!({ "content": [said("This tool intentionally returns an error for testing")], "isError": true }),
        ),
        "test_tool_with_progress" => with_progress(meta),
        "test_streaming_elicitation" => with_progress(meta),
        "test_tool_with_logging" if !request.modern => {
            let logged = ["Tool execution started", "Tool processing data", "Tool execution completed"].map(log);
            after(logged.to_vec(), "Tool with logging executed successfully")
        }
        // 2026-07-28: a server logs to a client only at the level that the request names.
        "test_logging_tool" | "test_tool_with_logging" => {
            let asked = meta.and_then(|meta| meta.get(format!("{META}/logLevel"))).is_some();
            after(if asked { vec![log("Diagnostic trace logging activated")] } else { Vec::new() }, "Logging evaluated")
        }
        "test_missing_capability" if can(request, "sampling") => content(vec![said("Success")]),
        "test_missing_capability" => ExtraAnswer::Error {
            code: -32021,
            status: 400,
            message: "this tool needs a client that can sample".into(),
            data: Some(json!({ "requiredCapabilities": { "sampling": {} } })),
        },
        name => return questions::call(name, request),
    })
}

/// Three steps, where the request has a token for them.
fn with_progress(meta: Option<&Json>) -> ExtraAnswer {
    let token = meta.and_then(|meta| meta.get("progressToken"));
    let step = |token: &Json, done: u32| {
        let message = format!("Completed step {done} of 100");
        json!({ "jsonrpc": "2.0", "method": "notifications/progress",
            "params": { "progressToken": token, "progress": done, "total": 100, "message": message } })
    };
    let steps = token.map(|token| [0, 50, 100].map(|done| step(token, done)).to_vec());
    after(steps.unwrap_or_default(), "done")
}

fn log(text: &str) -> Json {
    json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": text } })
}

fn can(request: &ExtraRequest<'_>, what: &str) -> bool {
    let capabilities = request.params.get("_meta").and_then(|meta| meta.get(format!("{META}/clientCapabilities")));
    capabilities.is_some_and(|all| all.get(what).is_some())
}

// ---- prompts and resources

fn prompts() -> Vec<Json> {
    let argument = |name: &str| json!({ "name": name, "description": "A text", "required": true });
    vec![
        json!({ "name": "test_simple_prompt", "description": "Without arguments" }),
        json!({ "name": "test_prompt_with_arguments", "description": "With two arguments",
            "arguments": [argument("arg1"), argument("arg2")] }),
        json!({ "name": "test_prompt_with_embedded_resource", "description": "With a resource in it",
            "arguments": [argument("resourceUri")] }),
        json!({ "name": "test_prompt_with_image", "description": "With an image in it" }),
        json!({ "name": "test_input_required_result_prompt", "description": "Asks before it answers" }),
    ]
}

fn prompt(name: &str, params: &Object) -> Option<ExtraAnswer> {
    let argument = |name: &str| {
        let arguments = params.get("arguments").and_then(Json::as_object);
        arguments.and_then(|all| all.get(name)?.as_str()).unwrap_or_default().to_owned()
    };
    let messages = match name {
        "test_simple_prompt" => vec![said("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            let (first, second) = (argument("arg1"), argument("arg2"));
            vec![said(&format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))]
        }
        "test_prompt_with_embedded_resource" => {
            let text = "Embedded resource content for testing.";
            let resource = json!({ "uri": argument("resourceUri"), "mimeType": "text/plain", "text": text });
            vec![
                json!({ "type": "resource", "resource": resource }),
                said("Please process the embedded resource above."),
            ]
        }
        "test_prompt_with_image" => vec![
            json!({ "type": "image", "data": PNG, "mimeType": "image/png" }),
            said("Please analyze the image above."),
        ],
        "test_input_required_result_prompt" => match questions::response(params, "user_context") {
            Some(context) => vec![said(&format!("Prompt with context: {}", questions::field(context, "context")))],
            None => {
                return Some(questions::ask(&[("user_context", questions::elicit("What context?", "context"))], None));
            }
        },
        _ => return None,
    };
    let message = |content: Json| json!({ "role": "user", "content": content });
    Some(result(json!({ "messages": messages.into_iter().map(message).collect::<Vec<_>>() })))
}

fn resource(uri: &str, modern: bool) -> Option<ExtraAnswer> {
    let contents = match uri {
        "test://static-text" => {
            json!({ "uri": uri, "mimeType": "text/plain", "text": "This is the content of the static text resource." })
        }
        "test://static-binary" => json!({ "uri": uri, "mimeType": "image/png", "blob": PNG }),
        _ => {
            let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
            let text = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") }).to_string();
            json!({ "uri": uri, "mimeType": "application/json", "text": text })
        }
    };
    let mut answer = json!({ "contents": [contents] });
    if modern {
        answer["ttlMs"] = json!(60_000);
        answer["cacheScope"] = json!("private");
    }
    Some(result(answer))
}

// ---- how answers are written

fn object(value: Json) -> Object {
    let Json::Object(object) = value else { panic!("no object: {value}") };
    object
}
fn said(text: &str) -> Json {
    json!({ "type": "text", "text": text })
}
fn result(value: Json) -> ExtraAnswer {
    ExtraAnswer::Result { result: object(value), before: Vec::new() }
}
fn content(content: Vec<Json>) -> ExtraAnswer {
    result(json!({ "content": content }))
}
fn after(before: Vec<Json>, text: &str) -> ExtraAnswer {
    ExtraAnswer::Result { result: object(json!({ "content": [said(text)] })), before }
}

/// Tools that need something of the client first (`input_required`, 2026-07-28). They keep nothing: what they must know comes back.
mod questions {
    use sha2::{Digest as _, Sha256};

    use super::{ExtraAnswer, ExtraRequest, Json, Object, can, content, json, object, said};

    /// Only this server could have written a state that it took.
    const SECRET: &str = "a secret of the tests";

    pub(super) fn call(name: &str, request: &ExtraRequest<'_>) -> Option<ExtraAnswer> {
        let kind = name.strip_prefix("test_input_required_result_").filter(|_| request.modern)?;
        let params = request.params;
        let state = params.get("requestState").and_then(Json::as_str);
        let known = state.map(opened);
        if let Some(None) = known {
            let message = "`requestState` is not one of this server's".to_owned();
            return Some(ExtraAnswer::Error { code: -32602, status: 200, message, data: None });
        }
        let known = known.flatten();
        let given = |name: &str| response(params, name);
        let done = |text: String| Some(content(vec![said(&text)]));
        match kind {
            "elicitation" => match given("user_name").map(|answer| field(answer, "name")) {
                Some(name) if !name.is_empty() => done(format!("Hello, {name}!")),
                _ => Some(ask(&[("user_name", elicit("What is your name?", "name"))], None)),
            },
            "sampling" => match given("sample_request") {
                Some(answer) => {
                    done(format!("Sampling result: {}", answer["content"]["text"].as_str().unwrap_or("none")))
                }
                None => Some(ask(&[("sample_request", sample("What is the capital of France?"))], None)),
            },
            "list_roots" => match given("roots_request") {
                Some(answer) => done(format!("Found {} root(s)", answer["roots"].as_array().map_or(0, Vec::len))),
                None => Some(ask(&[("roots_request", roots())], None)),
            },
            "request_state" | "tampered_state" => match (known, given("confirm")) {
                (Some(state), Some(_)) if state == kind => done("state-ok: integrity-ok".to_owned()),
                _ => Some(ask(&[("confirm", elicit("Please confirm", "ok"))], Some(kind))),
            },
            "multiple_inputs" => match (given("user_name"), given("greeting"), given("client_roots")) {
                (Some(name), Some(_), Some(_)) if known.is_some() => done(format!("Name: {}", field(name, "name"))),
                _ => Some(ask(
                    &[
                        ("user_name", elicit("What is your name?", "name")),
                        ("greeting", sample("Generate a greeting")),
                        ("client_roots", roots()),
                    ],
                    Some(kind),
                )),
            },
            "multi_round" => match known.as_deref().and_then(|state| state.split_once(':')) {
                Some(("1", _)) if given("step1").is_some() => {
                    let name = field(given("step1")?, "name");
                    Some(ask(&[("step2", elicit("What is your favorite color?", "color"))], Some(&format!("2:{name}"))))
                }
                Some(("2", name)) if given("step2").is_some() => {
                    done(format!("Multi-round complete for {name} who likes {}", field(given("step2")?, "color")))
                }
                _ => Some(ask(&[("step1", elicit("What is your name?", "name"))], Some("1:"))),
            },
            "capabilities" => {
                if params.get("inputResponses").and_then(Json::as_object).is_some_and(|all| !all.is_empty()) {
                    return done("capabilities-ok".to_owned());
                }
                let mut wanted = Vec::new();
                if can(request, "elicitation") {
                    wanted.push(("elicit_input", elicit("A value", "value")));
                }
                if can(request, "sampling") {
                    wanted.push(("sample_input", sample("A sample")));
                }
                if wanted.is_empty() {
                    done("this client can give nothing".to_owned())
                } else {
                    Some(ask(&wanted, Some(kind)))
                }
            }
            _ => None,
        }
    }

    /// What the client answered to a question.
    pub(super) fn response<'a>(params: &'a Object, name: &str) -> Option<&'a Json> {
        params.get("inputResponses")?.get(name)
    }
    /// A text in it.
    pub(super) fn field(answer: &Json, name: &str) -> String {
        answer["content"][name].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn ask(questions: &[(&str, Json)], state: Option<&str>) -> ExtraAnswer {
        let questions: Object =
            questions.iter().map(|(name, question)| ((*name).to_owned(), question.clone())).collect();
        let mut result = object(json!({ "resultType": "input_required", "inputRequests": questions }));
        if let Some(state) = state {
            result.insert("requestState".into(), format!("{}.{state}", seal(state)).into());
        }
        ExtraAnswer::Result { result, before: Vec::new() }
    }
    pub(super) fn elicit(message: &str, field: &str) -> Json {
        let kind = if field == "ok" { "boolean" } else { "string" };
        let schema = json!({ "type": "object", "properties": { field: { "type": kind } }, "required": [field] });
        json!({ "method": "elicitation/create", "params": { "message": message, "requestedSchema": schema } })
    }
    fn sample(text: &str) -> Json {
        let messages = json!([{ "role": "user", "content": said(text) }]);
        json!({ "method": "sampling/createMessage", "params": { "messages": messages, "maxTokens": 50 } })
    }
    fn roots() -> Json {
        json!({ "method": "roots/list", "params": {} })
    }

    fn seal(state: &str) -> String {
        data_encoding::HEXLOWER.encode(&Sha256::new().chain_update(SECRET).chain_update(state).finalize())
    }
    fn opened(sealed: &str) -> Option<String> {
        let (mark, state) = sealed.split_once('.')?;
        (seal(state) == mark).then(|| state.to_owned())
    }
}
