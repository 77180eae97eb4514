//! Who runs `doctor`, `provision` and `install`: a login at the database, from the command line and the environment. No principal, and
//! nothing that the gateway could use.

use anyhow::{Context as _, bail};
use asuser_connector::RoleMapping;
use asuser_core::Secret;
use asuser_ops::Operator;
use asuser_ops::doctor::{Mapping, RunAs, ServiceDefault, ServiceFacts};
use asuser_postgres::{Credentials, Target, Tls};
use clap::Args;

use crate::config::{Loaded, RunAsSetting, ServiceConfig, ServiceKind};
use crate::wiring::postgres;

/// The role that `pg_hba.conf` lets in by certificate.
pub(super) const USERS_GROUP: &str = "asuser_users";

#[derive(Debug, Clone, Args)]
pub(super) struct OperatorArguments {
    /// The operator's own login at the database. Its password, if it needs one, comes from the environment variable
    /// ASUSER_OPERATOR_PASSWORD.
    #[arg(long, value_name = "ROLE", env = "ASUSER_OPERATOR")]
    operator: Option<String>,
    /// Where the operator connects, such as `postgres://postgres@%2Fvar%2Frun%2Fpostgresql/shop`; by default where the service does.
    #[arg(long, value_name = "URL", env = "ASUSER_OPERATOR_URL")]
    operator_url: Option<String>,
}

/// Of the configured services, the PostgreSQL one of this name.
pub(super) fn service<'a>(loaded: &'a Loaded, name: &str) -> anyhow::Result<&'a ServiceConfig> {
    let found = loaded.config.service.iter().find(|service| service.name.as_str() == name);
    let service = found.with_context(|| format!("there is no [[service]] named \"{name}\""))?;
    if service.kind != ServiceKind::Postgres {
        bail!("service \"{name}\" is no PostgreSQL: it has no roles");
    }
    Ok(service)
}

impl OperatorArguments {
    fn is_given(&self) -> bool {
        self.operator.is_some() || self.operator_url.is_some()
    }

    /// Connects as the operator.
    pub(super) async fn connect(&self, loaded: &Loaded, service: &ServiceConfig) -> anyhow::Result<Operator> {
        if !self.is_given() {
            bail!("who are you at the database? Give --operator or --operator-url (and ASUSER_OPERATOR_PASSWORD)");
        }
        self.connect_or_as_service(loaded, service).await
    }

    /// Connects as the operator, or with the service's own login where none is named: it may read catalogues.
    pub(super) async fn connect_or_as_service(
        &self,
        loaded: &Loaded,
        service: &ServiceConfig,
    ) -> anyhow::Result<Operator> {
        let of_service = postgres::target(loaded, service)?;
        let mut target = match &self.operator_url {
            // The way there is protected like the service's.
            Some(url) => Target { tls: of_service.tls, ..Target::parse(url).context("--operator-url")? },
            None => of_service,
        };
        if matches!(target.tls, Tls::Off) && !target.is_local() {
            bail!("--operator-url leaves this machine, and the service's configuration says nothing of TLS (tls_ca)");
        }
        if self.operator_url.is_some() && target.is_local() {
            target.tls = Tls::Off;
        }
        let credentials = if self.is_given() {
            let user = self.operator.clone().unwrap_or_else(|| target.user.clone());
            Credentials::of(user, std::env::var("ASUSER_OPERATOR_PASSWORD").ok().map(Secret::new))
        } else {
            // As asuser itself goes there: by password, or by a certificate of minutes.
            postgres::options(loaded, service)?.login_credentials()?
        };
        Ok(Operator::connect(&target, &credentials).await?)
    }
}

/// What the configuration says, for the doctor.
pub(super) fn facts(loaded: &Loaded, service: &ServiceConfig) -> anyhow::Result<ServiceFacts> {
    let target = postgres::target(loaded, service)?;
    let mapping = match service.role_mapping()? {
        RoleMapping::Login | RoleMapping::Email => Mapping::Person,
        RoleMapping::DatabaseRole => Mapping::Provider,
        RoleMapping::Groups(map) => Mapping::Groups(map.into_values().collect()),
        RoleMapping::Constant(role) => Mapping::Shared(role),
    };
    let mut facts = ServiceFacts::new(service.name.as_str(), target.user.clone(), mapping);
    if service.run_as == Some(RunAsSetting::Certificate) {
        facts.run_as = RunAs::Certificate;
    }
    USERS_GROUP.clone_into(&mut facts.users_group);
    if let Some(schemas) = &service.schemas {
        facts.schemas.clone_from(schemas);
    }
    facts.default = match service.default.into() {
        asuser_policy::ServiceDefault::Deny => ServiceDefault::Deny,
        asuser_policy::ServiceDefault::Database => ServiceDefault::Database,
    };
    facts.trusted_functions = service.trusted_functions.clone().unwrap_or_default();
    facts.prepare = service.prepare.unwrap_or(true);
    facts.tls_verified = matches!(target.tls, Tls::Verified(_));
    facts.local = target.is_local();
    facts.claims_signed = service.claims_key.is_some();
    Ok(facts)
}
