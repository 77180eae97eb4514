//! A small, believable company: the same rows each time, in whatever database, so that the scene can say what it expects.

pub(super) mod postgres;
pub(super) mod sqlite;

use serde::Serialize;

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

/// A customer, as all databases hold it. So are the others: a field a column.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Customer {
    id: i64,
    name: &'static str,
    email: String,
    region: &'static str,
    sales_rep: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Order {
    id: i64,
    customer_id: i64,
    customer_email: String,
    sales_rep: &'static str,
    region: &'static str,
    status: &'static str,
    total_cents: i64,
    placed_on: String,
    note: Option<&'static str>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Item {
    id: i64,
    order_id: i64,
    sales_rep: &'static str,
    product: &'static str,
    quantity: i64,
    unit_cents: i64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Employee {
    id: i64,
    login: &'static str,
    name: &'static str,
    department: &'static str,
    salary: i64,
}

/// All that the company's database holds.
#[derive(Debug, Default)]
pub(super) struct Rows {
    customers: Vec<Customer>,
    orders: Vec<Order>,
    items: Vec<Item>,
    employees: Vec<Employee>,
}

impl Rows {
    /// The same each time.
    pub(super) fn generate() -> Self {
        let mut rows = Self { customers: customers(), ..Self::default() };
        for (rep_at, rep) in REPS.into_iter().enumerate() {
            for nth in 0..rep.2 {
                rows.add_order(rep_at, rep, nth);
            }
        }
        rows.employees = (1..)
            .zip(EMPLOYEES)
            .map(|(id, (login, name, department, salary))| Employee { id, login, name, department, salary })
            .collect();
        rows
    }

    #[expect(clippy::indexing_slicing, reason = "every index is taken modulo the length of its table")]
    fn add_order(&mut self, rep_at: usize, (sales_rep, region, _): (&'static str, &'static str, usize), nth: usize) {
        let id = 1001 + whole(self.orders.len());
        let mut total_cents = 0;
        for line in 0..=(nth % 3) {
            let (product, unit_cents) = PRODUCTS[(nth + line + rep_at) % PRODUCTS.len()];
            let quantity = whole(1 + (nth * 7 + line * 3) % 5);
            total_cents += quantity * unit_cents;
            let item = 1 + whole(self.items.len());
            self.items.push(Item { id: item, order_id: id, sales_rep, product, quantity, unit_cents });
        }
        // The representative's own customers stand every fourth in the list.
        let customer = &self.customers[(rep_at + REPS.len() * (nth % 3)) % self.customers.len()];
        self.orders.push(Order {
            id,
            customer_id: customer.id,
            customer_email: customer.email.clone(),
            sales_rep,
            region,
            status: STATUSES[(nth + rep_at) % STATUSES.len()],
            total_cents,
            placed_on: format!("2026-{:02}-{:02}", 1 + (nth * 5 + rep_at) % 11, 1 + (nth * 11 + rep_at * 3) % 28),
            note: (nth % 4 == 1).then_some("call before delivery"),
        });
    }
}

fn customers() -> Vec<Customer> {
    let with_reps = (1..).zip(CUSTOMERS).zip(REPS.into_iter().cycle());
    let customer = |((id, (name, contact)), (sales_rep, region, _)): ((i64, (&'static str, &str)), _)| {
        let domain = name.to_lowercase().replace(" & ", "-").replace(' ', "-");
        Customer { id, name, email: format!("{contact}@{domain}.example"), region, sales_rep }
    };
    with_reps.map(customer).collect()
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_knows_what_it_wrote() {
        let rows = Rows::generate();
        assert_eq!(rows.orders.len(), orders_total());
        assert_eq!(rows.orders.iter().filter(|order| order.sales_rep == "jane.smith").count(), 9);
        let janes = first_order_of("jane.smith");
        assert_eq!(rows.orders.iter().find(|order| order.sales_rep == "jane.smith").unwrap().id, janes);
        for order in &rows.orders {
            let customer = rows.customers.iter().find(|customer| customer.id == order.customer_id).unwrap();
            assert_eq!((customer.sales_rep, &customer.email), (order.sales_rep, &order.customer_email));
            let items = rows.items.iter().filter(|item| item.order_id == order.id);
            assert_eq!(items.map(|item| item.quantity * item.unit_cents).sum::<i64>(), order.total_cents);
        }
    }
}
