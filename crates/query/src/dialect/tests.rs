//! The dialect as tables of what is accepted and refused, with exact positions.

use super::*;
use asuser_core::{ColumnName, CompareOp, Condition, Fields, Literal, Problem, ReadRequest, Reason, Test, TestKind};

type Tree = Condition<ColumnName>;

fn read(parameters: &[(&str, &str)]) -> Result<ReadRequest, Box<Problem>> {
    let owned: Vec<(String, String)> = parameters.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    parse_read("orders", None, &owned).map_err(|error| Box::new(error.into()))
}

fn filter(text: &str) -> Result<Tree, Box<Problem>> {
    let params = r#"{"min":5,":max":12.50,"who":"O'Neil) OR (1=1","none":null,"yes":true,"big":12345678901234567890}"#;
    read(&[("filter", text), ("params", params)]).map(|request| request.condition.expect("a condition"))
}

/// The place of a problem in its parameter.
fn position(problem: &Problem) -> Option<u64> {
    problem.context.as_ref()?["position"].as_u64()
}

fn t(column: &str, at: u32, kind: TestKind) -> Tree {
    Condition::Test(Test { column: column.into(), at, kind })
}
fn cmp(column: &str, at: u32, op: CompareOp, value: Literal) -> Tree {
    t(column, at, TestKind::Compare(op, value))
}
fn int(column: &str, at: u32, value: i64) -> Tree {
    cmp(column, at, CompareOp::Eq, Literal::Integer(value))
}
fn text(value: &str) -> Literal {
    Literal::Text(value.to_owned())
}
fn not(tree: Tree) -> Tree {
    Condition::Not(Box::new(tree))
}

#[test]
fn the_grammar_reads_as_it_says() {
    use CompareOp::{Eq, Ge, Gt, Le, Lt, Ne};
    use Literal::{Bool, Integer, Number};
    let cases: Vec<(&str, Tree)> = vec![
        ("id=1", int("id", 1, 1)),
        ("  id  =  1  ", int("id", 3, 1)),
        ("(id = 1)", int("id", 2, 1)),
        ("id != 1", cmp("id", 1, Ne, Integer(1))),
        ("id <> 1", cmp("id", 1, Ne, Integer(1))),
        ("id>1", cmp("id", 1, Gt, Integer(1))),
        ("id>=1", cmp("id", 1, Ge, Integer(1))),
        ("id<1", cmp("id", 1, Lt, Integer(1))),
        ("id<=1", cmp("id", 1, Le, Integer(1))),
        ("id EQ 1", int("id", 1, 1)),
        ("id ne 1", cmp("id", 1, Ne, Integer(1))),
        ("id GT 1", cmp("id", 1, Gt, Integer(1))),
        ("id Gte 1", cmp("id", 1, Ge, Integer(1))),
        ("id LT 1", cmp("id", 1, Lt, Integer(1))),
        ("id LTE 1", cmp("id", 1, Le, Integer(1))),
        ("id = -1", int("id", 1, -1)),
        ("id=-1", int("id", 1, -1)),
        ("id = 1.50", cmp("id", 1, Eq, Number("1.50".into()))),
        ("id = 1e3", cmp("id", 1, Eq, Number("1e3".into()))),
        ("zip = 007", cmp("zip", 1, Eq, Number("007".into()))),
        ("id = 9223372036854775807", int("id", 1, i64::MAX)),
        ("id = -9223372036854775808", int("id", 1, i64::MIN)),
        ("id = 9223372036854775808", cmp("id", 1, Eq, Number("9223372036854775808".into()))),
        ("a = true", cmp("a", 1, Eq, Bool(true))),
        ("a = FALSE", cmp("a", 1, Eq, Bool(false))),
        ("a = null", t("a", 1, TestKind::IsNull)),
        ("a != NULL", t("a", 1, TestKind::IsNotNull)),
        ("a NOT = null", not(t("a", 1, TestKind::IsNull))),
        ("a IS NULL", t("a", 1, TestKind::IsNull)),
        ("a is not null", t("a", 1, TestKind::IsNotNull)),
        ("a = 'x'", cmp("a", 1, Eq, text("x"))),
        ("a = \"x\"", cmp("a", 1, Eq, text("x"))),
        ("a = 'it''s'", cmp("a", 1, Eq, text("it's"))),
        ("a = \"say \"\"hi\"\"\"", cmp("a", 1, Eq, text("say \"hi\""))),
        ("a = ''", cmp("a", 1, Eq, text(""))),
        ("a = ') OR (1=1, :min'", cmp("a", 1, Eq, text(") OR (1=1, :min"))),
        ("a = '{user.email}'", cmp("a", 1, Eq, text("{user.email}"))),
        ("a = 'back\\slash'", cmp("a", 1, Eq, text("back\\slash"))),
        ("a = 'x' AND b = 2", Tree::All(vec![cmp("a", 1, Eq, text("x")), int("b", 13, 2)])),
        ("a IN (1, 'two', 3.0)", t("a", 1, TestKind::In(vec![Integer(1), text("two"), Number("3.0".into())]))),
        ("a NOT IN (1)", not(t("a", 1, TestKind::In(vec![Integer(1)])))),
        ("a LIKE 'x%'", t("a", 1, TestKind::Like("x%".into()))),
        ("a not like 'x\\%'", not(t("a", 1, TestKind::Like("x\\%".into())))),
        ("a STARTS WITH 'x'", t("a", 1, TestKind::StartsWith("x".into()))),
        ("a ends  with 'x'", t("a", 1, TestKind::EndsWith("x".into()))),
        ("a CONTAINS '%'", t("a", 1, TestKind::Contains("%".into()))),
        ("a CONTAINS 007", t("a", 1, TestKind::Contains("007".into()))),
        ("a NOT CONTAINS 'x'", not(t("a", 1, TestKind::Contains("x".into())))),
        ("a NOT > 1", not(cmp("a", 1, Gt, Integer(1)))),
        ("a BETWEEN 1 AND 2 AND b = 3", {
            Tree::All(vec![t("a", 1, TestKind::Between(Integer(1), Integer(2))), int("b", 23, 3)])
        }),
        ("a NOT BETWEEN 1 AND 2", not(t("a", 1, TestKind::Between(Integer(1), Integer(2))))),
        ("a >= :min", cmp("a", 1, Ge, Integer(5))),
        ("a <= :max", cmp("a", 1, Le, Number("12.50".into()))),
        ("a = :who", cmp("a", 1, Eq, text("O'Neil) OR (1=1"))),
        ("a = :none", t("a", 1, TestKind::IsNull)),
        ("a = :big", cmp("a", 1, Eq, Number("12345678901234567890".into()))),
        ("a IN (:min, :who)", t("a", 1, TestKind::In(vec![Integer(5), text("O'Neil) OR (1=1")]))),
        ("`odd name` = 1", int("odd name", 1, 1)),
        ("[odd name] = 1", int("odd name", 1, 1)),
        ("`tick``s` = 1", int("tick`s", 1, 1)),
        ("[a]]b] = 1", int("a]b", 1, 1)),
        ("[not] = 1", int("not", 1, 1)),
        ("like LIKE 'x'", t("like", 1, TestKind::Like("x".into()))),
        ("in IN (1)", t("in", 1, TestKind::In(vec![Integer(1)]))),
        ("is IS NULL", t("is", 1, TestKind::IsNull)),
        ("größe$1 = 1", int("größe$1", 1, 1)),
        ("名前 = '山' AND b = 2", Tree::All(vec![cmp("名前", 1, Eq, text("山")), int("b", 14, 2)])),
        ("a=1 AND b=2 AND c=3", Tree::All(vec![int("a", 1, 1), int("b", 9, 2), int("c", 17, 3)])),
        ("a=1&&b=2", Tree::All(vec![int("a", 1, 1), int("b", 6, 2)])),
        ("a=1||b=2", Tree::Any(vec![int("a", 1, 1), int("b", 6, 2)])),
        ("a=1 OR b=2 AND c=3", Tree::Any(vec![int("a", 1, 1), Tree::All(vec![int("b", 8, 2), int("c", 16, 3)])])),
        ("(a=1 OR b=2) AND c=3", Tree::All(vec![Tree::Any(vec![int("a", 2, 1), int("b", 9, 2)]), int("c", 18, 3)])),
        ("(a=1)AND(b=2)", Tree::All(vec![int("a", 2, 1), int("b", 10, 2)])),
        ("NOT a=1 AND b=2", Tree::All(vec![not(int("a", 5, 1)), int("b", 13, 2)])),
        ("NOT(a=1 AND b=2)", not(Tree::All(vec![int("a", 5, 1), int("b", 13, 2)]))),
        ("NOT NOT a=1", not(not(int("a", 9, 1)))),
        ("a=1 XOR b=2", Tree::Xor(Box::new(int("a", 1, 1)), Box::new(int("b", 9, 2)))),
        ("a=1 XOR b=2 AND c=3", {
            Tree::Xor(Box::new(int("a", 1, 1)), Box::new(Tree::All(vec![int("b", 9, 2), int("c", 17, 3)])))
        }),
        ("a=1 OR b=2 XOR c=3", {
            Tree::Any(vec![int("a", 1, 1), Tree::Xor(Box::new(int("b", 8, 2)), Box::new(int("c", 16, 3)))])
        }),
        ("a=1 NOR b=2", not(Tree::Any(vec![int("a", 1, 1), int("b", 9, 2)]))),
        ("(a=1 NOR b=2) OR c=3", {
            Tree::Any(vec![not(Tree::Any(vec![int("a", 2, 1), int("b", 10, 2)])), int("c", 18, 3)])
        }),
    ];
    for (written, tree) in cases {
        assert_eq!(filter(written), Ok(tree), "{written}");
    }
}

#[test]
fn what_does_not_parse_is_refused_at_its_character() {
    use Reason::{BadFilter, NotServed, TooComplex};
    let cases = [
        ("id>0) OR (id>0", BadFilter, 5),
        ("id>0 OR", BadFilter, 8),
        ("(id>0", BadFilter, 6),
        ("((id)=1)", BadFilter, 5),
        ("()", BadFilter, 2),
        ("id", BadFilter, 3),
        ("id=", BadFilter, 4),
        ("id==1", BadFilter, 4),
        ("= 1", BadFilter, 1),
        ("1 = 1", BadFilter, 1),
        ("1 OR 1=1", BadFilter, 1),
        ("'a' = 'a'", BadFilter, 1),
        ("\"id\" = 1", BadFilter, 1),
        ("id = id", BadFilter, 6),
        ("name = Smith", BadFilter, 8),
        ("id = (1)", BadFilter, 6),
        ("id = 1 2", BadFilter, 8),
        ("id = 1 AND AND id = 2", BadFilter, 12),
        ("and = 1", BadFilter, 1),
        ("null = 1", BadFilter, 1),
        ("id = 1; DROP TABLE x", BadFilter, 7),
        ("id = 1 -- x", BadFilter, 8),
        ("id = 1 /* x */", BadFilter, 8),
        ("id = 1 UNION SELECT 1", BadFilter, 8),
        ("lower(name) = 'x'", BadFilter, 6),
        ("id = sleep(5)", BadFilter, 6),
        ("id IN ()", BadFilter, 8),
        ("id IN 1", BadFilter, 7),
        ("id IN (1", BadFilter, 9),
        ("id IN (1,)", BadFilter, 10),
        ("id IN (1, null)", BadFilter, 11),
        ("id IN (SELECT 1)", BadFilter, 8),
        ("id BETWEEN 1", BadFilter, 13),
        ("id BETWEEN 1 OR 2", BadFilter, 14),
        ("id BETWEEN null AND 2", BadFilter, 12),
        ("id > null", BadFilter, 6),
        ("id > :none", BadFilter, 6),
        ("id = :nobody", BadFilter, 6),
        ("id = :", BadFilter, 6),
        ("id = :1", BadFilter, 6),
        ("id IS 1", BadFilter, 7),
        ("id IS NOT 1", BadFilter, 11),
        ("id STARTS 'x'", BadFilter, 11),
        ("id LIKE null", BadFilter, 9),
        ("id LIKE true", BadFilter, 9),
        ("id LIKE 'x\\'", BadFilter, 9),
        ("id = 'x", BadFilter, 6),
        ("id = \"x'", BadFilter, 6),
        ("`id = 1", BadFilter, 1),
        ("`` = 1", BadFilter, 1),
        ("id = 'a\0b'", BadFilter, 6),
        ("id = 2026-01-31", BadFilter, 6),
        ("id = 1abc", BadFilter, 6),
        ("id = 1.", BadFilter, 6),
        ("id = 0x10", BadFilter, 6),
        ("id = {user.email}", BadFilter, 6),
        ("id = @var", BadFilter, 6),
        ("id & 1", BadFilter, 4),
        ("NOT", BadFilter, 4),
        ("NOT id", BadFilter, 7),
        ("a=1 NOR b=2 NOR c=3", BadFilter, 13),
        ("a=1 NOR b=2 OR c=3", BadFilter, 13),
        ("a=1 OR b=2 NOR c=3", BadFilter, 12),
        ("größe = 'ü' ) x", BadFilter, 13),
        ("customer.country = 'USA'", NotServed, 9),
        ("name REGEXP 'x'", NotServed, 6),
        ("name NOT RLIKE 'x'", NotServed, 10),
    ];
    for (written, reason, at) in cases {
        let problem = filter(written).expect_err(written);
        assert_eq!((problem.reason, position(&problem)), (reason, Some(at)), "{written}: {problem}");
    }
    let deep = |levels: usize| format!("{}id=1{}", "(".repeat(levels), ")".repeat(levels));
    let wide = |tests: usize| vec!["id=1"; tests].join(" OR ");
    let many = |values: usize| format!("id IN ({})", vec!["1"; values].join(","));
    let xors = |tests: usize| vec!["id=1"; tests].join(" XOR ");
    let nots = |levels: usize| format!("{}id=1", "NOT ".repeat(levels));
    for (written, twin) in [
        (deep(65), deep(64)),
        (nots(65), nots(64)),
        (wide(500), wide(499)),
        (many(1001), many(1000)),
        (xors(66), xors(65)),
        (deep(5000), deep(3)),
    ] {
        assert_eq!(filter(&written).map_err(|problem| problem.reason), Err(TooComplex), "{}", &written[..60]);
        assert!(filter(&twin).is_ok(), "{}", &twin[..30.min(twin.len())]);
    }
}

#[test]
fn a_syntax_error_says_what_was_found_and_expected_but_no_value() {
    let problem = filter("id>0) OR (id>0").expect_err("refused");
    assert_eq!(
        problem.message,
        "`filter` does not parse at character 5: found `)`, expected AND, OR, XOR, NOR or the end"
    );
    assert_eq!(
        problem.context,
        Some(serde_json::json!({
            "parameter": "filter", "position": 5, "expected": ["AND", "OR", "XOR", "NOR", "the end"],
        }))
    );
    for written in ["id = 1 'hunter2'", "'hunter2' = 1", "id = 'hunter2", "id LIKE 'hunter2\\'", "id = 1 777777"] {
        let shown = format!("{:?}", filter(written).expect_err(written));
        assert!(!shown.contains("hunter2") && !shown.contains("777777"), "{shown}");
    }
}

#[test]
fn parameters_have_aliases_and_defaults() {
    let plain = read(&[]).expect("no parameters");
    assert_eq!(plain.fields, Fields::All);
    assert_eq!((plain.limit, plain.offset, plain.include_count, plain.as_list), (None, 0, false, false));
    for spelling in [["fields", "filter", "limit", "offset", "order"], ["select", "where", "top", "skip", "sort"]] {
        let values = ["id,name", "id>3", "5", "10", "name desc nulls last, id"];
        let sent: Vec<(&str, &str)> = spelling.into_iter().zip(values).collect();
        let request = read(&sent).expect("both spellings");
        assert_eq!(request.fields, Fields::Named(vec!["id".into(), "name".into()]));
        assert!(request.condition.is_some());
        assert_eq!((request.limit, request.offset, request.order.len()), (Some(5), 10, 2));
        assert_eq!(request.order[0].nulls_first, Some(false));
        assert!(request.order[0].descending && !request.order[1].descending);
    }
    assert_eq!(read(&[("order_by", "id")]).map(|request| request.order.len()), Ok(1));
    assert_eq!(read(&[("limit", "0")]).map(|request| request.limit), Ok(None));
    assert_eq!(
        read(&[("fields", ""), ("filter", " "), ("limit", ""), ("order", ""), ("include_count", "")]),
        read(&[])
    );
    for (flag, meant) in [("true", true), ("1", true), ("TRUE", true), ("false", false), ("0", false)] {
        assert_eq!(read(&[("include_count", flag)]).map(|request| request.include_count), Ok(meant));
        assert_eq!(read(&[("as_list", flag)]).map(|request| request.as_list), Ok(meant));
    }
}

#[test]
fn lists_of_columns_take_quotes_and_refuse_the_rest() {
    let names = |text: &str| read(&[("fields", text)]).map(|request| request.fields);
    let named = |names: &[&str]| Ok(Fields::Named(names.iter().map(|name| (*name).into()).collect()));
    assert_eq!(names("*"), Ok(Fields::All));
    assert_eq!(names(" id , First Name "), named(&["id", "First Name"]));
    assert_eq!(names("id,id"), named(&["id"]));
    assert_eq!(names("\"a,b\",`c``d`,[e]]f],\"g\"\"h\""), named(&["a,b", "c`d", "e]f", "g\"h"]));
    assert_eq!(names("[a.b]"), named(&["a.b"]));
    let cases = [
        ("fields", "a,,b", Reason::BadParameter, 3),
        ("fields", "a,", Reason::BadParameter, 3),
        ("fields", "*,a", Reason::BadParameter, 1),
        ("fields", "a,*", Reason::BadParameter, 3),
        ("fields", "a;b", Reason::BadParameter, 2),
        ("fields", "'a'", Reason::BadParameter, 1),
        ("fields", "\"a", Reason::BadParameter, 1),
        ("fields", "\"\"", Reason::BadParameter, 1),
        ("fields", "\"a\" b", Reason::BadParameter, 5),
        ("fields", "COUNT(*)", Reason::NotServed, 6),
        ("fields", "customer.name", Reason::NotServed, 9),
        ("order", "a sideways", Reason::BadParameter, 3),
        ("order", "a desc nulls", Reason::BadParameter, 13),
        ("order", "a nulls middle", Reason::BadParameter, 9),
        ("order", "a desc desc", Reason::BadParameter, 8),
        ("order", "a,", Reason::BadParameter, 3),
        ("order", "1;drop", Reason::BadParameter, 2),
        ("ids", "", Reason::BadParameter, 1),
        ("ids", "1,,2", Reason::BadParameter, 3),
        ("ids", "(1,2", Reason::BadParameter, 5),
        ("ids", "(1,2)3", Reason::BadParameter, 6),
        ("ids", "'a", Reason::BadParameter, 1),
    ];
    for (name, value, reason, at) in cases {
        let problem = read(&[(name, value)]).expect_err(value);
        assert_eq!((problem.reason, position(&problem)), (reason, Some(at)), "{name}={value}: {problem}");
    }
}

#[test]
fn keys_are_text_until_they_meet_their_column() {
    let ids = |text: &str| read(&[("ids", text)]).map(|request| request.ids);
    let key = |values: &[&str]| asuser_core::RecordKey(values.iter().map(|value| text(value)).collect());
    assert_eq!(ids("1, 2 ,007"), Ok(vec![key(&["1"]), key(&["2"]), key(&["007"])]));
    assert_eq!(ids("(1,EU),(2,'U,S')"), Ok(vec![key(&["1", "EU"]), key(&["2", "U,S"])]));
    assert_eq!(
        ids("'a,b',\"it's\",O'Brien,''"),
        Ok(vec![key(&["a,b"]), key(&["it's"]), key(&["O'Brien"]), key(&[""])])
    );
    let path = |segment: &str| parse_read("t", Some(segment), &[]).map(|request| request.key);
    assert_eq!(path("7"), Ok(Some(key(&["7"]))));
    assert_eq!(path("7,EU"), Ok(Some(key(&["7", "EU"]))));
    assert_eq!(path("'Smith, J'"), Ok(Some(key(&["Smith, J"]))));
    assert_eq!(path("f(x)"), Ok(Some(key(&["f(x)"]))));
    assert!(path(&"7".repeat(16 * 1024)).is_ok() && path(&"7".repeat(16 * 1024 + 1)).is_err());
    assert!(path("").is_err() && path("7,").is_err() && path("a\0b").is_err());
    let many = |count: usize| ids(&vec!["1"; count].join(",")).map(|ids| ids.len());
    assert_eq!(many(1_000), Ok(1_000));
    assert_eq!(many(1_001).map_err(|problem| problem.reason), Err(Reason::TooComplex));
    assert_eq!(read(&[("id_field", "email")]).map(|request| request.id_field), Ok(Some("email".into())));
    assert!(read(&[("id_field", "a,b")]).is_err());
    assert!(read(&[("id_type", "int")]).is_ok() && read(&[("id_type", "blob")]).is_err());
}

#[test]
fn one_record_takes_nothing_that_makes_sense_only_for_a_list() {
    let one = |name: &str, value: &str| parse_read("t", Some("7"), &[(name.to_owned(), value.to_owned())]);
    for (name, value) in [("ids", "1"), ("offset", "1"), ("include_count", "true"), ("as_list", "1")] {
        let name_of =
            |error: &DialectError| matches!(error, DialectError::NotForOneRecord { parameter } if *parameter == name);
        assert!(one(name, value).is_err_and(|error| name_of(&error)), "{name}");
        assert!(read(&[(name, value)]).is_ok(), "{name}");
    }
    for (name, value) in [("fields", "id"), ("filter", "id>0"), ("limit", "1"), ("offset", "0"), ("include_count", "0")]
    {
        assert!(one(name, value).is_ok(), "{name}");
    }
}

#[test]
fn what_is_not_a_parameter_is_refused_by_name() {
    let refused = |name: &str, value: &str| read(&[(name, value)]).map_err(|problem| problem.reason);
    let unbuilt = ["having", "related", "file", "method", "callback"];
    for name in unbuilt {
        assert_eq!(refused(name, "x"), Err(Reason::NotServed), "{name}");
        assert!(refused(name, "").is_ok(), "{name}");
    }
    for name in ["include_schema", "count_only", "continue", "rollback", "force", "replace", "allow_related_delete"] {
        assert_eq!(refused(name, "true"), Err(Reason::NotServed), "{name}");
        assert!(refused(name, "false").is_ok(), "{name}");
    }
    assert_eq!(refused("orders_by_customer_id.limit", "5"), Err(Reason::NotServed));
    assert_eq!(refused("params[:min]", "5"), Err(Reason::NotServed));
    for (name, suggestion) in
        [("filtr", "filter"), ("Fields", "fields"), ("ofset", "offset"), ("inclde_count", "include_count")]
    {
        let problem = read(&[(name, "1")]).expect_err(name);
        assert_eq!(problem.reason, Reason::BadParameter);
        assert_eq!(problem.message, format!("there is no parameter `{name}`; did you mean `{suggestion}`?"));
    }
    assert_eq!(read(&[("zzz", "1")]).map_err(|problem| problem.message), Err("there is no parameter `zzz`".into()));
    for (name, value) in [
        ("limit", "-1"),
        ("limit", "1.5"),
        ("limit", "all"),
        ("limit", "9223372036854775808"),
        ("offset", "-1"),
        ("offset", "0x1"),
        ("include_count", "maybe"),
        ("params", "[1]"),
        ("params", "{"),
        ("params", r#"{"a":[1]}"#),
        ("params", r#"{"a":{"b":1}}"#),
        ("params", r#"{"a":1,"a":2}"#),
        ("params", r#"{"a":1,":a":2}"#),
        ("params", r#"{"a":"\u0000"}"#),
        ("params", r#"{"a":1} x"#),
    ] {
        assert_eq!(refused(name, value), Err(Reason::BadParameter), "{name}={value}");
    }
    assert!(refused("limit", "9223372036854775807").is_ok() && refused("params", r#"{"unused":1}"#).is_ok());
    let long = "x".repeat(16 * 1024 + 1);
    assert_eq!(refused("filter", &long), Err(Reason::TooComplex));
    let crowd: Vec<(&str, &str)> = vec![("rollback", "false"); 65];
    assert_eq!(read(&crowd).map_err(|problem| problem.reason), Err(Reason::TooComplex));
    assert!(read(&crowd[..64]).is_ok());
}

#[test]
fn a_parameter_counts_once_under_all_its_names() {
    for (first, second) in
        [("limit", "limit"), ("limit", "top"), ("select", "fields"), ("where", "filter"), ("sort", "order_by")]
    {
        let value = if first == "limit" {
            "1"
        } else if first == "where" {
            "id>0"
        } else {
            "id"
        };
        let problem = read(&[(first, value), (second, value)]).expect_err(first);
        assert_eq!(problem.reason, Reason::BadParameter);
        assert!(read(&[(first, value)]).is_ok() && read(&[(second, value)]).is_ok(), "{first} {second}");
    }
    assert!(read(&[("filter", ""), ("where", "id>0")]).is_err(), "an empty one counts too");
}

#[test]
fn a_credential_in_the_url_is_refused_first_and_never_repeated() {
    for (name, header) in [
        ("api_key", "X-DreamFactory-API-Key"),
        ("API-Key", "X-DreamFactory-API-Key"),
        ("session_token", "Authorization"),
        ("access_token", "Authorization"),
        ("Authorization", "Authorization"),
        ("X-DreamFactory-Session-Token", "Authorization"),
    ] {
        let sent = [("nonsense", "1"), (name, "hunter2"), ("filter", "((")];
        let problem = read(&sent).expect_err(name);
        assert_eq!(problem.reason, Reason::MisplacedCredential, "{name}");
        assert!(problem.message.contains(&format!("`{header}`")), "{problem}");
        assert!(!format!("{problem:?}").contains("hunter2"));
        let owned: Vec<(String, String)> = vec![(name.to_owned(), "hunter2".to_owned())];
        assert!(refuse_credentials(&owned).is_err() && parse_listing(&owned).is_err());
    }
    assert!(refuse_credentials(&[("fields".into(), "api_key".into())]).is_ok(), "a column may have that name");
}

#[test]
fn a_listing_takes_as_list_alone() {
    let listing = |name: &str, value: &str| {
        parse_listing(&[(name.to_owned(), value.to_owned())]).map_err(|error| Problem::from(error).reason)
    };
    assert_eq!(parse_listing(&[]), Ok(false));
    assert_eq!(listing("as_list", "true"), Ok(true));
    assert_eq!(listing("filter", "id>0"), Err(Reason::NotServed));
    assert_eq!(listing("as_lst", "true"), Err(Reason::BadParameter));
}

#[test]
fn groups_and_functions_are_a_request_of_their_own() {
    use asuser_core::{Aggregate, AggregateFunction, RequestTree};

    let parse = |parameters: &[(&str, &str)]| {
        let parameters: Vec<_> =
            parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        parse_records("orders", None, &parameters)
    };
    let RequestTree::Aggregate(request) = parse(&[
        ("group", "region, owner"),
        ("fields", "region, sum(amount), COUNT( * ), Count(distinct owner),MAX(unit price)"),
        ("filter", "amount > 1"),
        ("order", "SUM_amount desc"),
    ])
    .unwrap() else {
        panic!("no aggregate")
    };
    let aggregate = |function, column: Option<&str>, name: &str| Aggregate {
        function,
        column: column.map(Into::into),
        name: name.to_owned(),
    };
    assert_eq!(request.group, ["region".into(), "owner".into()]);
    assert_eq!(
        request.aggregates,
        [
            aggregate(AggregateFunction::Sum, Some("amount"), "SUM_amount"),
            aggregate(AggregateFunction::Count, None, "COUNT_ALL"),
            aggregate(AggregateFunction::CountDistinct, Some("owner"), "COUNT_DISTINCT_owner"),
            aggregate(AggregateFunction::Max, Some("unit price"), "MAX_unit price"),
        ]
    );
    assert!(request.condition.is_some() && request.order.len() == 1);
    assert!(matches!(parse(&[("fields", "id, amount")]), Ok(RequestTree::Read(_))));
    for wrong in [
        &[("group", "region"), ("fields", "amount")][..],
        &[("fields", "SUM(amount"), ("group", "region")],
        &[("fields", "MEDIAN(amount)")],
        &[("fields", "SUM()")],
        &[("fields", "COUNT(*)"), ("offset", "1")],
        &[("group", "region"), ("having", "x")],
    ] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
}
