//! Real OpenID providers: people sign in there, and what they ask here runs as them; keys change, and providers fail, while it runs.

use asuser_testkit::oidc_provider::{CLIENT, Mode, OidcOptions, OidcProvider, RESOURCE};
use asuser_testkit::postgres::TestCa;
use asuser_testkit::{Glewlwyd, SigningKey, TestIssuer};
use serde_json::json;

use crate::site::{AUDIENCE, ISSUER, Reply, Site, get};

const ORDERS: &str = "/api/v2/db/_table/orders?order=id";

/// A site with these providers besides the one whose keys are in a file.
fn site(blocks: &[String]) -> Site {
    let site = Site::new();
    site.write("asuser.toml", &config(blocks));
    site
}

fn config(blocks: &[String]) -> String {
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
[audit]
checkpoint_to = ["file:checkpoints"]
refusals = {{ burst = 100000, per_second = 10000 }}
[[identity]]
name = "test"
kind = "jwt"
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
jwks_file = "keys.json"
{}
[[service]]
name = "db"
kind = "sqlite"
path = "company.db"
"#,
        blocks.join("\n")
    )
}

fn outcome(reply: &Reply) -> (u16, String) {
    (reply.status, reply.reason())
}

/// Asks until the keys are there: at the start they are on their way.
fn ask_until_ready(site: &Site, token: &str) -> Reply {
    let began = std::time::Instant::now();
    loop {
        let reply = site.get(ORDERS, token);
        if reply.status != 503 {
            return reply;
        }
        assert!(began.elapsed().as_secs() < 60, "the keys never came: {reply:?}");
    }
}

/// What the log says of keys that could not be fetched; it may have said so before it served.
fn failure(site: &mut Site) -> String {
    const WORDS: &str = "could not be fetched";
    let so_far = site.log();
    let line = so_far.lines().find(|line| line.contains(WORDS)).map(str::to_owned);
    line.unwrap_or_else(|| site.wait_for_log(WORDS))
}

#[test]
fn who_signs_in_there_asks_here_as_themselves() {
    let Some(provider) = OidcProvider::start_if_installed() else { return };
    let mut site = site(&[provider.config("company", "")]).started();
    let alice = provider.token("alice");
    assert_eq!(ask_until_ready(&site, &alice).ids(), [1, 3]);
    assert_eq!(site.get(ORDERS, &provider.token("bob")).ids(), [2, 4]);
    assert_eq!(site.ask("carol", "orders", &[("order", "id")]).ids(), [5], "the other provider's people, too");
    let whoami = site.get("/whoami", &alice).json();
    assert!(whoami.to_string().contains(provider.issuer()) && whoami.to_string().contains(CLIENT), "{whoami}");

    // What else it gives out is no access token of a person for us.
    let tokens = provider.tokens("alice", CLIENT, "https://other.example.com", "openid offline_access");
    for (token, reason) in [
        (tokens.access_token.as_str(), "ASU-206"),
        (&tokens.id_token, "ASU-207"),
        (tokens.refresh_token.as_deref().unwrap(), "ASU-202"),
        (&provider.machine_token(CLIENT, RESOURCE, "db:read"), "ASU-208"),
    ] {
        assert_eq!(outcome(&site.get(ORDERS, token)), (401, reason.into()), "{token}");
    }
    // A scope of ours says just what may be done.
    let scoped = |scope: &str| provider.tokens("alice", CLIENT, RESOURCE, scope).access_token;
    assert_eq!(site.get(ORDERS, &scoped("openid db:read")).ids(), [1, 3]);
    assert_eq!(outcome(&site.get(ORDERS, &scoped("openid db:raw_sql"))), (403, "ASU-302".into()));

    // MC-09: nobody's token went to the provider; law 8: nor into the log.
    let signature = alice.rsplit('.').next().unwrap();
    for request in provider
        .requests()
        .iter()
        .filter(|request| request.headers["user-agent"].as_str().is_some_and(|agent| agent.starts_with("asuser/")))
    {
        assert!(
            request.headers.get("authorization").is_none() && request.headers.get("cookie").is_none(),
            "{request:?}"
        );
        assert!(request.path == "/jwks" || request.path.starts_with("/.well-known/"), "{request:?}");
    }
    assert!(!site.stop().contains(signature));
}

#[test]
fn keys_change_while_it_runs() {
    let Some(provider) = OidcProvider::start_if_installed() else { return };
    let site = site(&[provider.config("company", "")]).started();
    let old = provider.token("alice");
    assert_eq!(ask_until_ready(&site, &old).ids(), [1, 3]);
    provider.rotate_keys();
    // The first token that a new key signed brings the key, and the old one stays good as long as it is published.
    assert_eq!(site.get(ORDERS, &provider.token("bob")).ids(), [2, 4]);
    assert_eq!(site.get(ORDERS, &old).ids(), [1, 3]);
    assert_eq!(provider.jwks_requests(), 2);
}

#[test]
fn a_key_that_is_withdrawn_takes_its_tokens_along() {
    let Some(provider) = OidcProvider::start_if_installed() else { return };
    let site = site(&[provider.config("company", "")]).started();
    let old = provider.token("alice");
    assert_eq!(ask_until_ready(&site, &old).ids(), [1, 3]);
    provider.replace_keys();
    assert_eq!(site.get(ORDERS, &provider.token("bob")).ids(), [2, 4]);
    assert_eq!(outcome(&site.get(ORDERS, &old)), (401, "ASU-204".into()), "although it was remembered");
}

/// JW-11, and JW-03 beside it.
#[test]
fn a_flood_of_unknown_keys_asks_the_provider_once() {
    let Some(provider) = OidcProvider::start_if_installed() else { return };
    let canary = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys", canary.local_addr().unwrap());
    let site = site(&[provider.config("company", "")]).started();
    let honest = provider.token("alice");
    assert_eq!(ask_until_ready(&site, &honest).ids(), [1, 3]);
    let mut forger = TestIssuer::new(provider.issuer(), RESOURCE);
    forger.keys = vec![SigningKey::generate("forged", asuser_identity::Algorithm::Rs256)];
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (address, forger, url, honest) = (site.address(), &forger, &url, &honest);
            let ask =
                move |token: &str| get(address, ORDERS, &[("Authorization", &format!("Bearer {token}"))]).unwrap();
            scope.spawn(move || {
                for number in 0..250 {
                    let mut header =
                        json!({ "alg": "RS256", "typ": "at+jwt", "kid": format!("../../dev/null-{worker}-{number}") });
                    if number % 10 == 0 {
                        header["jku"] = json!(url);
                    }
                    let token = forger.mint_with(&header, &forger.claims_for("alice", now()));
                    assert_eq!(outcome(&ask(&token)), (401, "ASU-204".into()));
                    if number % 50 == 0 {
                        assert_eq!(ask(honest).ids(), [1, 3], "nobody else notices");
                    }
                }
            });
        }
    });
    assert_eq!(provider.jwks_requests(), 2, "one at the start, one for all of them");
    assert_eq!(canary.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "and nobody else was asked");
}

/// FA-01: down, broken and slow, at the start and later. Refused within bounds, never as somebody else; the others notice nothing.
#[test]
fn a_provider_that_fails_concerns_its_own_people_alone() {
    let Some(provider) = OidcProvider::start_if_installed() else { return };
    let token = provider.token("alice");
    for mode in [Mode::Down, Mode::Broken, Mode::Slow] {
        provider.set_mode(mode);
        let mut site = site(&[provider.config("company", "")]).started();
        let refused = site.get(ORDERS, &token);
        assert_eq!(outcome(&refused), (503, "ASU-212".into()), "{mode:?}: {refused:?}");
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
        assert_eq!(site.ask("bob", "orders", &[("order", "id")]).ids(), [2, 4], "{mode:?}");
        if mode != Mode::Slow {
            let line = failure(&mut site);
            assert!(line.contains("company"), "{line}");
        }
        // It comes back, and nobody has to do anything.
        provider.set_mode(Mode::Well);
        assert_eq!(ask_until_ready(&site, &token).ids(), [1, 3], "{mode:?}");
        // It fails again: who is known stays known, with an old token and a new one.
        let fresh = provider.token("alice");
        provider.set_mode(mode);
        assert_eq!(site.get(ORDERS, &token).ids(), [1, 3], "{mode:?}");
        assert_eq!(site.get(ORDERS, &fresh).ids(), [1, 3], "{mode:?}");
        provider.set_mode(Mode::Well);
        site.stop();
    }
}

#[test]
fn only_a_provider_with_a_trusted_certificate_is_believed() {
    if !OidcProvider::is_installed() {
        println!("skipped: npm's oidc-provider is not installed (scripts/setup test)");
        return;
    }
    let ca = TestCa::new("asuser tests: providers");
    let provider = OidcProvider::start_tls(&OidcOptions::default(), &ca);
    let token = provider.token("alice");
    let mut untrusting = site(&[provider.config("company", "")]).started();
    let line = failure(&mut untrusting);
    assert!(line.contains("TLS"), "{line}");
    assert_eq!(outcome(&untrusting.get(ORDERS, &token)), (503, "ASU-212".into()));
    let trusting = site(&[provider.config("company", "tls_ca = \"idp-ca.pem\"")]);
    trusting.write("idp-ca.pem", &ca.pem());
    let trusting = trusting.started();
    assert_eq!(ask_until_ready(&trusting, &token).ids(), [1, 3]);
    // Nor is an address of this machine fetched from that nobody allowed.
    let closed = provider.config("company", "tls_ca = \"idp-ca.pem\"").replace("allow_addresses = [\"127.0.0.1\"]", "");
    let blocked = site(&[closed]);
    blocked.write("idp-ca.pem", &ca.pem());
    let mut blocked = blocked.started();
    let line = failure(&mut blocked);
    assert!(line.contains("allow_addresses"), "{line}");
}

#[test]
fn a_reload_fetches_nothing_that_is_at_hand() {
    let Some(provider) = OidcProvider::start_if_installed() else { return };
    let mut site = site(&[provider.config("company", "")]).started();
    let token = provider.token("alice");
    assert_eq!(ask_until_ready(&site, &token).ids(), [1, 3]);
    provider.forget_requests();
    for _ in 0..3 {
        site.signal("HUP");
        site.wait_for_log("why=\"reload\"");
        assert_eq!(site.get(ORDERS, &token).ids(), [1, 3]);
    }
    assert_eq!(provider.requests().len(), 0);
    // A provider that is taken out is nobody's any more.
    site.write("asuser.toml", &config(&[]));
    site.signal("HUP");
    site.wait_for_log("why=\"reload\"");
    assert_eq!(outcome(&site.get(ORDERS, &token)), (401, "ASU-203".into()));
}

#[test]
fn whoami_explains_a_token_with_keys_that_it_fetches() {
    let Some(provider) = OidcProvider::start_if_installed() else { return };
    let site = site(&[provider.config("company", "")]);
    let explained = site.command(&["whoami", "--token", &provider.token("alice")]);
    let text = crate::site::said(&explained);
    assert!(explained.status.success() && text.contains("login \"alice\""), "{text}");
    provider.set_mode(Mode::Broken);
    let explained = site.command(&["whoami", "--token", &provider.token("alice")]);
    let text = crate::site::said(&explained);
    assert!(!explained.status.success() && text.contains("ASU-212") && text.contains("answers 500"), "{text}");
}

#[test]
fn two_providers_at_once_and_one_by_another_hand() {
    let (Some(glewlwyd), Some(provider)) =
        (Glewlwyd::start_if_installed(&["alice", "bob"]), OidcProvider::start_if_installed())
    else {
        return;
    };
    let site = site(&[provider.config("company", ""), glewlwyd.config("partner", "")]).started();
    let (here, there) = (provider.token("alice"), glewlwyd.tokens("alice"));
    assert_eq!(ask_until_ready(&site, &here).ids(), [1, 3]);
    assert_eq!(ask_until_ready(&site, &there.access_token).ids(), [1, 3]);
    assert_eq!(site.get(ORDERS, &glewlwyd.tokens("bob").access_token).ids(), [2, 4]);
    assert_eq!(outcome(&site.get(ORDERS, &there.id_token)), (401, "ASU-207".into()));
    // One login, two people.
    let who = |token: &str| site.get("/whoami", token).json();
    assert_ne!(who(&here), who(&there.access_token));
    // Neither signs for the other.
    let (head, _) = there.access_token.rsplit_once('.').unwrap();
    let (_, signature) = here.rsplit_once('.').unwrap();
    assert_eq!(outcome(&site.get(ORDERS, &format!("{head}.{signature}"))), (401, "ASU-204".into()));
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}
