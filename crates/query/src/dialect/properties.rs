//! Properties of the dialect: a printed tree reads back, every text arrives bound, nothing panics.

use asuser_core::{ColumnName, CompareOp, Condition, Literal, Problem, ReadRequest, Test, TestKind};
use proptest::prelude::*;

use super::{DialectError, parse_read};

type Tree = Condition<ColumnName>;

fn text(value: &str) -> Literal {
    Literal::Text(value.to_owned())
}
fn not(tree: Tree) -> Tree {
    Condition::Not(Box::new(tree))
}

/// Writes a tree as a filter, and its places into the tree.
fn print(tree: &mut Tree, out: &mut String) {
    match tree {
        Condition::All(parts) => join(parts, " AND ", out),
        Condition::Any(parts) => join(parts, " || ", out),
        Condition::Not(part) => {
            out.push_str("nOT ");
            inside(part, out);
        }
        Condition::Xor(left, right) => {
            inside(left, out);
            out.push_str(" XOR ");
            inside(right, out);
        }
        Condition::Test(test) => {
            test.at = u32::try_from(out.chars().count() + 1).expect("short");
            out.push_str(&format!("[{}]", test.column.as_str().replace(']', "]]")));
            print_kind(&test.kind, out);
        }
    }
}

fn join(parts: &mut [Tree], word: &str, out: &mut String) {
    for (n, part) in parts.iter_mut().enumerate() {
        if n > 0 {
            out.push_str(word);
        }
        inside(part, out);
    }
}

fn inside(tree: &mut Tree, out: &mut String) {
    out.push('(');
    print(tree, out);
    out.push(')');
}

fn print_kind(kind: &TestKind, out: &mut String) {
    let written = match kind {
        TestKind::Compare(op, value) => {
            let sign = match op {
                CompareOp::Eq => "=",
                CompareOp::Ne => "<>",
                CompareOp::Lt => "<",
                CompareOp::Le => "<=",
                CompareOp::Gt => ">",
                CompareOp::Ge => ">=",
            };
            format!("{sign}{}", value_text(value))
        }
        TestKind::In(values) => format!(" IN ({})", values.iter().map(value_text).collect::<Vec<_>>().join(" , ")),
        TestKind::Like(pattern) => format!(" LIKE{}", value_text(&text(pattern))),
        TestKind::StartsWith(part) => format!(" STARTS WITH {}", value_text(&text(part))),
        TestKind::EndsWith(part) => format!(" ENDS\tWITH {}", value_text(&text(part))),
        TestKind::Contains(part) => format!(" contains {}", value_text(&text(part))),
        TestKind::Between(low, high) => format!(" BETWEEN {} AND {}", value_text(low), value_text(high)),
        TestKind::IsNull => " IS NULL".to_owned(),
        TestKind::IsNotNull => " IS NOT NULL".to_owned(),
    };
    out.push_str(&written);
}

fn value_text(value: &Literal) -> String {
    match value {
        Literal::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Literal::Integer(whole) => whole.to_string(),
        Literal::Number(number) => number.clone(),
        Literal::Bool(truth) => truth.to_string(),
        Literal::Null => "null".to_owned(),
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[^\\x00]{0,12}",
        Just("') OR ('1'='1".to_owned()),
        Just("\"; DROP TABLE orders; --".to_owned()),
        Just("{user.email}, :min".to_owned()),
    ]
}

fn any_literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        any_text().prop_map(Literal::Text),
        any::<i64>().prop_map(Literal::Integer),
        "-?[0-9]{1,25}\\.[0-9]{1,5}(e[+-]?[0-9]{1,3})?".prop_map(Literal::Number),
        any::<bool>().prop_map(Literal::Bool),
    ]
}

fn any_test() -> impl Strategy<Value = Tree> {
    let op = prop_oneof![
        Just(CompareOp::Eq),
        Just(CompareOp::Ne),
        Just(CompareOp::Lt),
        Just(CompareOp::Le),
        Just(CompareOp::Gt),
        Just(CompareOp::Ge),
    ];
    let kind = prop_oneof![
        (op, any_literal()).prop_map(|(op, value)| TestKind::Compare(op, value)),
        prop::collection::vec(any_literal(), 1..4).prop_map(TestKind::In),
        any_text().prop_filter("a lone backslash at the end", |text| !text.ends_with('\\')).prop_map(TestKind::Like),
        any_text().prop_map(TestKind::StartsWith),
        any_text().prop_map(TestKind::EndsWith),
        any_text().prop_map(TestKind::Contains),
        (any_literal(), any_literal()).prop_map(|(low, high)| TestKind::Between(low, high)),
        Just(TestKind::IsNull),
        Just(TestKind::IsNotNull),
    ];
    let column = prop_oneof!["[a-z_]{1,8}", "[^\\x00]{1,8}", Just("not".to_owned())];
    (column, kind).prop_map(|(column, kind)| Tree::Test(Test { column: column.into(), at: 0, kind }))
}

fn any_tree() -> impl Strategy<Value = Tree> {
    any_test().prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::All),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::Any),
            inner.clone().prop_map(not),
            (inner.clone(), inner).prop_map(|(left, right)| Tree::Xor(Box::new(left), Box::new(right))),
        ]
    })
}

fn request_of(filter: &str) -> Result<ReadRequest, DialectError> {
    parse_read("t", None, &[("filter".to_owned(), filter.to_owned())])
}

proptest! {
    #[test]
    fn a_printed_tree_reads_back_with_its_places(mut tree in any_tree()) {
        let mut text = String::new();
        print(&mut tree, &mut text);
        prop_assume!(text.len() <= 16 * 1024);
        prop_assert_eq!(request_of(&text).map(|request| request.condition), Ok(Some(tree)), "{}", text);
    }

    #[test]
    fn a_text_is_one_bound_value_whatever_it_holds(value in any_text()) {
        let written = format!("name = {}", value_text(&text(&value)));
        let kind = TestKind::Compare(CompareOp::Eq, text(&value));
        let bound = Tree::Test(Test { column: "name".into(), at: 1, kind });
        prop_assert_eq!(request_of(&written).map(|request| request.condition), Ok(Some(bound.clone())));
        let sent = [
            ("filter".to_owned(), "name = :v".to_owned()),
            ("params".to_owned(), serde_json::json!({"v": value}).to_string()),
        ];
        prop_assert_eq!(parse_read("t", None, &sent).map(|request| request.condition), Ok(Some(bound)));
    }

    #[test]
    fn no_text_panics_and_every_place_lies_within_it(
        text in prop_oneof![
            any::<String>(),
            "[a-c()=<>!&|'\"`\\[\\].,:0-9 -]{0,40}",
            "((a|NOT|AND|OR|XOR|NOR|IN|IS|NULL|LIKE|BETWEEN|\\(|\\)|=|,|1|'x'|:p) ?){0,20}",
        ],
        name in prop_oneof!["(filter|fields|order|ids|params|limit)", "[a-z_.]{0,12}"],
    ) {
        let sent = [(name, text.clone())];
        if let Err(error) = parse_read("t", Some(&text), &sent).and(parse_read("t", None, &sent)) {
            let problem = Problem::from(error);
            prop_assert!(problem.message.chars().count() < 500);
            let at = problem.context.as_ref().and_then(|context| context["position"].as_u64()).unwrap_or(1);
            prop_assert!(at >= 1 && at <= text.chars().count() as u64 + 1, "{}: {}", text, problem);
        }
    }
}
