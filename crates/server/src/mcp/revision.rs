//! Which revision of MCP a message is in, and whether its headers say what it says.
//!
//! In: a message and the HTTP headers around it. Out: the era it is served in. A message with the per-request metadata of 2026-07-28,
//! or with that version in its header, is *modern*: it says all about itself, and its headers must agree with it. Any other is
//! *legacy*: 2025-06-18 or 2025-11-25. One without a version header is served as the oldest of them.

use data_encoding::BASE64;
use http::HeaderMap;
use serde_json::Value as Json;

use super::fault::Fault;
use super::message::{Message, Object};

/// Served without a handshake.
pub(crate) const MODERN: &[&str] = &["2026-07-28"];
/// Served after `initialize`, newest first.
const LEGACY: &[&str] = &["2025-11-25", "2025-06-18"];
/// What a client may choose from, newest first.
const SERVED: &[&str] = &["2026-07-28", "2025-11-25", "2025-06-18"];

const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const VERSION: &str = "mcp-protocol-version";
const METHOD: &str = "mcp-method";

/// How a message is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// 2025-06-18 and 2025-11-25
    Legacy,
    /// 2026-07-28
    Modern,
}

/// Finds the era, also of what is no message: by its header.
pub(crate) fn of_headers(headers: &HeaderMap) -> Era {
    let modern = headers.get(VERSION).and_then(|version| version.to_str().ok()).is_some_and(|v| MODERN.contains(&v));
    if modern { Era::Modern } else { Era::Legacy }
}

/// Finds the era of a message, and checks what its revision demands of metadata and headers.
pub(crate) fn check(message: &Message, headers: &HeaderMap) -> Result<Era, (Era, Fault)> {
    let legacy = |fault| (Era::Legacy, fault);
    let modern = |fault| (Era::Modern, fault);
    let version = single(headers, VERSION).map_err(legacy)?;
    let meta = message.params.get("_meta").and_then(Json::as_object);
    let says_so =
        meta.is_some_and(|meta| [META_VERSION, META_CAPABILITIES].iter().any(|name| meta.contains_key(*name)));
    let is_modern = says_so || version.is_some_and(|version| MODERN.contains(&version));
    if is_modern {
        modern_message(message, meta, version, headers).map_err(modern)?;
        return Ok(Era::Modern);
    }
    // The handshake settles the version itself.
    match version.filter(|_| message.method != "initialize") {
        Some(version) if !LEGACY.contains(&version) => return Err(legacy(Fault::unsupported(version, SERVED))),
        _ => {}
    }
    // Not theirs, but whoever sends it must not have it read in two ways.
    let method = single(headers, METHOD).map_err(legacy)?;
    agrees(method.map(str::to_owned), &message.method, "Mcp-Method", false).map_err(legacy)?;
    Ok(Era::Legacy)
}

/// The version that `initialize` agrees on: the client's, if it is served, else the newest that has a handshake.
pub(crate) fn negotiated(params: &Object) -> &'static str {
    let asked = params.get("protocolVersion").and_then(Json::as_str).unwrap_or_default();
    LEGACY.iter().find(|served| **served == asked).or(LEGACY.first()).copied().unwrap_or("2025-11-25")
}

fn modern_message(
    message: &Message,
    meta: Option<&Object>,
    version: Option<&str>,
    headers: &HeaderMap,
) -> Result<(), Fault> {
    let is_request = message.id.is_some();
    // A notification has no such metadata of its own.
    if is_request {
        let meta = meta.ok_or_else(|| Fault::metadata("`params._meta` is missing"))?;
        let Some(Json::String(said)) = meta.get(META_VERSION) else {
            return Err(Fault::metadata(format!("`params._meta` must have `{META_VERSION}`, a text")));
        };
        let Some(Json::Object(_)) = meta.get(META_CAPABILITIES) else {
            return Err(Fault::metadata(format!("`params._meta` must have `{META_CAPABILITIES}`, an object")));
        };
        match version {
            None => return Err(Fault::header("the header `MCP-Protocol-Version` is missing")),
            Some(version) if version != said => {
                return Err(Fault::header(format!(
                    "the header `MCP-Protocol-Version` does not say what `{META_VERSION}` says"
                )));
            }
            Some(_) => {}
        }
        if !MODERN.contains(&said.as_str()) {
            return Err(Fault::unsupported(said, SERVED));
        }
    }
    agrees(single(headers, METHOD)?.map(str::to_owned), &message.method, "Mcp-Method", is_request)?;
    let named = match message.method.as_str() {
        "tools/call" | "prompts/get" => message.params.get("name"),
        "resources/read" => message.params.get("uri"),
        _ => None,
    };
    match named.and_then(Json::as_str) {
        Some(name) => agrees(decoded(single(headers, "mcp-name")?)?, name, "Mcp-Name", is_request),
        None => Ok(()),
    }
}

fn agrees(header: Option<String>, body: &str, name: &str, required: bool) -> Result<(), Fault> {
    match header {
        None if required => Err(Fault::header(format!("the header `{name}` is missing"))),
        Some(header) if header != body => {
            Err(Fault::header(format!("the header `{name}` does not say what the body says")))
        }
        _ => Ok(()),
    }
}

/// A header that may come once. White space around it is no part of it (RFC 9110 §5.5).
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Fault> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    text.map(|text| Some(text.trim_matches([' ', '\t'])))
        .ok_or_else(|| Fault::header(format!("the header `{name}` came twice or holds odd characters")))
}

/// `=?base64?…?=` stands for what a header cannot hold (MCP 2026-07-28, Streamable HTTP, value encoding).
fn decoded(value: Option<&str>) -> Result<Option<String>, Fault> {
    let Some(value) = value else { return Ok(None) };
    let Some(coded) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Ok(Some(value.to_owned()));
    };
    let bytes = BASE64.decode(coded.as_bytes()).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(Some).ok_or_else(|| Fault::header("the header `Mcp-Name` is no base64 of a UTF-8 text"))
}

/// All that is served, newest first.
pub(crate) const fn served() -> &'static [&'static str] {
    SERVED
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        headers
    }
    fn message(method: &str, params: Json) -> Message {
        let Json::Object(params) = params else { panic!("an object") };
        Message { id: Some("1".into()), method: method.into(), params }
    }
    fn meta(version: &str) -> Json {
        json!({ META_VERSION: version, META_CAPABILITIES: {} })
    }
    fn code(message: &Message, pairs: &[(&str, &str)]) -> Result<Era, (Era, i64, u16)> {
        check(message, &headers(pairs)).map_err(|(era, fault)| (era, fault.code, fault.status))
    }
    const MODERN_LIST: &[(&str, &str)] = &[("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/list")];

    #[test]
    fn a_modern_message_says_all_of_itself_and_its_headers_agree() {
        let list = message("tools/list", json!({ "_meta": meta("2026-07-28") }));
        assert_eq!(code(&list, MODERN_LIST), Ok(Era::Modern));
        assert_eq!(
            code(&list, &[("mcp-protocol-version", " 2026-07-28 "), ("MCP-METHOD", "tools/list ")]),
            Ok(Era::Modern)
        );
        for wrong in [
            &[][..],
            &[("MCP-Protocol-Version", "2026-07-28")],
            &[("Mcp-Method", "tools/list")],
            &[("MCP-Protocol-Version", "2025-11-25"), ("Mcp-Method", "tools/list")],
            &[("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "TOOLS/LIST")],
            &[("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/list"), ("Mcp-Method", "tools/list")],
        ] {
            let (_, code, status) = code(&list, wrong).unwrap_err();
            assert_eq!((code, status), (-32020, 400), "{wrong:?}");
        }
    }

    #[test]
    fn missing_metadata_and_unknown_versions_have_codes_of_their_own() {
        for params in [
            json!({}),
            json!({ "_meta": {} }),
            json!({ "_meta": { META_VERSION: "2026-07-28" } }),
            json!({ "_meta": { META_CAPABILITIES: {} } }),
            json!({ "_meta": { META_VERSION: 7, META_CAPABILITIES: {} } }),
        ] {
            let message = message("tools/list", params);
            assert_eq!(code(&message, MODERN_LIST), Err((Era::Modern, -32602, 400)), "{message:?}");
        }
        let future = message("tools/list", json!({ "_meta": meta("v999") }));
        let pairs = [("MCP-Protocol-Version", "v999"), ("Mcp-Method", "tools/list")];
        assert_eq!(code(&future, &pairs), Err((Era::Modern, -32022, 400)));
        let (_, fault) = check(&future, &headers(&pairs)).unwrap_err();
        assert_eq!(fault.data.map(|data| *data), Some(json!({ "supported": SERVED, "requested": "v999" })));
        assert_eq!(code(&future, MODERN_LIST), Err((Era::Modern, -32020, 400)), "the header says another one");
    }

    #[test]
    fn names_are_compared_as_they_are_meant() {
        let with = |name: &'static str| {
            [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", name)]
        };
        let call = |name: &str| message("tools/call", json!({ "name": name, "_meta": meta("2026-07-28") }));
        assert_eq!(code(&call("whoami"), &with("whoami")), Ok(Era::Modern));
        assert_eq!(code(&call("whoami"), &with("=?base64?d2hvYW1p?=")), Ok(Era::Modern));
        assert_eq!(code(&call("ä"), &with("=?base64?w6Q=?=")), Ok(Era::Modern));
        for (body, header) in
            [("whoami", "other"), ("whoami", "Whoami"), ("whoami", "=?base64?d2hv?="), ("whoami", "=?base64?!?=")]
        {
            assert_eq!(code(&call(body), &with(header)), Err((Era::Modern, -32020, 400)), "{header}");
        }
        assert_eq!(code(&call("whoami"), &with("whoami")[..2]), Err((Era::Modern, -32020, 400)), "it is missing");
    }

    #[test]
    fn a_legacy_message_needs_a_version_that_is_served_or_none() {
        let list = message("tools/list", json!({}));
        for version in LEGACY {
            assert_eq!(code(&list, &[("MCP-Protocol-Version", version)]), Ok(Era::Legacy));
        }
        assert_eq!(code(&list, &[]), Ok(Era::Legacy));
        for version in ["2025-03-26", "2024-11-05", "nonsense", ""] {
            assert_eq!(code(&list, &[("MCP-Protocol-Version", version)]), Err((Era::Legacy, -32022, 400)), "{version}");
        }
        assert_eq!(code(&list, &[("Mcp-Method", "tools/call")]), Err((Era::Legacy, -32020, 400)));
        let hello = message("initialize", json!({ "protocolVersion": "2025-06-18" }));
        assert_eq!(code(&hello, &[("MCP-Protocol-Version", "2024-11-05")]), Ok(Era::Legacy));
    }

    #[test]
    fn the_handshake_agrees_on_a_served_revision() {
        let agreed = |version: &str| {
            let Json::Object(params) = json!({ "protocolVersion": version }) else { panic!("an object") };
            negotiated(&params)
        };
        assert_eq!(agreed("2025-06-18"), "2025-06-18");
        assert_eq!(agreed("2025-11-25"), "2025-11-25");
        for other in ["2024-11-05", "2026-07-28", "", "9999"] {
            assert_eq!(agreed(other), "2025-11-25", "{other}");
        }
    }
}
