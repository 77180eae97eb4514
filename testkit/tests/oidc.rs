//! The identity providers of the tests are what the tests take them for.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a test")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use asuser_identity::Algorithm;
use asuser_testkit::Glewlwyd;
use asuser_testkit::oidc_provider::{CLIENT, Mode, NATIVE_CLIENT, OidcOptions, OidcProvider, RESOURCE};
use asuser_testkit::postgres::TestCa;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value as Json, json};

fn part(token: &str, at: usize) -> Json {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(token.split('.').nth(at).unwrap().as_bytes()).unwrap()).unwrap()
}

fn installed() -> bool {
    let installed = OidcProvider::is_installed();
    if !installed {
        println!("skipped: npm's oidc-provider is not installed (scripts/setup test)");
    }
    installed
}

#[test]
fn people_sign_in_and_get_tokens_for_a_resource() {
    if !installed() {
        return;
    }
    let people = json!({ "alice": { "groups": ["hr", "sales"] } });
    let provider =
        OidcProvider::start_with(&OidcOptions { people, algorithm: Algorithm::Es256, ..OidcOptions::default() });
    let tokens = provider.tokens("alice", CLIENT, "https://other.example.com/mcp", "openid offline_access db:read");
    let (header, claims) = (part(&tokens.access_token, 0), part(&tokens.access_token, 1));
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("ES256")));
    for (name, value) in [
        ("iss", json!(provider.issuer())),
        ("aud", json!("https://other.example.com/mcp")),
        ("sub", json!("alice")),
        ("client_id", json!(CLIENT)),
        ("scope", json!("db:read")),
        ("preferred_username", json!("alice")),
        ("groups", json!(["hr", "sales"])),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    assert!(tokens.refresh_token.is_some());
    assert_eq!(part(&tokens.id_token, 1)["aud"], CLIENT);
    let machine = part(&provider.machine_token(CLIENT, RESOURCE, "db:read"), 1);
    assert_eq!(machine["sub"], machine["client_id"]);
}

#[test]
fn keys_change_and_addresses_fail_when_told_to() {
    let Some(provider) = OidcProvider::start_if_installed() else { return };
    let kid = |provider: &OidcProvider| part(&provider.token("bob"), 0)["kid"].as_str().unwrap().to_owned();
    let keys = || get(provider.port(), "/jwks");
    let first = kid(&provider);
    let second = provider.rotate_keys();
    assert!(kid(&provider) == second && keys().contains(&first) && keys().contains(&second));
    let third = provider.replace_keys();
    assert!(kid(&provider) == third && !keys().contains(&first) && !keys().contains(&second));
    provider.forget_requests();
    assert_eq!(provider.jwks_requests(), 0);
    provider.set_mode(Mode::Broken);
    assert!(keys().starts_with("HTTP/1.1 500"));
    provider.set_mode(Mode::Down);
    assert!(TcpStream::connect(("127.0.0.1", provider.port())).is_err());
    provider.set_mode(Mode::Well);
    assert!(keys().starts_with("HTTP/1.1 200"));
    assert_eq!(provider.jwks_requests(), 2);
    provider.set_mode(Mode::Slow);
    let waiting = std::thread::spawn({
        let port = provider.port();
        move || get(port, "/jwks")
    });
    while provider.jwks_requests() < 3 {}
    assert!(!waiting.is_finished());
    provider.set_mode(Mode::Well);
    assert!(waiting.join().unwrap().starts_with("HTTP/1.1 200"));
}

#[test]
fn a_native_client_is_sent_back_to_its_own_port() {
    let Some(provider) = OidcProvider::start_if_installed() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let program = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let length = stream.read(&mut head).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone").unwrap();
        String::from_utf8_lossy(&head[..length]).into_owned()
    });
    let url = format!(
        "{}/auth?client_id={NATIVE_CLIENT}&redirect_uri=http%3A%2F%2F127.0.0.1%3A{port}%2Fcallback&response_type=code&scope=openid&state=s\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256",
        provider.issuer()
    );
    let callback = provider.browse(&url, "carol");
    assert_eq!((callback.status, callback.text.as_str()), (200, "done"));
    let head = program.join().unwrap();
    assert!(head.starts_with("GET /callback?code=") && head.contains("state=s"), "{head}");
}

#[test]
fn it_speaks_tls_with_a_certificate_of_ours() {
    if !installed() {
        return;
    }
    let provider = OidcProvider::start_tls(&OidcOptions::default(), &TestCa::new("asuser tests: providers"));
    assert!(provider.issuer().starts_with("https://127.0.0.1:"));
    assert_eq!(part(&provider.token("alice"), 1)["iss"], provider.issuer());
}

#[test]
fn glewlwyd_signs_people_in() {
    let Some(provider) = Glewlwyd::start_if_installed(&["alice", "bob"]) else { return };
    let claims = part(&provider.tokens("alice").access_token, 1);
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(provider.issuer()), &json!(RESOURCE)));
    assert_eq!(claims["preferred_username"], "alice");
    assert_ne!(claims["sub"], part(&provider.tokens("bob").access_token, 1)["sub"]);
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
