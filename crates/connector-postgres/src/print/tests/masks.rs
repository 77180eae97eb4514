//! Each mask against the rule in core, over texts that are hard to cut.

use super::*;

const KINDS: [MaskKind; 4] = [MaskKind::Full, MaskKind::Partial, MaskKind::Email, MaskKind::Null];

fn texts() -> Vec<String> {
    const LETTERS: [char; 16] =
        ['a', 'b', '@', '@', '.', ' ', 'é', 'ß', '漢', '🙂', '\u{301}', '\'', '"', '\\', '%', '\n'];
    let mut dice = Dice(42);
    let mut texts: Vec<String> = [
        "",
        "@",
        "@@",
        "a@",
        "@a",
        "a@b@c",
        "1234567",
        "12345678",
        "  ",
        "a@b  ",
        "e\u{301}x@y.z",
        "🙂🙂🙂🙂🙂🙂🙂🙂",
        "   @ ",
    ]
    .map(str::to_owned)
    .into();
    for _ in 0..400 {
        let length = dice.below(14);
        texts.push((0..length).map(|_| LETTERS[dice.below(LETTERS.len())]).collect());
    }
    texts
}

const COLUMNS: &str = "
    CREATE EXTENSION citext;
    CREATE COLLATION free (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE DOMAIN unstarred AS text CHECK (VALUE NOT LIKE '%***%');
    CREATE DOMAIN short AS varchar(3);
    CREATE DOMAIN wrapped AS unstarred CHECK (length(VALUE) < 1000);
    CREATE TABLE m (
        id int, t text, v varchar(3), v9 varchar(9), c char(12), c1 char(1), ci citext, d unstarred, s short, w wrapped, n name,
        f text COLLATE free, cc text COLLATE \"C\",
        i int, x numeric, b bytea, a text[], j jsonb, q \"char\", u uuid, r int4range
    )";

#[tokio::test]
async fn masks_are_what_core_says() {
    for server in crate::catalog::tests::servers() {
        let mut live = Live::on(&server, COLUMNS).await;
        let texts = serde_json::json!(texts()).to_string();
        live.client
            .query(
                "INSERT INTO m SELECT n, e, e::varchar(3), e::varchar(9), e::char(12), e::char(1), e, e, e::varchar(3), e, e, e, e,
                     1, 1, '\\x01', ARRAY['x'], '1', 'q', '00000000-0000-0000-0000-000000000000', '[1,2)'
                 FROM jsonb_array_elements_text($1::jsonb) WITH ORDINALITY AS j(e, n)",
                &[Some(&texts)],
            )
            .await
            .unwrap();
        live.client.query("INSERT INTO m (id) VALUES (0)", &[]).await.unwrap();
        let mut spec = live.spec("m");
        spec.order = vec![OrderTerm { column: ColumnIx(0), descending: false, nulls_first: None }];
        let clear = live.rows(&spec).await.unwrap();
        assert!(clear.len() > 400);
        for kind in KINDS {
            for access in spec.access.iter_mut().skip(1) {
                *access = ColumnAccess::Masked { kind, unmask: Filter::False };
            }
            let masked = live.rows(&spec).await.unwrap();
            for (clear, masked) in clear.iter().zip(&masked) {
                for (at, output) in spec.output.iter().enumerate().skip(1) {
                    // char(n) is padded, and the padding is no part of the value.
                    let value = match output.name.as_str() {
                        "c" | "c1" => clear[at].as_deref().map(|padded| padded.trim_end_matches(' ')),
                        _ => clear[at].as_deref(),
                    };
                    let expected = if at < 13 { value.and_then(|value| kind.apply(value)) } else { None };
                    assert_eq!(masked[at], expected, "{kind:?} {} {value:?}", output.name);
                }
            }
        }
    }
}

/// A mask stands in conditions, orders and groups too, and rows that are unmasked keep their value.
#[tokio::test]
async fn masks_are_compared_as_they_are_shown() {
    let mut live = Live::new(COLUMNS).await;
    live.database.execute(
        "INSERT INTO m (id, t, v9, c, ci, d, f) SELECT n, x, x, x, x, x, x FROM (VALUES (1, 'ann@a.b'), (2, 'bob@a.b'), (3, 'b'), (4, NULL)) AS r(n, x)",
    );
    for column in ["t", "v9", "c", "ci", "d", "f"] {
        let ix = live.ix("m", column);
        let mut spec = live.spec("m");
        spec.output.truncate(1);
        spec.access[usize::from(ix.0)] = ColumnAccess::Masked {
            kind: MaskKind::Email,
            unmask: Filter::test(ColumnIx(0), FilterOp::Eq(Operand::Value(Value::Integer(1)))),
        };
        spec.order = vec![
            OrderTerm { column: ix, descending: false, nulls_first: Some(true) },
            OrderTerm { column: ColumnIx(0), descending: false, nulls_first: None },
        ];
        spec.order_by_shown = true;
        assert_eq!(live.first(&spec).await, ["4", "3", "1", "2"], "{column}");
        for (kind, expected) in [
            (TestKind::Compare(CompareOp::Eq, text("bob@a.b")), vec![]),
            (TestKind::Compare(CompareOp::Eq, text("ann@a.b")), vec!["1"]),
            (TestKind::Compare(CompareOp::Eq, text("b***@a.b")), vec!["2"]),
            (TestKind::In(vec![text("****"), text("b***@a.b"), text("b")]), vec!["3", "2"]),
            (TestKind::Contains("ob".into()), vec![]),
            (TestKind::StartsWith("b***".into()), vec!["2"]),
            (TestKind::Like("%nn@%".into()), vec!["1"]),
            (TestKind::IsNull, vec!["4"]),
        ] {
            spec.condition = Some(test(ix.0, kind.clone()));
            assert_eq!(live.first(&spec).await, expected, "{column} {kind:?}");
        }
    }
}
