//! Whatever is asked and decided: no denied column gets into a spec, and nothing that is open is refused.

use asuser_core::{
    ColumnAccess, ColumnIx, CompareOp, Condition, Fields, Filter, FilterOp, Literal, MaskKind, Order, ReadRequest,
    ReadSpec, RecordKey, Test, TestKind,
};
use proptest::prelude::*;

use super::{LIMITS, people, request};
use crate::PlanError;
use crate::resolve::resolve;

const NAMES: [&str; 5] = ["id", "name", "email", "salary", "secret"];

fn any_access() -> impl Strategy<Value = Vec<ColumnAccess>> {
    let unmask =
        prop_oneof![Just(Filter::False), Just(Filter::True), Just(Filter::test(ColumnIx(1), FilterOp::IsNotNull))];
    let one = prop_oneof![
        Just(ColumnAccess::Denied),
        Just(ColumnAccess::Clear),
        unmask.prop_map(|unmask| ColumnAccess::Masked { kind: MaskKind::Full, unmask }),
    ];
    prop::collection::vec(one, NAMES.len())
}

fn any_column() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&NAMES)
}

fn any_condition() -> impl Strategy<Value = Condition<asuser_core::ColumnName>> {
    let kind = prop_oneof![
        Just(TestKind::IsNull),
        Just(TestKind::Compare(CompareOp::Lt, Literal::Text("5".into()))),
        Just(TestKind::In(vec![Literal::Integer(5)])),
    ];
    let test = (any_column(), kind).prop_map(|(name, kind)| Condition::Test(Test { column: name.into(), at: 1, kind }));
    test.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Condition::All),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Condition::Any),
            inner.clone().prop_map(|part| Condition::Not(Box::new(part))),
            (inner.clone(), inner).prop_map(|(left, right)| Condition::Xor(Box::new(left), Box::new(right))),
        ]
    })
}

fn any_request() -> impl Strategy<Value = ReadRequest> {
    let fields = prop_oneof![
        Just(Fields::All),
        prop::collection::vec(any_column(), 1..4)
            .prop_map(|names| Fields::Named(names.into_iter().map(Into::into).collect())),
    ];
    let order = prop::collection::vec((any_column(), any::<bool>()), 0..3).prop_map(|terms| {
        let order = |(name, descending): (&str, bool)| Order { column: name.into(), descending, nulls_first: None };
        terms.into_iter().map(order).collect::<Vec<_>>()
    });
    let key = RecordKey(vec![Literal::Text("5".into())]);
    (fields, prop::option::of(any_condition()), order, prop::option::of(any_column()), any::<[bool; 3]>()).prop_map(
        move |(fields, condition, order, id_field, [has_key, has_ids, as_list])| ReadRequest {
            key: has_key.then(|| key.clone()),
            ids: if has_ids { vec![key.clone(), key.clone()] } else { Vec::new() },
            id_field: id_field.map(Into::into),
            fields,
            condition,
            order,
            as_list,
            ..request(&people(), None, &[])
        },
    )
}

/// All columns that a spec touches.
fn touched(spec: &ReadSpec) -> Vec<ColumnIx> {
    fn within(condition: &Condition<ColumnIx>, columns: &mut Vec<ColumnIx>) {
        match condition {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| within(part, columns)),
            Condition::Not(part) => within(part, columns),
            Condition::Xor(left, right) => [left, right].into_iter().for_each(|part| within(part, columns)),
            Condition::Test(test) => columns.push(test.column),
        }
    }
    let mut columns: Vec<ColumnIx> = spec.output.iter().map(|output| output.column).collect();
    columns.extend(spec.order.iter().map(|term| term.column));
    spec.condition.iter().for_each(|condition| within(condition, &mut columns));
    columns
}

proptest! {
    #[test]
    fn no_denied_column_gets_into_a_spec(access in any_access(), asked in any_request()) {
        let row_filter = Filter::test(ColumnIx(4), FilterOp::IsNull);
        match resolve(&people(), &access, &row_filter, &asked, &LIMITS) {
            Ok(spec) => {
                for column in touched(&spec) {
                    prop_assert_ne!(&access[usize::from(column.0)], &ColumnAccess::Denied);
                }
                prop_assert!(!spec.output.is_empty() && (1..=LIMITS.max_records).contains(&spec.limit));
                prop_assert_eq!((spec.row_filter, spec.access), (row_filter, access));
            }
            // A key of which a part is denied is none.
            Err(PlanError::NoKey { .. }) => prop_assert_eq!(&access[0], &ColumnAccess::Denied),
            // Every name exists and every value fits, so only policy can refuse.
            Err(PlanError::ColumnDenied { .. } | PlanError::NoReadableColumn { .. }) => {
                prop_assert!(access.contains(&ColumnAccess::Denied));
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
}
