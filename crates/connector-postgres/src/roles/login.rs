//! The service's own login must be nobody: it holds no right that a person should have been asked for. In: its name. Out: nothing,
//! or what is wrong with it and the statements that mend it.

use asuser_postgres::Client;
use serde::Deserialize;

use super::HARMLESS;
use crate::PostgresError;
use crate::catalog::kinds::quoted;
use crate::catalog::{facts, parsed};

/// Relations or roles that are named at a time; the statement asks for more.
const NAMED_MAX: usize = 5;

/// Refuses a login that has powers of its own (SPEC C, "The login is powerless"). In mode `role` it must not inherit anything
/// either, since it is a member of people's roles.
///
/// A relation of an extension that everyone can read does not count: PostGIS would not work without.
///
/// # Errors
/// [`PostgresError::Login`] with the exact statements that mend it; or when the server fails.
pub(crate) async fn login_is_powerless(client: &mut Client, login: &str, role_mode: bool) -> Result<(), PostgresError> {
    let values: &[Option<&str>] = &[Some(login)];
    let [rows] = facts(client, [(include_str!("login.sql"), values)]).await?;
    let Some(row) = rows.first() else {
        return Err(PostgresError::Login(format!("there is no role `{login}`")));
    };
    let answer: Answer = parsed(row.get(0))?;
    let faults = answer.faults(login, role_mode);
    if faults.is_empty() {
        return Ok(());
    }
    let (what, mend): (Vec<String>, Vec<String>) = faults.into_iter().map(|fault| (fault.what, fault.mend)).unzip();
    Err(PostgresError::Login(format!("{}; to mend it: {}", what.join("; "), mend.join("; "))))
}

/// What is wrong, and the statement against it.
struct Fault {
    what: String,
    mend: String,
}

/// The value of `login.sql`.
#[derive(Debug, Deserialize)]
struct Answer {
    superuser: bool,
    bypass_rls: bool,
    create_role: bool,
    replication: bool,
    inherits: bool,
    /// Memberships have options of their own (PostgreSQL 16).
    options: bool,
    owned_database: Option<String>,
    /// Memberships that are more than a role to take.
    granted: Vec<Granted>,
    /// Roles that it is a member of and cannot take.
    unsettable: Vec<String>,
    relations: Vec<Relation>,
}

#[derive(Debug, Deserialize)]
struct Granted {
    name: String,
    grantor: Option<String>,
    admin: bool,
    inherit: bool,
    powerful: bool,
}

#[derive(Debug, Deserialize)]
struct Relation {
    schema: String,
    name: String,
    owned: bool,
    public: bool,
}

impl Answer {
    fn faults(&self, login: &str, role_mode: bool) -> Vec<Fault> {
        let name = quoted(login);
        let mut faults = Vec::new();
        for (has, what, mend) in [
            (self.superuser, "a superuser", "NOSUPERUSER"),
            (self.bypass_rls, "not bound by row security", "NOBYPASSRLS"),
            (self.create_role, "allowed to make and change roles", "NOCREATEROLE"),
            (self.replication, "allowed to copy the whole server", "NOREPLICATION"),
        ] {
            if has {
                faults.push(Fault { what: format!("`{login}` is {what}"), mend: format!("ALTER ROLE {name} {mend}") });
            }
        }
        // Rights on tables may come through a role, so that not to inherit is what mends it.
        let must_not_inherit = role_mode || !self.relations.is_empty();
        if must_not_inherit && self.inherits {
            let what = format!("`{login}` inherits what people's roles may do");
            faults.push(Fault { what, mend: format!("ALTER ROLE {name} NOINHERIT") });
        }
        let memberships =
            self.granted.iter().filter_map(|granted| granted.fault(login, must_not_inherit, self.options));
        let mut memberships: Vec<Fault> = memberships.collect();
        let more = memberships.len() > NAMED_MAX;
        memberships.truncate(NAMED_MAX);
        if let Some(last) = memberships.last_mut().filter(|_| more) {
            last.what.push_str(", and there are others");
        }
        faults.extend(memberships);
        if role_mode {
            faults.extend(self.unsettable.iter().take(NAMED_MAX).map(|role| Fault {
                what: format!("`{login}` is a member of `{role}` and cannot take it"),
                mend: format!("GRANT {} TO {name} WITH SET TRUE", quoted(role)),
            }));
        }
        if let Some(database) = &self.owned_database {
            let mend = format!("ALTER DATABASE {} OWNER TO CURRENT_USER", quoted(database));
            faults.push(Fault { what: format!("`{login}` owns the database `{database}`"), mend });
        }
        // A superuser has every right; there is no use in naming them.
        if !self.superuser {
            let more = self.relations.len() > NAMED_MAX;
            faults.extend(self.relations.iter().take(NAMED_MAX).map(|relation| relation.fault(login, more)));
        }
        faults
    }
}

impl Granted {
    fn fault(&self, login: &str, must_not_inherit: bool, options: bool) -> Option<Fault> {
        let (role, name) = (quoted(&self.name), quoted(login));
        // Since PostgreSQL 16 each grantor's grant is one of its own.
        let by = match &self.grantor {
            Some(grantor) if options => format!(" GRANTED BY {}", quoted(grantor)),
            _ => String::new(),
        };
        if self.powerful && !HARMLESS.contains(&self.name.as_str()) {
            let what = format!("`{login}` is a member of `{}`, which has powers over others", self.name);
            Some(Fault { what, mend: format!("REVOKE {role} FROM {name}{by}") })
        } else if self.admin {
            let what = format!("`{login}` may grant `{}` to others", self.name);
            Some(Fault { what, mend: format!("REVOKE ADMIN OPTION FOR {role} FROM {name}{by}") })
        } else if self.inherit && must_not_inherit {
            let what = format!("`{login}` inherits what `{}` may do", self.name);
            Some(Fault { what, mend: format!("GRANT {role} TO {name} WITH INHERIT FALSE{by}") })
        } else {
            None
        }
    }
}

impl Relation {
    fn fault(&self, login: &str, more: bool) -> Fault {
        let (shown, name) = (format!("`{}.{}`", self.schema, self.name), quoted(login));
        let shown = if more { format!("{shown} and others") } else { shown };
        let relation = format!("{}.{}", quoted(&self.schema), quoted(&self.name));
        if self.owned {
            let mend = format!("ALTER TABLE {relation} OWNER TO CURRENT_USER");
            Fault { what: format!("`{login}` owns {shown}"), mend }
        } else if self.public {
            let what = format!("everyone, and so `{login}`, has a right on {shown}");
            Fault { what, mend: format!("REVOKE ALL ON {relation} FROM PUBLIC, {name}") }
        } else {
            let what = format!("`{login}` has a right on {shown}");
            Fault { what, mend: format!("REVOKE ALL ON {relation} FROM {name}") }
        }
    }
}
