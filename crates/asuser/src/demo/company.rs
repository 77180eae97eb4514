//! A small, believable company: the same rows each time, so that the scene can say what it expects.

use std::path::Path;

use rusqlite::{Connection, params};

/// Someone who works there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Person {
    /// What the demo's commands call them.
    pub(super) short: &'static str,
    /// `sub`: opaque and stable, as a real provider's is.
    pub(super) subject: &'static str,
    pub(super) login: &'static str,
    pub(super) name: &'static str,
    pub(super) groups: &'static [&'static str],
    pub(super) region: &'static str,
}

impl Person {
    pub(super) fn email(&self) -> String {
        format!("{}@company.com", self.login)
    }
}

/// Those whom the demo's issuer knows.
pub(super) const PEOPLE: [Person; 4] = [
    Person {
        short: "john",
        subject: "u-1001",
        login: "john.doe",
        name: "John Doe",
        groups: &["sales"],
        region: "EMEA",
    },
    Person {
        short: "jane",
        subject: "u-1002",
        login: "jane.smith",
        name: "Jane Smith",
        groups: &["sales"],
        region: "AMER",
    },
    Person {
        short: "maria",
        subject: "u-1003",
        login: "maria.rossi",
        name: "Maria Rossi",
        groups: &["hr"],
        region: "EMEA",
    },
    Person { short: "sam", subject: "u-1004", login: "sam.lee", name: "Sam Lee", groups: &["support"], region: "APAC" },
];

/// Sales representatives: login, region, number of orders.
const REPS: [(&str, &str, usize); 4] =
    [("john.doe", "EMEA", 7), ("jane.smith", "AMER", 9), ("carlos.diaz", "AMER", 11), ("amira.khan", "APAC", 13)];

const CUSTOMERS: [(&str, &str); 12] = [
    ("Alpine Outfitters", "mara.keller"),
    ("Blue Harbor Foods", "tom.bailey"),
    ("Cedar & Pine", "olga.petrova"),
    ("Delta Robotics", "kenji.sato"),
    ("Everglow Lighting", "paula.gomez"),
    ("Fjord Logistics", "lars.nilsen"),
    ("Granite Works", "nadia.haddad"),
    ("Halcyon Travel", "peter.novak"),
    ("Indigo Textiles", "asha.rao"),
    ("Juniper Labs", "sofia.marin"),
    ("Kestrel Optics", "henry.clark"),
    ("Lumen Books", "chloe.martin"),
];

const PRODUCTS: [(&str, i64); 6] = [
    ("Field sensor", 12_900),
    ("Gateway unit", 48_000),
    ("Mounting kit", 3_450),
    ("Service plan", 19_900),
    ("Spare battery", 2_780),
    ("Training day", 95_000),
];

const STATUSES: [&str; 4] = ["open", "shipped", "paid", "returned"];

const EMPLOYEES: [(&str, &str, &str, i64); 8] = [
    ("john.doe", "John Doe", "Sales", 61_500),
    ("jane.smith", "Jane Smith", "Sales", 64_000),
    ("carlos.diaz", "Carlos Diaz", "Sales", 58_700),
    ("amira.khan", "Amira Khan", "Sales", 66_200),
    ("maria.rossi", "Maria Rossi", "People", 72_000),
    ("sam.lee", "Sam Lee", "Support", 49_800),
    ("ines.costa", "Ines Costa", "Finance", 81_000),
    ("victor.hale", "Victor Hale", "Management", 148_000),
];

const SCHEMA: &str = "
CREATE TABLE customers (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, region TEXT NOT NULL, sales_rep TEXT NOT NULL
) STRICT;
CREATE INDEX customers_region ON customers(region);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers(id), customer_email TEXT NOT NULL,
    sales_rep TEXT NOT NULL, region TEXT NOT NULL, status TEXT NOT NULL, total_cents INTEGER NOT NULL, placed_on TEXT NOT NULL,
    note TEXT
) STRICT;
CREATE INDEX orders_sales_rep ON orders(sales_rep);
CREATE TABLE order_items (
    id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES orders(id), sales_rep TEXT NOT NULL, product TEXT NOT NULL,
    quantity INTEGER NOT NULL, unit_cents INTEGER NOT NULL
) STRICT;
CREATE INDEX order_items_sales_rep ON order_items(sales_rep);
CREATE TABLE employees (
    id INTEGER PRIMARY KEY, login TEXT NOT NULL UNIQUE, name TEXT NOT NULL, department TEXT NOT NULL, salary INTEGER NOT NULL
) STRICT;
";

/// The company's policies, as a newcomer would write them.
pub(super) const POLICIES: [(&str, &str); 3] = [
    (
        "db/sales.cedar",
        r#"// Sales people see their own orders, the items of these, and the customers of their region.
permit (principal in Group::"sales", action == Action::"read", resource is db::orders)
when { principal has login && resource.sales_rep == principal.login };

permit (principal in Group::"sales", action == Action::"read", resource is db::order_items)
when { principal has login && resource.sales_rep == principal.login };

permit (principal in Group::"sales", action == Action::"read", resource is db::customers)
when { principal has region && resource.region == principal.region };

// Support sees open orders of all, and writes to customers, so it needs their address.
permit (principal in Group::"support", action == Action::"read", resource is db::orders)
when { resource.status == "open" };

permit (principal in Group::"support", action == Action::"unmask", resource is db::orders)
when { context.column == "customer_email" };
"#,
    ),
    (
        "db/people.cedar",
        r#"// Everybody sees the staff directory; salaries are for the people department.
permit (principal, action == Action::"read", resource is db::employees);

forbid (principal, action == Action::"read", resource == Column::"db.employees.salary")
unless { principal in Group::"hr" };
"#,
    ),
    (
        "db/masks.toml",
        r#"# A masked column reads masked for everybody whom no `permit … unmask` names.
[orders]
customer_email = "email"

[customers]
email = "email"
"#,
    ),
];

/// How many orders there are: what a shared service account would have read.
pub(super) fn orders_total() -> usize {
    REPS.iter().map(|(_, _, orders)| orders).sum()
}

/// How many orders are somebody's.
pub(super) fn orders_of(login: &str) -> usize {
    REPS.iter().filter(|(rep, ..)| *rep == login).map(|(_, _, orders)| orders).sum()
}

/// One order of somebody's.
pub(super) fn first_order_of(login: &str) -> i64 {
    let before: usize = REPS.iter().take_while(|(rep, ..)| *rep != login).map(|(_, _, orders)| orders).sum();
    1001 + i64::try_from(before).unwrap_or(0)
}

/// Writes the database.
#[expect(clippy::indexing_slicing, reason = "every index is taken modulo the length of its table")]
pub(super) fn create(path: &Path) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(SCHEMA)?;
    let transaction = connection.transaction()?;
    for (at, (company, contact)) in (0..).zip(CUSTOMERS) {
        let (rep, region, _) = REPS[at % REPS.len()];
        let domain = company.to_lowercase().replace(" & ", "-").replace(' ', "-");
        transaction.execute(
            "INSERT INTO customers (id, name, email, region, sales_rep) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![i64::try_from(at).unwrap_or(0) + 1, company, format!("{contact}@{domain}.example"), region, rep],
        )?;
    }
    let (mut order, mut item) = (1001_i64, 1_i64);
    for (rep_at, (rep, region, orders)) in REPS.into_iter().enumerate() {
        for nth in 0..orders {
            // The representative's own customers stand every fourth in the list.
            let customer = (rep_at + REPS.len() * (nth % 3)) % CUSTOMERS.len();
            let customer_id = i64::try_from(customer).unwrap_or(0) + 1;
            let mut total = 0;
            let mut items = Vec::new();
            for line in 0..=(nth % 3) {
                let (product, unit) = PRODUCTS[(nth + line + rep_at) % PRODUCTS.len()];
                let quantity = i64::try_from(1 + (nth * 7 + line * 3) % 5).unwrap_or(1);
                total += quantity * unit;
                items.push((product, quantity, unit));
            }
            let placed = format!("2026-{:02}-{:02}", 1 + (nth * 5 + rep_at) % 11, 1 + (nth * 11 + rep_at * 3) % 28);
            let note = (nth % 4 == 1).then_some("call before delivery");
            transaction.execute(
                "INSERT INTO orders (id, customer_id, customer_email, sales_rep, region, status, total_cents, placed_on, note)
                 SELECT ?1, id, email, ?2, ?3, ?4, ?5, ?6, ?7 FROM customers WHERE id = ?8",
                params![order, rep, region, STATUSES[(nth + rep_at) % STATUSES.len()], total, placed, note, customer_id],
            )?;
            for (product, quantity, unit) in items {
                transaction.execute(
                    "INSERT INTO order_items (id, order_id, sales_rep, product, quantity, unit_cents) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![item, order, rep, product, quantity, unit],
                )?;
                item += 1;
            }
            order += 1;
        }
    }
    for (at, (login, name, department, salary)) in (1_i64..).zip(EMPLOYEES) {
        transaction.execute(
            "INSERT INTO employees (id, login, name, department, salary) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![at, login, name, department, salary],
        )?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_knows_what_it_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("company.db");
        create(&path).unwrap();
        let connection = Connection::open(&path).unwrap();
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM orders"), i64::try_from(orders_total()).unwrap());
        assert_eq!(count("SELECT count(*) FROM orders WHERE sales_rep = 'jane.smith'"), 9);
        let janes = first_order_of("jane.smith");
        assert_eq!(count(&format!("SELECT count(*) FROM orders WHERE id = {janes} AND sales_rep = 'jane.smith'")), 1);
    }
}
