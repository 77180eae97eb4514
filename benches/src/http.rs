//! The least of an HTTP/1.1 client that a load needs: kept connections, bodies with a length or in chunks.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// One kept connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self { stream, buffer: vec![0; 256 * 1024] })
    }

    /// The whole answer, head and body as they came; anything but 200 is an error.
    pub(crate) fn send(&mut self, request: &[u8]) -> anyhow::Result<&[u8]> {
        self.stream.write_all(request)?;
        let (mut filled, mut body) = (0, None);
        loop {
            let room = self.buffer.get_mut(filled..).context("the answer is larger than expected")?;
            let read = self.stream.read(room)?;
            if read == 0 {
                bail!("the server closed the connection");
            }
            filled += read;
            let received = self.buffer.get(..filled).unwrap_or_default();
            if body.is_none() {
                body = Body::of(received)?;
            }
            if body.as_ref().is_some_and(|body| body.complete(received)) {
                break;
            }
        }
        let received = self.buffer.get(..filled).unwrap_or_default();
        if !received.starts_with(b"HTTP/1.1 200") {
            bail!("refused: {}", String::from_utf8_lossy(received));
        }
        Ok(received)
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
        let text = String::from_utf8_lossy(received.get(..head).unwrap_or_default()).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if length.is_none() && !text.contains("transfer-encoding: chunked") {
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
