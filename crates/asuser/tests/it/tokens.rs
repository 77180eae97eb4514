//! Tokens over HTTP: what is refused, and that nothing is answered to whom nobody vouches for. The wide tables stand in `identity`.

use serde_json::json;

use crate::site::Site;

const ORDERS: &str = "/api/v2/db/_table/orders";

#[test]
fn no_token_is_401_with_a_challenge() {
    let site = Site::new().started();
    let reply = site.get_with(ORDERS, &[]);
    assert_eq!((reply.status, reply.reason()), (401, "ASU-201".into()));
    let metadata = format!("{}/.well-known/oauth-protected-resource", site.url());
    let challenge = format!(r#"Bearer realm="asuser", scope="db:read", resource_metadata="{metadata}""#);
    assert_eq!(reply.header("www-authenticate"), Some(&*challenge), "no error code where no credential was sent");
    // Routes, tables and syntax tell a stranger nothing.
    for path in ["/nothing", "/api/v2/nowhere/_table", "/api/v2/db/_table/orders?filter=((", "/api/v2/system/user"] {
        assert_eq!(site.get_with(path, &[]).status, 401, "{path}");
    }
}

/// JW-01, JW-07, JW-08, JW-10 and machine tokens, each beside an honest token that passes.
#[test]
fn refused_tokens_reach_no_data() {
    let site = Site::new().started();
    let honest = site.issuer.token_for("alice");
    let mut cases: Vec<(String, String)> = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({"alg": alg, "typ": "at+jwt"});
        let signed = site.issuer.mint_with(&header, &site.issuer.claims_for("alice", now()));
        let (unsigned, _) = signed.rsplit_once('.').unwrap();
        cases.push((format!("alg {alg:?} with signature"), signed.clone()));
        cases.push((format!("alg {alg:?} without signature"), format!("{unsigned}.")));
        cases.push((format!("alg {alg:?} two parts"), unsigned.to_owned()));
    }
    for aud in
        [json!("https://other.example"), json!([]), json!(null), json!(["https://other.example"]), json!(7), json!("")]
    {
        cases.push((format!("aud {aud}"), site.issuer.token_with("alice", &json!({"aud": aud}))));
    }
    for exp in [
        json!(null),
        json!("9999999999"),
        json!(-1),
        json!(now() - 3600),
        json!(1e308),
        json!(9_223_372_036_854_775_808_u64),
    ] {
        cases.push((format!("exp {exp}"), site.issuer.token_with("alice", &json!({"exp": exp}))));
    }
    for changes in [
        json!({"nbf": now() + 3600}),
        json!({"iat": now() + 3600}),
        json!({"iss": "https://login.example.com"}),
        json!({"sub": null}),
        json!({"nonce": "n"}),
        json!({"at_hash": "h"}),
        json!({"sub": "sales-copilot"}),
        json!({"sub": "x@clients"}),
        json!({"sub": "service-account-x"}),
        json!({"idtyp": "app"}),
        json!({"cnf": {"jkt": "x"}}),
    ] {
        cases.push((changes.to_string(), site.issuer.token_with("alice", &changes)));
    }
    cases.push(("one character changed".into(), {
        let mut text = honest.clone().into_bytes();
        let at = text.len() - 5;
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(text).unwrap()
    }));
    cases.push(("JSON".into(), json!({"token": honest}).to_string()));
    for (what, token) in &cases {
        let reply = site.get(ORDERS, token);
        assert_eq!(reply.status, 401, "{what}: {reply:?}");
        assert!(reply.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")), "{what}");
        assert!(!reply.text.contains("resource\":["), "{what}");
    }
    assert_eq!(site.get(ORDERS, &honest).status, 200);
}

/// A credential in the URL is refused, whatever else is sent, and its value is repeated nowhere.
#[test]
fn a_token_in_the_url_is_refused() {
    let mut site = Site::new().started();
    let token = site.issuer.token_for("alice");
    for name in ["session_token", "api_key", "access_token"] {
        let alone = site.get_with(&format!("{ORDERS}?{name}={token}"), &[]);
        assert_eq!(alone.status, 401, "{name}");
        let beside = site.get(&format!("{ORDERS}?{name}={token}"), &token);
        assert_eq!((beside.status, beside.reason()), (401, "ASU-213".into()), "{name}");
        assert!(!beside.text.contains(&token));
    }
    assert!(!site.log().contains(&token));
    assert_eq!(site.get(ORDERS, &token).status, 200);
}

/// ID-01: identity comes from the verified token alone.
#[test]
fn no_other_header_says_who_asks() {
    let site = Site::new().started();
    let bearer = format!("Bearer {}", site.issuer.token_for("alice"));
    for name in [
        "X-User",
        "X-Forwarded-User",
        "X-Remote-User",
        "X-Role",
        "X-Forwarded-Uri",
        "Remote-User",
        "Cookie",
        "X-Original-URL",
    ] {
        let reply = site.get_with(&format!("{ORDERS}?order=id"), &[("Authorization", &bearer), (name, "bob")]);
        assert_eq!(reply.ids(), [1, 3], "{name}");
        assert_eq!(site.get_with(ORDERS, &[(name, "bob")]).status, 401, "{name}");
    }
    for parameter in ["user", "role", "on_behalf_of"] {
        assert_eq!(site.ask("alice", "orders", &[(parameter, "bob")]).status, 400, "{parameter}");
    }
}

/// RM-06: a claim that a filter needs, missing or odd, gives no rows, never all.
#[test]
fn an_odd_claim_gives_no_rows() {
    let site = Site::new();
    site.write(
        "policies/db/rows.cedar",
        "permit (principal, action == Action::\"read\", resource is db::orders)\nwhen { principal has region && resource.region == principal.region };",
    );
    let site = site.started();
    let ids = |claim| {
        let reply =
            site.get(&format!("{ORDERS}?order=id"), &site.issuer.token_with("alice", &json!({"region": claim})));
        if reply.status == 404 { Vec::new() } else { reply.ids() }
    };
    for odd in [
        json!(null),
        json!(""),
        json!([]),
        json!(["EU"]),
        json!(7),
        json!({}),
        json!("%"),
        json!("EU' OR '1'='1"),
        json!("eu"),
        json!("EU "),
    ] {
        assert_eq!(ids(odd.clone()), Vec::<i64>::new(), "{odd}");
    }
    assert_eq!(ids(json!("EU")), [1, 3]);
}

fn now() -> i64 {
    i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}
