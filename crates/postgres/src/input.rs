//! Messages as they come in: framed, not yet understood. Refuses a frame that is longer than its reader can hold.

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::{PgError, ServerError};

/// What a message is: its first byte.
pub type Tag = u8;

const READ_BYTES: usize = 32 * 1024;
/// What a quiet buffer may keep.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// A message from the server.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// What it is.
    pub tag: Tag,
    /// What follows its length.
    pub body: &'a [u8],
}

/// The bytes that have come and were not looked at.
#[derive(Debug)]
pub(crate) struct Input {
    buffer: BytesMut,
    /// Of the frame that was given last.
    used: usize,
    pub(crate) frame_bytes_max: usize,
}

impl Input {
    pub(crate) fn new() -> Self {
        Self { buffer: BytesMut::with_capacity(READ_BYTES), used: 0, frame_bytes_max: 1024 * 1024 }
    }

    /// Whether nothing is left over.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.len() == self.used
    }

    /// Goes on to the next frame where all of it has come already, and says whether it has.
    pub(crate) fn step(&mut self) -> Result<bool, PgError> {
        self.buffer.advance(self.used);
        self.used = 0;
        let whole = self.length()?.filter(|length| *length <= self.buffer.len());
        self.used = whole.unwrap_or_default();
        Ok(whole.is_some())
    }

    /// The frame that [`Self::step`] went on to is given again.
    pub(crate) const fn step_back(&mut self) {
        self.used = 0;
    }

    /// Waits until a whole frame is there, and says how long it is with its head. Cancelling loses nothing.
    pub(crate) async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<usize, PgError> {
        self.buffer.advance(self.used);
        self.used = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer = BytesMut::with_capacity(READ_BYTES);
        }
        loop {
            let mut missing = READ_BYTES;
            if let Some(length) = self.length()? {
                if self.buffer.len() >= length {
                    self.used = length;
                    return Ok(length);
                }
                missing = missing.max(length - self.buffer.len());
            }
            self.buffer.reserve(missing);
            match stream.read_buf(&mut self.buffer).await {
                Ok(0) => return Err(PgError::Closed("the server closed it".to_owned())),
                Ok(_) => {}
                Err(error) => return Err(PgError::Closed(error.to_string())),
            }
        }
    }

    /// Passes over the next frame without keeping it, however long it is, and says what it was.
    pub(crate) async fn pass_over(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<Tag, PgError> {
        self.buffer.advance(self.used);
        self.used = 0;
        while self.buffer.len() < 5 {
            self.more(stream).await?;
        }
        let mut head = [0; 5];
        self.buffer.copy_to_slice(&mut head);
        let [tag, length @ ..] = head;
        let mut left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX).saturating_sub(4);
        loop {
            let here = left.min(self.buffer.len());
            self.buffer.advance(here);
            left -= here;
            if left == 0 {
                return Ok(tag);
            }
            self.more(stream).await?;
        }
    }

    async fn more(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<(), PgError> {
        self.buffer.reserve(READ_BYTES);
        match stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(PgError::Closed("the server closed it".to_owned())),
            Ok(_) => Ok(()),
            Err(error) => Err(PgError::Closed(error.to_string())),
        }
    }

    /// The frame that `fill` has found.
    pub(crate) fn frame(&self) -> Result<Frame<'_>, PgError> {
        let parts = (self.buffer.first(), self.buffer.get(5..self.used));
        let (Some(tag), Some(body)) = parts else { return Err(PgError::Protocol("no frame".to_owned())) };
        Ok(Frame { tag: *tag, body })
    }

    /// The length of the frame at the front with its head, once its head is there.
    fn length(&self) -> Result<Option<usize>, PgError> {
        let Some(length) = self.buffer.get(1..5).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()) else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length < 4 {
            return Err(PgError::Protocol("a message has no length".to_owned()));
        }
        if length > self.frame_bytes_max {
            return Err(PgError::TooLarge(self.frame_bytes_max));
        }
        Ok(Some(length + 1))
    }
}

/// The fields of a `DataRow`: `None` is NULL. Ends early where the frame is malformed: compare the number of fields.
pub fn fields(body: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = body.get(2..).unwrap_or_default();
    let count = body.first_chunk::<2>().map_or(0, |count| u16::from_be_bytes(*count));
    (0..count).map_while(move |_| {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            rest = after;
            return Some(None);
        };
        let (field, after) = after.split_at_checked(length)?;
        rest = after;
        Some(Some(field))
    })
}

/// Reads an `ErrorResponse`.
pub(crate) fn server_error(body: &[u8]) -> ServerError {
    let mut error = ServerError::default();
    let mut rest = body;
    while let Some((kind, after)) = rest.split_first() {
        let end = after.iter().position(|byte| *byte == 0).unwrap_or(after.len());
        let text = || String::from_utf8_lossy(after.get(..end).unwrap_or_default()).into_owned();
        match kind {
            b'S' => error.severity = text(),
            b'C' => error.code = text(),
            b'M' => error.message = text(),
            b'D' => error.detail = Some(text()),
            _ => {}
        }
        rest = after.get(end + 1..).unwrap_or_default();
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_cut_and_malformed_rows_end_early() {
        let row = [0, 3, 0, 0, 0, 1, b'a', 255, 255, 255, 255, 0, 0, 0, 0];
        assert_eq!(fields(&row).collect::<Vec<_>>(), [Some(&b"a"[..]), None, Some(&b""[..])]);
        assert_eq!(fields(&row[..9]).count(), 1);
        assert_eq!(fields(&[0, 1, 0, 0, 1, 0, b'x']).count(), 0);
        assert_eq!(fields(&[]).count(), 0);
    }

    #[tokio::test]
    async fn a_step_goes_to_a_whole_frame_and_can_be_taken_back() {
        let mut input = Input::new();
        assert!(!input.step().unwrap());
        let mut stream: &[u8] = &[b'2', 0, 0, 0, 4, b'D', 0, 0, 0, 5, b'x', b'C', 0, 0, 0, 4, b'D', 0, 0];
        input.fill(&mut stream).await.unwrap();
        assert!(input.step().unwrap());
        assert_eq!((input.frame().unwrap().tag, input.frame().unwrap().body), (b'D', &b"x"[..]));
        assert!(input.step().unwrap());
        assert_eq!(input.frame().unwrap().tag, b'C');
        input.step_back();
        assert_eq!(input.fill(&mut stream).await.unwrap(), 5);
        assert_eq!(input.frame().unwrap().tag, b'C');
        // What has come of the next is kept.
        assert!(!input.step().unwrap());
        let mut rest: &[u8] = &[0, 4];
        input.fill(&mut rest).await.unwrap();
        assert_eq!(input.frame().unwrap().tag, b'D');
        let mut bad = Input { frame_bytes_max: 10, ..Input::new() };
        bad.buffer.extend_from_slice(&[b'D', 0, 0, 1, 0]);
        assert!(matches!(bad.step(), Err(PgError::TooLarge(10))));
    }

    #[tokio::test]
    async fn frames_come_whole_or_not_at_all() {
        let mut input = Input::new();
        let mut stream: &[u8] = &[b'Z', 0, 0, 0, 5, b'I', b'D', 0, 0, 0, 4, b'X', 0, 0];
        assert_eq!(input.fill(&mut stream).await.unwrap(), 6);
        assert_eq!((input.frame().unwrap().tag, input.frame().unwrap().body), (b'Z', &b"I"[..]));
        input.fill(&mut stream).await.unwrap();
        assert_eq!((input.frame().unwrap().tag, input.frame().unwrap().body.len()), (b'D', 0));
        assert!(matches!(input.fill(&mut stream).await, Err(PgError::Closed(_))));
        let mut long = [&[b'D', 0, 0, 1, 0][..], &[7; 252], &[b'Z', 0, 0, 0, 5, b'I']].concat();
        let mut input = Input { frame_bytes_max: 10, ..Input::new() };
        assert!(matches!(input.fill(&mut &long[..]).await, Err(PgError::TooLarge(10))));
        let mut rest: &[u8] = &long.split_off(input.buffer.len());
        assert_eq!(input.pass_over(&mut rest).await.unwrap(), b'D');
        assert_eq!(input.pass_over(&mut rest).await.unwrap(), b'Z');
        assert!(input.pass_over(&mut rest).await.is_err());
        for bad in [[b'D', 0, 0, 0, 3], [b'D', 255, 255, 255, 255]] {
            assert!(Input::new().fill(&mut &bad[..]).await.is_err());
        }
    }
}
