//! A long answer on its connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use asuser_audit::ReleasedStream;
use asuser_core::Problem;
use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::watch;

/// A stream on its connection. An error from it makes hyper close the connection without the last chunk (RFC 9112 §8), so that
/// what came so far is not taken for a whole body.
pub(crate) struct Streamed {
    stream: Box<ReleasedStream>,
    deadline: watch::Sender<Option<Instant>>,
}

impl Streamed {
    pub(crate) fn new(stream: Box<ReleasedStream>, deadline: watch::Sender<Option<Instant>>) -> Self {
        deadline.send_replace(stream.deadline());
        Self { stream, deadline }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.deadline.send_replace(None);
        if !self.stream.is_ended() {
            tracing::info!(request_id = %self.stream.request_id(), "a stream was not taken to its end");
        }
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = Problem;
    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Problem>>> {
        let polled = self.stream.poll_next(context);
        if let Poll::Ready(Some(Err(problem))) = &polled {
            let detail = problem.detail.as_deref().unwrap_or_default();
            tracing::info!(request_id = %self.stream.request_id(), reason = problem.reason.code(), problem = problem.message, detail, "broken off");
        }
        polled.map_ok(|piece| Frame::data(piece.into()))
    }
    fn is_end_stream(&self) -> bool {
        self.stream.is_ended()
    }
}
