//! A provider's addresses, as a test wants them: what is where, how it is answered, and who asked.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

#[derive(Debug, Default)]
struct State {
    pages: HashMap<String, (u16, String, String)>,
    seen: Vec<String>,
    is_held: bool,
}

/// A small HTTP server. It lives as long as the test's process.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    port: u16,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Endpoint {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Self { port: listener.local_addr().unwrap().port(), shared: Arc::default() };
        let shared = endpoint.shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                std::thread::spawn(move || answer(stream, &shared));
            }
        });
        endpoint
    }
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
    pub(crate) fn put(&self, path: &str, body: &str) {
        self.put_as(path, 200, "", body);
    }
    pub(crate) fn put_as(&self, path: &str, status: u16, headers: &str, body: &str) {
        self.shared.0.lock().unwrap().pages.insert(path.into(), (status, headers.into(), body.into()));
    }
    /// Answers nobody until `false` comes.
    pub(crate) fn hold(&self, is_held: bool) {
        self.shared.0.lock().unwrap().is_held = is_held;
        self.shared.1.notify_all();
    }
    /// The heads of all requests.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.shared.0.lock().unwrap().seen.clone()
    }
    /// How often a path was asked for.
    pub(crate) fn count(&self, path: &str) -> usize {
        let start = format!("GET {path} ");
        self.seen().iter().filter(|head| head.starts_with(&start)).count()
    }
}

fn answer(mut stream: TcpStream, (state, changed): &(Mutex<State>, Condvar)) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        match reader.read_line(&mut head) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut state = state.lock().unwrap();
    state.seen.push(head);
    while state.is_held {
        state = changed.wait(state).unwrap();
    }
    let (status, headers, body) = state.pages.get(&path).cloned().unwrap_or((404, String::new(), "no".into()));
    drop(state);
    let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    let _gone = stream.write_all(format!("{head}{body}").as_bytes());
    let _gone = reader.read(&mut [0]);
}
