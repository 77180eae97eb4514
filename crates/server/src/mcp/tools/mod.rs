//! The tools that every installation has, and what a call of one asks.
//!
//! In: a tool's name and arguments. Out: what is asked of the gateway, and how its answer is framed. Refuses arguments that a tool
//! does not take. What a caller may reach is not looked at here: the gateway does that, whatever was asked.

mod aggregate;
mod arguments;
mod query;
pub(super) mod schemas;

use std::collections::BTreeMap;

use asuser_core::{Problem, Reason, RequestTree, ServiceName, SqlRequest};
use asuser_gateway::Ask;
use serde_json::Value as Json;

pub(super) use arguments::nearest;

use super::frame::Kind;
use super::message::Object;
use arguments::Arguments;

/// More arguments than any configured tool has.
const CONFIGURED_MAX: usize = 64;

/// The services of this installation, by name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Services<'a>(pub(crate) &'a [ServiceName]);

impl<'a> Services<'a> {
    /// The one service, if there is just one.
    pub(crate) const fn only(self) -> Option<&'a ServiceName> {
        match self.0 {
            [only] => Some(only),
            _ => None,
        }
    }
    pub(crate) fn has(self, name: &str) -> bool {
        self.0.iter().any(|known| known.as_str() == name)
    }
}

/// A tool that every installation has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Builtin {
    Aggregate,
    DescribeTable,
    GetSchema,
    ListServices,
    ListTables,
    QueryTable,
    RunSql,
    Whoami,
}

impl Builtin {
    /// In the order of their names.
    pub(crate) const ALL: &'static [Self] = &[
        Self::Aggregate,
        Self::DescribeTable,
        Self::GetSchema,
        Self::ListServices,
        Self::ListTables,
        Self::QueryTable,
        Self::RunSql,
        Self::Whoami,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|tool| tool.name() == name)
    }
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Aggregate => "aggregate",
            Self::DescribeTable => "describe_table",
            Self::GetSchema => "get_schema",
            Self::ListServices => "list_services",
            Self::ListTables => "list_tables",
            Self::QueryTable => "query_table",
            Self::RunSql => "run_sql",
            Self::Whoami => "whoami",
        }
    }
    /// For the record.
    pub(crate) const fn route(self) -> &'static str {
        match self {
            Self::Aggregate => "/mcp tools/call aggregate",
            Self::DescribeTable => "/mcp tools/call describe_table",
            Self::GetSchema => "/mcp tools/call get_schema",
            Self::ListServices => "/mcp tools/call list_services",
            Self::ListTables => "/mcp tools/call list_tables",
            Self::QueryTable => "/mcp tools/call query_table",
            Self::RunSql => "/mcp tools/call run_sql",
            Self::Whoami => "/mcp tools/call whoami",
        }
    }
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::QueryTable => Kind::Pages,
            Self::Aggregate | Self::RunSql => Kind::Rows,
            _ => Kind::Tool,
        }
    }
    /// The actions on a service that a call needs, as scopes name them.
    pub(crate) const fn actions(self) -> &'static [&'static str] {
        match self {
            Self::Whoami | Self::ListServices => &[],
            Self::RunSql => &["read", "raw_sql"],
            _ => &["read"],
        }
    }
}

/// What a call asks.
pub(crate) struct Call {
    pub(crate) ask: Ask,
    /// What a cursor of its answer belongs to.
    pub(crate) shape: u64,
}

impl From<Ask> for Call {
    fn from(ask: Ask) -> Self {
        Self { ask, shape: 0 }
    }
}

/// Reads a call's arguments.
pub(crate) fn call(tool: Builtin, given: &Object, services: Services<'_>) -> Result<Call, Problem> {
    let of = |known: &[&'static str]| Arguments::of(tool.name(), known, given);
    match tool {
        Builtin::Whoami => of(&[]).map(|_| Ask::Whoami.into()),
        Builtin::ListServices => of(&[]).map(|_| Ask::Services.into()),
        Builtin::ListTables => {
            let service = of(&["service"])?.service(&services)?;
            Ok(Ask::Service(service, RequestTree::ListTables { as_list: false }).into())
        }
        Builtin::DescribeTable => {
            let arguments = of(&["service", "table"])?;
            let table = arguments.table()?.to_owned();
            Ok(Ask::Service(arguments.service(&services)?, RequestTree::DescribeTable { table }).into())
        }
        Builtin::GetSchema => {
            let arguments = of(&["service", "tables"])?;
            let tables = arguments.texts("tables", 1000)?.into_iter().map(str::to_owned).collect();
            Ok(Ask::Service(arguments.service(&services)?, RequestTree::Schema { tables }).into())
        }
        Builtin::QueryTable => query::read(&of(query::ARGUMENTS)?, services),
        Builtin::Aggregate => aggregate::read(&of(aggregate::ARGUMENTS)?, services),
        Builtin::RunSql => {
            let arguments = of(&["service", "sql", "limit"])?;
            let text = arguments.needed_text("sql", "one SELECT statement")?.to_owned();
            let limit = Some(arguments.count("limit")?.unwrap_or(query::LIMIT));
            let request = Box::new(SqlRequest { text, limit });
            Ok(Ask::Service(arguments.service(&services)?, RequestTree::Sql(request)).into())
        }
    }
}

/// A call of a tool that the installation configures.
pub(crate) fn configured(name: &str, given: Object) -> Result<Call, Problem> {
    Ok(Ask::Tool { name: name.to_owned(), arguments: plain(given)? }.into())
}

/// Arguments of a configured tool, none of which is a list or an object: they are held while the caller is verified, so they are small.
pub(crate) fn plain(given: Object) -> Result<BTreeMap<String, Json>, Problem> {
    let refused = |message: String| Problem::new(Reason::BadParameter, message);
    if given.len() > CONFIGURED_MAX {
        return Err(refused(format!("more than {CONFIGURED_MAX} arguments")));
    }
    if let Some((name, _)) = given.iter().find(|(_, value)| value.is_array() || value.is_object()) {
        let name = arguments::shortened(name);
        return Err(refused(format!("`{name}` must be a text, a number, true, false or null")));
    }
    Ok(given.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Json) -> Object {
        let Json::Object(object) = value else { panic!("an object") };
        object
    }
    fn one() -> Vec<ServiceName> {
        vec!["db".into()]
    }
    fn two() -> Vec<ServiceName> {
        vec!["db".into(), "hr".into()]
    }

    #[test]
    fn names_are_sorted_and_known() {
        let names: Vec<&str> = Builtin::ALL.iter().map(|tool| tool.name()).collect();
        assert!(names.is_sorted());
        for tool in Builtin::ALL {
            assert_eq!(Builtin::named(tool.name()), Some(*tool));
            assert_eq!(tool.route(), format!("/mcp tools/call {}", tool.name()));
        }
        assert_eq!(Builtin::named("Whoami"), None);
    }

    #[test]
    fn the_only_service_need_not_be_named() {
        let given = object(json!({ "table": "orders" }));
        let call_of = |services: &[ServiceName]| call(Builtin::DescribeTable, &given, Services(services));
        match call_of(&one()).unwrap_or_else(|problem| panic!("{problem}")).ask {
            Ask::Service(service, RequestTree::DescribeTable { table }) => {
                assert_eq!((service.as_str(), &*table), ("db", "orders"));
            }
            _ => panic!("another ask"),
        }
        let problem = call_of(&two()).err().unwrap();
        assert!(problem.reason == Reason::BadParameter && problem.message.contains("list_services"), "{problem}");
    }

    /// ID-01: nobody is whom an argument names.
    #[test]
    fn no_tool_takes_an_identity() {
        for tool in Builtin::ALL {
            for name in ["user", "role", "on_behalf_of", "impersonate"] {
                let given = object(json!({ name: "bob" }));
                let problem = call(*tool, &given, Services(&one())).err().unwrap();
                assert_eq!(problem.reason, Reason::BadParameter, "{} {name}", tool.name());
            }
        }
    }

    #[test]
    fn a_configured_tool_takes_plain_values() {
        assert!(configured("t", object(json!({ "a": "x", "b": 1, "c": true, "d": null }))).is_ok());
        assert!(configured("t", object(json!({ "a": [1] }))).is_err());
        assert!(configured("t", object(json!({ "a": {} }))).is_err());
        let many: Object = (0..65).map(|n| (n.to_string(), json!(n))).collect();
        assert!(configured("t", many).is_err());
    }

    #[test]
    fn sql_is_taken_as_it_is_with_a_small_page() {
        let given = object(json!({ "sql": "SELECT 1", "limit": 7 }));
        match call(Builtin::RunSql, &given, Services(&one())).unwrap_or_else(|problem| panic!("{problem}")).ask {
            Ask::Service(_, RequestTree::Sql(request)) => {
                assert_eq!(*request, SqlRequest { text: "SELECT 1".into(), limit: Some(7) });
            }
            _ => panic!("another ask"),
        }
        for wrong in
            [json!({}), json!({ "sql": "" }), json!({ "sql": ["SELECT 1"] }), json!({ "sql": "x", "limit": 0 })]
        {
            assert!(call(Builtin::RunSql, &object(wrong), Services(&one())).is_err());
        }
    }
}
