//! What the server says of a role: whether a person may be it, its own settings, and what it can read. Asked over the service's own
//! login, which needs no rights for it.
//!
//! In: a role's name, as the mapping gave it. Out: [`RoleFacts`]; a role that nobody may be comes with the reason. Refused are
//! roles that stand above row security or above other roles, by themselves or through any membership, inherited or not; owners of
//! protected tables and of the database; asuser's own login; and roles whose settings would make a session somebody else.

mod login;
mod path;
mod settings;

use std::collections::BTreeMap;

use asuser_postgres::Client;
use serde::Deserialize;

use self::path::{Schema, search_path};
use self::settings::Settings;
use crate::PostgresError;
use crate::catalog::{facts, parsed};

pub(crate) use self::login::login_is_powerless;

/// Predefined roles that let nobody see, change or become anything.
const HARMLESS: [&str; 3] = ["pg_checkpoint", "pg_use_reserved_connections", "pg_signal_autovacuum_worker"];
/// Reasons told at a time.
const REASONS_MAX: usize = 5;

/// What is asked of a role.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoleQuestion<'a> {
    /// The service's schemas: whose relations are asked about, and the `search_path` of a role that sets none.
    pub(crate) path: &'a [String],
}

/// What is known of a role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RoleFacts {
    /// Why nobody may be it, in words for the operator.
    pub(crate) refusal: Option<String>,
    /// `rolcanlogin`
    pub(crate) can_login: bool,
    /// `rolvaliduntil` has passed.
    pub(crate) expired: bool,
    /// asuser's login may take it by SET ROLE.
    pub(crate) settable: bool,
    /// Settings for each of its transactions, in the spelling of `pg_settings`: lock_timeout, TimeZone, DateStyle, IntervalStyle.
    pub(crate) settings: Vec<(String, String)>,
    /// Its statement_timeout in milliseconds; `None` is no limit.
    pub(crate) timeout_ms: Option<u64>,
    /// Its default_transaction_read_only.
    pub(crate) read_only: bool,
    /// Its other settings, by name: they are not applied in mode `role`.
    pub(crate) ignored: Vec<String>,
    /// A value for `search_path`: pg_catalog first, pg_temp last, between them only schemas that the role cannot write to.
    pub(crate) search_path: String,
    /// Schemas that are not in the path since the role can write to them.
    pub(crate) writable: Vec<String>,
    /// What it can read, by `pg_class.oid`. What is not here it cannot.
    pub(crate) readable: BTreeMap<u32, Readable>,
}

/// How much of a relation can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Readable {
    /// Every column.
    All,
    /// These, by `pg_attribute.attnum`.
    Columns(Vec<i16>),
}

impl Readable {
    /// Whether the column with this number is one of them.
    pub(crate) fn holds(&self, number: i16) -> bool {
        match self {
            Self::All => true,
            Self::Columns(numbers) => numbers.contains(&number),
        }
    }
}

/// Reads what is known of a role as of now.
///
/// # Errors
/// When the server fails. A role that may not be used is no error: see [`RoleFacts::refusal`].
pub(crate) async fn read(
    client: &mut Client,
    role: &str,
    question: &RoleQuestion<'_>,
) -> Result<RoleFacts, PostgresError> {
    let schemas = serde_json::json!(question.path).to_string();
    let values: &[Option<&str>] = &[Some(role), Some(&schemas)];
    let [rows] = facts(client, [(include_str!("roles/role.sql"), values)]).await?;
    let Some(row) = rows.first() else {
        let search_path = search_path(&[], &[]).value;
        let refusal = Some(format!("there is no database role `{role}`"));
        return Ok(RoleFacts { refusal, search_path, ..RoleFacts::default() });
    };
    let answer: Answer = parsed(row.get(0))?;
    let settings = Settings::of(&answer.settings);
    let wanted = settings.search_path.clone().unwrap_or_else(|| question.path.to_vec());
    let wanted: Vec<String> =
        wanted.into_iter().map(|name| if name == "$user" { role.to_owned() } else { name }).collect();
    let path = search_path(&wanted, &answer.schemas);
    Ok(RoleFacts {
        refusal: refusal(role, &answer, &settings),
        can_login: answer.can_login,
        expired: answer.expired,
        settable: answer.settable,
        settings: settings.applied,
        timeout_ms: settings.timeout_ms,
        read_only: settings.read_only,
        ignored: settings.ignored,
        search_path: path.value,
        writable: path.writable,
        readable: answer.readable.into_iter().map(|(oid, columns)| (oid, readable(columns))).collect(),
    })
}

/// The value of `role.sql`.
#[derive(Debug, Deserialize)]
struct Answer {
    can_login: bool,
    expired: bool,
    settable: bool,
    reached: Vec<Reached>,
    owned_database: Option<String>,
    owned_tables: Vec<(String, String)>,
    /// Whether it is the role's own; `name=value`. Those that win come first.
    settings: Vec<(bool, String)>,
    schemas: Vec<Schema>,
    readable: BTreeMap<u32, Option<Vec<i16>>>,
}

/// The role itself or one that it is a member of, where it stands above others.
#[derive(Debug, Deserialize)]
struct Reached {
    name: String,
    superuser: bool,
    bypass_rls: bool,
    create_role: bool,
    replication: bool,
    is_login: bool,
    predefined: bool,
}

fn readable(columns: Option<Vec<i16>>) -> Readable {
    columns.map_or(Readable::All, Readable::Columns)
}

fn refusal(role: &str, answer: &Answer, settings: &Settings) -> Option<String> {
    let mut reasons: Vec<String> = answer.reached.iter().filter_map(|reached| standing(role, reached)).collect();
    if let Some(database) = &answer.owned_database {
        reasons.push(format!("`{role}` owns the database `{database}`, or is a member of its owner"));
    }
    for (schema, table) in &answer.owned_tables {
        reasons.push(format!(
            "`{role}` owns `{schema}.{table}`, or is a member of its owner, whom row security does not bind"
        ));
    }
    for setting in &settings.refused {
        reasons.push(format!("a session of `{role}` begins with `{setting}` set, which says who it is"));
    }
    reasons.truncate(REASONS_MAX);
    if reasons.is_empty() { None } else { Some(reasons.join("; ")) }
}

/// Why the role, or one that it is a member of, is above what a person may be.
fn standing(role: &str, reached: &Reached) -> Option<String> {
    let what = if reached.is_login {
        "asuser's own login"
    } else if reached.superuser {
        "a superuser"
    } else if reached.bypass_rls {
        "not bound by row security (BYPASSRLS)"
    } else if reached.create_role {
        "allowed to make and change roles (CREATEROLE)"
    } else if reached.replication {
        "allowed to copy the whole server (REPLICATION)"
    } else if reached.predefined && !HARMLESS.contains(&reached.name.as_str()) {
        "a predefined role with powers over the whole server"
    } else {
        return None;
    };
    if reached.name == role {
        Some(format!("`{role}` is {what}"))
    } else {
        Some(format!("`{role}` is a member of `{}`, which is {what}", reached.name))
    }
}

#[cfg(test)]
mod tests;
