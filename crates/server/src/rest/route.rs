//! Paths. Strict on purpose: a path that two programs could read in two ways is refused, not repaired.
//!
//! One thing is cut off before it comes here: hyper drops a fragment (`/whoami#x`), which no request target may have (RFC 9112 §3.2),
//! and keeps no raw target to refuse it by. It is harmless: a fragment takes no part in routing, reading or the record.

use asuser_core::{AuditId, ParseIdError, Problem, Reason, ServiceName};
use percent_encoding::percent_decode_str;

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// For the record and metrics: no name or key in it.
    pub(super) template: &'static str,
    pub(super) target: Target,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Whoami,
    Receipt(AuditId),
    Tables(ServiceName),
    Schema(ServiceName, String),
    Records(ServiceName, String, Option<String>),
    /// The schema in few words.
    Spec(ServiceName),
    /// Submitted SQL.
    Sql(ServiceName),
    /// A configured tool.
    Tool(ServiceName, String),
}

const PARAMETERS_MAX: usize = 64;

pub(super) fn find(path: &str) -> Result<Found, Problem> {
    let mut segments = Vec::with_capacity(6);
    let rest = path.strip_prefix('/').ok_or_else(|| bad("the path must begin with `/`"))?;
    // One slash at the end is what clients send by habit; two are something else.
    for segment in rest.strip_suffix('/').unwrap_or(rest).split('/') {
        segments.push(decode(segment)?);
        if segments.len() > 8 {
            return Err(no_such_route());
        }
    }
    let names: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (template, target) = match names.as_slice() {
        ["whoami"] => ("/whoami", Target::Whoami),
        ["audit", id, "receipt"] => {
            let id = id.parse().map_err(|error: ParseIdError| bad(&error.to_string()))?;
            ("/audit/{id}/receipt", Target::Receipt(id))
        }
        ["api", "v2", "user", "session"] => return Err(not_served("log-in sessions")),
        ["api", "v2", "system" | "files" | "logs", ..] => return Err(not_served("administration and file services")),
        ["api", "v2", "api_docs"] => return Err(not_served("the OpenAPI description")),
        ["api", "v2", service, "_table"] => ("/api/v2/{service}/_table", Target::Tables((*service).into())),
        ["api", "v2", service, "_schema"] => ("/api/v2/{service}/_schema", Target::Tables((*service).into())),
        ["api", "v2", service, "_schema", table] => {
            ("/api/v2/{service}/_schema/{table}", Target::Schema((*service).into(), (*table).to_owned()))
        }
        ["api", "v2", service, "_table", table] => {
            ("/api/v2/{service}/_table/{table}", Target::Records((*service).into(), (*table).to_owned(), None))
        }
        ["api", "v2", service, "_table", table, id] => (
            "/api/v2/{service}/_table/{table}/{id}",
            Target::Records((*service).into(), (*table).to_owned(), Some((*id).to_owned())),
        ),
        ["api", "v2", service, "_spec"] => ("/api/v2/{service}/_spec", Target::Spec((*service).into())),
        ["api", "v2", service, "_sql"] => ("/api/v2/{service}/_sql", Target::Sql((*service).into())),
        ["api", "v2", service, "_proc", tool] => {
            ("/api/v2/{service}/_proc/{tool}", Target::Tool((*service).into(), (*tool).to_owned()))
        }
        ["api", "v2", _, "_proc" | "_func", ..] => {
            return Err(not_served("the database's own procedures and functions"));
        }
        _ => return Err(no_such_route()),
    };
    Ok(Found { template, target })
}

/// One segment, decoded once. Refuses what could move it: empty, dots, slashes, path parameters, control characters.
fn decode(segment: &str) -> Result<String, Problem> {
    if segment.contains(';') {
        return Err(bad("a `;` in the path must be written %3B"));
    }
    let text = percent_decode_str(segment).decode_utf8().map_err(|_| bad("the path is not UTF-8"))?;
    let complete = segment.bytes().filter(|byte| *byte == b'%').count()
        == segment
            .as_bytes()
            .windows(3)
            .filter(|w| matches!(w, [b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
            .count();
    match &*text {
        _ if !complete => Err(bad("a `%` in the path must be followed by two hexadecimal digits")),
        "" => Err(bad("the path has an empty segment: write each `/` once")),
        "." | ".." => Err(bad("the path has a `.` or `..` segment")),
        name if name.contains(['/', '\\']) => Err(bad("a segment of the path holds a slash")),
        name if name.chars().any(char::is_control) => Err(bad("the path holds a control character")),
        name => Ok(name.to_owned()),
    }
}

/// The query string as pairs: `application/x-www-form-urlencoded`, strict about broken escapes and bounded.
pub(crate) fn parameters(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((form_decode(name)?, form_decode(value)?));
        if pairs.len() > PARAMETERS_MAX {
            return Err(Problem::new(Reason::BadParameter, format!("more than {PARAMETERS_MAX} parameters")));
        }
    }
    Ok(pairs)
}

fn form_decode(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(Into::into).map_err(|_| Problem::new(Reason::BadParameter, "a parameter is not UTF-8"))
}

fn bad(message: &str) -> Problem {
    Problem::new(Reason::BadRequest, message)
}
fn no_such_route() -> Problem {
    Problem::new(Reason::NoSuchRoute, "there is nothing here: records are at `/api/v2/{service}/_table/{table}`")
}
fn not_served(what: &str) -> Problem {
    Problem::new(
        Reason::NotServed,
        format!("{what}: not served; records are at `/api/v2/{{service}}/_table/{{table}}`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_they_say() {
        let records = |table: &str, id: Option<&str>| Target::Records("db".into(), table.into(), id.map(Into::into));
        for (path, target) in [
            ("/whoami", Target::Whoami),
            ("/audit/aaaaaaaaaaaaaaaaaaaaaaaaaa/receipt", Target::Receipt(AuditId::from_bytes([0; 16]))),
            ("/api/v2/db/_table", Target::Tables("db".into())),
            ("/api/v2/db/_table/", Target::Tables("db".into())),
            ("/api/v2/db/_table/orders", records("orders", None)),
            ("/api/v2/db/_table/order%20items/7", records("order items", Some("7"))),
            ("/api/v2/db/_table/o/a%3Bb", records("o", Some("a;b"))),
            ("/api/v2/db/_schema/orders", Target::Schema("db".into(), "orders".into())),
            ("/api/v2/db/_spec", Target::Spec("db".into())),
            ("/api/v2/db/_sql", Target::Sql("db".into())),
            ("/api/v2/db/_proc/top", Target::Tool("db".into(), "top".into())),
        ] {
            assert_eq!(find(path).unwrap().target, target, "{path}");
        }
    }

    #[test]
    fn paths_that_two_programs_could_read_differently_are_refused() {
        for path in [
            "",
            "//",
            "/api//v2/db/_table",
            "/api/v2/db/_table//",
            "/api/v2/%2e%2e/db/_table",
            "/api/v2/./db/_table",
            "/api/v2/db/_table/a%2Fb",
            "/api/v2/db/_table/a%5Cb",
            "/health;x",
            "/api/v2/db/_table/orders;jsessionid=1",
            "/api/v2/db/_table/a%00",
            "/api/v2/db/_table/%zz",
            "/api/v2/db/_table/%f",
            "/api/v2/db/_table/%ff",
            "/audit/nonsense/receipt",
        ] {
            assert_eq!(find(path).unwrap_err().reason, Reason::BadRequest, "{path}");
        }
        for path in ["/api", "/API/v2/db/_table", "/api/v2/db/_tables/orders", "/a/b/c/d/e/f/g/h/i/j", "/whoami/x"] {
            assert_eq!(find(path).unwrap_err().reason, Reason::NoSuchRoute, "{path}");
        }
        for path in ["/api/v2/system/user", "/api/v2/user/session", "/api/v2/db/_proc", "/api/v2/db/_func/f"] {
            assert_eq!(find(path).unwrap_err().reason, Reason::NotServed, "{path}");
        }
    }

    #[test]
    fn parameters_decode_once() {
        assert_eq!(
            parameters("a=1+2&b=%2B&c&a=%2525").unwrap(),
            [
                ("a".into(), "1 2".into()),
                ("b".into(), "+".into()),
                ("c".into(), String::new()),
                ("a".into(), "%25".into()),
            ] as [(String, String); 4]
        );
        assert!(parameters("a=%ff").is_err());
        assert!(parameters(&"a=1&".repeat(65)).is_err());
    }
}
