//! Standard input and output, line by line. Each has a thread of its own, since neither can be waited for without one.
//!
//! In: bytes, of which a line may have 1 MiB. Out: lines, whole and in order. A queue that is full makes whoever writes wait.

use std::io::{BufRead, Write};

use tokio::sync::mpsc;

/// The longest message.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;
/// Lines that were read, or are to be written, and wait.
const QUEUE: usize = 16;

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read {
    Line(Vec<u8>),
    /// It was passed over.
    TooLong,
}

/// Reads lines until the input ends.
pub(super) fn lines_of(mut input: impl BufRead + Send + 'static) -> mpsc::Receiver<Read> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    std::thread::spawn(move || {
        while let Some(read) = line(&mut input) {
            if sender.blocking_send(read).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The next line that is not blank; one at the end needs no line break.
fn line(input: &mut impl BufRead) -> Option<Read> {
    loop {
        let (mut line, mut too_long) = (Vec::new(), false);
        let ended = loop {
            let piece = match input.fill_buf() {
                Ok(piece) => piece,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => break true,
            };
            if piece.is_empty() {
                break true;
            }
            let end = piece.iter().position(|byte| *byte == b'\n');
            let taken = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
            too_long |= line.len() + taken.len() > LINE_BYTES_MAX;
            if too_long {
                line = Vec::new();
            } else {
                line.extend_from_slice(taken);
            }
            let used = taken.len() + usize::from(end.is_some());
            input.consume(used);
            if end.is_some() {
                break false;
            }
        };
        if too_long {
            return Some(Read::TooLong);
        }
        if !line.trim_ascii().is_empty() {
            return Some(Read::Line(line));
        }
        if ended {
            return None;
        }
    }
}

/// Writes lines until the last sender is gone, or nobody reads them. Gives what tells when that is.
pub(super) fn writer(
    mut output: impl Write + Send + 'static,
) -> (mpsc::Sender<String>, tokio::sync::oneshot::Receiver<()>) {
    let (sender, mut receiver) = mpsc::channel::<String>(QUEUE);
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        while let Some(line) = receiver.blocking_recv() {
            let mut bytes = line.into_bytes();
            bytes.push(b'\n');
            if output.write_all(&bytes).and_then(|()| output.flush()).is_err() {
                break;
            }
        }
        // Whoever waited for it may be gone.
        let _ = ended.send(());
    });
    (sender, end)
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn read_all(text: &[u8]) -> Vec<Read> {
        let mut input = BufReader::with_capacity(7, text);
        std::iter::from_fn(|| line(&mut input)).collect()
    }
    fn text(line: &str) -> Read {
        Read::Line(line.as_bytes().to_vec())
    }

    #[test]
    fn lines_are_cut_at_their_ends() {
        assert_eq!(read_all(b"one\n\n  \r\ntwo and more\r\nlast"), [text("one"), text("two and more\r"), text("last")]);
        assert_eq!(read_all(b""), []);
        assert_eq!(read_all(b"\n\n"), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let longest = "a".repeat(LINE_BYTES_MAX);
        let input = format!("{longest}\n{longest}a\nnext\n{longest}{longest}");
        assert_eq!(read_all(input.as_bytes()), [text(&longest), Read::TooLong, text("next"), Read::TooLong]);
    }
}
