//! Which database role a person has. In: a verified principal. Out: a role's name. Refuses whoever has none, more than one, or one
//! that the database would read as another name.

use std::collections::{BTreeMap, BTreeSet};

use asuser_core::{GroupName, PrincipalData};

/// PostgreSQL's longest name (NAMEDATALEN − 1): it cuts a longer one, and so would find another role.
const ROLE_BYTES_MAX: usize = 63;

/// How a service maps people to roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleMapping {
    /// `"{login}"`: a role for each person, named as they log in.
    Login,
    /// `"{email}"`: a role for each person, named like their verified address.
    Email,
    /// `"{database_role}"`: the provider says which.
    DatabaseRole,
    /// One role for all; the claims tell them apart.
    Constant(String),
    /// A role for each of these groups.
    Groups(BTreeMap<GroupName, String>),
}

/// Why a person has no role, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoRole(String);

impl RoleMapping {
    /// The person's role.
    ///
    /// # Errors
    /// When there is none, or not exactly one, or its name is not fit to be one.
    pub fn role<'a>(&'a self, principal: &'a PrincipalData) -> Result<&'a str, NoRole> {
        let missing = |what: &str| NoRole(format!("the person has no {what}, which names the database role here"));
        let role = match self {
            Self::Login => principal.login.as_ref().ok_or_else(|| missing("login"))?.as_str(),
            Self::Email => principal.email.as_deref().ok_or_else(|| missing("verified e-mail address"))?,
            Self::DatabaseRole => principal.database_role.as_deref().ok_or_else(|| missing("database_role"))?,
            Self::Constant(role) => role,
            Self::Groups(map) => one_of(map, &principal.groups)?,
        };
        check_name(role)?;
        Ok(role)
    }

    /// Whether several people may have one role, so that the role alone does not say who asks.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::Constant(_) | Self::Groups(_) | Self::DatabaseRole)
    }

    /// The roles that the configuration names.
    #[must_use]
    pub fn named(&self) -> BTreeSet<&str> {
        match self {
            Self::Constant(role) => [role.as_str()].into(),
            Self::Groups(map) => map.values().map(String::as_str).collect(),
            Self::Login | Self::Email | Self::DatabaseRole => BTreeSet::new(),
        }
    }
}

fn one_of<'a>(map: &'a BTreeMap<GroupName, String>, groups: &[GroupName]) -> Result<&'a str, NoRole> {
    let roles: BTreeSet<&str> = groups.iter().filter_map(|group| map.get(group)).map(String::as_str).collect();
    let mut roles = roles.into_iter();
    match (roles.next(), roles.next()) {
        (Some(role), None) => Ok(role),
        (None, _) => Err(NoRole("none of the person's groups has a database role here".to_owned())),
        (Some(one), Some(other)) => Err(NoRole(format!(
            "the person's groups lead to several database roles (`{one}`, `{other}`): a person has one"
        ))),
    }
}

/// Refuses what PostgreSQL would cut, or takes for "no role".
///
/// # Errors
/// When it is not fit.
pub fn check_name(role: &str) -> Result<(), NoRole> {
    let shown: String = role.escape_debug().take(80).collect();
    if role.is_empty() || role == "none" {
        return Err(NoRole(format!("`{shown}` is no name of a role")));
    }
    if role.len() > ROLE_BYTES_MAX {
        return Err(NoRole(format!("the role name `{shown}` is longer than {ROLE_BYTES_MAX} bytes, and would be cut")));
    }
    if role.chars().any(char::is_control) {
        return Err(NoRole(format!("the role name `{shown}` holds a control character")));
    }
    if role.starts_with("pg_") {
        return Err(NoRole(format!("`{shown}` is a role of the database itself")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use asuser_core::{Issuer, PrincipalKey, ProviderName, Subject};

    use super::*;

    fn person(login: Option<&str>, groups: &[&str]) -> PrincipalData {
        PrincipalData {
            key: PrincipalKey { issuer: Issuer::from("i"), subject: Subject::from("s") },
            provider: ProviderName::from("p"),
            login: login.map(Into::into),
            email: None,
            name: None,
            groups: groups.iter().map(|group| GroupName::from(*group)).collect(),
            attributes: BTreeMap::new(),
            database_role: None,
            scope: None,
            actor: None,
            client: None,
            not_after_ms: 0,
        }
    }

    #[test]
    fn a_person_has_one_role_or_none() {
        let map = [("sales", "sales_role"), ("emea", "sales_role"), ("hr", "hr_role")];
        let groups = RoleMapping::Groups(map.map(|(group, role)| (GroupName::from(group), role.to_owned())).into());
        assert_eq!(groups.role(&person(None, &["sales", "other"])), Ok("sales_role"));
        assert_eq!(groups.role(&person(None, &["sales", "emea"])), Ok("sales_role"));
        assert!(groups.role(&person(None, &["sales", "hr"])).unwrap_err().to_string().contains("several"));
        assert!(groups.role(&person(None, &["Sales"])).unwrap_err().to_string().contains("none of"));
        assert_eq!(RoleMapping::Login.role(&person(Some("ann"), &[])), Ok("ann"));
        assert!(RoleMapping::Login.role(&person(None, &[])).is_err());
        assert!(RoleMapping::Email.role(&person(Some("ann"), &[])).is_err());
        assert_eq!(RoleMapping::Constant("web".into()).role(&person(None, &[])), Ok("web"));
    }

    #[test]
    fn names_that_the_database_reads_otherwise_are_refused() {
        let long = "x".repeat(64);
        for login in ["none", "a\0b", "a\nb", long.as_str(), "pg_monitor", ""] {
            assert!(RoleMapping::Login.role(&person(Some(login), &[])).is_err(), "{login:?}");
        }
        for login in ["None", "john.doe@company.com", "o'brien", "\"q\"", &long[..63]] {
            assert_eq!(RoleMapping::Login.role(&person(Some(login), &[])), Ok(login));
        }
    }
}
