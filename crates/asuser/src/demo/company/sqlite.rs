//! The company in SQLite, which has no users: policy alone says who sees what.

use std::path::Path;

use rusqlite::{Connection, params};

use super::Rows;

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
pub(in crate::demo) const POLICIES: [(&str, &str); 3] = [
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

/// Writes the database.
pub(in crate::demo) fn create(path: &Path) -> rusqlite::Result<()> {
    let rows = Rows::generate();
    let mut connection = Connection::open(path)?;
    connection.execute_batch(SCHEMA)?;
    let transaction = connection.transaction()?;
    for row in rows.customers {
        transaction.execute(
            "INSERT INTO customers (id, name, email, region, sales_rep) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![row.id, row.name, row.email, row.region, row.sales_rep],
        )?;
    }
    for row in rows.orders {
        transaction.execute(
            "INSERT INTO orders (id, customer_id, customer_email, sales_rep, region, status, total_cents, placed_on, note)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                row.id,
                row.customer_id,
                row.customer_email,
                row.sales_rep,
                row.region,
                row.status,
                row.total_cents,
                row.placed_on,
                row.note
            ],
        )?;
    }
    for row in rows.items {
        transaction.execute(
            "INSERT INTO order_items (id, order_id, sales_rep, product, quantity, unit_cents) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![row.id, row.order_id, row.sales_rep, row.product, row.quantity, row.unit_cents],
        )?;
    }
    for row in rows.employees {
        transaction.execute(
            "INSERT INTO employees (id, login, name, department, salary) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![row.id, row.login, row.name, row.department, row.salary],
        )?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::company::{first_order_of, orders_total};

    #[test]
    fn the_database_holds_what_was_generated() {
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
