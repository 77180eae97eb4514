//! `asuser login` and `asuser logout`, whole: at a real OpenID provider with a real asuser, and at servers that do what they should not.

mod keyring;
mod person;
pub(crate) mod stub;

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use asuser_testkit::oidc_provider::{CLIENT as CONFIDENTIAL, NATIVE_CLIENT, OidcOptions, OidcProvider};
use asuser_testkit::postgres::TestCa;
use serde_json::{Value as Json, json};

use crate::site::{Reply, Site, get, said};
pub(crate) use person::{Person, TELLTALE, private};
use stub::{Said, Seen, Stub};

/// A real asuser that accepts the provider's tokens for its own /mcp.
pub(crate) fn site_of(provider: &OidcProvider) -> Site {
    // What its tokens are for is its address, which must be known before it runs.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let site = Site::new();
    site.write(
        "asuser.toml",
        &format!(
            "[server]\nlisten = \"{free}\"\n[audit]\ncheckpoint_to = [\"file:checkpoints\"]\n{}\n[[service]]\nname = \"db\"\nkind = \
             \"sqlite\"\npath = \"company.db\"\n",
            provider.config("company", "").replace("https://data.example.com", &format!("http://{free}/mcp"))
        ),
    );
    let site = site.started();
    let token = provider.tokens("nobody", CONFIDENTIAL, &format!("http://{free}/mcp"), "openid").access_token;
    // The provider's keys are on their way at first.
    while site.get("/whoami", &token).status == 503 {}
    site
}

#[test]
fn a_person_signs_in_at_a_real_provider_and_out_again() {
    let Some(provider) = OidcProvider::start_if_installed() else { return };
    let site = site_of(&provider);
    let url = site.url();
    for client in [&["--client-id", NATIVE_CLIENT][..], &[]] {
        let person = Person::new();
        let signing_in = person.begin(&url, &[client, &["--store", "file"]].concat());
        assert_eq!(signing_in.parameter("code_challenge_method").as_deref(), Some("S256"));
        assert_eq!(signing_in.parameter("resource"), Some(format!("{url}/mcp")));
        assert_eq!(signing_in.parameter("scope").as_deref(), Some("db:read openid offline_access"));
        let page = provider.browse(signing_in.address(), "alice");
        assert_eq!(page.status, 200);
        assert!(page.text.contains("close this window") && !page.text.contains("<script"), "{page:?}");
        let (code, words) = signing_in.end();
        assert_eq!(code, Some(0), "{words}");
        assert!(words.contains("takes you for alice") && words.contains("is renewed by itself"), "{words}");

        let kept = person.kept();
        let (access, refresh) =
            (kept["tokens"]["access_token"].as_str().unwrap(), kept["tokens"]["refresh_token"].as_str().unwrap());
        assert!(!words.contains(access) && !words.contains(refresh));
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&person.file().unwrap()), mode(&person.tokens())), (0o600, 0o700));

        let status = person.run(&["login", "--url", &url, "--status"]);
        assert!(status.status.success() && said(&status).contains("takes you for alice"), "{}", said(&status));
        assert!(!said(&status).contains(access) && !said(&status).contains(refresh));

        provider.forget_requests();
        let out = person.run(&["logout", "--url", &format!("{url}/mcp")]);
        assert!(out.status.success() && said(&out).contains("revoked"), "{}", said(&out));
        assert!(provider.requests().iter().any(|request| request.path == "/token/revocation"));
        assert_eq!(person.file(), None);
        let status = person.run(&["login", "--url", &url, "--status"]);
        assert!(status.status.code() == Some(1) && said(&status).contains("nobody is signed in"));
        let again = person.run(&["logout", "--url", &url]);
        assert!(again.status.success() && said(&again).contains("nobody is signed in"));
    }
}

#[test]
fn a_token_is_renewed_once_however_many_ask() {
    let Some(provider) = OidcProvider::start_if_installed() else { return };
    let site = site_of(&provider);
    let (url, person) = (site.url(), Person::new());
    let signing_in = person.begin(&url, &["--client-id", NATIVE_CLIENT, "--store", "file"]);
    assert_eq!(provider.browse(signing_in.address(), "alice").status, 200);
    assert_eq!(signing_in.end().0, Some(0));
    for _ in 0..2 {
        let before = person.kept();
        person.change(|kept| kept["tokens"]["expires_ms"] = json!(1));
        provider.forget_requests();
        let asking: Vec<_> =
            (0..4).map(|_| person.command(&["login", "--url", &url, "--status"]).spawn().unwrap()).collect();
        for asking in asking {
            let output = asking.wait_with_output().unwrap();
            assert!(output.status.success() && said(&output).contains("takes you for alice"), "{}", said(&output));
        }
        let renewals = provider.requests().iter().filter(|request| request.path == "/token").count();
        assert_eq!(renewals, 1, "the others found what the first had put there");
        let after = person.kept();
        assert_ne!(before["tokens"]["access_token"], after["tokens"]["access_token"]);
        assert_ne!(
            before["tokens"]["refresh_token"], after["tokens"]["refresh_token"],
            "this provider changes it each time"
        );
    }
    // Somebody has used the one that is kept: the provider takes it for stolen, and the person signs in again.
    let refresh = person.kept()["tokens"]["refresh_token"].as_str().unwrap().to_owned();
    person.change(|kept| kept["tokens"]["expires_ms"] = json!(1));
    let stolen = Person::new();
    std::fs::create_dir_all(stolen.tokens()).unwrap();
    private(&stolen.tokens(), 0o700);
    let name = person.file().unwrap().file_name().unwrap().to_owned();
    std::fs::copy(person.file().unwrap(), stolen.tokens().join(name)).unwrap();
    assert!(stolen.run(&["login", "--url", &url, "--status"]).status.success());
    let refused = person.run(&["login", "--url", &url, "--status"]);
    assert!(!refused.status.success() && said(&refused).contains("run `asuser login"), "{}", said(&refused));
    assert!(!said(&refused).contains(&refresh));
}

#[test]
fn a_provider_with_a_certificate_of_the_company_is_trusted_when_told_so() {
    if !OidcProvider::is_installed() {
        println!("skipped: npm's oidc-provider is not installed (scripts/setup test)");
        return;
    }
    let ca = TestCa::new("asuser tests: sign-in");
    let provider = OidcProvider::start_tls(&OidcOptions::default(), &ca);
    let issuer = provider.issuer().to_owned();
    let stub = both(move |path, _, body| {
        if path.ends_with("resource/mcp") {
            body["authorization_servers"] = json!([issuer]);
        }
    });
    let person = Person::new();
    let arguments = ["--client-id", NATIVE_CLIENT, "--store", "file"];
    let untrusting = person.begin(&stub.url(), &arguments);
    assert_eq!(untrusting.address, None);
    let (code, words) = untrusting.end();
    assert!(code == Some(1) && words.contains("TLS"), "{words}");
    let path = person.path("ca.pem");
    std::fs::write(&path, ca.pem()).unwrap();
    let trusting = person.begin(&stub.url(), &[&arguments[..], &["--ca", path.to_str().unwrap()]].concat());
    assert_eq!(provider.browse(trusting.address(), "alice").status, 200);
    let (code, words) = trusting.end();
    assert_eq!(code, Some(0), "{words}");
    let out = person.run(&["logout", "--url", &stub.url(), "--ca", path.to_str().unwrap()]);
    assert!(out.status.success() && said(&out).contains("revoked"), "{}", said(&out));
}

/// A provider that cannot be told does not keep the tokens here.
#[test]
fn signing_out_deletes_in_any_case() {
    let person = Person::new();
    let url = "http://127.0.0.1:9";
    let tokens = json!({ "access_token": TELLTALE, "refresh_token": TELLTALE, "revocation_endpoint": "http://127.0.0.1:9/revoke" });
    person.sign_in(url, &tokens);
    let out = person.run(&["logout", "--url", url]);
    assert!(out.status.code() == Some(1) && said(&out).contains("are deleted"), "{}", said(&out));
    assert!(said(&out).contains("until they end by themselves") && !said(&out).contains(TELLTALE), "{}", said(&out));
    assert_eq!(person.file(), None);
    // What cannot be read is deleted too.
    person.sign_in(url, &tokens);
    private(&person.file().unwrap(), 0o644);
    let out = person.run(&["logout", "--url", url]);
    assert!(out.status.code() == Some(1) && person.file().is_none(), "{}", said(&out));
    person.sign_in(url, &json!({ "access_token": TELLTALE }));
    let out = person.run(&["logout", "--url", url]);
    assert!(out.status.success() && said(&out).contains("cannot revoke"), "{}", said(&out));
}

/// An asuser and an authorization server in one, that can be told to do wrong.
fn both(change: impl Fn(&str, &str, &mut Json) + Send + Sync + 'static) -> Stub {
    Stub::start(move |url| {
        move |seen: &Seen, _: &std::net::TcpStream| {
            let path = seen.target.split('?').next().unwrap_or_default();
            let (status, mut body) = match path {
                "/.well-known/oauth-protected-resource/mcp" => (
                    200,
                    json!({ "resource": format!("{url}/mcp"), "authorization_servers": [url], "scopes_supported": ["db:read"] }),
                ),
                "/.well-known/oauth-authorization-server" => (
                    200,
                    json!({
                        "issuer": url, "authorization_endpoint": format!("{url}/auth"), "token_endpoint": format!("{url}/token"),
                        "code_challenge_methods_supported": ["S256"],
                    }),
                ),
                "/token" => {
                    (200, json!({ "access_token": format!("{TELLTALE}1"), "token_type": "Bearer", "expires_in": 600 }))
                }
                "/whoami" => (200, json!({ "principal": { "issuer": url, "subject": "u1", "login": "alice" } })),
                _ => (404, json!({})),
            };
            change(path, &url, &mut body);
            let status =
                body.as_object_mut().and_then(|body| body.remove("status")).and_then(|s| s.as_u64()).unwrap_or(status);
            Said::json(u16::try_from(status).unwrap(), &body)
        }
    })
}

/// Comes back from the browser with these parameters.
fn come_back(redirect: &str, query: &str) -> Reply {
    let (address, path) = redirect.strip_prefix("http://").unwrap().split_once('/').unwrap();
    get(address.parse::<SocketAddr>().unwrap(), &format!("/{path}?{query}"), &[]).unwrap()
}

const CLIENT: &[&str] = &["--client-id", "cli", "--store", "file"];

#[test]
fn the_flow_as_it_should_be() {
    let stub = both(|_, _, _| {});
    let person = Person::new();
    let signing_in = person.begin(&stub.url(), CLIENT);
    let (redirect, state) = (signing_in.parameter("redirect_uri").unwrap(), signing_in.parameter("state").unwrap());
    // Others guess, and change nothing.
    for wrong in ["code=x&state=guess", "error=access_denied&state=guess", "code=x", ""] {
        assert_eq!(come_back(&redirect, wrong).status, 400, "{wrong}");
    }
    assert_eq!(come_back(&redirect, &format!("code=c%201&state={state}")).status, 200);
    let challenge = signing_in.parameter("code_challenge").unwrap();
    let (code, words) = signing_in.end();
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains("takes you for alice") && words.contains("no refresh token"), "{words}");
    let sent = stub.seen_at("/token");
    let [sent] = sent.as_slice() else { panic!("{sent:?}") };
    let verifier = sent.field("code_verifier").unwrap();
    let digest = <sha2::Sha256 as sha2::Digest>::digest(verifier.as_bytes());
    assert_eq!(data_encoding::BASE64URL_NOPAD.encode(&digest), challenge);
    assert_eq!((sent.field("code").as_deref(), sent.field("redirect_uri")), (Some("c 1"), Some(redirect)));
    assert_eq!(
        (sent.field("client_id").as_deref(), sent.field("resource")),
        (Some("cli"), Some(format!("{}/mcp", stub.url())))
    );
    assert_eq!(sent.header("authorization"), None);
    assert_eq!(person.kept()["tokens"]["access_token"], json!(format!("{TELLTALE}1")));
}

#[test]
fn the_resource_is_left_out_where_it_is_not_wanted() {
    let stub = both(|_, _, _| {});
    let person = Person::new();
    let signing_in = person.begin(
        &stub.url(),
        &[CLIENT, &["--no-resource", "--scope", "api://x/.default", "--redirect", "http://localhost:0/"]].concat(),
    );
    assert_eq!(
        (signing_in.parameter("resource"), signing_in.parameter("scope").as_deref()),
        (None, Some("api://x/.default"))
    );
    let (redirect, state) = (signing_in.parameter("redirect_uri").unwrap(), signing_in.parameter("state").unwrap());
    assert!(redirect.starts_with("http://localhost:") && redirect.ends_with('/'), "{redirect}");
    assert_eq!(come_back(&redirect.replace("localhost", "127.0.0.1"), &format!("code=c&state={state}")).status, 200);
    assert_eq!(signing_in.end().0, Some(0));
    assert_eq!(stub.seen_at("/token")[0].field("resource"), None);
}

/// Each ends before a browser is needed.
#[test]
fn what_is_wrong_at_the_start_is_told() {
    type Change = fn(&str, &str, &mut Json);
    let cases: &[(&str, Change, &[&str], &str)] = &[
        (
            "no S256",
            |path, _, body| {
                if path.ends_with("authorization-server") {
                    body["code_challenge_methods_supported"] = json!(["plain"])
                }
            },
            CLIENT,
            "PKCE",
        ),
        (
            "another issuer",
            |path, _, body| {
                if path.ends_with("authorization-server") {
                    body["issuer"] = json!("http://127.0.0.1:1")
                }
            },
            CLIENT,
            "answers",
        ),
        (
            "another resource",
            |path, _, body| {
                if path.ends_with("resource/mcp") {
                    body["resource"] = json!("https://evil.example/mcp")
                }
            },
            CLIENT,
            "public_url",
        ),
        (
            "nobody issues",
            |path, _, body| {
                if path.ends_with("resource/mcp") {
                    body["authorization_servers"] = json!([])
                }
            },
            CLIENT,
            "no authorization server",
        ),
        (
            "several issue",
            |path, _, body| {
                if path.ends_with("resource/mcp") {
                    body["authorization_servers"] = json!(["http://127.0.0.1:1", "http://127.0.0.1:2"])
                }
            },
            CLIENT,
            "--issuer",
        ),
        (
            "metadata elsewhere",
            |path, _, body| {
                if path.ends_with("resource/mcp") {
                    body["authorization_servers"] = json!(["http://169.254.169.254"])
                }
            },
            CLIENT,
            "169.254.169.254",
        ),
        ("no registration", |_, _, _| {}, &["--store", "file"], "--client-id"),
        (
            "registration refused",
            |path, url, body| {
                if path.ends_with("authorization-server") {
                    body["registration_endpoint"] = json!(format!("{url}/reg"))
                }
                if path == "/reg" {
                    *body = json!({"status": 403, "error": "access_denied"})
                }
            },
            &["--store", "file"],
            "--client-id",
        ),
        (
            "not asuser",
            |path, _, body| {
                if path.contains("protected-resource") {
                    *body = json!({"status": 404})
                }
            },
            CLIENT,
            "is an asuser there",
        ),
    ];
    for (what, change, arguments, wanted) in cases {
        let (stub, person) = (both(*change), Person::new());
        let signing_in = person.begin(&stub.url(), arguments);
        assert_eq!(signing_in.address, None, "{what}");
        let (code, words) = signing_in.end();
        assert!(code == Some(1) && words.contains(wanted), "{what}: {words}");
        assert!(stub.seen_at("/token").is_empty() && person.file().is_none(), "{what}");
    }
    let plain = Person::new().run(&["login", "--url", "http://data.example.com"]);
    assert!(plain.status.code() == Some(2) && said(&plain).contains("this machine alone"), "{}", said(&plain));
}

/// Each ends after the browser came back, with nothing kept.
#[test]
fn what_goes_wrong_later_leaves_nothing_behind() {
    type Change = fn(&str, &str, &mut Json);
    let cases: &[(&str, Change, &str, &str, usize)] = &[
        ("refused", |_, _, _| {}, "error=access_denied&error_description=not+you", "not you", 0),
        ("mixed up", |_, _, _| {}, "code=c&iss=https%3A%2F%2Fevil.example", "mixed", 0),
        (
            "nameless",
            |path, _, body| {
                if path.ends_with("authorization-server") {
                    body["authorization_response_iss_parameter_supported"] = json!(true)
                }
            },
            "code=c",
            "of whom",
            0,
        ),
        ("no code", |_, _, _| {}, "session_state=1", "no code", 0),
        (
            "code refused",
            |path, _, body| {
                if path == "/token" {
                    *body = json!({"status": 400, "error": "invalid_grant"})
                }
            },
            "code=c",
            "invalid_grant",
            1,
        ),
        (
            "no bearer token",
            |path, _, body| {
                if path == "/token" {
                    body["token_type"] = json!("DPoP")
                }
            },
            "code=c",
            "no bearer token",
            1,
        ),
        (
            "asuser refuses",
            |path, _, body| {
                if path == "/whoami" {
                    *body = json!({"status": 401, "error": {"message": "not for me", "reason": "ASU-205"}})
                }
            },
            "code=c",
            "not for me",
            1,
        ),
        (
            "not asuser's answer",
            |path, _, body| {
                if path == "/whoami" {
                    *body = json!({})
                }
            },
            "code=c",
            "not asuser's",
            1,
        ),
    ];
    for (what, change, query, wanted, exchanges) in cases {
        let (stub, person) = (both(*change), Person::new());
        let signing_in = person.begin(&stub.url(), CLIENT);
        let (redirect, state) = (signing_in.parameter("redirect_uri").unwrap(), signing_in.parameter("state").unwrap());
        assert_eq!(come_back(&redirect, &format!("{query}&state={state}")).status, 200, "{what}");
        let (code, words) = signing_in.end();
        assert!(code == Some(1) && words.contains(wanted), "{what}: {words}");
        assert_eq!((stub.seen_at("/token").len(), person.file()), (*exchanges, None), "{what}");
    }
}

#[test]
fn a_token_endpoint_that_points_elsewhere_gets_no_second_request() {
    let elsewhere = both(|_, _, _| {});
    let to = format!("{}/token", elsewhere.url());
    let inner = both(|_, _, _| {});
    let stub = Stub::start(|url| {
        let inner = inner.url();
        move |seen: &Seen, _: &std::net::TcpStream| {
            if seen.target == "/token" {
                return Said { status: 307, kind: "text/plain", body: String::new(), location: Some(to.clone()) };
            }
            let reply = get(inner.strip_prefix("http://").unwrap().parse().unwrap(), &seen.target, &[]).unwrap();
            Said::text(reply.status, "application/json", &reply.text.replace(&inner, &url))
        }
    });
    let person = Person::new();
    let signing_in = person.begin(&stub.url(), CLIENT);
    let (redirect, state) = (signing_in.parameter("redirect_uri").unwrap(), signing_in.parameter("state").unwrap());
    come_back(&redirect, &format!("code=c&state={state}"));
    let (code, words) = signing_in.end();
    assert!(code == Some(1) && words.contains("redirects are not followed"), "{words}");
    assert!(elsewhere.seen().is_empty() && person.file().is_none());
}

#[test]
fn ctrl_c_ends_the_wait() {
    let (stub, person) = (both(|_, _, _| {}), Person::new());
    let signing_in = person.begin(&stub.url(), CLIENT);
    let redirect = signing_in.parameter("redirect_uri").unwrap();
    let status = Command::new("kill").args(["-INT", &signing_in.child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let (code, words) = signing_in.end();
    assert!(code == Some(130) && words.contains("given up"), "{code:?} {words}");
    let address = redirect.strip_prefix("http://").unwrap().split('/').next().unwrap().parse().unwrap();
    assert!(get(address, "/callback", &[]).is_err(), "nobody listens any more");
    assert_eq!(person.file(), None);
}
