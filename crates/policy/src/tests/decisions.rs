//! Who wins when several policies meet (SPEC.md, D), and that nothing is decided for the wrong person, agent or time.

use super::*;

const READ_ORDERS: &str = "permit(principal, action == Action::\"read\", resource is db::orders);";

fn filter(policies: &Policies, principal: &PrincipalData, service: &str, table: &str) -> String {
    match read(policies, principal, service, table) {
        Ok(compiled) => show(&compiled.row_filter, &compiled.table),
        Err(error) => error.to_string(),
    }
}

fn access(policies: &Policies, principal: &PrincipalData, service: &str, table: &str) -> String {
    show_access(&read(policies, principal, service, table).unwrap())
}

fn listed(policies: &Policies, principal: &PrincipalData, service: &str) -> Result<Vec<String>, PolicyError> {
    let rules = policies.service(&service.into())?;
    let tables = policies.listing(rules, Asker { principal, actors: &[], now_ms: 0 })?;
    Ok(tables.iter().map(|compiled| compiled.table.name.to_string()).collect())
}

#[test]
fn without_a_policy_nothing_is_open_and_a_closed_table_reads_like_none() {
    let policies = load(&[("db", READ_ORDERS)]);
    let john = person("john", &[]);
    assert_eq!(filter(&policies, &john, "db", "orders"), "true");
    assert_eq!(listed(&policies, &john, "db").unwrap(), ["orders"]);
    let closed = read(&policies, &john, "db", "employees").unwrap_err();
    let absent = read(&policies, &john, "db", "nonesuch").unwrap_err();
    assert_eq!(closed.to_string().replace("employees", "nonesuch"), absent.to_string());
    assert_eq!(asuser_core::Problem::from(closed).reason, asuser_core::Reason::NoSuchTable);
    assert_eq!(listed(&policies, &john, "crm").unwrap_err(), PolicyError::Denied("crm".into()));
    assert_eq!(asuser_core::Problem::from(PolicyError::Denied("crm".into())).reason, asuser_core::Reason::Denied);
    assert_eq!(listed(&policies, &john, "nope").unwrap_err(), PolicyError::NoSuchService("nope".into()));
    // With default = "database", all that the database gives.
    assert_eq!(filter(&policies, &john, "pg", "accounts"), "true");
    assert_eq!(listed(&policies, &john, "pg").unwrap(), ["accounts"]);
}

#[test]
fn a_forbid_wins_under_either_default() {
    let files = [
        ("db", READ_ORDERS),
        ("db", "forbid(principal in Group::\"interns\", action, resource is db::orders);"),
        ("pg", "forbid(principal in Group::\"interns\", action, resource is pg::accounts);"),
    ];
    let policies = load(&files);
    let (intern, john) = (person("ian", &["interns"]), person("john", &["staff"]));
    assert_eq!(filter(&policies, &intern, "db", "orders"), "there is no table `orders` in `db` that you can reach");
    assert_eq!(filter(&policies, &intern, "pg", "accounts"), "there is no table `accounts` in `pg` that you can reach");
    assert_eq!(filter(&policies, &john, "db", "orders"), "true");
    assert_eq!(filter(&policies, &john, "pg", "accounts"), "true");
}

#[test]
fn a_closed_column_is_denied_whatever_the_policies_say() {
    let john = person("john", &[]);
    let open = load(&[("db", READ_ORDERS)]);
    let digest = open.digest();
    let before = access(&open, &john, "db", "orders");
    let closed = open.closing(&"db".into(), [("orders".into(), "region".into())]);
    let after = access(&closed, &john, "db", "orders");
    assert_eq!((before.as_str(), after.as_str()), ("", "region: denied"), "that one and no other");
    assert_ne!(digest, closed.digest(), "the record can tell the two apart");
}

/// A group's name means nothing without who says it.
#[test]
fn a_policy_can_ask_who_vouches() {
    let policies = load(&[(
        "db",
        "permit(principal in Group::\"hr\", action == Action::\"read\", resource is db::orders) when { principal.provider == \"idp\" };",
    )]);
    let own = person("ian", &["hr"]);
    let other = PrincipalData { provider: "partner".into(), ..own.clone() };
    assert_eq!(filter(&policies, &own, "db", "orders"), "true");
    assert_eq!(filter(&policies, &other, "db", "orders"), "there is no table `orders` in `db` that you can reach");
}

#[test]
fn a_forbid_that_errs_denies_under_either_default() {
    let errs = "when { principal has clearance && principal.clearance * 9223372036854775807 > 0 };";
    let policies = load(&[
        ("db", READ_ORDERS),
        ("db", &format!("forbid(principal, action, resource is db::orders) {errs}")),
        ("pg", &format!("forbid(principal, action, resource is pg::accounts) {errs}")),
    ]);
    let cleared = |level| with(person("john", &[]), "clearance", AttributeValue::Long(level));
    for (service, table) in [("db", "orders"), ("pg", "accounts")] {
        assert!(read(&policies, &cleared(3), service, table).is_err(), "overflow");
        assert!(read(&policies, &cleared(1), service, table).is_err(), "true");
        assert_eq!(filter(&policies, &cleared(0), service, table), "true");
        assert_eq!(filter(&policies, &person("john", &[]), service, table), "true");
    }
}

#[test]
fn the_folder_of_all_concerns_every_service_and_a_service_folder_only_its_own() {
    let policies = load(&[
        ("all", "forbid(principal in Group::\"leavers\", action, resource);"),
        ("db", "permit(principal, action, resource);"),
        ("crm", "forbid(principal, action, resource); permit(principal, action, resource);"),
    ]);
    let (john, leaver) = (person("john", &[]), person("lea", &["leavers"]));
    assert_eq!(listed(&policies, &john, "db").unwrap(), ["customers", "employees", "order items", "orders"]);
    assert!(listed(&policies, &john, "crm").is_err());
    for service in ["db", "pg", "crm"] {
        assert_eq!(listed(&policies, &leaver, service).unwrap_err(), PolicyError::Denied(service.into()));
    }
    // A shared forbid on one service's table leaves the other's of the same column alone.
    let policies = load(&[
        ("all", "forbid(principal, action, resource is crm::contacts) when { resource.owner == \"x\" };"),
        ("db", "permit(principal, action, resource);"),
        ("crm", "permit(principal, action, resource);"),
    ]);
    assert_eq!(filter(&policies, &john, "db", "orders"), "true");
    assert_eq!(filter(&policies, &john, "crm", "contacts"), "owner <> \"x\"");
}

#[test]
fn columns_are_readable_unless_forbidden() {
    let policies = load(&[
        ("db", "permit(principal, action == Action::\"read\", resource);"),
        (
            "db",
            "forbid(principal, action == Action::\"read\", resource == Column::\"db.employees.salary\") unless { principal in Group::\"hr\" };",
        ),
        (
            "db",
            "forbid(principal, action == Action::\"read\", resource in Table::\"db.customers\") when { resource.name == \"phone\" };",
        ),
        (
            "all",
            "forbid(principal, action == Action::\"read\", resource is Column) when { resource.name like \"iban*\" };",
        ),
        ("db", "forbid(principal in Group::\"blind\", action, resource in Table::\"db.customers\");"),
    ]);
    let (john, hr, blind) = (person("john", &[]), person("hanna", &["hr"]), person("bea", &["blind"]));
    assert_eq!(access(&policies, &john, "db", "employees"), "salary: denied");
    assert_eq!(access(&policies, &hr, "db", "employees"), "");
    assert_eq!(access(&policies, &john, "db", "customers"), "phone: denied");
    assert_eq!(access(&policies, &john, "pg", "accounts"), "iban: denied");
    assert_eq!(access(&policies, &john, "db", "orders"), "");
    // No column left: the table is not there.
    assert!(read(&policies, &blind, "db", "customers").is_err());
    assert_eq!(listed(&policies, &blind, "db").unwrap(), ["employees", "order items", "orders"]);
}

#[test]
fn a_column_forbid_that_errs_denies() {
    let policies = load(&[
        ("db", "permit(principal, action == Action::\"read\", resource);"),
        (
            "db",
            "forbid(principal, action, resource == Column::\"db.employees.salary\") \
                when { principal has clearance && principal.clearance * 9223372036854775807 > 0 };",
        ),
    ]);
    let cleared = |level| with(person("john", &[]), "clearance", AttributeValue::Long(level));
    assert_eq!(access(&policies, &cleared(3), "db", "employees"), "salary: denied");
    assert_eq!(access(&policies, &cleared(0), "db", "employees"), "");
}

#[test]
fn a_masked_column_is_clear_where_unmask_is_permitted_and_not_forbidden() {
    let masks = ("db/masks", "[customers]\nemail = \"email\"\nphone = \"full\"\n");
    let read_all = ("db", "permit(principal, action == Action::\"read\", resource);");
    let john = person("john", &[]);
    assert_eq!(
        access(&load(&[masks, read_all]), &john, "db", "customers"),
        "email: email unless false; phone: full unless false"
    );

    let policies = load(&[
        masks,
        read_all,
        ("db", "permit(principal in Group::\"hr\", action == Action::\"unmask\", resource is db::customers);"),
        (
            "db",
            "permit(principal, action == Action::\"unmask\", resource is db::customers) when { resource.id == 7 && context.column == \"email\" };",
        ),
        (
            "db",
            "forbid(principal, action == Action::\"unmask\", resource is db::customers) when { resource.name == \"vip\" && context.column == \"phone\" };",
        ),
    ]);
    assert_eq!(access(&policies, &john, "db", "customers"), "email: email unless id = 7; phone: full unless false");
    assert_eq!(access(&policies, &person("hanna", &["hr"]), "db", "customers"), "phone: full unless name <> \"vip\"");

    // A column that is denied is not masked, it is gone.
    let denied = ("db", "forbid(principal, action, resource == Column::\"db.customers.email\");");
    assert_eq!(
        access(&load(&[masks, read_all, denied]), &john, "db", "customers"),
        "email: denied; phone: full unless false"
    );
    // A permit that names no action lifts masks as well (and is warned of).
    assert_eq!(access(&load(&[masks, ("db", "permit(principal, action, resource);")]), &john, "db", "customers"), "");
}

#[test]
fn with_default_database_a_mask_is_lifted_unless_forbidden() {
    let masks = ("pg/masks", "[accounts]\niban = \"partial\"\n");
    let forbid = "forbid(principal, action == Action::\"unmask\", resource is pg::accounts) unless { principal in Group::\"bank\" };";
    let policies = load(&[masks, ("pg", forbid)]);
    assert_eq!(access(&policies, &person("john", &[]), "pg", "accounts"), "iban: partial unless false");
    assert_eq!(access(&policies, &person("bob", &["bank"]), "pg", "accounts"), "");
    assert_eq!(access(&load(&[masks]), &person("john", &[]), "pg", "accounts"), "");
    let errs = "forbid(principal, action == Action::\"unmask\", resource is pg::accounts) \
                when { principal has clearance && principal.clearance * 9223372036854775807 > 0 };";
    let cleared = with(person("john", &[]), "clearance", AttributeValue::Long(3));
    assert_eq!(access(&load(&[masks, ("pg", errs)]), &cleared, "pg", "accounts"), "iban: partial unless false");
}

/// RM-06: a claim that is missing, empty or of another type gives no rows; one with a quote or wildcard is only a text.
#[test]
fn a_claim_that_is_missing_or_odd_never_opens_all_rows() {
    let policies = load(&[
        (
            "db",
            "permit(principal, action, resource is db::orders) when { principal has team && resource.owner == principal.team };",
        ),
        (
            "crm",
            "permit(principal, action, resource is crm::contacts) when { principal has regions && principal.regions.contains(resource.owner) };",
        ),
        (
            "db",
            "permit(principal, action, resource is db::employees) when { principal has login && resource.login == principal.login };",
        ),
    ]);
    let team = |value| with(person("john", &[]), "team", value);
    let regions = |values: &[&str]| {
        with(person("john", &[]), "regions", AttributeValue::Strings(values.iter().map(|v| (*v).to_owned()).collect()))
    };
    let no_team = "there is no table `orders` in `db` that you can reach";
    assert_eq!(filter(&policies, &person("john", &[]), "db", "orders"), no_team);
    assert_eq!(filter(&policies, &team(AttributeValue::String(String::new())), "db", "orders"), no_team);
    assert_eq!(
        filter(&policies, &regions(&[]), "crm", "contacts"),
        "there is no table `contacts` in `crm` that you can reach"
    );
    let nameless = PrincipalData { login: None, ..person("john", &[]) };
    let empty = PrincipalData { login: Some("".into()), ..person("john", &[]) };
    for principal in [&nameless, &empty] {
        assert_eq!(
            filter(&policies, principal, "db", "employees"),
            "there is no table `employees` in `db` that you can reach"
        );
    }
    for wrong in [AttributeValue::Long(1), AttributeValue::Bool(true), AttributeValue::Strings(vec!["a".into()])] {
        assert!(matches!(read(&policies, &team(wrong), "db", "orders"), Err(PolicyError::Undecidable { .. })));
    }
    for odd in ["' OR '1'='1", "%", "_", "*", "\"", "\\", "null", "[]", "a\0b", "\u{202e}"] {
        let expected = Filter::test(
            ColumnIx(1),
            asuser_core::FilterOp::Eq(asuser_core::Operand::Value(asuser_core::Value::Text(odd.into()))),
        );
        let found = read(&policies, &team(AttributeValue::String(odd.into())), "db", "orders").unwrap();
        assert_eq!(found.row_filter, expected, "{odd}");
        let found = read(&policies, &regions(&[odd]), "crm", "contacts").unwrap();
        assert_eq!(
            found.row_filter,
            Filter::test(ColumnIx(1), asuser_core::FilterOp::In(vec![asuser_core::Value::Text(odd.into())]))
        );
    }
    // An attribute that is not configured is nobody's.
    assert_eq!(
        filter(&policies, &with(person("john", &[]), "shoes", AttributeValue::Long(1)), "db", "orders"),
        no_team
    );
}

#[test]
fn the_agent_counts_and_two_that_disagree_are_intersected() {
    let policies = load(&[
        (
            "db",
            "permit(principal, action == Action::\"read\", resource is db::orders) when { context has actor && context.actor == \"copilot\" };",
        ),
        (
            "db",
            "permit(principal, action == Action::\"read\", resource is db::orders) when { context has actor && context.actor == \"helper\" && resource.amount < 100 };",
        ),
        ("db", "permit(principal, action == Action::\"read\", resource is db::customers);"),
        (
            "db",
            "forbid(principal, action == Action::\"read\", resource == Column::\"db.customers.phone\") when { context.actor_assurance == \"none\" };",
        ),
        (
            "db",
            "permit(principal, action == Action::\"unmask\", resource is db::customers) when { context has actor && context.actor == \"copilot\" };",
        ),
        ("db/masks", "[customers]\nemail = \"email\""),
    ]);
    let john = person("john", &[]);
    let (copilot, helper) = (agent("copilot", Assurance::Token), agent("helper", Assurance::Credential));
    let of = |actors: &[Actor], table: &str| read_as(&policies, &john, actors, 0, "db", table);
    let rows = |actors: &[Actor]| of(actors, "orders").map(|found| show(&found.row_filter, &found.table)).ok();
    assert_eq!(rows(&[]), None);
    assert_eq!(rows(std::slice::from_ref(&copilot)).as_deref(), Some("true"));
    assert_eq!(rows(std::slice::from_ref(&helper)).as_deref(), Some("amount < 100"));
    assert_eq!(rows(&[copilot.clone(), helper.clone()]).as_deref(), Some("amount < 100"));
    assert_eq!(rows(&[copilot.clone(), agent("stranger", Assurance::Credential)]), None);
    let columns = |actors: &[Actor]| show_access(&of(actors, "customers").unwrap());
    assert_eq!(columns(&[]), "email: email unless false; phone: denied");
    assert_eq!(columns(std::slice::from_ref(&copilot)), "");
    assert_eq!(columns(&[copilot.clone(), helper]), "email: email unless false");
    assert_eq!(columns(&[copilot, agent("shadow", Assurance::None)]), "email: email unless false; phone: denied");
}

#[test]
fn time_counts_where_a_policy_asks_it_by_the_second() {
    let policies = load(&[
        (
            "db",
            "permit(principal, action, resource is db::orders) when { context.now < datetime(\"2026-01-01T00:00:00Z\") };",
        ),
        ("db", "permit(principal, action, resource is db::customers);"),
    ]);
    assert!(policies.mentions_now);
    assert!(load(&[("db", "permit(principal, action, resource) when { context has \"\\u{6e}ow\" };")]).mentions_now);
    assert!(!load(&[("db", "permit(principal in Group::\"now\", action, resource);")]).mentions_now);
    assert!(!load(&[("db", READ_ORDERS)]).mentions_now);
    let john = person("john", &[]);
    let at = |now_ms: i64| read_as(&policies, &john, &[], now_ms, "db", "orders").is_ok();
    let new_year = 1_767_225_600_000;
    assert!(at(0) && at(-1) && at(new_year - 1_000) && at(new_year - 1));
    assert!(!at(new_year) && !at(new_year + 1));
    assert!(!at(i64::MAX), "beyond what Cedar can say");
    assert!(read_as(&policies, &john, &[], new_year, "db", "customers").is_ok());
}

#[test]
fn a_decision_is_reused_for_the_same_asker_alone() {
    let text = "permit(principal, action == Action::\"read\", resource is db::orders) when { principal has login && resource.owner == principal.login };";
    let policies = load(&[("db", text)]);
    let john = person("john", &[]);
    let first = read(&policies, &john, "db", "orders").unwrap();
    let same = read_as(&policies, &john.clone(), &[], 99_000, "db", "orders").unwrap();
    assert!(Arc::ptr_eq(&first, &same), "time is asked by no policy");
    let others = [
        PrincipalData { login: Some("jane".into()), ..john.clone() },
        PrincipalData { email: None, ..john.clone() },
        PrincipalData { name: Some("John".into()), ..john.clone() },
        PrincipalData { groups: vec!["hr".into()], ..john.clone() },
        PrincipalData { key: PrincipalKey { issuer: "https://other".into(), ..john.key.clone() }, ..john.clone() },
        PrincipalData { key: PrincipalKey { subject: "other".into(), ..john.key.clone() }, ..john.clone() },
        with(john.clone(), "vip", AttributeValue::Bool(true)),
    ];
    for other in &others {
        assert!(!Arc::ptr_eq(&first, &read(&policies, other, "db", "orders").unwrap()), "{other:?}");
    }
    for actor in [agent("a", Assurance::Token), agent("a", Assurance::None)] {
        let found = read_as(&policies, &john, &[actor], 0, "db", "orders").unwrap();
        assert!(!Arc::ptr_eq(&first, &found));
    }
    let unlike = load(&[("db", text), ("crm", "permit(principal, action, resource);")]);
    assert_ne!(policies.digest(), unlike.digest());
    assert_eq!(policies.digest(), load(&[("db", text)]).digest());
}

#[test]
fn groups_and_users_are_named_exactly() {
    let policies = load(&[
        ("db", "permit(principal == User::\"https://idp.example.com|sub-john\", action, resource is db::orders);"),
        (
            "db",
            "permit(principal, action, resource is db::customers) when { principal in [Group::\"a\", Group::\"b c\"] };",
        ),
    ]);
    let mut john = person("john", &["A", "b"]);
    assert!(read(&policies, &john, "db", "orders").is_ok());
    assert!(read(&policies, &person("jane", &[]), "db", "orders").is_err());
    assert!(read(&policies, &john, "db", "customers").is_err());
    john.groups.push("b c".into());
    assert!(read(&policies, &john, "db", "customers").is_ok());
    john.groups = (0..10_001).map(|n| format!("g{n}").into()).collect();
    assert!(matches!(read(&policies, &john, "db", "orders"), Err(PolicyError::Undecidable { .. })));
}
