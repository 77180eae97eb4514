//! The client against real servers on this machine, good and bad ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod server;

use std::time::Duration;

use asuser_core::Secret;
use asuser_fetch::{Allowed, Client, FetchError, Options, Range, Request, Url};
use asuser_testkit::postgres::TestCa;
use serde_json::json;

use server::{Behaviour, Server};

fn options() -> Options {
    Options { allowed: Allowed::parse(["127.0.0.1"]).unwrap(), ..Options::default() }
}
fn client() -> Client {
    Client::new(options()).unwrap()
}
fn hello(more: &str) -> Behaviour {
    Behaviour::Say(format!("HTTP/1.1 200 OK\r\n{more}Content-Length: 5\r\n\r\nhello").into_bytes())
}

#[tokio::test]
async fn an_allowed_address_of_this_machine_may_be_plain() {
    let server = Server::plain(hello("Cache-Control: max-age=77\r\n")).await;
    let answer = client().get(&server.url("/a?b=c")).await.unwrap();
    assert_eq!((answer.text().unwrap(), answer.max_age_s()), ("hello", Some(77)));
    let seen = server.seen();
    assert!(seen[0].starts_with("GET /a?b=c HTTP/1.1\r\n"), "{seen:?}");
    assert!(seen[0].to_ascii_lowercase().contains(&format!("\r\nhost: 127.0.0.1:{}\r\n", server.port)));
    assert!(!seen[0].to_ascii_lowercase().contains("authorization"));
}

#[tokio::test]
async fn what_is_not_allowed_gets_no_connection() {
    let server = Server::plain(hello("")).await;
    let closed = Client::new(Options::default()).unwrap();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1"] {
        let url: Url = format!("http://{host}:{}/", server.port).parse().unwrap();
        let error = closed.get(&url).await.unwrap_err();
        assert!(matches!(error, FetchError::Blocked { range: Range::Loopback, .. }), "{host}: {error}");
    }
    for (host, range) in
        [("169.254.169.254", Range::LinkLocal), ("10.0.0.1", Range::Private), ("0.0.0.0", Range::Special)]
    {
        let url: Url = format!("https://{host}/").parse().unwrap();
        let error = closed.get(&url).await.unwrap_err();
        assert!(matches!(&error, FetchError::Blocked { range: found, .. } if *found == range), "{error}");
    }
    assert_eq!(server.connections(), 0);
    // Its twins: by network, by name, and in IPv6 form.
    let url = server.url("/");
    assert!(client().get(&url).await.is_ok());
    let by_name =
        Client::new(Options { allowed: Allowed::parse(["localhost"]).unwrap(), ..Options::default() }).unwrap();
    let named: Url = format!("http://localhost:{}/", server.port).parse().unwrap();
    assert!(by_name.get(&named).await.is_ok());
    assert!(by_name.get(&url).await.is_err(), "the name opens the name alone");
    let six: Url = format!("http://[::ffff:127.0.0.1]:{}/", server.port).parse().unwrap();
    assert!(client().get(&six).await.is_ok());
}

#[tokio::test]
async fn plain_requests_leave_this_machine_under_no_setting() {
    let open = Client::new(Options { allowed: Allowed::parse(["0.0.0.0/0"]).unwrap(), ..Options::default() }).unwrap();
    for url in ["http://8.8.8.8/", "http://10.0.0.1/"] {
        let error = open.get(&url.parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, FetchError::Plain(_)), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_error_and_is_not_followed() {
    let canary = Server::plain(hello("")).await;
    for status in
        ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect", "304 Not Modified"]
    {
        let to = format!(
            "HTTP/1.1 {status}\r\nLocation: {}?code=hidden\r\nContent-Length: 0\r\n\r\n",
            canary.url("/there").text()
        );
        let server = Server::plain(Behaviour::Say(to.into_bytes())).await;
        let error = client().get(&server.url("/")).await.unwrap_err();
        assert!(matches!(error, FetchError::Redirect { .. }), "{error}");
        let words = error.to_string();
        assert!(words.contains("/there") && words.contains("not followed") && !words.contains("hidden"), "{words}");
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn a_slow_server_takes_no_longer_than_allowed() {
    let brief = Client::new(Options { timeout: Duration::from_millis(50), ..options() }).unwrap();
    for behaviour in [Behaviour::Silent, Behaviour::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhell".to_vec())]
    {
        let server = Server::plain(behaviour).await;
        let error = brief.get(&server.url("/")).await.unwrap_err();
        assert!(matches!(error, FetchError::Timeout { after_ms: 50, .. }), "{error}");
    }
    // Nor one that never finishes the handshake.
    let server = Server::plain(Behaviour::Silent).await;
    let url: Url = format!("https://127.0.0.1:{}/", server.port).parse().unwrap();
    assert!(matches!(brief.get(&url).await.unwrap_err(), FetchError::Timeout { .. }));
}

#[tokio::test]
async fn a_body_has_a_limit_said_or_not() {
    let small = Client::new(Options { body_bytes_max: 1000, ..options() }).unwrap();
    let sized = |length: usize| {
        let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        bytes.resize(bytes.len() + length, b'x');
        Behaviour::Say(bytes)
    };
    let server = Server::plain(sized(1000)).await;
    assert_eq!(small.get(&server.url("/")).await.unwrap().body.len(), 1000);
    for behaviour in [sized(1001), Behaviour::Endless] {
        let server = Server::plain(behaviour).await;
        let error = small.get(&server.url("/")).await.unwrap_err();
        assert!(matches!(error, FetchError::TooLarge { bytes_max: 1000, .. }), "{error}");
    }
    // A head without end.
    let mut head = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
    head.resize(200_000, b'x');
    let server = Server::plain(Behaviour::Say(head)).await;
    assert!(matches!(small.get(&server.url("/")).await.unwrap_err(), FetchError::Protocol { .. }));
}

#[tokio::test]
async fn what_is_no_http_or_another_status_is_an_error_and_the_status_is_kept() {
    for bytes in ["SSH-2.0-OpenSSH\r\n", "", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"]
    {
        let server = Server::plain(Behaviour::Say(bytes.into())).await;
        let error = client().get(&server.url("/")).await.unwrap_err();
        assert!(matches!(error, FetchError::Protocol { .. }), "{error}");
    }
    let refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 25\r\n\r\n{\"error\":\"invalid_grant\"}".to_vec();
    let server = Server::plain(Behaviour::Say(refusal)).await;
    assert!(matches!(client().get(&server.url("/")).await.unwrap_err(), FetchError::Status { status: 400, .. }));
    let request = Request::form(server.url("/token"), &[("code", "a b&c")]).basic("me", &Secret::new("hunter2".into()));
    let answer = client().send(request).await.unwrap();
    assert_eq!((answer.status, answer.text().unwrap()), (400, "{\"error\":\"invalid_grant\"}"));
    let json = client().send(Request::json(server.url("/token"), &json!({"a": 1}))).await.unwrap();
    assert!(!format!("{json:?}").contains("invalid_grant"));
    let seen = server.seen();
    assert!(
        seen[1].contains("POST /token")
            && seen[1].contains("Basic bWU6aHVudGVyMg==")
            && seen[1].ends_with("code=a%20b%26c")
    );
    assert!(seen[2].ends_with("{\"a\":1}"), "{seen:?}");
}

#[tokio::test]
async fn certificates_and_names_are_verified() {
    let ca = TestCa::new("asuser tests");
    let server = Server::tls(&ca, hello("")).await;
    let trusting = |pem: String| Client::new(Options { ca_pem: Some(pem.into_bytes()), ..options() }).unwrap();
    assert_eq!(trusting(ca.pem()).get(&server.url("/")).await.unwrap().body, "hello");
    // Not its authority.
    for client in [client(), trusting(TestCa::new("another").pem())] {
        let error = client.get(&server.url("/")).await.unwrap_err();
        assert!(matches!(error, FetchError::Tls { .. }), "{error}");
    }
    // Not its name.
    let other = Client::new(Options {
        ca_pem: Some(ca.pem().into_bytes()),
        allowed: Allowed::parse(["127.0.0.0/8"]).unwrap(),
        ..Options::default()
    });
    let elsewhere: Url = format!("https://[::ffff:127.0.0.1]:{}/", server.port).parse().unwrap();
    let error = other.unwrap().get(&elsewhere).await.unwrap_err();
    assert!(matches!(error, FetchError::Tls { .. }), "{error}");
    // No TLS at all.
    let plain = Server::plain(Behaviour::Greet(b"220 mail.example.com\r\n".to_vec())).await;
    let url: Url = format!("https://127.0.0.1:{}/", plain.port).parse().unwrap();
    assert!(matches!(trusting(ca.pem()).get(&url).await.unwrap_err(), FetchError::Tls { .. }));
    assert!(server.seen().len() == 1, "only the trusted connection got as far as a request");
}

#[tokio::test]
async fn nobody_there_says_so() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = client().get(&format!("http://127.0.0.1:{port}/").parse().unwrap()).await.unwrap_err();
    assert!(matches!(&error, FetchError::Connect { .. }) && error.to_string().contains(&port.to_string()), "{error}");
    let error = client().get(&"https://nobody.invalid/".parse().unwrap()).await.unwrap_err();
    assert!(matches!(&error, FetchError::NoAddress { .. }), "{error}");
}

#[test]
fn a_ca_file_holds_certificates() {
    for pem in ["", "no pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let options = Options { ca_pem: Some(pem.into()), ..Options::default() };
        assert!(matches!(Client::new(options), Err(FetchError::Setup(_))), "{pem}");
    }
}
