//! Which rows and columns come back.

use asuser_audit_log::{Field, PersonalState};
use asuser_core::Reason;
use serde_json::json;

use crate::people::{Office, ids};
use crate::{Fixture, PoolSize, run};

/// The row filter is in force whatever is asked.
pub fn each_person_gets_their_rows_alone(fixture: &dyn Fixture) {
    run(async {
        let office = Office::new(fixture, PoolSize::USUAL).await;
        assert_eq!(office.ids(&office.alice, &[]).await, [1, 3, 5, 7, 9]);
        assert_eq!(office.ids(&office.bob, &[]).await, [2, 4, 6]);
        let carol = office.rig.person("carol", &json!({})).await.unwrap();
        let shouting = office.rig.person("ALICE", &json!({})).await.unwrap();
        let nameless = office.rig.person("x", &json!({ "preferred_username": null })).await.unwrap();
        assert!(office.ids(&carol, &[]).await.is_empty());
        assert!(office.ids(&shouting, &[]).await.is_empty());
        let refused = office.service.read(&nameless, "orders", None, &[]).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::NoSuchTable);

        // A condition narrows; it never widens.
        for filter in ["owner = 'bob'", "(owner = 'bob') or (owner != 'alice')", "not (owner = 'alice')"] {
            assert!(office.ids(&office.alice, &[("filter", filter)]).await.is_empty(), "{filter}");
        }
        let all = "(id > 0) or (id <= 0) or (owner = 'bob')";
        assert_eq!(office.ids(&office.alice, &[("filter", all)]).await, [1, 3, 5, 7, 9]);
        assert_eq!(office.ids(&office.bob, &[("filter", "owner = 'bob'")]).await, [2, 4, 6]);
    });
}

/// A denied column is not in `*`, and cannot be named anywhere.
pub fn a_denied_column_is_nowhere(fixture: &dyn Fixture) {
    run(async {
        let office = Office::new(fixture, PoolSize::USUAL).await;
        for row in office.service.rows(&office.alice, "orders", &[]).await {
            assert!(row.get("secret").is_none() && row.get("owner").is_some(), "{row}");
        }
        let named = [
            ("fields", "secret", "note"),
            ("fields", "id,secret", "id,note"),
            ("filter", "secret = 'the secret of 1'", "note = 'beta'"),
            ("filter", "secret like '%'", "note like '%'"),
            ("order", "secret", "note"),
        ];
        for (parameter, denied, twin) in named {
            let refused = office.service.read(&office.alice, "orders", None, &[(parameter, denied)]).await.unwrap_err();
            assert_eq!(refused.reason(), Reason::ColumnDenied, "{parameter}={denied}");
            assert!(office.service.read(&office.alice, "orders", None, &[(parameter, twin)]).await.is_ok());
        }
    });
}

/// Limits, pages, orders, NULLs, counts, lists and keys are of the rows that this person sees.
pub fn pages_orders_counts_and_keys_are_of_what_is_seen(fixture: &dyn Fixture) {
    run(async {
        let office = Office::new(fixture, PoolSize::USUAL).await;
        let ordered = [
            ("amount", vec![9, 7, 5, 3, 1]),
            ("amount desc", vec![1, 3, 5, 7, 9]),
            ("id desc", vec![9, 7, 5, 3, 1]),
            // Ties go by the key.
            ("note asc nulls first", vec![3, 9, 5, 7, 1]),
            ("note asc nulls last", vec![5, 7, 1, 3, 9]),
            ("note desc nulls last, amount", vec![1, 7, 5, 9, 3]),
        ];
        for (order, expected) in ordered {
            assert_eq!(office.ids(&office.alice, &[("order", order)]).await, expected, "{order}");
        }

        let page = [("limit", "2"), ("offset", "1"), ("order", "amount desc"), ("include_count", "true")];
        let page = office.service.read(&office.alice, "orders", None, &page).await.unwrap();
        assert_eq!((ids(&page.resource), page.count, page.more), (vec![3, 5], Some(5), true));
        let last = [("limit", "2"), ("offset", "3"), ("filter", "amount < 60"), ("include_count", "true")];
        let last = office.service.read(&office.alice, "orders", None, &last).await.unwrap();
        assert_eq!((ids(&last.resource), last.count, last.more), (vec![7, 9], Some(5), false));
        let beyond = [("offset", "99"), ("include_count", "true"), ("filter", "note is null")];
        let beyond = office.service.read(&office.alice, "orders", None, &beyond).await.unwrap();
        assert_eq!((beyond.resource.len(), beyond.count, beyond.more), (0, Some(2), false));

        assert_eq!(office.ids(&office.alice, &[("ids", "1,2,3,4")]).await, [1, 3]);
        assert_eq!(office.ids(&office.bob, &[("ids", "1,2,3,4")]).await, [2, 4]);
        let list = office.service.rows(&office.bob, "orders", &[("as_list", "true")]).await;
        assert_eq!(list, [json!(2), json!(4), json!(6)]);
        let list = [("as_list", "true"), ("id_field", "note"), ("filter", "note is not null"), ("order", "note")];
        assert_eq!(office.service.rows(&office.bob, "orders", &list).await, [json!("alpha"), json!("gamma")]);
        for (key, person, found) in [("3", &office.alice, 1), ("3", &office.bob, 0), ("4", &office.bob, 1)] {
            let record = office.service.read(person, "orders", Some(key), &[]).await.unwrap();
            assert_eq!(record.resource.len(), found, "{key}");
        }
        let fields = office.service.rows(&office.alice, "orders", &[("fields", "amount,id"), ("limit", "1")]).await;
        assert_eq!(serde_json::to_string(&fields).unwrap(), r#"[{"amount":50,"id":1}]"#);
    });
}

/// The record of an answer names the run-as mode, the database's user, the table, its columns and masks, and is on the disk when the answer is there.
pub fn the_record_says_who_ran_it(fixture: &dyn Fixture) {
    run(async {
        let office = Office::new(fixture, PoolSize::USUAL).await;
        let fields = [("fields", "id,email"), ("filter", "note = 'alpha'")];
        let answer = office.service.read(&office.alice, "orders", None, &fields).await.unwrap();
        let records = office.rig.entry(answer.audit_id);
        let leaf = &records.last().unwrap().leaf;
        assert_eq!(leaf.run_as.as_deref(), Some(fixture.mode()));
        assert_eq!(
            (&leaf.tables, &leaf.columns),
            (&vec!["orders".to_owned()], &vec!["id".to_owned(), "email".to_owned()])
        );
        assert_eq!(leaf.masks.iter().map(|mask| mask.column.as_str()).collect::<Vec<_>>(), ["email"]);
        assert_eq!(leaf.rows, Some(2));
        let PersonalState::Open(personal) = &records.last().unwrap().personal else { panic!("{records:?}") };
        assert_eq!(personal.value(Field::DatabaseUser), fixture.user("alice").as_deref());
    });
}
