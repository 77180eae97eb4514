//! The REST face: `/api/v2` and `/whoami`.

mod credential;
mod envelope;
mod route;

use std::net::IpAddr;

use asuser_audit::RequestFacts;
use asuser_core::{AuditId, Problem, Reason, RequestId, RequestTree};
use asuser_gateway::{Ask, Face, Request};
use http::request::Parts;

pub(crate) use credential::has_body;
pub(crate) use envelope::problem_body;

/// Reads a request. Nothing is refused here: a misunderstanding is carried along, so that it is recorded under the caller's name.
pub(crate) fn read(parts: &Parts, source: IpAddr) -> Request {
    let found = route::find(parts.uri.path());
    let template = found.as_ref().map_or("(unknown)", |found| found.template);
    let ask = credential::framing(parts)
        .and_then(|()| credential::method(parts))
        .and(found)
        .and_then(|found| ask(found.target, parts.uri.query().unwrap_or_default()));
    Request {
        facts: RequestFacts { request_id: request_id(parts), source, route: template },
        credential: credential::bearer(parts),
        agent_key: credential::agent_key(parts),
        ask,
        face: Face { records: envelope::RECORDS, listing: envelope::listing, whoami: envelope::whoami },
        // Without chunks (RFC 9112 §7.1) the end of the connection is the end of the body, broken off or not.
        takes_streams: parts.version >= http::Version::HTTP_11,
    }
}

fn ask(target: route::Target, query: &str) -> Result<Ask, Problem> {
    let parameters = route::parameters(query)?;
    let plain = |name: &str| match parameters.first() {
        None => Ok(()),
        Some((parameter, _)) => {
            // The dialect knows which parameters are credentials, and refuses those first.
            asuser_query::dialect::refuse_credentials(&parameters)?;
            let shown: String = parameter.chars().take(64).collect();
            Err(Problem::new(Reason::BadParameter, format!("{name} takes no parameter `{shown}`")))
        }
    };
    Ok(match target {
        route::Target::Whoami => {
            plain("/whoami")?;
            Ask::Whoami
        }
        route::Target::Receipt(id) => {
            plain("a receipt")?;
            Ask::Receipt(id)
        }
        route::Target::Tables(service) => {
            let as_list = asuser_query::dialect::parse_listing(&parameters)?;
            Ask::Service(service, RequestTree::ListTables { as_list })
        }
        route::Target::Schema(service, table) => {
            plain("_schema")?;
            Ask::Service(service, RequestTree::DescribeTable { table })
        }
        route::Target::Records(service, table, key) => {
            let read = asuser_query::dialect::parse_read(&table, key.as_deref(), &parameters)?;
            Ask::Service(service, RequestTree::Read(Box::new(read)))
        }
    })
}

/// The caller's name for the request where it is harmless text, else a name of ours (HT-02: no line can be forged with it).
fn request_id(parts: &Parts) -> RequestId {
    let harmless = |text: &&str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let given = parts.headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(harmless);
    match given {
        Some(text) => text.into(),
        None => AuditId::random().map_or_else(|_| "unnamed".into(), |id| id.to_string().into()),
    }
}
