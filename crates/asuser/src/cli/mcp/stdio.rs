//! The conversation: messages come in, up to eight are under way, answers go out as they come.
//!
//! In: lines. Out: lines. A request that the client cancels is dropped with its connection, so that asuser cancels the statement. At the
//! end of the input, what is under way may still be answered for a while.

use std::collections::HashMap;
use std::io::BufReader;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use super::message::{self, INVALID_REQUEST, Line, Message, error};
use super::pipes::{LINE_BYTES_MAX, Read, lines_of, writer};
use super::relay::Relay;

/// Requests at asuser at once.
const AT_ONCE: usize = 8;
/// Requests that were read and are not answered yet. More are refused: a client does not wait for so many.
const UNDER_WAY_MAX: usize = 128;
/// Time for what is under way after the input has ended.
const DRAIN: Duration = Duration::from_secs(30);
/// Time for a renewal of the token, and for the last lines to be taken.
const SETTLE: Duration = Duration::from_secs(20);

/// Serves until the input ends, nobody reads the output, or a signal comes.
pub(super) async fn serve(relay: Relay) -> anyhow::Result<ExitCode> {
    let mut lines = lines_of(BufReader::new(std::io::stdin()));
    let (out, mut written) = writer(std::io::stdout());
    let relay = Arc::new(relay);
    let mut conversation = Conversation::new(Arc::clone(&relay), out);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let patient = loop {
        tokio::select! {
            read = lines.recv() => match read {
                Some(read) => conversation.take(read).await,
                None => break true,
            },
            Some(_) = conversation.tasks.join_next() => {}
            _ = &mut written => break false,
            _ = interrupt.recv() => break false,
            _ = terminate.recv() => break false,
        }
    };
    if patient {
        // Those that are not done in time are dropped with the rest.
        tokio::select! {
            _ = tokio::time::timeout(DRAIN, async { while conversation.tasks.join_next().await.is_some() {} }) => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
    drop(conversation);
    let _ = tokio::time::timeout(SETTLE, relay.settle()).await;
    if patient {
        let _ = tokio::time::timeout(SETTLE, written).await;
    }
    Ok(ExitCode::SUCCESS)
}

struct Conversation {
    relay: Arc<Relay>,
    out: mpsc::Sender<String>,
    at_once: Arc<Semaphore>,
    tasks: JoinSet<()>,
    requests: Arc<Mutex<Requests>>,
}

/// The requests that are not answered yet.
#[derive(Default)]
struct Requests {
    /// By the id as JSON text: `1` and `"1"` are two.
    known: HashMap<String, (u64, AbortHandle)>,
    last: u64,
}

impl Requests {
    /// Whether the answer is still wanted; from now on the id may come again.
    fn finish(&mut self, id: &str, number: u64) -> bool {
        let is_wanted = self.known.get(id).is_some_and(|(known, _)| *known == number);
        is_wanted && self.known.remove(id).is_some()
    }
}

impl Conversation {
    fn new(relay: Arc<Relay>, out: mpsc::Sender<String>) -> Self {
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        Self { relay, out, at_once, tasks: JoinSet::new(), requests: Arc::default() }
    }

    async fn take(&mut self, read: Read) {
        let line = match read {
            Read::Line(line) => line,
            Read::TooLong => {
                let words = format!("the line is longer than {LINE_BYTES_MAX} bytes, and was passed over");
                return self.say(error(&Json::Null, INVALID_REQUEST, &words)).await;
            }
        };
        match message::read(&line) {
            Ok(Line::Request(message)) => {
                let id = message.id.clone();
                if let Err(words) = self.request(message) {
                    self.say(error(&id, INVALID_REQUEST, &words)).await;
                }
            }
            Ok(Line::Notification(message)) => self.notify(message),
            Ok(Line::Cancel(id)) => {
                if let Some((_, request)) = lock(&self.requests).known.remove(&id.to_string()) {
                    request.abort();
                }
            }
            Ok(Line::Answer) => {}
            Err(malformed) => self.say(error(&malformed.id, malformed.code, malformed.why)).await,
        }
    }

    fn request(&mut self, message: Message) -> Result<(), String> {
        let id = message.id.to_string();
        // Held until the request is entered, so that it cannot be answered before.
        let mut requests = lock(&self.requests);
        if requests.known.contains_key(&id) {
            return Err("a request with this `id` is under way".to_owned());
        }
        if self.tasks.len() >= UNDER_WAY_MAX {
            return Err(format!("{UNDER_WAY_MAX} messages are under way: wait for answers"));
        }
        requests.last += 1;
        let number = requests.last;
        let (relay, out, at_once) = (Arc::clone(&self.relay), self.out.clone(), Arc::clone(&self.at_once));
        let (all, own) = (Arc::clone(&self.requests), id.clone());
        let handle = self.tasks.spawn(async move {
            // The semaphore is never closed.
            let Ok(_turn) = at_once.acquire().await else { return };
            let lines = relay.request(&message).await;
            if !lock(&all).finish(&own, number) {
                return;
            }
            for line in lines {
                // Without a reader the conversation is at its end.
                let _ = out.send(line).await;
            }
        });
        requests.known.insert(id, (number, handle));
        Ok(())
    }

    fn notify(&mut self, message: Message) {
        if self.tasks.len() >= UNDER_WAY_MAX {
            tracing::warn!("too much is under way: a notification was dropped");
            return;
        }
        let (relay, at_once) = (Arc::clone(&self.relay), Arc::clone(&self.at_once));
        self.tasks.spawn(async move {
            let Ok(_turn) = at_once.acquire().await else { return };
            relay.notify(&message).await;
        });
    }

    async fn say(&self, line: String) {
        let _ = self.out.send(line).await;
    }
}

fn lock(requests: &Mutex<Requests>) -> MutexGuard<'_, Requests> {
    requests.lock().unwrap_or_else(PoisonError::into_inner)
}
