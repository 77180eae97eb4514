//! The translator against Cedar itself, policy by policy and row by row (SPEC.md, D), on SQLite's and PostgreSQL's types.

use std::sync::Arc;

use asuser_core::{ColumnAccess, DatabaseKind, Filter, PrincipalData};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use crate::evaluate::{Asker, Compiled};
use crate::{Policies, PolicyFile, PolicyFolder, PolicySources, ServiceDefault, ServiceSource};

#[path = "../../tests/cases/mod.rs"]
mod cases;

use cases::{Case, Row};

/// `None` where a forbid of the case is impossible, which is a load error.
fn load(case: &Case, default: ServiceDefault) -> Option<Policies> {
    let (catalog, masks) = match case.database {
        DatabaseKind::Postgres => (cases::postgres_catalog(), cases::POSTGRES_MASKS),
        _ => (cases::catalog(), cases::MASKS),
    };
    let folder = PolicyFolder {
        policies: vec![PolicyFile { name: "policies/db/case.cedar".into(), text: case.text() }],
        masks: Some(PolicyFile { name: "policies/db/masks.toml".into(), text: masks.into() }),
    };
    let sources = PolicySources { folders: [("db".to_owned(), folder)].into() };
    let service = ServiceSource { catalog: Arc::new(catalog), default };
    let attributes =
        cases::ATTRIBUTE_TYPES.map(|(name, ty)| (name.to_owned(), serde_json::from_value(ty.into()).unwrap())).into();
    Policies::load(&sources, &[service], &attributes)
        .map_err(|errors| {
            let impossible = errors.iter().all(|error| error.message == "this policy can never apply to anything");
            assert!(impossible, "{errors:#?}\n{}", case.text());
        })
        .ok()
}

fn compiled(policies: &Policies, case: &Case, principal: &PrincipalData) -> Compiled {
    let rules = policies.service(&"db".into()).unwrap();
    let asker = Asker { principal, actors: &[], now_ms: case.now_ms };
    policies.world.evaluate(rules, rules.catalog.table(case.table).unwrap(), asker).unwrap()
}

fn is_clear(compiled: &Compiled, row: &Row) -> bool {
    match &compiled.access[usize::from(cases::MASKED.0)] {
        ColumnAccess::Clear => true,
        ColumnAccess::Masked { unmask, .. } => cases::matches(unmask, row),
        ColumnAccess::Denied => false,
    }
}

fn compare(case: &Case, policies: &Policies, asks: &PrincipalData, permitted: bool) -> Result<(), TestCaseError> {
    let compiled = compiled(policies, case, asks);
    for row in &case.rows {
        let found = cases::matches(&compiled.row_filter, row);
        let context = || format!("{row:?}\n{asks:?}\n{}\n{:#?}", case.text(), compiled.row_filter);
        prop_assert_eq!(found, case.row_expected(asks, row, permitted), "row {}", context());
        prop_assert_eq!(is_clear(&compiled, row), case.clear_expected(asks, row, permitted), "mask {}", context());
    }
    Ok(())
}

/// Policy sets; each is asked by eight principals. `PROPTEST_CASES` asks for more.
fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(cases), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(250))]

    #[test]
    fn a_row_is_found_where_cedar_permits_it_and_nowhere_else(case in cases::case()) {
        let Some(mut policies) = load(&case, ServiceDefault::Deny) else { return Ok(()) };
        for principal in &case.principals {
            compare(&case, &policies, principal, false)?;
        }
        // The same service, if its database had users: only the forbids are left.
        let narrowed = case.without_permits();
        let rules = policies.services.get_mut("db").unwrap();
        rules.default = ServiceDefault::Database;
        rules.rules.retain(|rule| !rule.is_permit());
        compare(&narrowed, &policies, &case.principals[0], true)?;
    }
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn so_it_is_on_postgresql_under_either_default(case in cases::postgres_case()) {
        for (case, default, askers) in
            [(case.clone(), ServiceDefault::Deny, 8), (case.without_permits(), ServiceDefault::Database, 2)]
        {
            let Some(policies) = load(&case, default) else { continue };
            for principal in case.principals.iter().take(askers) {
                compare(&case, &policies, principal, default == ServiceDefault::Database)?;
            }
        }
    }
}

/// How many askers see all, nothing and some rows of a hundred cases.
fn sorts(cases: impl Strategy<Value = Case>) -> (u32, u32, u32) {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut yes, mut no, mut partly) = (0, 0, 0);
    for _ in 0..100 {
        let case = cases.new_tree(&mut runner).unwrap().current();
        let Some(policies) = load(&case, ServiceDefault::Deny) else { continue };
        for principal in &case.principals {
            match compiled(&policies, &case, principal).row_filter {
                Filter::True => yes += 1,
                Filter::False => no += 1,
                _ => partly += 1,
            }
        }
    }
    (yes, no, partly)
}

/// The generator is no use if it makes only policies that say yes, or no, to all.
#[test]
fn the_cases_are_of_every_sort() {
    for (yes, no, partly) in [sorts(cases::case()), sorts(cases::postgres_case())] {
        assert!(yes > 5 && no > 20 && partly > 100, "{yes} {no} {partly}");
    }
}
