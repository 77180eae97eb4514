//! Where checkpoints go to be out of reach of whoever owns the host.
//!
//! In: signed notes. Out: to standard output (which a journal or log shipper takes away) or to the end of a file (on a
//! mount that others own). A sink may block or fail: it has a thread of its own, holds at most the newest note, and while
//! it does not deliver the log takes no new work. A URL is not built.

use std::io::{self, Write};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Takes checkpoints away.
pub trait CheckpointSink: Send + 'static {
    /// For messages: `stdout`, `file:/mnt/…`.
    fn name(&self) -> String;
    /// Delivers one signed note. May block.
    ///
    /// # Errors
    /// Where it was not delivered; it is tried again with the newest note.
    fn deliver(&mut self, note: &str) -> io::Result<()>;
}

/// Standard output, one note after another.
#[derive(Debug, Clone, Copy, Default)]
pub struct StdoutSink;

impl CheckpointSink for StdoutSink {
    fn name(&self) -> String {
        "stdout".into()
    }
    fn deliver(&mut self, note: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(note.as_bytes())?;
        out.write_all(b"\n")?;
        out.flush()
    }
}

/// The end of a file, synced; opened anew each time, so that rotation and a mount that comes back are followed.
#[derive(Debug, Clone)]
pub struct FileSink(pub PathBuf);

impl CheckpointSink for FileSink {
    fn name(&self) -> String {
        format!("file:{}", self.0.display())
    }
    fn deliver(&mut self, note: &str) -> io::Result<()> {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&self.0)?;
        file.write_all(format!("{note}\n").as_bytes())?;
        match file.sync_all() {
            // A pipe or character device has nothing to sync.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            synced => synced,
        }
    }
}

/// A sink as the configuration names it: `stdout` or `file:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkName {
    /// `stdout`
    Stdout,
    /// `file:PATH`
    File(PathBuf),
}

impl FromStr for SinkName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "stdout" => Ok(Self::Stdout),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(format!("`{text}` is no place for checkpoints: `stdout` and `file:PATH` are")),
        }
    }
}

impl SinkName {
    /// The sink.
    #[must_use]
    pub fn sink(self) -> Box<dyn CheckpointSink> {
        match self {
            Self::Stdout => Box::new(StdoutSink),
            Self::File(path) => Box::new(FileSink(path)),
        }
    }
}

struct Slot {
    /// The newest note that was not delivered, and since when one waits.
    waiting: Option<(Arc<str>, Instant)>,
    error: Option<String>,
    /// Somebody waits: after a failure it is tried again at once.
    hurry: bool,
    stop: bool,
}

/// One sink's thread, seen from the keeper.
pub(crate) struct Outlet {
    name: String,
    shared: Arc<(Mutex<Slot>, Condvar)>,
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outlet {
    pub(crate) fn start(mut sink: Box<dyn CheckpointSink>) -> io::Result<Self> {
        let name = sink.name();
        let shared =
            Arc::new((Mutex::new(Slot { waiting: None, error: None, hurry: false, stop: false }), Condvar::new()));
        let inner = Arc::clone(&shared);
        // Never joined: a blocked pipe must not keep the process from ending.
        std::thread::Builder::new().name("audit-sink".into()).spawn(move || run(&mut *sink, &inner))?;
        Ok(Self { name, shared })
    }

    /// Hands over a note; one that still waits is replaced, since the newest covers it.
    pub(crate) fn offer(&self, note: &Arc<str>) {
        let (slot, bell) = &*self.shared;
        let mut slot = lock(slot);
        let since = slot.waiting.as_ref().map_or_else(Instant::now, |(_, since)| *since);
        slot.waiting = Some((Arc::clone(note), since));
        bell.notify_all();
    }

    /// Why it does not deliver, if it does not: an error, or a note that waits longer than `patience`.
    pub(crate) fn trouble(&self, patience: Duration) -> Option<String> {
        let slot = lock(&self.shared.0);
        let late = slot.waiting.as_ref().is_some_and(|(_, since)| since.elapsed() >= patience);
        match &slot.error {
            Some(error) => Some(format!("{}: {error}", self.name)),
            None if late => Some(format!("{}: it does not take the checkpoint", self.name)),
            None => None,
        }
    }

    /// Waits until the newest note is delivered or has failed just now, at most `patience`.
    pub(crate) fn flush(&self, patience: Duration) {
        let (slot, bell) = &*self.shared;
        let mut slot = lock(slot);
        if slot.waiting.is_some() {
            slot.error = None;
            slot.hurry = true;
            bell.notify_all();
        }
        drop(bell.wait_timeout_while(slot, patience, |slot| slot.waiting.is_some() && slot.error.is_none()));
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        lock(&self.shared.0).stop = true;
        self.shared.1.notify_all();
    }
}

/// After a failed delivery, how long until the next; in between a newer note only replaces the one that waits.
const RETRY: Duration = Duration::from_secs(1);

fn run(sink: &mut dyn CheckpointSink, (slot, bell): &(Mutex<Slot>, Condvar)) {
    let mut state = lock(slot);
    loop {
        state =
            bell.wait_while(state, |slot| slot.waiting.is_none() && !slot.stop).unwrap_or_else(PoisonError::into_inner);
        let Some((note, _)) = state.waiting.clone() else { return };
        state.hurry = false;
        drop(state);
        let delivered = sink.deliver(&note);
        state = lock(slot);
        match delivered {
            Ok(()) => {
                state.error = None;
                if state.waiting.as_ref().is_some_and(|(newest, _)| Arc::ptr_eq(newest, &note)) {
                    state.waiting = None;
                } else if let Some((_, since)) = &mut state.waiting {
                    *since = Instant::now();
                }
                bell.notify_all();
            }
            Err(error) => {
                tracing::warn!(sink = sink.name(), %error, "a checkpoint was not delivered");
                state.error = Some(error.to_string());
                bell.notify_all();
                if state.stop {
                    return;
                }
                state = bell
                    .wait_timeout_while(state, RETRY, |slot| !slot.stop && !slot.hurry)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
        }
    }
}
