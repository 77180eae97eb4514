//! A masked column is its mask, wherever it is used.

use asuser_core::MaskKind;
use serde_json::{Value as Json, json};

use crate::people::Office;
use crate::{Cell, Fixture, PoolSize, people, run};

const MASKED: [(&str, MaskKind); 4] =
    [("email", MaskKind::Email), ("card", MaskKind::Partial), ("phone", MaskKind::Full), ("pin", MaskKind::Null)];

/// The clear text of a column in a row of the orders.
fn clear(row: &Json, name: &str) -> String {
    let spec = people::orders();
    let at = spec.columns.iter().position(|column| column.name == name).unwrap();
    let found = spec.rows.iter().find(|cells| cells[0] == Cell::Integer(row["id"].as_i64().unwrap()));
    match &found.unwrap()[at] {
        Cell::Text(text) => text.clone(),
        other => panic!("{other:?} is no text"),
    }
}

/// In the answer, in conditions, in the order and as a key.
pub fn masks_hold_in_output_filter_order_and_keys(fixture: &dyn Fixture) {
    run(async {
        let office = Office::new(fixture, PoolSize::USUAL).await;
        let rows = office.service.rows(&office.alice, "orders", &[]).await;
        assert_eq!(rows.len(), 5);
        for row in &rows {
            for (name, kind) in MASKED {
                assert_eq!(row[name], json!(kind.apply(&clear(row, name))), "{name}");
            }
        }
        // The clear value finds nothing, its mask does.
        let email = clear(&rows[0], "email");
        let mask = MaskKind::Email.apply(&email).unwrap();
        let found = |filter: String| {
            let office = &office;
            async move { office.ids(&office.alice, &[("filter", &filter)]).await }
        };
        assert!(found(format!("email = '{email}'")).await.is_empty());
        assert_eq!(found(format!("email = '{mask}'")).await, [1]);
        assert!(found(format!("email like '{}%'", &email[..2])).await.is_empty());
        assert!(found(format!("email in ('{email}')")).await.is_empty());
        assert!(found(format!("card between '4111' and '{}'", clear(&rows[0], "card"))).await.is_empty());
        assert!(found("card starts with '4111'".to_owned()).await.is_empty());
        assert_eq!(found("phone = '****'".to_owned()).await, [1, 3, 5, 7, 9]);
        assert_eq!(found("pin is null".to_owned()).await, [1, 3, 5, 7, 9]);
        assert!(found("pin is not null".to_owned()).await.is_empty());
        // Phone numbers fall with the id, but every mask of them is the same: the key decides.
        assert_eq!(office.ids(&office.alice, &[("order", "phone")]).await, [1, 3, 5, 7, 9]);
        assert_eq!(office.ids(&office.alice, &[("order", "phone desc")]).await, [1, 3, 5, 7, 9]);
        assert_eq!(office.ids(&office.alice, &[("order", "pin desc")]).await, [1, 3, 5, 7, 9]);
        let by_key = |value: String| {
            let office = &office;
            async move { office.ids(&office.alice, &[("id_field", "email"), ("ids", &value)]).await }
        };
        assert!(by_key(email).await.is_empty());
        assert_eq!(by_key(mask).await, [1]);
        let count = [("filter", "card like '4111%'"), ("include_count", "true")];
        assert_eq!(office.service.read(&office.alice, "orders", None, &count).await.unwrap().count, Some(0));
    });
}

/// The twin: where `unmask` holds, the same columns are clear, in the answer and in conditions; row by row.
pub fn unmasked_rows_are_clear_in_all_of_them(fixture: &dyn Fixture) {
    run(async {
        let office = Office::new(fixture, PoolSize::USUAL).await;
        let rows = office.service.rows(&office.auditor, "orders", &[]).await;
        assert_eq!(rows.len(), 5);
        for row in &rows {
            let open = row["amount"].as_i64().unwrap() >= 20;
            for (name, kind) in MASKED {
                let clear = clear(row, name);
                assert_eq!(row[name], if open { json!(clear) } else { json!(kind.apply(&clear)) }, "{name}");
            }
        }
        let (open, closed) = (&rows[0], &rows[4]);
        let ask = |filter: String| {
            let office = &office;
            async move { office.ids(&office.auditor, &[("filter", &filter)]).await }
        };
        assert_eq!(ask(format!("email = '{}'", clear(open, "email"))).await, [1]);
        assert!(ask(format!("email = '{}'", clear(closed, "email"))).await.is_empty());
        assert_eq!(ask("pin is not null".to_owned()).await, [1, 3, 5, 7]);
        assert_eq!(ask("card starts with '4111'".to_owned()).await, [1, 3, 5, 7]);
        // Phone numbers fall with the id; the masked one of 9 sorts before them by its stars.
        assert_eq!(office.ids(&office.auditor, &[("order", "phone desc")]).await, [1, 3, 5, 7, 9]);
        assert_eq!(office.ids(&office.auditor, &[("order", "phone")]).await, [9, 7, 5, 3, 1]);
    });
}
