//! Names, keys, order and limits.

use std::sync::Arc;

use asuser_core::{
    ColumnAccess, ColumnIx, CompareOp, Condition, Fields, Filter, Literal, MaskKind, OrderTerm, Problem, ReadRequest,
    ReadSpec, Reason, Table, Test, TestKind,
};

use super::{LIMITS, masked, notes, people, people_access, people_spec, request, spec_of, stock};
use crate::PlanError;
use crate::resolve::resolve;

fn output(spec: Result<ReadSpec, Box<Problem>>) -> Result<Vec<String>, Box<Problem>> {
    spec.map(|spec| spec.output.into_iter().map(|output| output.name).collect())
}
fn reason<T>(result: Result<T, Box<Problem>>) -> Option<Reason> {
    result.err().map(|problem| problem.reason)
}
fn test(column: u16, at: u32, kind: TestKind) -> Condition<ColumnIx> {
    Condition::Test(Test { column: ColumnIx(column), at, kind })
}
fn equals(column: u16, at: u32, value: Literal) -> Condition<ColumnIx> {
    test(column, at, TestKind::Compare(CompareOp::Eq, value))
}
fn text(text: &str) -> Literal {
    Literal::Text(text.to_owned())
}
fn term(column: u16, descending: bool) -> OrderTerm {
    OrderTerm { column: ColumnIx(column), descending, nulls_first: None }
}

#[test]
fn a_star_leaves_denied_columns_out() {
    assert_eq!(output(people_spec(None, &[])), Ok(vec!["id".into(), "name".into(), "email".into(), "salary".into()]));
    assert_eq!(output(people_spec(None, &[("fields", "name,id")])), Ok(vec!["name".into(), "id".into()]));
    let nothing = vec![ColumnAccess::Denied; 5];
    assert_eq!(reason(spec_of(&people(), &nothing, None, &[])), Some(Reason::ColumnDenied));
}

#[test]
fn a_denied_column_is_refused_wherever_it_is_named() {
    for (name, denied, twin) in [
        ("fields", "id,secret", "id,email"),
        ("filter", "secret = 'x'", "email = 'x'"),
        ("filter", "id > 0 OR NOT (secret IS NULL)", "id > 0 OR NOT (email IS NULL)"),
        ("filter", "id > 0 XOR secret LIKE 'a%'", "id > 0 XOR email LIKE 'a%'"),
        ("order", "secret", "email"),
        ("order", "id,secret desc", "id,email desc"),
        ("id_field", "secret", "email"),
    ] {
        let problem = people_spec(None, &[(name, denied)]).expect_err(denied);
        assert_eq!(problem.reason, Reason::ColumnDenied, "{name}={denied}");
        assert_eq!(problem.context.as_ref().and_then(|context| context["parameter"].as_str()), Some(name));
        assert!(people_spec(None, &[(name, twin)]).is_ok(), "{name}={twin}");
    }
    let problem = people_spec(None, &[("filter", "id > 0 AND secret = 1")]).expect_err("denied");
    assert_eq!(problem.context.expect("a place")["position"], 12);
    // As a list of keys, fields are not answered, yet a denied one is still refused.
    assert_eq!(reason(people_spec(None, &[("as_list", "1"), ("fields", "secret")])), Some(Reason::ColumnDenied));
}

#[test]
fn an_unknown_column_is_refused_and_only_readable_ones_are_suggested() {
    let message = |fields| people_spec(None, &[("fields", fields)]).expect_err(fields);
    let near = message("emial");
    assert_eq!((near.reason, near.reason.status()), (Reason::NoSuchColumn, 400));
    assert_eq!(near.message, "there is no column `emial` in `people`; did you mean `email`?");
    assert_eq!(message("NAME").message, "there is no column `NAME` in `people`; did you mean `name`?");
    assert_eq!(message("secrets").message, "there is no column `secrets` in `people`", "a denied column stays unnamed");
    assert_eq!(message("Secret").message, "there is no column `Secret` in `people`");
    assert_eq!(message("zzz").message, "there is no column `zzz` in `people`");
    for (name, value) in [("filter", "nix = 1"), ("order", "nix"), ("id_field", "nix")] {
        assert_eq!(reason(people_spec(None, &[(name, value)])), Some(Reason::NoSuchColumn), "{name}");
    }
}

#[test]
fn a_key_in_the_path_means_one_record() {
    let spec = people_spec(Some("7"), &[("limit", "50")]).expect("a record");
    assert_eq!(spec.condition, Some(equals(0, 0, Literal::Integer(7))));
    assert_eq!(spec.limit, 1);
    let spec = people_spec(Some("7"), &[("filter", "salary > 5")]).expect("a record with a filter");
    let filter = test(3, 1, TestKind::Compare(CompareOp::Gt, Literal::Integer(5)));
    assert_eq!(spec.condition, Some(Condition::All(vec![equals(0, 0, Literal::Integer(7)), filter])));
    let by_name = people_spec(Some("john"), &[("id_field", "name")]).expect("another key");
    assert_eq!(by_name.condition, Some(equals(1, 0, text("john"))));
    assert_eq!(reason(people_spec(Some("john"), &[])), Some(Reason::BadValue));
    assert_eq!(reason(people_spec(Some("1,2"), &[])), Some(Reason::BadKey));
}

#[test]
fn ids_become_a_condition() {
    let spec = people_spec(None, &[("ids", "1,2"), ("filter", "id > 0")]).expect("two ids");
    let listed = test(0, 0, TestKind::In(vec![Literal::Integer(1), Literal::Integer(2)]));
    let filter = test(0, 1, TestKind::Compare(CompareOp::Gt, Literal::Integer(0)));
    assert_eq!(spec.condition, Some(Condition::All(vec![listed, filter])));

    let clear = vec![ColumnAccess::Clear; 3];
    let spec = spec_of(&stock(), &clear, None, &[("ids", "(EU,1),(US,2)")]).expect("composite ids");
    let record = |region, item| Condition::All(vec![equals(1, 0, text(region)), equals(2, 0, Literal::Integer(item))]);
    assert_eq!(spec.condition, Some(Condition::Any(vec![record("EU", 1), record("US", 2)])));
    let one = spec_of(&stock(), &clear, Some("EU,1"), &[]).expect("a composite key");
    assert_eq!(one.condition, Some(record("EU", 1)));

    for (ids, why) in [("EU,1", Reason::BadKey), ("(EU,1,2)", Reason::BadKey), ("(EU,one)", Reason::BadValue)] {
        assert_eq!(reason(spec_of(&stock(), &clear, None, &[("ids", ids)])), Some(why), "{ids}");
    }
    let problem = spec_of(&stock(), &clear, Some("EU"), &[]).expect_err("half a key");
    assert_eq!(
        problem.message,
        "a key of `stock` has 2 value(s) (region, item), not 1: a value that holds a comma stands in quotes"
    );
}

#[test]
fn a_table_without_a_key_says_what_to_do_instead() {
    let clear = [ColumnAccess::Clear, ColumnAccess::Clear];
    for (key, parameters) in [(Some("1"), vec![]), (None, vec![("ids", "1")]), (None, vec![("as_list", "true")])] {
        let problem = spec_of(&notes(), &clear, key, &parameters).expect_err("no key");
        assert_eq!(problem.reason, Reason::BadKey);
        assert_eq!(problem.message, "`notes` has no primary key: use `filter`, or name a column in `id_field`");
        let twin = [parameters, vec![("id_field", "text")]].concat();
        assert!(spec_of(&notes(), &clear, key, &twin).is_ok());
    }
    assert_eq!(spec_of(&notes(), &clear, None, &[]).map(|spec| spec.order), Ok(vec![]));
}

#[test]
fn a_key_that_the_caller_may_not_read_is_no_key_for_them() {
    let mut access = people_access();
    access[0] = ColumnAccess::Denied;
    for (key, parameters) in [(Some("1"), vec![]), (None, vec![("ids", "1")]), (None, vec![("as_list", "true")])] {
        let problem = spec_of(&people(), &access, key, &parameters).expect_err("no key");
        assert_eq!(problem.reason, Reason::BadKey);
        let said = problem.message;
        assert_eq!(said, "`people` has no primary key: use `filter`, or name a column in `id_field`", "none is named");
        assert!(spec_of(&people(), &people_access(), key, &parameters).is_ok(), "the twin");
        // Who names it is told.
        let named = [parameters, vec![("id_field", "id")]].concat();
        assert_eq!(reason(spec_of(&people(), &access, key, &named)), Some(Reason::ColumnDenied));
    }
    let half = [ColumnAccess::Clear, ColumnAccess::Clear, ColumnAccess::Denied];
    assert_eq!(reason(spec_of(&stock(), &half, Some("EU,1"), &[])), Some(Reason::BadKey));
    // A masked key is found by what it shows.
    access[0] = masked(MaskKind::Full);
    let spec = spec_of(&people(), &access, Some("1"), &[]).expect("a masked key");
    assert_eq!(spec.condition, Some(equals(0, 0, Literal::Integer(1))));
    assert_eq!(spec.order, vec![], "and orders nothing by itself");
}

#[test]
fn the_order_ends_with_the_key_where_the_key_is_clear() {
    let order = |parameters: &[(&str, &str)]| people_spec(None, parameters).map(|spec| spec.order);
    assert_eq!(order(&[]), Ok(vec![term(0, false)]));
    assert_eq!(order(&[("order", "name desc")]), Ok(vec![term(1, true), term(0, false)]));
    assert_eq!(order(&[("order", "id desc")]), Ok(vec![term(0, true)]));
    assert_eq!(order(&[("order", "name,name desc,id desc")]), Ok(vec![term(1, false), term(0, true)]));
    let nulls = OrderTerm { column: ColumnIx(1), descending: false, nulls_first: Some(true) };
    assert_eq!(order(&[("order", "name nulls first")]), Ok(vec![nulls, term(0, false)]));

    let mut access = vec![ColumnAccess::Clear; 3];
    let of = |access: &[ColumnAccess]| spec_of(&stock(), access, None, &[("order", "item")]).map(|spec| spec.order);
    assert_eq!(of(&access), Ok(vec![term(2, false), term(1, false)]));
    access[1] = masked(MaskKind::Full);
    assert_eq!(of(&access), Ok(vec![term(2, false)]), "half a key breaks no tie");
}

/// Which records are equal to a caller is then decided by what they see, and not by where the database finds them.
#[test]
fn the_order_ends_with_what_is_shown_where_the_key_is_not() {
    fn ends_with_shown(table: &Arc<Table>, access: &[ColumnAccess]) -> bool {
        spec_of(table, access, None, &[]).expect("resolved").order_by_shown
    }
    let mut access = people_access();
    assert!(!ends_with_shown(&people(), &access), "the twin: the key decides");
    for key in [ColumnAccess::Denied, masked(MaskKind::Full)] {
        access[0] = key;
        assert!(ends_with_shown(&people(), &access));
    }
    assert!(ends_with_shown(&notes(), &[ColumnAccess::Clear, ColumnAccess::Clear]), "there is no key");
    // In SQLite a key may hold NULL, and then more than once.
    assert!(ends_with_shown(&stock(), &[ColumnAccess::Clear, ColumnAccess::Clear, ColumnAccess::Clear]));
}

#[test]
fn the_terms_that_were_asked_for_are_told_from_those_that_break_ties() {
    let asked = |parameters: &[(&str, &str)]| {
        let spec = people_spec(None, parameters).expect("resolved");
        (spec.order_asked, spec.order.len())
    };
    assert_eq!(asked(&[]), (0, 1));
    assert_eq!(asked(&[("order", "name,name desc,email")]), (2, 3));
    assert_eq!(asked(&[("order", "id")]), (1, 1));
}

#[test]
fn limits_are_the_service_s() {
    let limit = |text| people_spec(None, &[("limit", text)]).map(|spec| spec.limit);
    assert_eq!((limit("5"), limit("100"), limit("101"), limit("0")), (Ok(5), Ok(100), Ok(100), Ok(100)));
    let spec = people_spec(None, &[("offset", "30"), ("include_count", "1")]).expect("a page");
    assert_eq!((spec.limit, spec.offset, spec.count), (100, 30, true));
    assert_eq!((spec.bytes_max, spec.time_ms_max), (1 << 20, 1_000));
    let none = crate::ServiceLimits { max_records: 0, ..LIMITS };
    let asked = request(&people(), None, &[]);
    let spec = resolve(&people(), &people_access(), &Filter::True, &asked, &none).expect("at least one");
    assert_eq!(spec.limit, 1);
}

#[test]
fn a_list_of_keys_holds_the_key_alone() {
    let spec = people_spec(None, &[("as_list", "true"), ("fields", "name")]).expect("a list");
    assert!(spec.as_list);
    assert_eq!(output(Ok(spec)), Ok(vec!["id".into()]));
    let clear = vec![ColumnAccess::Clear; 3];
    let composite = spec_of(&stock(), &clear, None, &[("as_list", "true")]);
    assert_eq!(output(composite), Ok(vec!["region".into(), "item".into()]));
    assert_eq!(output(people_spec(None, &[("as_list", "1"), ("id_field", "name")])), Ok(vec!["name".into()]));
}

#[test]
fn what_policy_decided_goes_into_the_spec_unchanged() {
    let filter = Filter::test(ColumnIx(3), asuser_core::FilterOp::IsNotNull);
    let asked = request(&people(), None, &[("filter", "id = 1 OR id = 2")]);
    let spec = resolve(&people(), &people_access(), &filter, &asked, &LIMITS).expect("resolved");
    assert_eq!((spec.row_filter, spec.access), (filter, people_access()));
    let either = Condition::Any(vec![equals(0, 1, Literal::Integer(1)), equals(0, 11, Literal::Integer(2))]);
    assert_eq!(spec.condition, Some(either), "beside the row filter, never within it");
}

#[test]
fn the_deepest_filter_that_the_dialect_takes_is_resolved() {
    let deepest = format!("{}id NOT = 1{}", "id=1 NOR id=1 AND (".repeat(64), ")".repeat(64));
    assert!(people_spec(None, &[("filter", &deepest)]).is_ok());
}

#[test]
fn what_no_face_should_send_is_refused_all_the_same() {
    let resolved = |asked: &ReadRequest| resolve(&people(), &people_access(), &Filter::True, asked, &LIMITS);
    let plain = request(&people(), None, &[]);
    let short = resolve(&people(), &people_access()[1..], &Filter::True, &plain, &LIMITS);
    assert!(matches!(short, Err(PlanError::Inconsistent { .. })), "a decision that leaves a column open");
    let leaf = || Condition::Test(Test { column: "id".into(), at: 0, kind: TestKind::IsNull });
    let mut asked = plain.clone();
    for (condition, wrong) in [
        (Condition::All(vec![]), "inconsistent"),
        (Condition::Any(vec![]), "inconsistent"),
        (Condition::All(vec![leaf(); 500]), "complex"),
        ((0..201).fold(leaf(), |inner, _| Condition::Not(Box::new(inner))), "complex"),
    ] {
        asked.condition = Some(condition);
        match resolved(&asked) {
            Err(PlanError::Inconsistent { .. }) => assert_eq!(wrong, "inconsistent"),
            Err(PlanError::TooComplex { .. }) => assert_eq!(wrong, "complex"),
            other => panic!("{other:?}"),
        }
    }
    asked.condition = Some((0..200).fold(leaf(), |inner, _| Condition::Not(Box::new(inner))));
    assert!(resolved(&asked).is_ok(), "the deepest");
    asked.condition = Some(Condition::All(vec![leaf(); 499]));
    assert!(resolved(&asked).is_ok(), "the widest");
    for kind in [
        TestKind::In(vec![]),
        TestKind::Compare(CompareOp::Eq, Literal::Null),
        TestKind::Between(Literal::Null, Literal::Integer(1)),
    ] {
        asked.condition = Some(Condition::Test(Test { column: "id".into(), at: 0, kind }));
        assert!(matches!(resolved(&asked), Err(PlanError::BadValue { .. })));
    }
    let mut asked = plain.clone();
    asked.fields = Fields::Named(vec![]);
    assert!(matches!(resolved(&asked), Err(PlanError::Inconsistent { .. })));
    asked = plain;
    asked.ids = vec![asuser_core::RecordKey(vec![Literal::Integer(1)]); 1_001];
    assert!(matches!(resolved(&asked), Err(PlanError::TooComplex { .. })));
    asked.ids.truncate(1_000);
    assert!(resolved(&asked).is_ok());
}
