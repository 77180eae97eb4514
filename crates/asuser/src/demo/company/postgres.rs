//! The company in PostgreSQL, which knows its people: roles, grants and row security say who sees what, and policy narrows.

use asuser_postgres::{Client, PgError};
use serde::Serialize;

use super::{PEOPLE, Rows};

/// Groups of the company that are roles of the database.
const GROUPS: [&str; 3] = ["sales", "hr", "support"];

/// The company's policies: under `default = "database"` they only take away.
pub(in crate::demo) const POLICIES: [(&str, &str); 2] = [
    (
        "db/narrow.cedar",
        r#"// Who sees which orders and which salaries is PostgreSQL's to say: its grants and row security hold for each person.
// Policies take away what it cannot know. Sales people see the customers of their region, which stands in their token.
forbid (principal, action == Action::"read", resource is db::customers)
unless { principal has region && resource.region == principal.region };

// Only support, which writes to customers, sees their addresses in clear, and only beside orders.
forbid (principal, action == Action::"unmask", resource is db::orders)
unless { principal in Group::"support" };

forbid (principal, action == Action::"unmask", resource is db::customers);
"#,
    ),
    (
        "db/masks.toml",
        r#"# A masked column reads masked for everybody whom a `forbid … unmask` names.
[orders]
customer_email = "email"

[customers]
email = "email"
"#,
    ),
];

/// What things are called in the database.
#[derive(Debug, Clone, Copy)]
pub(in crate::demo) struct Names {
    pub(in crate::demo) schema: &'static str,
    /// asuser's own login.
    pub(in crate::demo) login: &'static str,
    /// Before each other role.
    pub(in crate::demo) prefix: &'static str,
}

impl Names {
    /// Of a server that is the demo's own.
    pub(in crate::demo) const OWN: Self = Self { schema: "public", login: "asuser_login", prefix: "" };
    /// Of somebody's server: everything can be told apart from what is theirs.
    pub(in crate::demo) const GIVEN: Self =
        Self { schema: "asuser_demo", login: "asuser_demo_login", prefix: "asuser_demo_" };

    /// A person's or group's role.
    pub(in crate::demo) fn role(&self, of: &str) -> String {
        format!("{}{of}", self.prefix)
    }

    /// Every role, asuser's login first.
    pub(in crate::demo) fn roles(&self) -> Vec<String> {
        let people = PEOPLE.iter().map(|person| self.role(person.login));
        std::iter::once(self.login.to_owned()).chain(people).chain(GROUPS.map(|group| self.role(group))).collect()
    }

    /// The login of whoever asks, as the database knows it.
    fn asking(&self) -> String {
        let user = "(SELECT current_user)::text COLLATE \"default\"";
        match self.prefix.len() {
            0 => user.to_owned(),
            prefix => format!("substr({user}, {})", prefix + 1),
        }
    }
}

/// Makes roles, tables and rows, in the transaction that the caller has begun. `login_with` is what asuser's login gets besides
/// `LOGIN NOINHERIT`, `people_with` what each person's role gets.
pub(in crate::demo) async fn create(
    client: &mut Client,
    names: &Names,
    login_with: &str,
    people_with: &str,
) -> Result<(), PgError> {
    let version = client.query("SELECT current_setting('server_version_num')", &[]).await?;
    let version = version.first().and_then(|row| row.get(0)?.parse().ok()).unwrap_or(0_u32);
    client.execute(&roles(names, login_with, people_with, version)).await?;
    client.execute(&format!("SET LOCAL search_path = {}, pg_catalog", names.schema)).await?;
    client.execute(TABLES).await?;
    client.execute(&rights(names)).await?;
    let rows = Rows::generate();
    fill(client, "customers", &rows.customers).await?;
    fill(client, "orders", &rows.orders).await?;
    fill(client, "order_items", &rows.items).await?;
    fill(client, "employees", &rows.employees).await
}

fn roles(names: &Names, login_with: &str, people_with: &str, version: u32) -> String {
    // What asuser's login may take it must not have. PostgreSQL 16 says so for each membership; before, NOINHERIT does.
    let taken = if version >= 160_000 { " WITH INHERIT FALSE, SET TRUE" } else { "" };
    let mut sql = format!("CREATE ROLE {} LOGIN NOINHERIT {login_with};", names.login);
    for group in GROUPS {
        sql += &format!("CREATE ROLE \"{}\" NOLOGIN;", names.role(group));
    }
    for person in PEOPLE {
        let role = names.role(person.login);
        sql += &format!("CREATE ROLE \"{role}\" {people_with}; GRANT \"{role}\" TO {}{taken};", names.login);
        for group in person.groups {
            sql += &format!("GRANT \"{}\" TO \"{role}\";", names.role(group));
        }
    }
    sql
}

const TABLES: &str = "
CREATE TABLE customers (
    id bigint PRIMARY KEY, name text NOT NULL, email text NOT NULL, region text NOT NULL, sales_rep text NOT NULL
);
CREATE INDEX customers_region ON customers (region);
CREATE TABLE orders (
    id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, customer_email text NOT NULL, sales_rep text NOT NULL,
    region text NOT NULL, status text NOT NULL, total_cents bigint NOT NULL, placed_on date NOT NULL, note text
);
CREATE INDEX orders_sales_rep ON orders (sales_rep);
CREATE TABLE order_items (
    id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, sales_rep text NOT NULL, product text NOT NULL,
    quantity bigint NOT NULL, unit_cents bigint NOT NULL
);
CREATE INDEX order_items_sales_rep ON order_items (sales_rep);
CREATE TABLE employees (
    id bigint PRIMARY KEY, login text NOT NULL UNIQUE, name text NOT NULL, department text NOT NULL, salary numeric(10,2) NOT NULL
);
";

fn rights(names: &Names) -> String {
    let [sales, hr, support] = GROUPS.map(|group| format!("\"{}\"", names.role(group)));
    let (schema, asking) = (names.schema, names.asking());
    format!(
        "
        GRANT USAGE ON SCHEMA {schema} TO {sales}, {hr}, {support};
        GRANT SELECT ON orders TO {sales}, {support};
        GRANT SELECT ON order_items, customers TO {sales};
        GRANT SELECT (id, login, name, department) ON employees TO {sales}, {support};
        GRANT SELECT ON employees TO {hr};
        ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON orders FOR SELECT TO {sales} USING (sales_rep = {asking});
        CREATE POLICY open_ones ON orders FOR SELECT TO {support} USING (status = 'open');
        ALTER TABLE order_items ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON order_items FOR SELECT TO {sales} USING (sales_rep = {asking});
        "
    )
}

/// Writes rows whose fields are named like the table's columns.
async fn fill<T: Serialize>(client: &mut Client, table: &str, rows: &[T]) -> Result<(), PgError> {
    let json = serde_json::to_string(rows).map_err(|error| PgError::Target(error.to_string()))?;
    let sql = format!("INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, $1::json)");
    client.query(&sql, &[Some(&json)]).await.map(drop)
}
