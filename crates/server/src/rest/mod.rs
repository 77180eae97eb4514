//! The REST face: `/api/v2` and `/whoami`.

mod envelope;
mod route;
mod submitted;

use std::net::IpAddr;

use asuser_audit::RequestFacts;
use asuser_core::{Problem, Reason, RequestTree, ServiceName};
use asuser_gateway::{Ask, Request};
use http::request::Parts;
use http::{HeaderMap, Method};

pub(crate) use envelope::problem_body;
pub(crate) use route::parameters;
use route::{Found, Target};

use crate::credential;

const METHOD_OVERRIDES: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// A request's head, looked at so far that it is known whether a body is to be read.
pub(crate) struct Head {
    found: Result<Found, Problem>,
    method: Result<(), Problem>,
}

/// What is known of a service's configured tools: whether it has one of this name.
pub(crate) type HasTool<'a> = &'a dyn Fn(&ServiceName, &str) -> bool;

impl Head {
    /// Looks at path and method.
    pub(crate) fn of(parts: &Parts) -> Self {
        let found = route::find(parts.uri.path());
        let method = method(&parts.method, &parts.headers, found.as_ref().ok().map(|found| &found.target));
        Self { found, method }
    }
    /// A body belongs to it.
    pub(crate) fn takes_body(&self, parts: &Parts) -> bool {
        let posted = matches!(&self.found, Ok(Found { target: Target::Sql(_) | Target::Tool(..), .. }));
        posted && self.method.is_ok() && parts.method == Method::POST
    }
    /// The methods that the route takes.
    pub(crate) fn allowed(&self) -> &'static str {
        match &self.found {
            Ok(found) => allowed(&found.target),
            Err(_) => "GET",
        }
    }

    /// Reads a request. Nothing is refused here: a misunderstanding is carried along, so that it is recorded under the caller's name.
    /// `body` is there where one belongs to the request.
    pub(crate) fn read(
        self,
        parts: &Parts,
        body: Option<Result<&[u8], Problem>>,
        source: IpAddr,
        has_tool: HasTool<'_>,
    ) -> Request {
        let template = self.found.as_ref().map_or("(unknown)", |found| found.template);
        let framing = match &body {
            Some(_) => credential::framing(parts).and_then(|()| credential::json_body(&parts.headers)),
            None => credential::framing(parts).and_then(|()| credential::no_body(&parts.headers)),
        };
        let ask = framing
            .and(self.method)
            .and(self.found)
            .and_then(|found| ask(found.target, parts.uri.query().unwrap_or_default(), body, has_tool));
        Request {
            facts: RequestFacts { request_id: credential::request_id(parts), source, route: template },
            credential: credential::bearer(parts),
            agent_key: credential::agent_key(parts),
            ask,
            face: envelope::face(),
            // Without chunks (RFC 9112 §7.1) the end of the connection is the end of the body, broken off or not.
            takes_streams: parts.version >= http::Version::HTTP_11,
        }
    }
}

const fn allowed(target: &Target) -> &'static str {
    match target {
        Target::Sql(_) => "POST",
        Target::Tool(..) => "GET, POST",
        _ => "GET",
    }
}

/// Records are read; what has a body is posted.
fn method(method: &Method, headers: &HeaderMap, target: Option<&Target>) -> Result<(), Problem> {
    if METHOD_OVERRIDES.iter().any(|name| headers.contains_key(*name)) {
        return Err(Problem::new(Reason::NotServed, "the method cannot be overridden: send it as it is"));
    }
    let allowed = target.map_or("GET", allowed);
    if allowed.split(", ").any(|allowed| allowed == method.as_str()) {
        return Ok(());
    }
    match *method {
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE if allowed == "GET" => {
            Err(Problem::new(Reason::NotServed, "records can be read, not changed: send GET"))
        }
        _ => Err(Problem::new(Reason::MethodNotAllowed, format!("this method is not served: send {allowed}"))),
    }
}

fn ask(
    target: Target,
    query: &str,
    body: Option<Result<&[u8], Problem>>,
    has_tool: HasTool<'_>,
) -> Result<Ask, Problem> {
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
        Target::Whoami => {
            plain("/whoami")?;
            Ask::Whoami
        }
        Target::Receipt(id) => {
            plain("a receipt")?;
            Ask::Receipt(id)
        }
        Target::Tables(service) => {
            let as_list = asuser_query::dialect::parse_listing(&parameters)?;
            Ask::Service(service, RequestTree::ListTables { as_list })
        }
        Target::Schema(service, table) => {
            plain("_schema")?;
            Ask::Service(service, RequestTree::DescribeTable { table })
        }
        Target::Spec(service) => {
            plain("_spec")?;
            Ask::Service(service, RequestTree::Schema { tables: Vec::new() })
        }
        Target::Records(service, table, key) => {
            Ask::Service(service, asuser_query::dialect::parse_records(&table, key.as_deref(), &parameters)?)
        }
        Target::Sql(service) => {
            plain("_sql")?;
            let request = submitted::sql(body.unwrap_or(Ok(&[]))?)?;
            Ask::Service(service, RequestTree::Sql(Box::new(request)))
        }
        Target::Tool(service, name) => {
            asuser_query::dialect::refuse_credentials(&parameters)?;
            let arguments = submitted::arguments(&parameters, body.transpose()?)?;
            if !has_tool(&service, &name) {
                let shown: String = name.chars().take(64).collect();
                return Err(Problem::new(Reason::NoSuchTool, format!("there is no tool `{shown}`")));
            }
            Ask::Tool { name, arguments }
        }
    })
}
