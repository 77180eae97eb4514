//! Where the browser comes back to: an address of this machine, for as long as one sign-in takes (RFC 8252 §7.3).
//!
//! In: connections. Out: what ended the sign-in. Answers one request a connection, with a page that holds no script and loads nothing.
//! Only what carries this sign-in's `state` ends it, and only once.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use asuser_core::Secret;
use asuser_fetch::Url;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::authorize::{Came, Expected};

const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Browsers open connections that they never use.
const CONNECTIONS_MAX: usize = 32;
const CONNECTION_MAX: Duration = Duration::from_secs(30);

/// An address that is listened on.
#[derive(Debug)]
pub(crate) struct Loopback {
    listener: TcpListener,
    /// As the authorization server is told.
    pub(crate) redirect: String,
    pub(crate) path: String,
}

impl Loopback {
    /// Listens. `redirect`: `http://127.0.0.1:0/callback`, where 0 is any port; or `http://localhost:…`, which some providers want.
    pub(crate) async fn listen(redirect: &str) -> anyhow::Result<Self> {
        let place = Place::parse(redirect)?;
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, place.port));
        let listener = TcpListener::bind(wanted).await.with_context(|| format!("{wanted} cannot be listened on"))?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, redirect: format!("http://{}:{port}{}", place.host, place.path), path: place.path })
    }

    /// Waits for the end of the sign-in.
    pub(crate) async fn wait(self, expected: Expected) -> anyhow::Result<Secret> {
        let (expected, ended) = (Arc::new(expected), Arc::new(AtomicBool::new(false)));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                    // A connection that is gone already is the browser's affair.
                    let Ok((stream, _)) = accepted else { continue };
                    let (expected, ended) = (Arc::clone(&expected), Arc::clone(&ended));
                    connections.spawn(async move {
                        let mut end = None;
                        // What was understood stays so even if the browser does not take the page.
                        let _ = tokio::time::timeout(CONNECTION_MAX, answer(stream, &expected, &ended, &mut end)).await;
                        end
                    });
                }
                Some(done) = connections.join_next() => {
                    if let Ok(Some(end)) = done {
                        return end;
                    }
                }
            }
        }
    }
}

/// A redirect address on this machine.
struct Place {
    host: &'static str,
    port: u16,
    path: String,
}

impl Place {
    fn parse(text: &str) -> anyhow::Result<Self> {
        // The library of URLs refuses port 0, which means any here.
        let any = text.replacen(":0/", ":1/", 1);
        let url: Url = any.parse()?;
        let host = match url.host() {
            "127.0.0.1" => "127.0.0.1",
            "localhost" => "localhost",
            _ => bail!("`{text}` does not lead to this machine: write it like http://127.0.0.1:0/callback"),
        };
        ensure!(
            !url.is_https() && !any.contains('?'),
            "`{text}` cannot be served: write it like http://127.0.0.1:0/callback"
        );
        let after = any.split_once("://").map_or("", |(_, rest)| rest);
        let path = after.find('/').and_then(|at| after.get(at..)).unwrap_or("/").to_owned();
        let has_port = after.starts_with(&format!("{host}:"));
        ensure!(has_port, "`{text}` names no port; 0 stands for any: http://{host}:0{path}");
        let port = if any == text { url.port() } else { 0 };
        Ok(Self { host, port, path })
    }
}

/// Reads one request, and answers it with a page.
async fn answer(
    mut stream: TcpStream,
    expected: &Expected,
    ended: &AtomicBool,
    end: &mut Option<anyhow::Result<Secret>>,
) -> std::io::Result<()> {
    let Some(target) = read_target(&mut stream).await? else {
        return write_page(&mut stream, "400 Bad Request", "This is not a request that asuser expects.").await;
    };
    let (status, words) = match expected.judge(&target) {
        Came::Foreign => ("400 Bad Request", "This does not belong to the sign-in under way."),
        Came::End(_) if ended.swap(true, Ordering::AcqRel) => ("409 Conflict", "This sign-in has ended already."),
        Came::End(Ok(code)) => {
            *end = Some(Ok(code));
            ("200 OK", "You can close this window and go back to the terminal.")
        }
        Came::End(Err(error)) => {
            *end = Some(Err(error));
            ("200 OK", "The sign-in did not succeed; the terminal says why. You can close this window.")
        }
    };
    write_page(&mut stream, status, words).await
}

/// The target of a `GET`; nothing of its headers matters.
async fn read_target(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let read = stream.read(&mut piece).await?;
        if read == 0 || head.len() + read > HEAD_BYTES_MAX {
            return Ok(None);
        }
        head.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let Ok(line) = std::str::from_utf8(line) else { return Ok(None) };
    let mut parts = line.split(' ');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("GET"), Some(target), Some("HTTP/1.1" | "HTTP/1.0"), None) => Ok(Some(target.to_owned())),
        _ => Ok(None),
    }
}

async fn write_page(stream: &mut TcpStream, status: &str, words: &str) -> std::io::Result<()> {
    let body = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>asuser</title>\n<h1>asuser</h1>\n<p>{words}</p></html>\n"
    );
    // The address has the code in it: no page learns it from here.
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expected {
        Expected {
            path: "/callback".into(),
            state: Secret::new("s1".into()),
            issuer: "https://l.example".into(),
            says_issuer: false,
        }
    }
    async fn ask(address: &str, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }
    fn address(loopback: &Loopback) -> String {
        loopback.listener.local_addr().unwrap().to_string()
    }

    #[tokio::test]
    async fn only_this_sign_ins_state_ends_it() {
        let loopback = Loopback::listen("http://127.0.0.1:0/callback").await.unwrap();
        let address = address(&loopback);
        assert_eq!(loopback.redirect, format!("http://{address}/callback"));
        let waiting = tokio::spawn(loopback.wait(expected()));
        // Opened and never used, as browsers do.
        let _idle = TcpStream::connect(&address).await.unwrap();
        for wrong in [
            "GET /favicon.ico HTTP/1.1\r\n\r\n",
            "GET /callback?code=stolen&state=guess HTTP/1.1\r\n\r\n",
            "GET /callback?error=access_denied HTTP/1.1\r\n\r\n",
            "POST /callback?code=c&state=s1 HTTP/1.1\r\n\r\n",
            "nonsense\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert!(ask(&address, wrong).await.starts_with("HTTP/1.1 400 "), "{wrong}");
            assert!(!waiting.is_finished());
        }
        let page = ask(&address, "GET /callback?code=right&state=s1 HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("close this window"), "{page}");
        assert!(!page.contains("<script") && !page.contains("right") && page.contains("default-src 'none'"), "{page}");
        assert_eq!(waiting.await.unwrap().unwrap().expose(), "right");
        assert!(TcpStream::connect(&address).await.is_err(), "nobody listens any more");
    }

    #[tokio::test]
    async fn a_refusal_ends_it_too() {
        let loopback = Loopback::listen("http://localhost:0/").await.unwrap();
        let address = address(&loopback);
        let expected = Expected { path: loopback.path.clone(), ..expected() };
        let waiting = tokio::spawn(loopback.wait(expected));
        let page = ask(&address, "GET /?error=access_denied&state=s1 HTTP/1.1\r\n\r\n").await;
        assert!(page.contains("did not succeed"), "{page}");
        assert!(waiting.await.unwrap().unwrap_err().to_string().contains("access_denied"));
    }

    #[tokio::test]
    async fn a_long_head_is_not_read() {
        let loopback = Loopback::listen("http://127.0.0.1:0/callback").await.unwrap();
        let address = address(&loopback);
        let waiting = tokio::spawn(loopback.wait(expected()));
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(2 * HEAD_BYTES_MAX));
        // It may close before it has taken all.
        let _ = stream.write_all(long.as_bytes()).await;
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text).await;
        assert!(!waiting.is_finished());
        waiting.abort();
    }

    #[test]
    fn redirects_lead_to_this_machine() {
        let parsed =
            |text: &str| Place::parse(text).map(|place| format!("{} {} {}", place.host, place.port, place.path)).ok();
        assert_eq!(parsed("http://127.0.0.1:0/callback").as_deref(), Some("127.0.0.1 0 /callback"));
        assert_eq!(parsed("http://localhost:8123/").as_deref(), Some("localhost 8123 /"));
        assert_eq!(parsed("http://127.0.0.1:1/a/b").as_deref(), Some("127.0.0.1 1 /a/b"));
        for wrong in [
            "https://127.0.0.1:0/callback",
            "http://0.0.0.0:0/callback",
            "http://example.com:0/callback",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:0/callback?x",
            "http://localhost.evil.example:0/",
            "callback",
            "",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
