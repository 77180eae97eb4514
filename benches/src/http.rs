//! The least of an HTTP/1.1 client that a load needs: kept connections, bodies with a length or in chunks.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// One kept connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// How much of the answer has come.
    filled: usize,
    body: Option<Body>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self { stream, buffer: vec![0; 256 * 1024], filled: 0, body: None })
    }

    /// Sends a request; its answer is read by [`Self::advance`].
    pub(crate) fn ask(&mut self, request: &[u8]) -> anyhow::Result<()> {
        (self.filled, self.body) = (0, None);
        Ok(self.stream.write_all(request)?)
    }

    /// Reads what has come, waiting if nothing has. The whole answer, head and body, once it is complete; anything but 200 is an error.
    pub(crate) fn advance(&mut self) -> anyhow::Result<Option<&[u8]>> {
        let room = self.buffer.get_mut(self.filled..).context("the answer is larger than expected")?;
        let read = self.stream.read(room)?;
        if read == 0 {
            bail!("the server closed the connection");
        }
        self.filled += read;
        let received = self.buffer.get(..self.filled).unwrap_or_default();
        if self.body.is_none() {
            self.body = Body::of(received)?;
        }
        if !self.body.as_ref().is_some_and(|body| body.complete(received)) {
            return Ok(None);
        }
        if !received.starts_with(b"HTTP/1.1 200") {
            bail!("refused: {}", String::from_utf8_lossy(received));
        }
        Ok(Some(received))
    }

    /// Asks, and waits for the whole answer.
    pub(crate) fn send(&mut self, request: &[u8]) -> anyhow::Result<&[u8]> {
        self.ask(request)?;
        while self.advance()?.is_none() {}
        Ok(self.buffer.get(..self.filled).unwrap_or_default())
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Where a body begins, and how its end is told.
struct Body {
    from: usize,
    length: Option<usize>,
}

impl Body {
    /// None until the head is complete.
    fn of(received: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(head) = received.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let text = std::str::from_utf8(received.get(..head).unwrap_or_default())?;
        let headers = || text.lines().filter_map(|line| line.split_once(':'));
        let value =
            |wanted: &str| headers().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, it)| it.trim());
        let length = value("content-length").map(str::parse).transpose()?;
        if length.is_none() && value("transfer-encoding") != Some("chunked") {
            bail!("an answer of unknown length: {text}");
        }
        Ok(Some(Self { from: head + 4, length }))
    }

    /// The last chunk is empty. What precedes it in JSON can be no other chunk's size, since that ends a line of its own.
    fn complete(&self, received: &[u8]) -> bool {
        match self.length {
            Some(length) => received.len() >= self.from + length,
            None => received.ends_with(b"\r\n0\r\n\r\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Body;

    #[test]
    fn an_answer_ends_where_it_says() {
        let complete =
            |text: &str| Body::of(text.as_bytes()).unwrap().is_some_and(|body| body.complete(text.as_bytes()));
        assert!(!complete("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"));
        assert!(!complete("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{"));
        assert!(complete("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"));
        assert!(!complete("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"));
        assert!(complete("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"));
        assert!(Body::of(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
