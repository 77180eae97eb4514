//! The MCP face: `POST /mcp`, Streamable HTTP without sessions, in 2025-06-18, 2025-11-25 and 2026-07-28.
//!
//! In: the head and body of an HTTP request. Out: what is asked of the gateway, and how the answer is framed. Refuses what is no message
//! of a served revision, a page or host that is not allowed, and arguments that a tool does not take. Nothing is refused *here*: a
//! misunderstanding is carried along, so that it is recorded under the caller's name.
//!
//! Each message is one request to the gateway and one entry in the audit log, whatever it is: `ping` and `tools/list` as well as a
//! query. asuser issues no session: each message is judged by its own token.

mod cursor;
mod extra;
mod faces;
mod failure;
mod fault;
mod frame;
mod json;
mod message;
mod methods;
mod resources;
mod revision;
mod text;
mod tools;

use std::net::IpAddr;

use asuser_audit::RequestFacts;
use asuser_core::{Problem, Reason, ServiceName};
use asuser_gateway::{Ask, Request};
use http::request::Parts;
use http::{HeaderMap, Method, header};

pub use extra::{Extra, ExtraAnswer, ExtraRequest};
pub(crate) use failure::write as write_problem;
use frame::{Frame, Kind};
pub(crate) use json::parse as parse_json;
use revision::Era;
use tools::Services;
pub(crate) use tools::plain as plain_arguments;

use crate::credential;
use crate::origin::Origins;
use fault::Fault;
use methods::Misunderstood;

/// The one path.
pub(crate) const PATH: &str = "/mcp";
/// `_meta` of a result in 2026-07-28.
const SERVER_META: &str = concat!(
    r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"asuser","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}}"#
);

/// What the face knows besides a message.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) origins: &'a Origins,
    pub(crate) services: &'a [ServiceName],
    /// Whether the installation configures a tool of this name: for the record's route alone.
    pub(crate) configured: &'a dyn Fn(&str) -> bool,
    pub(crate) extra: Option<&'a dyn Extra>,
}

/// The route of a message, for the record: no name or value of the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route(pub(crate) &'static str);

/// What was understood of a message: kept beside its request, to write what is no success.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) frame: Frame,
    /// What is wrong with the message itself.
    pub(crate) fault: Option<Fault>,
    /// Every scope that it needs, where that is known.
    pub(crate) scopes: Vec<String>,
    pub(crate) route: Route,
    /// The tool that may be meant, should there be none of the name that was called.
    nearest_tool: Option<&'static str>,
}

impl Asked {
    fn new(era: Era, route: &'static str) -> Self {
        Self { frame: Frame::new(era), fault: None, scopes: Vec::new(), route: Route(route), nearest_tool: None }
    }
    /// The message's own fault, if that is what ended the request: who asks was settled first. A foreign page is told so always.
    fn fault_of(&self, problem: &Problem) -> Option<&Fault> {
        let fault = self.fault.as_ref()?;
        let ended = problem.reason == fault.problem.reason || fault.problem.reason == Reason::OriginDenied;
        ended.then_some(fault)
    }
    fn is_call(&self) -> bool {
        matches!(self.frame.kind, Kind::Tool | Kind::Pages | Kind::Rows)
    }
    /// A success of this has no body (HTTP 202).
    pub(crate) fn is_notification(&self) -> bool {
        self.frame.kind == Kind::Notification
    }
    /// A success of this is an event stream.
    pub(crate) const fn is_events(&self) -> bool {
        self.frame.events
    }
}

/// Reads a message.
pub(crate) fn read(
    parts: &Parts,
    body: Result<&[u8], Problem>,
    source: IpAddr,
    around: Surroundings<'_>,
) -> (Request, Asked) {
    let mut asked = Asked::new(revision::of_headers(&parts.headers), PATH);
    asked.frame.events = wants_events(&parts.headers);
    let ask = head(parts, around.origins)
        .and(body.map_err(Fault::http))
        .map_err(Misunderstood::from)
        .and_then(|body| understand(body, &parts.headers, around, &mut asked));
    let ask = ask.map_err(|misunderstood| match misunderstood {
        Misunderstood::Arguments(problem) => problem,
        Misunderstood::Message(fault) => {
            let problem = (*fault.problem).clone();
            asked.fault = Some(fault);
            problem
        }
    });
    let one_service = Services(around.services).only().is_some();
    let request = Request {
        facts: RequestFacts { request_id: credential::request_id(parts), source, route: asked.route.0 },
        credential: credential::bearer(parts),
        agent_key: credential::agent_key(parts),
        ask,
        face: faces::face(&asked.frame, one_service),
        // A message is one JSON value: there is no half of it that a client could use.
        takes_streams: false,
    };
    (request, asked)
}

/// What HTTP itself must say.
fn head(parts: &Parts, origins: &Origins) -> Result<(), Fault> {
    let refused = |reason, message: &str| Err(Fault::http(Problem::new(reason, message)));
    credential::framing(parts).map_err(Fault::http)?;
    if let Err(problem) = origins.check(&parts.headers) {
        return Err(Fault::http(problem));
    }
    if let Some(query) = parts.uri.query() {
        // MC-04: a credential in the URL is refused as one, whatever else is there.
        credential::refuse_in_query(query).map_err(Fault::http)?;
        return refused(Reason::BadRequest, "`/mcp` takes no query parameters");
    }
    if parts.method != Method::POST {
        return refused(
            Reason::MethodNotAllowed,
            "there is no stream and no session here: send each message with POST",
        );
    }
    credential::json_body(&parts.headers).map_err(Fault::http)
}

fn understand(
    body: &[u8],
    headers: &HeaderMap,
    around: Surroundings<'_>,
    asked: &mut Asked,
) -> Result<Ask, Misunderstood> {
    let message = message::read(body).map_err(|(id, fault)| {
        asked.frame.id = id;
        fault
    })?;
    asked.frame.id.clone_from(&message.id);
    let era = revision::check(&message, headers).map_err(|(era, fault)| {
        asked.frame.era = era;
        fault
    })?;
    asked.frame.era = era;
    // Nobody was ever given a session (MC-01). In 2026-07-28 there are none, and the header means nothing.
    if era == Era::Legacy && headers.contains_key("mcp-session-id") && message.method != "initialize" {
        let fault = Fault::invalid("there is no such session: asuser issues none, so send no `Mcp-Session-Id`");
        return Err(Fault { status: 404, ..fault }.into());
    }
    methods::ask(message, around, asked)
}

/// The client takes events and no JSON. Who says nothing takes JSON.
fn wants_events(headers: &HeaderMap) -> bool {
    let lines: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok()).collect();
    let takes = |media: &str| {
        lines.iter().flat_map(|line| line.split(',')).any(|range| {
            let (range, rest) = range.split_once(';').unwrap_or((range, ""));
            let weight = rest.split(';').map(str::trim).find_map(|parameter| parameter.strip_prefix("q="));
            let refused = weight.and_then(|weight| weight.trim().parse::<f32>().ok()) == Some(0.0);
            range.trim().eq_ignore_ascii_case(media) && !refused
        })
    };
    takes("text/event-stream") && !takes("application/json") && !takes("*/*") && !takes("application/*")
}

#[cfg(test)]
mod tests;
