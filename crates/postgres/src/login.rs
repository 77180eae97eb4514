//! Start-up and authentication. In: an open stream. Out: one that is ready, with the server's key for cancelling.
//! Refuses to show a password to whoever asks: in clear and as MD5 only over verified TLS or on this machine's own socket.

use bytes::BytesMut;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt as _;

use crate::input::{Input, server_error};
use crate::stream::Stream;
use crate::{Credentials, PgError};

/// What the server said of itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Greeting {
    pub(crate) process_id: i32,
    pub(crate) secret_key: i32,
    pub(crate) standby: bool,
}

/// Logs in.
pub(crate) async fn log_in(
    stream: &mut Stream,
    input: &mut Input,
    database: &str,
    credentials: &Credentials,
) -> Result<Greeting, PgError> {
    let mut out = BytesMut::new();
    let parameters = [
        ("user", credentials.user.as_str()),
        ("database", database),
        ("client_encoding", "UTF8"),
        ("application_name", "asuser"),
    ];
    frontend::startup_message(parameters, &mut out).map_err(unsendable)?;
    send(stream, &mut out).await?;
    authenticate(stream, input, credentials).await?;
    let mut greeting = Greeting::default();
    loop {
        input.fill(stream).await?;
        let frame = input.frame()?;
        match (frame.tag, frame.body) {
            (b'K', body) => {
                let number =
                    |at| body.get(at..at + 4).and_then(|bytes| Some(i32::from_be_bytes(bytes.try_into().ok()?)));
                greeting.process_id = number(0).unwrap_or_default();
                greeting.secret_key = number(4).unwrap_or_default();
            }
            (b'S', body) => greeting.standby |= body == b"in_hot_standby\0on\0",
            (b'N', _) => {}
            (b'Z', _) => return Ok(greeting),
            (b'E', body) => return Err(PgError::Server(Box::new(server_error(body)))),
            (tag, _) => return Err(unexpected(tag)),
        }
    }
}

async fn authenticate(stream: &mut Stream, input: &mut Input, credentials: &Credentials) -> Result<(), PgError> {
    let mut out = BytesMut::new();
    let mut scram: Option<ScramSha256> = None;
    let mut proved = false;
    loop {
        input.fill(stream).await?;
        let frame = input.frame()?;
        let body = match frame.tag {
            b'R' => frame.body,
            b'N' => continue,
            b'E' => return Err(PgError::Server(Box::new(server_error(frame.body)))),
            tag => return Err(unexpected(tag)),
        };
        let (method, rest) = body.split_first_chunk::<4>().ok_or_else(|| unexpected(b'R'))?;
        match u32::from_be_bytes(*method) {
            // A server that began SCRAM and does not end it has not shown that it knows the password.
            0 if scram.is_some() && !proved => {
                return Err(refused("the server did not prove that it knows the password"));
            }
            0 => return Ok(()),
            3 => frontend::password_message(password(credentials, shielded(stream))?, &mut out).map_err(unsendable)?,
            5 => {
                let salt = rest.first_chunk::<4>().ok_or_else(|| unexpected(b'R'))?;
                let hash = md5_hash(credentials.user.as_bytes(), password(credentials, shielded(stream))?, *salt);
                frontend::password_message(hash.as_bytes(), &mut out).map_err(unsendable)?;
            }
            10 => {
                let offered = rest.split(|byte| *byte == 0).any(|name| name == SCRAM_SHA_256.as_bytes());
                if !offered {
                    return Err(refused("the server offers no SCRAM-SHA-256"));
                }
                let begun = ScramSha256::new(password(credentials, true)?, ChannelBinding::unsupported());
                frontend::sasl_initial_response(SCRAM_SHA_256, begun.message(), &mut out).map_err(unsendable)?;
                scram = Some(begun);
            }
            11 => {
                let begun = scram.as_mut().ok_or_else(|| unexpected(b'R'))?;
                begun.update(rest).map_err(|error| refused(&error.to_string()))?;
                frontend::sasl_response(begun.message(), &mut out).map_err(unsendable)?;
            }
            12 => {
                let begun = scram.as_mut().ok_or_else(|| unexpected(b'R'))?;
                begun.finish(rest).map_err(|error| refused(&error.to_string()))?;
                proved = true;
            }
            other => return Err(refused(&format!("the server asks for method {other}, which is not spoken here"))),
        }
        send(stream, &mut out).await?;
    }
}

fn password(credentials: &Credentials, may_be_shown: bool) -> Result<&[u8], PgError> {
    let Some(password) = &credentials.password else {
        return Err(refused("the server asks for a password, and none is configured"));
    };
    if !may_be_shown {
        return Err(refused(
            "the server asks for the password in a form that others could read: use scram-sha-256 or TLS",
        ));
    }
    Ok(password.expose().as_bytes())
}

const fn shielded(stream: &Stream) -> bool {
    matches!(stream, Stream::Tls(_) | Stream::Unix(_))
}

async fn send(stream: &mut Stream, out: &mut BytesMut) -> Result<(), PgError> {
    stream.write_all(out).await.map_err(|error| PgError::Closed(error.to_string()))?;
    stream.flush().await.map_err(|error| PgError::Closed(error.to_string()))?;
    out.clear();
    Ok(())
}

fn refused(why: &str) -> PgError {
    PgError::Authentication(why.to_owned())
}

fn unexpected(tag: u8) -> PgError {
    PgError::Protocol(format!("a message `{}` while logging in", char::from(tag).escape_default()))
}

fn unsendable(error: std::io::Error) -> PgError {
    PgError::Target(error.to_string())
}
