//! HTTP as an attacker speaks it (HT-01, HT-02), each beside the honest request.

use std::time::{Duration, Instant};

use crate::site::{Reply, Site};

const PATIENCE: Duration = Duration::from_secs(30);
const ORDERS: &str = "/api/v2/db/_table/orders?order=id";

#[test]
fn ambiguous_requests_are_refused() {
    let site = Site::new().started();
    let bearer = format!("Authorization: Bearer {}\r\n", site.issuer.token_for("alice"));
    let bobs = format!("Authorization: Bearer {}\r\n", site.issuer.token_for("bob"));
    let raw = |head: String| Reply::parse(&site.send(format!("{head}Connection: close\r\n\r\n").as_bytes()));
    for (what, head) in [
        ("two credentials", format!("GET {ORDERS} HTTP/1.1\r\nHost: h\r\n{bearer}{bobs}")),
        ("the same credential twice", format!("GET {ORDERS} HTTP/1.1\r\nHost: h\r\n{bearer}{bearer}")),
        ("two hosts", format!("GET {ORDERS} HTTP/1.1\r\nHost: h\r\nHost: i\r\n{bearer}")),
        ("no host", format!("GET {ORDERS} HTTP/1.1\r\n{bearer}")),
        ("absolute target", format!("GET http://other{ORDERS} HTTP/1.1\r\nHost: h\r\n{bearer}")),
        (
            "length and chunks",
            format!("GET {ORDERS} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n{bearer}"),
        ),
        (
            "two lengths",
            format!("GET {ORDERS} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 5\r\n{bearer}"),
        ),
        (
            "a space before the colon",
            format!("GET {ORDERS} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n{bearer}"),
        ),
        ("double slash", format!("GET /{ORDERS} HTTP/1.1\r\nHost: h\r\n{bearer}")),
        ("dots", format!("GET /api/v2/x/%2e%2e/db/_table/orders HTTP/1.1\r\nHost: h\r\n{bearer}")),
        ("path parameter", format!("GET /api/v2/db/_table/orders;x HTTP/1.1\r\nHost: h\r\n{bearer}")),
        ("a body", format!("GET {ORDERS} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n{bearer}")),
    ] {
        let reply = raw(head);
        assert!([400, 401].contains(&reply.status), "{what}: {reply:?}");
        assert!(!reply.text.contains("\"resource\""), "{what}");
    }
    let honest = raw(format!("GET {ORDERS} HTTP/1.1\r\nHost: h\r\n{bearer}"));
    assert_eq!(honest.ids(), [1, 3]);
    let old = raw(format!("GET {ORDERS} HTTP/1.0\r\n{bearer}"));
    assert_eq!(old.ids(), [1, 3], "HTTP/1.0 needs no Host");
}

/// What follows a refused body is not taken for a request.
#[test]
fn a_body_smuggles_no_request() {
    let site = Site::new().started();
    let bearer = format!("Authorization: Bearer {}\r\n", site.issuer.token_for("alice"));
    let inner = format!("GET {ORDERS} HTTP/1.1\r\nHost: h\r\n{bearer}\r\n");
    let outer = format!("GET /whoami HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{inner}", inner.len());
    let answer = String::from_utf8_lossy(&site.send(outer.as_bytes())).into_owned();
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(!answer.contains("\"resource\""));
}

/// What hyper refuses by itself never was a request: no record, but a number. A request that is refused has a record instead.
#[test]
fn what_is_no_http_is_counted() {
    let site = Site::new().started();
    let bearer = format!("Authorization: Bearer {}\r\n", site.issuer.token_for("alice"));
    let raw = |head: &str| {
        let head = format!("GET /whoami HTTP/1.1\r\nHost: h\r\n{bearer}{head}Connection: close\r\n\r\n");
        Reply::parse(&site.send(head.as_bytes()))
    };
    assert_eq!(raw("").status, 200);
    assert_eq!(site.get_with("/nothing//", &[]).status, 401);
    assert_eq!(malformed(&site), 0, "requests, served and refused, have records");
    let many = (0..200).map(|nth| format!("X-{nth}: x\r\n")).collect::<String>();
    for (nth, (head, status)) in [
        ("Transfer-Encoding: xchunked\r\n", 400),
        ("Content-Length: 4\r\nContent-Length: 5\r\n", 400),
        ("Bad Name: x\r\n", 400),
        (&*many, 431),
    ]
    .into_iter()
    .enumerate()
    {
        let reply = raw(head);
        assert_eq!((reply.status, reply.header("audit-id")), (status, None), "{head:.40}");
        // Counted once the connection has ended, which its peer may see a little earlier.
        let (wanted, started) = (nth as u64 + 1, Instant::now());
        while malformed(&site) != wanted {
            assert!(started.elapsed() < PATIENCE, "{head:.40} was not counted");
            std::thread::yield_now();
        }
    }
}

fn malformed(site: &Site) -> u64 {
    let text = site.get_with("/metrics", &[]).text;
    let line = text.lines().find_map(|line| line.strip_prefix("asuser_http_malformed_total "));
    line.expect("the metric").parse().unwrap()
}

/// hyper drops a fragment before anybody could refuse it: it leads nowhere else, and skips nothing.
#[test]
fn a_fragment_takes_no_part_in_routing() {
    let site = Site::new().started();
    let bearer = format!("Authorization: Bearer {}\r\n", site.issuer.token_for("alice"));
    let raw = |path: &str, more: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: h\r\n{more}Connection: close\r\n\r\n");
        Reply::parse(&site.send(head.as_bytes())).status
    };
    for path in ["/whoami#x", "/whoami#/../health", "/whoami#?a=b"] {
        assert_eq!((raw(path, ""), raw(path, &bearer)), (401, 200), "{path}");
    }
    assert_eq!(raw("/nothing#/../whoami", &bearer), 404);
}

#[test]
fn no_method_path_or_agent_skips_authentication() {
    let site = Site::new().started();
    let raw = |head: String| Reply::parse(&site.send(format!("{head}Host: h\r\nConnection: close\r\n\r\n").as_bytes()));
    for method in ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "FOO", "get"] {
        let reply = raw(format!("{method} {ORDERS} HTTP/1.1\r\n"));
        assert_eq!(reply.status, 401, "{method}");
    }
    for (path, agent) in
        [("/health/../api/v2/db/_table/orders", "x"), (ORDERS, "kube-probe/1.29"), (ORDERS, "ELB-HealthChecker/2.0")]
    {
        let reply = raw(format!("GET {path} HTTP/1.1\r\nUser-Agent: {agent}\r\n"));
        assert!([400, 401].contains(&reply.status), "{path}");
    }
    let bearer = format!("Bearer {}", site.issuer.token_for("alice"));
    let overridden = site.get_with(ORDERS, &[("Authorization", &bearer), ("X-HTTP-Method-Override", "DELETE")]);
    assert_eq!(overridden.status, 501);
    for path in ["/health", "/ready", "/metrics"] {
        assert_eq!(site.get_with(path, &[]).status, 200, "{path}");
    }
    assert_eq!(site.get_with("/health;x", &[]).status, 401);
}

#[test]
fn a_request_id_forges_no_line() {
    let mut site = Site::new().started();
    let bearer = format!("Bearer {}", site.issuer.token_for("alice"));
    let with = |name: &str, value: &str| site.get_with(ORDERS, &[("Authorization", &bearer), (name, value)]);
    assert_eq!(with("X-Request-Id", "run-7.a_b").header("x-request-id"), Some("run-7.a_b"));
    for odd in ["a b", "<script>", "a\tb", &"x".repeat(65), "\u{1b}[31mred", "a%0d%0ab"] {
        let reply = with("X-Request-Id", odd);
        // A control character is no header value at all: HTTP itself refuses it.
        assert_eq!(reply.status, if odd.contains('\u{1b}') { 400 } else { 200 }, "{odd:?}");
        assert_ne!(reply.header("x-request-id"), Some(odd));
    }
    for odd in ["garbage", "00-00000000000000000000000000000000-0000000000000000-01", &"0".repeat(4000)] {
        assert_eq!(with("traceparent", odd).status, 200);
        assert_eq!(with("tracestate", odd).status, 200);
    }
    assert!(!site.log().contains("\u{1b}[31m"));
}

#[test]
fn sizes_are_bounded_and_others_are_served() {
    let site = Site::new().started();
    let huge = site.send(
        format!("GET {ORDERS} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\n\r\n", "a".repeat(1024 * 1024))
            .as_bytes(),
    );
    assert!([400, 401, 431].contains(&Reply::parse(&huge).status));
    let long = site.get(&format!("/api/v2/db/_table/{}", "x".repeat(40_000)), &site.issuer.token_for("alice"));
    assert!([400, 404, 414].contains(&long.status), "{}", long.status);
    assert_eq!(site.ask("alice", "orders", &[]).status, 200);
}
