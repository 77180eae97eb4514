//! An index on the column serves what is printed: with the values known and unknown to the planner, under row security too.

use super::*;

const TABLE: &str = "
    CREATE TABLE big (
        id int PRIMARY KEY, owner text NOT NULL, v varchar(20), big int8, small int2, at timestamptz, d date, u uuid, n numeric(12,2), f float4,
        region text NOT NULL, c char(8), m name, p text
    );
    INSERT INTO big SELECT n, 'owner' || n % 5000, 'v' || n, n, n % 30000, '2026-01-01Z'::timestamptz + n * interval '1 minute',
        '2000-01-01'::date + n % 9000, md5(n::text)::uuid, n / 100.0, n, 'region' || n % 3000, 'c' || n, 'm' || n, 'p' || n FROM generate_series(1, 50000) AS n;
    CREATE INDEX by_owner ON big (owner); CREATE INDEX by_v ON big (v); CREATE INDEX by_big ON big (big); CREATE INDEX by_small ON big (small);
    CREATE INDEX by_at ON big (at); CREATE INDEX by_d ON big (d); CREATE INDEX by_u ON big (u); CREATE INDEX by_n ON big (n);
    CREATE INDEX by_f ON big (f); CREATE INDEX by_region ON big (region); CREATE INDEX by_c ON big (c); CREATE INDEX by_m ON big (m);
    CREATE INDEX by_prefix ON big (p text_pattern_ops);
    ANALYZE big;
    CREATE TABLE ruled (id int PRIMARY KEY, owner text NOT NULL, region text NOT NULL);
    INSERT INTO ruled SELECT n, 'owner' || n % 100, 'region' || n % 3000 FROM generate_series(1, 50000) AS n;
    CREATE INDEX ruled_region ON ruled (region); CREATE INDEX ruled_owner ON ruled (owner);
    ALTER TABLE ruled ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON ruled USING (owner = (SELECT current_setting('request.jwt.claims', true)::json ->> 'login'));
    ANALYZE ruled;
";

impl Live {
    /// The plan with the values known, and the one for all values.
    async fn plans(&mut self, spec: &ReadSpec) -> [String; 2] {
        let printed = self.printed(spec).unwrap();
        let values: Vec<Option<&str>> = printed.values.iter().map(|value| Some(value.as_str())).collect();
        let custom = self.client.query(&format!("EXPLAIN (COSTS OFF) {}", printed.select), &values).await.unwrap();
        let literals: Vec<String> =
            printed.values.iter().map(|value| format!("'{}'", value.replace('\'', "''"))).collect();
        self.client.execute(&format!("PREPARE p AS {}", printed.select)).await.unwrap();
        let literals = if literals.is_empty() { String::new() } else { format!("({})", literals.join(", ")) };
        let execute = format!("EXPLAIN (COSTS OFF) EXECUTE p{literals}");
        let generic = self.client.query(&execute, &[]).await.unwrap();
        self.client.execute("DEALLOCATE p").await.unwrap();
        [custom, generic].map(|rows| rows.iter().filter_map(|row| row.get(0)).collect::<Vec<_>>().join("\n"))
    }
}

#[tokio::test]
async fn an_index_serves_each_kind_of_condition() {
    for server in crate::catalog::tests::servers() {
        let mut live = Live::on(&server, TABLE).await;
        live.client.execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
        let eq = |value: Literal| TestKind::Compare(CompareOp::Eq, value);
        let int = Literal::Integer;
        let uuid = "c4ca4238-a0b9-2382-0dcc-509a6f75849b";
        let cases: Vec<(&str, TestKind, &str)> = vec![
            ("id", eq(int(7)), "big_pkey"),
            ("id", TestKind::In((1..50).map(int).collect()), "big_pkey"),
            ("id", TestKind::Between(int(7), int(9)), "big_pkey"),
            ("big", eq(int(7)), "by_big"),
            ("small", eq(int(7)), "by_small"),
            ("small", TestKind::In(vec![int(7), int(1 << 40)]), "by_small"),
            ("v", eq(text("v7")), "by_v"),
            ("v", TestKind::In(vec![text("v7"), text("v8")]), "by_v"),
            ("v", TestKind::Between(text("v7"), text("v71")), "by_v"),
            ("owner", eq(text("owner7")), "by_owner"),
            ("c", eq(text("c7")), "by_c"),
            ("m", eq(text("m7")), "by_m"),
            ("u", eq(text(uuid)), "by_u"),
            ("u", TestKind::In(vec![text(uuid)]), "by_u"),
            ("d", eq(text("2005-01-01")), "by_d"),
            ("n", eq(Literal::Number("7.5".into())), "by_n"),
            ("n", TestKind::Between(Literal::Number("7.5".into()), int(8)), "by_n"),
            ("f", eq(int(7)), "by_f"),
            ("at", eq(text("2026-01-02T00:00:00Z")), "by_at"),
            ("at", TestKind::Between(text("2026-01-02T00:00:00Z"), text("2026-01-02T01:00:00Z")), "by_at"),
        ];
        for (column, kind, index) in cases {
            let ix = live.ix("big", column);
            let mut spec = live.spec("big");
            spec.condition = Some(test(ix.0, kind.clone()));
            for plan in live.plans(&spec).await {
                assert!(plan.contains(index), "{column} {kind:?}:\n{plan}");
            }
        }
        // A pattern is known at planning only; a generic plan cannot turn it into a range.
        let mut spec = live.spec("big");
        spec.condition = Some(test(live.ix("big", "p").0, TestKind::StartsWith("p123".into())));
        assert!(live.plans(&spec).await[0].contains("by_prefix"));
        let value = |value: Value| Operand::Value(value);
        for (column, op, index) in [
            ("owner", FilterOp::Eq(value(Value::Text("owner7".into()))), "by_owner"),
            ("owner", FilterOp::In(vec![Value::Text("owner7".into()), Value::Text("owner8".into())]), "by_owner"),
            ("v", FilterOp::Eq(value(Value::Text("v7".into()))), "by_v"),
            ("small", FilterOp::Eq(value(Value::Integer(7))), "by_small"),
            ("id", FilterOp::In(vec![Value::Integer(7), Value::Integer(8)]), "big_pkey"),
            ("at", FilterOp::Eq(value(Value::Timestamp(1_767_312_000_000))), "by_at"),
            ("at", FilterOp::In(vec![Value::Timestamp(1_767_312_000_000), Value::Timestamp(0)]), "by_at"),
            ("n", FilterOp::Eq(value(Value::Decimal(75_000))), "by_n"),
        ] {
            let mut spec = live.spec("big");
            spec.row_filter = Filter::test(live.ix("big", column), op.clone());
            for plan in live.plans(&spec).await {
                assert!(plan.contains(index), "{column} {op:?}:\n{plan}");
            }
        }
        // The order of a page comes from the key.
        let mut spec = live.spec("big");
        spec.order = vec![OrderTerm { column: ColumnIx(0), descending: false, nulls_first: None }];
        spec.limit = 10;
        for plan in live.plans(&spec).await {
            assert!(plan.contains("big_pkey") && !plan.contains("Sort"), "{plan}");
        }
    }
}

/// The operators are leakproof, so that row security does not come between a condition and its index.
#[tokio::test]
async fn so_it_does_under_row_security() {
    let mut live = Live::new(TABLE).await;
    live.client
        .execute("SET plan_cache_mode = force_generic_plan; SET request.jwt.claims = '{\"login\": \"owner7\"}'")
        .await
        .unwrap();
    let mut spec = live.spec("ruled");
    spec.condition = Some(test(0, TestKind::Compare(CompareOp::Eq, Literal::Integer(107))));
    for plan in live.plans(&spec).await {
        assert!(plan.contains("ruled_pkey") && plan.contains("InitPlan"), "{plan}");
    }
    assert_eq!(live.first(&spec).await, ["107"]);
    spec.condition = Some(test(0, TestKind::Compare(CompareOp::Eq, Literal::Integer(108))));
    assert!(live.first(&spec).await.is_empty());
    spec.condition = None;
    spec.row_filter = Filter::test(ColumnIx(2), FilterOp::Eq(Operand::Value(Value::Text("region7".into()))));
    for plan in live.plans(&spec).await {
        assert!(plan.contains("ruled_region"), "{plan}");
    }
    // Nothing but the policy: its own index.
    spec.row_filter = Filter::True;
    for plan in live.plans(&spec).await {
        assert!(plan.contains("ruled_owner"), "{plan}");
    }
}
