//! Roles, membership and grants from a mapping of groups. In: a [`ProvisionPlan`] and the database's present state. Out: a [`Plan`], only what
//! is missing, with its exact inverse. Refuses privileged roles, names of the system, and tables that are not there.
//!
//! It only adds: nobody's rights are taken away, nobody is let in again who was locked out, and no role becomes superuser or exempt from row
//! security.

mod state;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use self::state::{Membership, Role, State};
use crate::quote::{identifier, qualified};
use crate::{Operator, OpsError};

/// What there should be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvisionPlan {
    /// asuser's own login in mode `role`: without rights, member of what it may become.
    pub login: Option<String>,
    /// In mode `certificate`, the group that `pg_hba.conf` lets in by certificate: `asuser_users`.
    pub users_group: Option<String>,
    /// Roles for groups.
    #[serde(default)]
    pub group: Vec<GroupPlan>,
    /// Roles for people, if each has one.
    #[serde(default)]
    pub person: Vec<PersonPlan>,
}

/// A group's role and its grants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupPlan {
    /// The role. It cannot log in.
    pub role: String,
    /// The tables and views it may read: `schema.table`, spelt as the catalogue spells them.
    #[serde(default)]
    pub read: Vec<String>,
}

/// A person's role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonPlan {
    /// The role: the person's login.
    pub role: String,
    /// The group roles whose rights it has.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// One thing that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// What adds it.
    pub sql: String,
    /// Why.
    pub why: String,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// What is missing.
    pub statements: Vec<Statement>,
    /// What takes it back, already in the reverse order.
    pub undo: Vec<String>,
}

impl Plan {
    /// Whether nothing is missing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }
    /// As a script, with the reasons.
    #[must_use]
    pub fn script(&self) -> String {
        let lines: Vec<String> = self.statements.iter().map(|one| format!("-- {}\n{};\n", one.why, one.sql)).collect();
        format!("BEGIN;\n{}COMMIT;\n", lines.concat())
    }
    /// The script that takes it back.
    #[must_use]
    pub fn undo_script(&self) -> String {
        let lines: Vec<String> = self.undo.iter().map(|sql| format!("{sql};\n")).collect();
        format!("BEGIN;\n{}COMMIT;\n", lines.concat())
    }
    fn push(&mut self, sql: String, why: impl Into<String>, undo: String) {
        // A reason is a comment in a script: it ends with its line.
        let why = why.into().replace(['\n', '\r'], " ");
        self.statements.push(Statement { sql, why });
        self.undo.push(undo);
    }
}

/// Compares what should be with what is. Changes nothing.
///
/// # Errors
/// When what is asked for is refused, or the catalogues cannot be read.
pub async fn plan(operator: &mut Operator, wanted: &ProvisionPlan) -> Result<Plan, OpsError> {
    check_names(wanted)?;
    let state = State::read(operator, wanted).await?;
    let mut plan = Plan::default();
    roles(&mut plan, wanted, &state)?;
    memberships(&mut plan, wanted, &state);
    grants(&mut plan, wanted, &state)?;
    plan.undo.reverse();
    Ok(plan)
}

/// Does all of it, or nothing.
///
/// # Errors
/// When the server refuses a statement; then nothing was changed.
pub async fn apply(operator: &mut Operator, plan: &Plan) -> Result<(), OpsError> {
    let statements: Vec<String> = plan.statements.iter().map(|one| one.sql.clone()).collect();
    operator.run_all("provisioning", &statements).await
}

fn check_names(wanted: &ProvisionPlan) -> Result<(), OpsError> {
    let groups: BTreeSet<&str> = wanted.group.iter().map(|group| group.role.as_str()).collect();
    let named = wanted.login.iter().chain(&wanted.users_group).map(String::as_str);
    let all: Vec<&str> = named
        .chain(wanted.group.iter().map(|group| group.role.as_str()))
        .chain(wanted.person.iter().map(|person| person.role.as_str()))
        .collect();
    for name in &all {
        // PostgreSQL cuts a longer name off without an error; `pg_` is its own, `none` and `public` are words.
        let reserved = name.starts_with("pg_") || matches!(*name, "none" | "public" | "postgres");
        if name.is_empty() || name.len() > 63 || name.contains('\0') || reserved {
            return Err(OpsError::Refused(format!("`{name}` cannot be the name of a role here")));
        }
    }
    if all.iter().collect::<BTreeSet<_>>().len() != all.len() {
        return Err(OpsError::Refused(
            "a role is named twice: login, users_group, groups and people must all differ".to_owned(),
        ));
    }
    for person in &wanted.person {
        if let Some(unknown) = person.groups.iter().find(|group| !groups.contains(group.as_str())) {
            return Err(OpsError::Refused(format!(
                "person `{}`: there is no [[group]] with the role `{unknown}`",
                person.role
            )));
        }
    }
    Ok(())
}

fn roles(plan: &mut Plan, wanted: &ProvisionPlan, state: &State) -> Result<(), OpsError> {
    const POWERLESS: &str = "NOSUPERUSER NOBYPASSRLS NOREPLICATION NOCREATEROLE NOCREATEDB";
    let mut create = |name: &str, how: &str, why: String| match state.role(name) {
        Some(role) => refuse_privileged(role),
        None => {
            plan.push(
                format!("CREATE ROLE {} {how} {POWERLESS}", identifier(name)),
                why,
                format!("DROP ROLE {}", identifier(name)),
            );
            Ok(())
        }
    };
    for group in &wanted.group {
        create(&group.role, "NOLOGIN INHERIT", format!("the group role {} is missing", group.role))?;
    }
    if let Some(name) = &wanted.users_group {
        create(name, "NOLOGIN INHERIT", format!("{name} is the group that pg_hba.conf lets in by certificate"))?;
    }
    for person in &wanted.person {
        create(
            &person.role,
            "LOGIN INHERIT",
            format!("{} has no role; without a password, only a certificate lets it in", person.role),
        )?;
    }
    if let Some(name) = &wanted.login {
        create(name, "LOGIN NOINHERIT", format!("asuser logs in as {name}; give it a password with \\password"))?;
        if let Some(role) = state.role(name) {
            let quoted = identifier(name);
            if role.inherits {
                let why = format!("{name} must have no rights before it becomes somebody");
                plan.push(format!("ALTER ROLE {quoted} NOINHERIT"), why, format!("ALTER ROLE {quoted} INHERIT"));
            }
            if !role.logs_in {
                let why = format!("asuser logs in as {name}");
                plan.push(format!("ALTER ROLE {quoted} LOGIN"), why, format!("ALTER ROLE {quoted} NOLOGIN"));
            }
        }
    }
    Ok(())
}

fn refuse_privileged(role: &Role) -> Result<(), OpsError> {
    let Some(power) = role.power else { return Ok(()) };
    Err(OpsError::Refused(format!(
        "the role {} is {power}: nobody may be mapped to it, and nothing is granted to it",
        identifier(&role.name)
    )))
}

fn memberships(plan: &mut Plan, wanted: &ProvisionPlan, state: &State) {
    if let Some(login) = &wanted.login {
        // With a role for each person, the groups' rights come through them.
        let people: Vec<&String> = wanted.person.iter().map(|person| &person.role).collect();
        let groups = wanted.group.iter().map(|group| &group.role);
        let becomes = if people.is_empty() { groups.collect() } else { people };
        for role in becomes {
            join(plan, state, role, login, Options::BECOME, format!("{login} becomes {role} for a transaction"));
        }
    }
    for person in &wanted.person {
        for group in &person.groups {
            join(plan, state, group, &person.role, Options::HAVE, format!("{} has the rights of {group}", person.role));
        }
        if let Some(group) = &wanted.users_group {
            join(
                plan,
                state,
                group,
                &person.role,
                Options::NAMED,
                format!("{} may log in by certificate", person.role),
            );
        }
    }
}

/// What a membership is for (PostgreSQL 16: `GRANT … WITH INHERIT …, SET …`).
#[derive(Clone, Copy)]
struct Options {
    inherit: bool,
    set: bool,
}

impl Options {
    const BECOME: Self = Self { inherit: false, set: true };
    const HAVE: Self = Self { inherit: true, set: false };
    const NAMED: Self = Self { inherit: false, set: false };

    /// The options of `is` that must change: what is missing is added, rights that a login must not have go.
    fn suits(self, is: &Membership) -> bool {
        let exact = self.set && !self.inherit;
        if exact { is.set && !is.inherit && !is.admin } else { is.inherit || !self.inherit }
    }
}

fn join(plan: &mut Plan, state: &State, role: &str, member: &str, options: Options, why: String) {
    let (group, user) = (identifier(role), identifier(member));
    let yes = |on: bool| if on { "TRUE" } else { "FALSE" };
    let with = |inherit: bool, set: bool, admin: bool| {
        format!(" WITH INHERIT {}, SET {}, ADMIN {}", yes(inherit), yes(set), yes(admin))
    };
    let wanted = if state.version >= 160_000 { with(options.inherit, options.set, false) } else { String::new() };
    let is: Vec<&Membership> = state.memberships(role, member).collect();
    if is.is_empty() {
        plan.push(format!("GRANT {group} TO {user}{wanted}"), why, format!("REVOKE {group} FROM {user}"));
        return;
    }
    if state.version < 160_000 {
        // Before 16 a membership has no options of its own but this one.
        if options.set && is.iter().any(|one| one.admin) {
            plan.push(
                format!("REVOKE ADMIN OPTION FOR {group} FROM {user}"),
                format!("{member} must not hand {role} on"),
                format!("GRANT {group} TO {user} WITH ADMIN OPTION"),
            );
        }
        return;
    }
    // A login must be right in each grant; for a person's rights one good grant is enough.
    let exact = options.set && !options.inherit;
    if !exact && is.iter().any(|one| options.suits(one)) {
        return;
    }
    for one in is.into_iter().filter(|one| !options.suits(one)) {
        let by = format!(" GRANTED BY {}", identifier(&one.grantor));
        plan.push(
            format!("GRANT {group} TO {user}{wanted}{by}"),
            format!("{why}, and nothing else"),
            format!("GRANT {group} TO {user}{}{by}", with(one.inherit, one.set, one.admin)),
        );
    }
}

fn grants(plan: &mut Plan, wanted: &ProvisionPlan, state: &State) -> Result<(), OpsError> {
    for group in &wanted.group {
        let role = identifier(&group.role);
        let mut schemas = BTreeSet::new();
        for written in &group.read {
            let table = state.table(written).ok_or_else(|| {
                OpsError::Refused(format!(
                    "group `{}`: there is no table or view `{written}` (written `schema.table`)",
                    group.role
                ))
            })?;
            if schemas.insert(table.schema.as_str()) && !table.usable_by(&group.role) {
                let schema = identifier(&table.schema);
                plan.push(
                    format!("GRANT USAGE ON SCHEMA {schema} TO {role}"),
                    format!("{} reads tables of {}", group.role, table.schema),
                    format!("REVOKE USAGE ON SCHEMA {schema} FROM {role}"),
                );
            }
            if !table.readable_by(&group.role) {
                let name = qualified(&table.schema, &table.name);
                plan.push(
                    format!("GRANT SELECT ON {name} TO {role}"),
                    format!("{} may read {written}", group.role),
                    format!("REVOKE SELECT ON {name} FROM {role}"),
                );
            }
        }
    }
    Ok(())
}
