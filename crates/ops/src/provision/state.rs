//! What the database has now, of what a plan speaks of.

use std::collections::{BTreeMap, BTreeSet};

use super::ProvisionPlan;
use crate::quote::array;
use crate::{Operator, OpsError};

/// An existing role.
#[derive(Debug)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) inherits: bool,
    pub(super) logs_in: bool,
    /// Why nobody may be mapped to it.
    pub(super) power: Option<&'static str>,
}

/// A row of `pg_auth_members`.
#[derive(Debug)]
pub(super) struct Membership {
    role: String,
    member: String,
    pub(super) grantor: String,
    pub(super) admin: bool,
    pub(super) inherit: bool,
    pub(super) set: bool,
}

/// An existing table or view.
#[derive(Debug)]
pub(super) struct Relation {
    pub(super) schema: String,
    pub(super) name: String,
    readers: BTreeSet<String>,
    users: BTreeSet<String>,
    public_usage: bool,
}

impl Relation {
    pub(super) fn readable_by(&self, role: &str) -> bool {
        self.readers.contains(role)
    }
    pub(super) fn usable_by(&self, role: &str) -> bool {
        self.public_usage || self.users.contains(role)
    }
}

/// What is there.
#[derive(Debug)]
pub(super) struct State {
    pub(super) version: u32,
    roles: BTreeMap<String, Role>,
    memberships: BTreeMap<(String, String), Vec<Membership>>,
    tables: BTreeMap<String, Relation>,
}

impl State {
    pub(super) async fn read(operator: &mut Operator, wanted: &ProvisionPlan) -> Result<Self, OpsError> {
        let version = operator.version();
        let names: BTreeSet<&str> = wanted
            .login
            .iter()
            .chain(&wanted.users_group)
            .chain(wanted.group.iter().map(|group| &group.role))
            .chain(wanted.person.iter().map(|person| &person.role))
            .map(String::as_str)
            .collect();
        let names = array(names);
        let mut memberships: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for one in read_memberships(operator, &names, version).await? {
            memberships.entry((one.role.clone(), one.member.clone())).or_default().push(one);
        }
        let roles = read_roles(operator, &names).await?;
        let tables: BTreeSet<&str> = wanted.group.iter().flat_map(|group| &group.read).map(String::as_str).collect();
        let tables = read_tables(operator, &array(tables)).await?;
        Ok(Self { version, roles, memberships, tables })
    }

    pub(super) fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(name)
    }
    pub(super) fn memberships(&self, role: &str, member: &str) -> impl Iterator<Item = &Membership> {
        self.memberships.get(&(role.to_owned(), member.to_owned())).into_iter().flatten()
    }
    pub(super) fn table(&self, written: &str) -> Option<&Relation> {
        self.tables.get(written)
    }
}

async fn read_roles(operator: &mut Operator, names: &str) -> Result<BTreeMap<String, Role>, OpsError> {
    let sql = "SELECT rolname, rolinherit, rolcanlogin, rolsuper, rolbypassrls, rolreplication, rolcreaterole
        FROM pg_roles WHERE rolname = ANY ($1::text[]::name[])";
    let rows = operator.rows("reading roles", sql, &[Some(names)]).await?;
    let powers = [
        (3, "superuser"),
        (4, "exempt from row security (BYPASSRLS)"),
        (5, "for replication"),
        (6, "allowed to make roles (CREATEROLE)"),
    ];
    let roles = rows.iter().map(|row| {
        let is = |at| row.get(at) == Some("t");
        let name = row.get(0).unwrap_or_default().to_owned();
        let power = powers.iter().find(|(at, _)| is(*at)).map(|(_, power)| *power);
        (name.clone(), Role { name, inherits: is(1), logs_in: is(2), power })
    });
    Ok(roles.collect())
}

async fn read_memberships(operator: &mut Operator, names: &str, version: u32) -> Result<Vec<Membership>, OpsError> {
    let options = if version >= 160_000 { "m.inherit_option, m.set_option" } else { "u.rolinherit, true" };
    let sql = format!(
        "SELECT r.rolname, u.rolname, coalesce(g.rolname, ''), m.admin_option, {options}
        FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles u ON u.oid = m.member LEFT JOIN pg_roles g ON g.oid = m.grantor
        WHERE r.rolname = ANY ($1::text[]::name[]) AND u.rolname = ANY ($1::text[]::name[]) ORDER BY 1, 2, 3"
    );
    let rows = operator.rows("reading memberships", &sql, &[Some(names)]).await?;
    let memberships = rows.iter().map(|row| {
        let text = |at| row.get(at).unwrap_or_default().to_owned();
        let is = |at| row.get(at) == Some("t");
        Membership { role: text(0), member: text(1), grantor: text(2), admin: is(3), inherit: is(4), set: is(5) }
    });
    Ok(memberships.collect())
}

/// `schema.table` is compared as a whole, so that a dot in a name needs no quoting.
async fn read_tables(operator: &mut Operator, names: &str) -> Result<BTreeMap<String, Relation>, OpsError> {
    let sql = "SELECT n.nspname || '.' || c.relname, n.nspname, c.relname,
            ARRAY(SELECT pg_get_userbyid(a.grantee) FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
                WHERE a.privilege_type = 'SELECT' AND a.grantee <> 0)::text[],
            ARRAY(SELECT pg_get_userbyid(a.grantee) FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
                WHERE a.privilege_type = 'USAGE' AND a.grantee <> 0)::text[],
            EXISTS (SELECT FROM aclexplode(n.nspacl) a WHERE a.privilege_type = 'USAGE' AND a.grantee = 0)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname || '.' || c.relname = ANY ($1::text[])
            AND n.nspname NOT IN ('pg_catalog', 'information_schema')";
    let rows = operator.rows("reading tables", sql, &[Some(names)]).await?;
    let mut tables = BTreeMap::new();
    for row in &rows {
        let text = |at| row.get(at).unwrap_or_default().to_owned();
        let set = |at| elements(row.get(at).unwrap_or_default());
        let relation = Relation {
            schema: text(1),
            name: text(2),
            readers: set(3),
            users: set(4),
            public_usage: row.get(5) == Some("t"),
        };
        if tables.insert(text(0), relation).is_some() {
            return Err(OpsError::Refused(format!("`{}` may mean two tables, because a name holds a dot", text(0))));
        }
    }
    Ok(tables)
}

/// The elements of a one-dimensional array's text form.
fn elements(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (mut element, mut quoted, mut any) = (String::new(), false, false);
    let mut rest = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or_default().chars();
    while let Some(character) = rest.next() {
        match character {
            '"' => {
                quoted = !quoted;
                any = true;
            }
            '\\' => element.extend(rest.next()),
            ',' if !quoted => {
                found.insert(std::mem::take(&mut element));
                any = false;
            }
            other => element.push(other),
        }
    }
    if any || !element.is_empty() {
        found.insert(element);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::elements;

    #[test]
    fn an_array_reads_back() {
        let of = |text| elements(text).into_iter().collect::<Vec<_>>();
        assert_eq!(of("{}"), Vec::<String>::new());
        assert_eq!(of("{a,\"b,\\\"c\\\\\",d e}"), ["a", "b,\"c\\", "d e"]);
    }
}
