//! `[[tool]]`: named, typed SQL of the administrator's, which agents call and which runs as the person who asks.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use asuser_core::{ArgumentKind, ServiceName};
use asuser_gateway::{Tool, ToolParameter};
use asuser_query::ParameterName;
use serde::Deserialize;

use super::{Config, ServiceConfig};

/// The tools that the MCP face has by itself.
const TAKEN: [&str; 8] =
    ["whoami", "list_services", "list_tables", "describe_table", "get_schema", "query_table", "aggregate", "run_sql"];
const TOOLS_MAX: usize = 200;
const PARAMETERS_MAX: usize = 32;
/// A model reads every description each time.
const DESCRIPTION_MAX: usize = 2_000;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolConfig {
    pub(crate) name: String,
    pub(crate) title: Option<String>,
    pub(crate) description: String,
    pub(crate) service: ServiceName,
    pub(crate) sql: String,
    #[serde(default)]
    pub(crate) parameters: BTreeMap<String, ParameterConfig>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParameterConfig {
    #[serde(rename = "type")]
    pub(crate) kind: ArgumentKind,
    pub(crate) description: String,
    /// By default yes, unless there is a default.
    pub(crate) required: Option<bool>,
    pub(crate) default: Option<toml::Value>,
}

/// The tools by name, each of them guarded.
pub(crate) fn tools(config: &Config) -> anyhow::Result<BTreeMap<String, Tool>> {
    let mut tools = BTreeMap::new();
    if config.tool.len() > TOOLS_MAX {
        bail!("more than {TOOLS_MAX} [[tool]] blocks: a model cannot choose among so many");
    }
    for configured in &config.tool {
        let name = &configured.name;
        let tool = configured.tool(&config.service).with_context(|| format!("tool \"{name}\""))?;
        if tools.insert(name.clone(), tool).is_some() {
            bail!("two [[tool]] blocks are named \"{name}\": rename one");
        }
    }
    Ok(tools)
}

impl ToolConfig {
    fn tool(&self, services: &[ServiceConfig]) -> anyhow::Result<Tool> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let name = &self.name;
        if !name.bytes().all(plain)
            || !(1..=64).contains(&name.len())
            || !name.starts_with(|c: char| c.is_ascii_lowercase())
        {
            bail!("a name is a-z, 0-9 and _, begins with a letter, and has at most 64 characters");
        }
        if TAKEN.contains(&name.as_str()) {
            bail!("asuser has a tool of this name itself: take another");
        }
        if self.description.trim().is_empty() || self.description.len() > DESCRIPTION_MAX {
            bail!(
                "description: say in 1 to {DESCRIPTION_MAX} bytes what it gives and when to use it, since a model chooses by it"
            );
        }
        if self.parameters.len() > PARAMETERS_MAX {
            bail!("more than {PARAMETERS_MAX} parameters");
        }
        let service = services.iter().find(|service| service.name == self.service);
        let service = service.with_context(|| format!("there is no [[service]] named \"{}\"", self.service))?;
        let named = |name: &String| {
            ParameterName::new(name).with_context(|| format!("parameter \"{name}\": a name is a-z, 0-9 and _"))
        };
        let names: Vec<ParameterName> = self.parameters.keys().map(named).collect::<anyhow::Result<_>>()?;
        let functions = service.functions()?;
        let statement = asuser_query::parse_sql(&self.sql, service.kind.database(), &functions, &names);
        let parameters = self.parameters.iter().map(|(name, parameter)| parameter.parameter(name));
        let tool = Tool {
            name: name.clone(),
            title: self.title.clone(),
            description: self.description.trim().to_owned(),
            service: self.service.clone(),
            parameters: parameters.collect::<anyhow::Result<_>>()?,
            statement: statement.map_err(|error| anyhow::anyhow!("sql: {error}"))?,
        };
        self.check_used(&names)?;
        Ok(tool)
    }

    /// A parameter that the statement does not use is a mistake of somebody's.
    fn check_used(&self, names: &[ParameterName]) -> anyhow::Result<()> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words: BTreeSet<&str> = self.sql.split(|c: char| !is_name(c)).collect();
        match names.iter().find(|name| !words.contains(name.as_str())) {
            None => Ok(()),
            Some(unused) => bail!("the statement does not use the parameter \"{}\"", unused.as_str()),
        }
    }
}

impl ParameterConfig {
    fn parameter(&self, name: &str) -> anyhow::Result<ToolParameter> {
        let default = self.default.as_ref().map(serde_json::to_value).transpose()?;
        let required = self.required.unwrap_or(default.is_none());
        if required && default.is_some() {
            bail!("parameter \"{name}\": what must be given needs no default");
        }
        let parameter = ToolParameter {
            name: name.to_owned(),
            kind: self.kind,
            description: self.description.clone(),
            required,
            default,
        };
        if parameter.default.is_some() {
            let checked = parameter.argument(None);
            checked.map_err(|problem| anyhow::anyhow!("the default of parameter \"{name}\": {}", problem.message))?;
        }
        Ok(parameter)
    }
}
