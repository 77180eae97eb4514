//! `[[service]]`: one database. Which keys a kind of database knows, and what they may say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use asuser_connector::RoleMapping;
use asuser_core::{DatabaseKind, GroupName, ProviderName, ServiceName};
use asuser_identity::IdentityConfig;
use asuser_policy::ServiceDefault;
use asuser_query::AllowedFunctions;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceConfig {
    pub(crate) name: ServiceName,
    pub(crate) kind: ServiceKind,
    #[serde(default)]
    pub(crate) default: DefaultSetting,
    #[serde(default = "max_records")]
    pub(crate) max_records: u64,
    #[serde(default = "answer_mib_max")]
    pub(crate) answer_mib_max: usize,
    #[serde(default = "statement_ms_max")]
    pub(crate) statement_ms_max: u64,
    pub(crate) connections: Option<usize>,
    /// For people and models: what it holds.
    pub(crate) description: Option<String>,
    pub(crate) waiting_max: Option<usize>,

    // SQLite.
    pub(crate) path: Option<PathBuf>,

    // PostgreSQL.
    pub(crate) url: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) tls_ca: Option<PathBuf>,
    pub(crate) tls: Option<TlsSetting>,
    pub(crate) run_as: Option<RunAsSetting>,
    pub(crate) role: Option<RoleSetting>,
    pub(crate) role_providers: Option<BTreeSet<ProviderName>>,
    pub(crate) nologin_roles: Option<bool>,
    pub(crate) role_valid_until: Option<ValidUntilSetting>,
    pub(crate) ca_dir: Option<PathBuf>,
    pub(crate) schemas: Option<Vec<String>>,
    pub(crate) prepare: Option<bool>,
    pub(crate) connection_age_s_max: Option<u64>,
    pub(crate) person_connections_max: Option<usize>,
    pub(crate) bigint: Option<BigintSetting>,
    pub(crate) app_name: Option<AppNameSetting>,
    pub(crate) trusted_functions: Option<BTreeSet<String>>,
    pub(crate) claims_key: Option<String>,
    /// Functions of the company's own that SQL may call, `schema.name`.
    pub(crate) sql_functions: Option<BTreeSet<String>>,
    /// What the planner may expect submitted SQL to cost; 0: it is not asked.
    pub(crate) sql_cost_max: Option<u64>,
    /// The tables and columns that somebody has looked at (`asuser catalog dump`); what is not in it is closed.
    pub(crate) catalog: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ServiceKind {
    Sqlite,
    Postgres,
}

impl ServiceKind {
    pub(crate) const fn database(self) -> DatabaseKind {
        match self {
            Self::Sqlite => DatabaseKind::Sqlite,
            Self::Postgres => DatabaseKind::Postgres,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DefaultSetting {
    #[default]
    Deny,
    Database,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RunAsSetting {
    Role,
    Certificate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TlsSetting {
    Off,
    Verify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ValidUntilSetting {
    Enforce,
    PasswordOnly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BigintSetting {
    Number,
    Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AppNameSetting {
    Login,
    Id,
}

/// `"{login}"`, `"{email}"`, `"{database_role}"`, a role's name, or `{ from = "groups", map = { … } }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum RoleSetting {
    Text(String),
    From(FromSetting),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FromSetting {
    pub(crate) from: FromWhat,
    pub(crate) map: BTreeMap<GroupName, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FromWhat {
    Groups,
}

impl RoleSetting {
    fn mapping(&self) -> anyhow::Result<RoleMapping> {
        Ok(match self {
            Self::Text(text) => match text.as_str() {
                "{login}" => RoleMapping::Login,
                "{email}" => RoleMapping::Email,
                "{database_role}" => RoleMapping::DatabaseRole,
                other if other.contains(['{', '}']) => {
                    bail!("role = \"{other}\": {{login}}, {{email}} and {{database_role}} can stand there, each alone")
                }
                constant => RoleMapping::Constant(constant.to_owned()),
            },
            Self::From(from) if from.map.is_empty() => bail!("role: `map` names no group"),
            Self::From(from) => RoleMapping::Groups(from.map.clone()),
        })
    }
}

impl From<DefaultSetting> for ServiceDefault {
    fn from(setting: DefaultSetting) -> Self {
        match setting {
            DefaultSetting::Deny => Self::Deny,
            DefaultSetting::Database => Self::Database,
        }
    }
}

const fn max_records() -> u64 {
    1000
}
const fn answer_mib_max() -> usize {
    64
}
const fn statement_ms_max() -> u64 {
    10_000
}

impl ServiceConfig {
    /// Which role a person has.
    pub(crate) fn role_mapping(&self) -> anyhow::Result<RoleMapping> {
        let role = self.role.as_ref().context(
            "role is missing: \"{login}\" for a role per person, { from = \"groups\", map = { sales = \"sales_role\" } } for one per \
             group, or the name of one role for all",
        )?;
        role.mapping()
    }

    /// What SQL may call besides the listed functions of the database itself.
    pub(crate) fn functions(&self) -> anyhow::Result<AllowedFunctions> {
        let named = self.sql_functions.iter().flatten().map(String::as_str);
        AllowedFunctions::of(named).map_err(|error| anyhow::anyhow!("sql_functions: {error}"))
    }

    /// Checks what can be checked without the database.
    pub(crate) fn check(&self, identities: &[IdentityConfig]) -> anyhow::Result<()> {
        self.check_name()?;
        self.check_keys()?;
        self.functions()?;
        if self.description.as_ref().is_some_and(|text| text.len() > 1_000) {
            bail!("description: at most 1000 bytes");
        }
        for (key, ok) in [
            ("max_records (1 to 100000)", (1..=100_000).contains(&self.max_records)),
            ("answer_mib_max (1 to 1024)", (1..=1024).contains(&self.answer_mib_max)),
            ("statement_ms_max (1 to 600000)", (1..=600_000).contains(&self.statement_ms_max)),
            ("connections (1 to 64)", self.connections.is_none_or(|connections| (1..=64).contains(&connections))),
        ] {
            if !ok {
                bail!("{key} is out of its range");
            }
        }
        match self.kind {
            ServiceKind::Sqlite => self.check_sqlite(),
            ServiceKind::Postgres => self.check_postgres(identities),
        }
    }

    fn check_name(&self) -> anyhow::Result<()> {
        let name = self.name.as_str();
        let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !first || !plain || name.len() > 40 || ["user", "system", "all"].contains(&name) {
            bail!(
                "a name is a-z, 0-9 and _, begins with a letter, has at most 40 characters, and is none of user, system, all"
            );
        }
        Ok(())
    }

    /// A key of another kind of database does nothing, and somebody believes that it does.
    fn check_keys(&self) -> anyhow::Result<()> {
        let postgres = [
            ("url", self.url.is_some()),
            ("password", self.password.is_some()),
            ("tls_ca", self.tls_ca.is_some()),
            ("tls", self.tls.is_some()),
            ("run_as", self.run_as.is_some()),
            ("role", self.role.is_some()),
            ("role_providers", self.role_providers.is_some()),
            ("nologin_roles", self.nologin_roles.is_some()),
            ("role_valid_until", self.role_valid_until.is_some()),
            ("ca_dir", self.ca_dir.is_some()),
            ("schemas", self.schemas.is_some()),
            ("prepare", self.prepare.is_some()),
            ("connection_age_s_max", self.connection_age_s_max.is_some()),
            ("person_connections_max", self.person_connections_max.is_some()),
            ("bigint", self.bigint.is_some()),
            ("app_name", self.app_name.is_some()),
            ("trusted_functions", self.trusted_functions.is_some()),
            ("claims_key", self.claims_key.is_some()),
            ("sql_functions", self.sql_functions.is_some()),
            ("sql_cost_max", self.sql_cost_max.is_some()),
        ];
        let sqlite = [("path", self.path.is_some())];
        let (foreign, kind): (&[(&str, bool)], _) = match self.kind {
            ServiceKind::Sqlite => (&postgres, "sqlite"),
            ServiceKind::Postgres => (&sqlite, "postgres"),
        };
        if let Some((key, _)) = foreign.iter().find(|(_, given)| *given) {
            bail!("`{key}` is not a key of kind = \"{kind}\"");
        }
        Ok(())
    }

    fn check_sqlite(&self) -> anyhow::Result<()> {
        if self.path.is_none() {
            bail!("path is missing: the database file");
        }
        if self.default == DefaultSetting::Database {
            bail!(
                "SQLite has no users, so there is nothing for default = \"database\" to rely on: use default = \"deny\" and permit what \
                 is allowed"
            );
        }
        Ok(())
    }

    fn check_postgres(&self, identities: &[IdentityConfig]) -> anyhow::Result<()> {
        if self.url.is_none() {
            bail!("url is missing: \"postgres://login@host/database\", or \"env:NAME\"");
        }
        if (self.run_as == Some(RunAsSetting::Certificate)) != self.ca_dir.is_some() {
            bail!("run_as = \"certificate\" and ca_dir (what `asuser ca init` has made) belong together");
        }
        if self.prepare == Some(false) && self.claims_key.is_some() {
            bail!(
                "claims are signed for one connection of the server, which a pooler (prepare = false) hides: leave out claims_key"
            );
        }
        let mapping = self.role_mapping()?;
        if matches!(mapping, RoleMapping::Constant(_)) && self.role_providers.is_none() {
            return Ok(());
        }
        let speakers = self.speakers(identities)?;
        for provider in speakers {
            check_speaker(provider, &mapping)?;
        }
        Ok(())
    }

    /// The providers whose word gives roles here. More than one must be named: they then speak of the same people.
    fn speakers<'a>(&self, identities: &'a [IdentityConfig]) -> anyhow::Result<Vec<&'a IdentityConfig>> {
        let Some(named) = &self.role_providers else {
            if identities.len() > 1 {
                let names: Vec<&str> = identities.iter().map(|identity| identity.name.as_str()).collect();
                bail!(
                    "{} could give the same database role to different people: name in role_providers whose word counts here (several \
                     only if they speak of the same people)",
                    names.join(" and ")
                );
            }
            return Ok(identities.iter().collect());
        };
        let find = |name: &ProviderName| {
            let found = identities.iter().find(|identity| identity.name == *name);
            found.with_context(|| format!("role_providers: there is no [[identity]] named \"{name}\""))
        };
        named.iter().map(find).collect()
    }
}

/// A name that people can change, or that is given to another person later, is no role's (DESIGN: the key is issuer + subject).
fn check_speaker(provider: &IdentityConfig, mapping: &RoleMapping) -> anyhow::Result<()> {
    let name = &provider.name;
    match mapping {
        RoleMapping::Login
            if !provider.mapping.login_managed && asuser_identity::is_mutable_claim(&provider.mapping.login) =>
        {
            bail!(
                "role = \"{{login}}\": the login of \"{name}\" is the claim {}, which people may be able to change. Name a claim that only the \
             directory sets, or, if this one is such, say so with mapping.login_managed = true",
                provider.mapping.login
            )
        }
        RoleMapping::Email if provider.domains.is_empty() => {
            bail!("role = \"{{email}}\": say by `domains` of \"{name}\" which mail domains it speaks for")
        }
        RoleMapping::DatabaseRole if provider.mapping.database_role.is_empty() => {
            bail!("role = \"{{database_role}}\": \"{name}\" maps none: set its mapping.database_role")
        }
        _ => Ok(()),
    }
}
