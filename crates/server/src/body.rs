//! Bodies of requests.
//!
//! In: a body on its way. Out: its bytes, all of them. Refuses one that is larger than a message may be (before reading it, where its
//! length is said) and one that does not come in time. Memory is bounded: small bodies by the number of connections, large ones by the
//! places for them.

use std::time::Duration;

use asuser_core::{Problem, Reason};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::sync::Semaphore;

/// At most this many bytes.
const BYTES_MAX: usize = 1024 * 1024;
/// Up to this many need no place.
const SMALL_BYTES_MAX: usize = 64 * 1024;
/// Larger bodies that are read at once.
const LARGE_AT_ONCE: usize = 64;

/// The places for large bodies.
#[derive(Debug)]
pub(crate) struct Bodies {
    large: Semaphore,
    time_max: Duration,
}

impl Bodies {
    pub(crate) fn new(time_ms_max: u64) -> Self {
        Self { large: Semaphore::new(LARGE_AT_ONCE), time_max: Duration::from_millis(time_ms_max) }
    }

    /// Reads a body to its end.
    pub(crate) async fn read<B>(&self, headers: &HeaderMap, body: B) -> Result<Bytes, Problem>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let said = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if said.is_some_and(|length| length > BYTES_MAX as u64) {
            return Err(too_large());
        }
        match tokio::time::timeout(self.time_max, self.collect(body)).await {
            Ok(read) => read,
            Err(_) => Err(Problem::new(Reason::BadRequest, "the body did not come in time")),
        }
    }

    async fn collect<B>(&self, mut body: B) -> Result<Bytes, Problem>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let mut place = None;
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::new(Reason::BadRequest, "the body did not come whole"))?;
            let Ok(piece) = frame.into_data() else { continue };
            let length = first.len().saturating_add(all.len()).saturating_add(piece.len());
            if length > BYTES_MAX {
                return Err(too_large());
            }
            if length > SMALL_BYTES_MAX && place.is_none() {
                place = self.large.acquire().await.ok();
            }
            // Most bodies are one piece: it is not copied.
            if first.is_empty() && all.is_empty() {
                first = piece;
            } else {
                if all.is_empty() {
                    all.extend_from_slice(&std::mem::take(&mut first));
                }
                all.extend_from_slice(&piece);
            }
        }
        Ok(if all.is_empty() { first } else { all.freeze() })
    }
}

fn too_large() -> Problem {
    Problem::new(Reason::BodyTooLarge, "the body is larger than 1 MiB")
}

#[cfg(test)]
mod tests {
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    fn pieces(pieces: Vec<&'static [u8]>) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin {
        let frames = pieces.into_iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece))));
        StreamBody::new(futures_util::stream::iter(frames.collect::<Vec<Result<_, std::io::Error>>>()))
    }

    #[tokio::test]
    async fn a_body_comes_whole_or_not_at_all() {
        let bodies = Bodies::new(60_000);
        let none = HeaderMap::new();
        assert_eq!(bodies.read(&none, pieces(vec![b"one"])).await.unwrap(), "one");
        assert_eq!(bodies.read(&none, pieces(vec![b"o", b"n", b"e"])).await.unwrap(), "one");
        assert_eq!(bodies.read(&none, pieces(vec![])).await.unwrap(), "");
        let most = Full::new(Bytes::from(vec![b'x'; BYTES_MAX]));
        assert_eq!(bodies.read(&none, most).await.unwrap().len(), BYTES_MAX);
        let more = Full::new(Bytes::from(vec![b'x'; BYTES_MAX + 1]));
        assert_eq!(bodies.read(&none, more).await.unwrap_err().reason, Reason::BodyTooLarge);
        let broken = StreamBody::new(futures_util::stream::iter([Err(std::io::Error::other("gone"))]));
        assert_eq!(bodies.read(&none, broken).await.unwrap_err().reason, Reason::BadRequest);
    }

    #[tokio::test]
    async fn a_length_that_is_too_large_is_refused_before_anything_is_read() {
        let bodies = Bodies::new(60_000);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, (100 * 1024 * 1024).into());
        let never = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        assert_eq!(bodies.read(&headers, never).await.unwrap_err().reason, Reason::BodyTooLarge);
    }

    #[tokio::test]
    async fn a_body_has_its_time() {
        let never = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        let problem = Bodies::new(1).read(&HeaderMap::new(), never).await.unwrap_err();
        assert_eq!(problem.message, "the body did not come in time");
    }

    #[tokio::test]
    async fn large_bodies_wait_for_a_place_and_small_ones_do_not() {
        let bodies = Bodies::new(20);
        let held = bodies.large.acquire_many(LARGE_AT_ONCE as u32).await.unwrap();
        let large = || Full::new(Bytes::from(vec![b'x'; SMALL_BYTES_MAX + 1]));
        let none = HeaderMap::new();
        assert_eq!(bodies.read(&none, large()).await.unwrap_err().reason, Reason::BadRequest);
        assert!(bodies.read(&none, pieces(vec![b"one"])).await.is_ok());
        drop(held);
        assert!(bodies.read(&none, large()).await.is_ok());
    }
}
