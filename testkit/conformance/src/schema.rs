//! The database changes while its catalogue is in use: a plan made for another table is refused, or reads what it was made for.

use asuser_core::Reason;
use serde_json::json;

use crate::people::{MASKS, Office, POLICIES, column, orders};
use crate::{Failure, Fixture, PoolSize, Service, TableSpec, run};

/// What an owner may do to the table between catalogue and read, so that the plan's columns mean something else or nothing.
fn changes() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        (
            "owner and secret change places",
            vec![
                "ALTER TABLE orders RENAME COLUMN secret TO was_secret",
                "ALTER TABLE orders RENAME COLUMN owner TO secret",
                "ALTER TABLE orders RENAME COLUMN was_secret TO owner",
            ],
        ),
        ("a masked column is renamed", vec!["ALTER TABLE orders RENAME COLUMN email TO mail"]),
        ("a column is dropped", vec!["ALTER TABLE orders DROP COLUMN note"]),
        ("the table is gone", vec!["DROP TABLE orders"]),
        (
            "a view has its name",
            vec!["ALTER TABLE orders RENAME TO hidden", "CREATE VIEW orders AS SELECT * FROM hidden"],
        ),
    ]
}

/// Refused or right, never wrong; and right again with the new catalogue. A database that says what its users can read may have
/// noticed, after the first read, that the table is not there.
pub fn a_changed_table_gives_no_wrong_rows(fixture: &dyn Fixture) {
    run(async {
        for (name, statements) in changes() {
            let office = Office::new(fixture, PoolSize::USUAL).await;
            // The twin, which also has connections open and statements prepared.
            assert_eq!(office.ids(&office.alice, &[]).await, [1, 3, 5, 7, 9], "{name}");
            for statement in statements {
                office.database.execute(statement);
            }
            let notices = fixture.user("alice").is_some();
            for attempt in 0..3 {
                match office.service.read(&office.alice, "orders", None, &[]).await {
                    Ok(answer) => panic!("{name}: {:?}", answer.resource),
                    Err(Failure::Refused(problem)) if notices && attempt > 0 => {
                        assert_eq!(problem.reason, Reason::NoSuchTable, "{name}: {problem:?}");
                    }
                    Err(failure) => assert_eq!(failure.reason(), Reason::DatabaseUnavailable, "{name}: {failure:?}"),
                }
            }
        }

        // Another table of the same name: the old plan is refused, and a new one finds its rows.
        let office = Office::new(fixture, PoolSize::USUAL).await;
        assert_eq!(office.ids(&office.bob, &[]).await, [2, 4, 6]);
        office.database.execute("DROP TABLE orders");
        let mut other = orders();
        other.columns.push(column("city", asuser_core::ColumnKind::Text, false));
        other.rows.iter_mut().for_each(|row| row.push("Berlin".into()));
        other.rows.truncate(4);
        office.database.create(&other);
        assert!(matches!(
            office.service.read(&office.bob, "orders", None, &[]).await,
            Err(Failure::Connector(asuser_connector::ConnectorError::Unavailable(_)))
        ));
        let anew = Service::open(&office.rig, office.database.connector(), POLICIES, Some(MASKS)).await.unwrap();
        let rows = anew.rows(&office.bob, "orders", &[("fields", "id,city")]).await;
        assert_eq!(rows, [json!({ "id": 2, "city": "Berlin" }), json!({ "id": 4, "city": "Berlin" })]);
    });
}

/// Another table, an index or new rows are no reason to refuse.
pub fn an_unrelated_change_does_not_matter(fixture: &dyn Fixture) {
    run(async {
        let office = Office::new(fixture, PoolSize::USUAL).await;
        assert_eq!(office.ids(&office.alice, &[]).await, [1, 3, 5, 7, 9]);
        let columns = vec![column("id", asuser_core::ColumnKind::Integer, false)];
        office.database.create(&TableSpec { name: "unrelated", columns, rows: Vec::new() });
        assert_eq!(office.ids(&office.alice, &[]).await, [1, 3, 5, 7, 9]);
        office.database.execute("CREATE INDEX orders_by_owner ON orders (owner)");
        assert_eq!(office.ids(&office.alice, &[]).await, [1, 3, 5, 7, 9]);
        office.database.execute("DELETE FROM orders WHERE id = 3");
        office.database.execute("UPDATE orders SET owner = 'bob' WHERE id = 5");
        assert_eq!(office.ids(&office.alice, &[]).await, [1, 7, 9]);
        assert_eq!(office.ids(&office.bob, &[]).await, [2, 4, 5, 6]);
        // The plan's catalogue is the one before: the new table is not in it.
        let unknown = office.service.read(&office.alice, "unrelated", None, &[]).await.unwrap_err();
        assert_eq!(unknown.reason(), Reason::NoSuchTable);
    });
}
