//! One client's connection: bytes in from the stream to the session, frames out from the link to the stream.
//!
//! The stream is any pair of halves, so that connections the server opens, and TLS, take the same way.
use crate::crowd::Stranger;
use crate::disconnect::Disconnect;
use crate::frame::Decoder;
use crate::link::Link;
use crate::server::Server;
use crate::session::{Session, Step};
use crate::write::Status;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};

/// How long a client that is being refused may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// How often commands without an outcome are looked through.
const EXPIRY: Duration = Duration::from_secs(30);

/// Serves a client until either side ends it. `stranger` is given back once the client is authenticated.
pub(crate) async fn run<R, W>(
    mut reader: R,
    mut writer: W,
    peer: SocketAddr,
    server: Arc<Server>,
    stranger: Stranger,
) -> Disconnect
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let bounds = &server.config.bounds;
    let link = Arc::new(Link::new(bounds, server.message_ids(), server.names));
    let _guard = Guard {
        link: Arc::clone(&link),
        server: Arc::clone(&server),
        peer,
    };
    let disconnect = {
        let writes = write_frames(&mut writer, &link, bounds.queue_age);
        tokio::pin!(writes);
        let session = Session::new(Arc::clone(&server), Arc::clone(&link), peer);
        tokio::select! {
            biased;
            disconnect = &mut writes => disconnect,
            disconnect = read_frames(&mut reader, session, &server, &link, stranger) => {
                if disconnect.has_reply() {
                    link.finish(disconnect.clone());
                    // When the time is over the client has not read it, and will not.
                    let _ = timeout(FAREWELL, &mut writes).await;
                }
                disconnect
            }
            never = expire(&link, bounds.command_age) => match never {},
        }
    };
    link.close();
    // Closing with data unread would reset the connection, and the client would not see the last reply.
    if disconnect.has_reply() && writer.shutdown().await.is_ok() {
        let _ = timeout(FAREWELL, discard(&mut reader)).await;
    }
    disconnect
}

/// Frees what the link holds and forgets the client, however its task ends.
struct Guard {
    link: Arc<Link>,
    server: Arc<Server>,
    peer: SocketAddr,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.link.close();
        self.server.forget(self.peer);
    }
}

async fn read_frames<R: AsyncRead + Unpin>(
    reader: &mut R,
    mut session: Session,
    server: &Arc<Server>,
    link: &Link,
    stranger: Stranger,
) -> Disconnect {
    let bounds = &server.config.bounds;
    let mut decoder = Decoder::new(bounds.unauthenticated_payload);
    let deadline = Instant::now() + bounds.authentication;
    let mut stranger = Some(stranger);
    loop {
        let read = reader.read_buf(decoder.buffer());
        let read = if session.is_authenticated() {
            read.await
        } else {
            match timeout_at(deadline, read).await {
                Ok(read) => read,
                Err(_) => return Disconnect::AuthenticationTimeout(bounds.authentication),
            }
        };
        match read {
            Ok(1..) => {}
            ended => {
                let ended = ended.map_or_else(|error| io_error(&error), |_| Disconnect::Closed);
                let is_stranger = ended == Disconnect::Closed && !session.is_authenticated();
                return if is_stranger { Disconnect::Left } else { ended };
            }
        }
        loop {
            let step = match decoder.next_payload() {
                Ok(Some(payload)) => session.handle_payload(&payload),
                Ok(None) => break,
                Err(error) => Err(Disconnect::Frame(error)),
            };
            match step {
                Ok(Step::Done) => {}
                Ok(Step::Status(message_id)) => {
                    session.submit();
                    let json = status(server).await;
                    link.with(|state| state.frames.reply(&message_id, Status::Ok, &json));
                }
                Err(disconnect) => {
                    session.submit();
                    return disconnect;
                }
            }
            if session.is_authenticated() && stranger.take().is_some() {
                decoder.set_limit(bounds.payload);
            }
        }
        session.submit();
    }
}

/// Asking the shards blocks until they answer, and one of them may run this very task: another thread asks.
async fn status(server: &Arc<Server>) -> String {
    let asked = Arc::clone(server);
    let ask = move || (asked.commands.counts(), asked.commands.bans());
    let (counts, bans) = tokio::task::spawn_blocking(ask).await.unwrap_or_default();
    server.status(&counts, &bans)
}

async fn write_frames<W: AsyncWrite + Unpin>(
    writer: &mut W,
    link: &Link,
    age: Duration,
) -> Disconnect {
    let mut buffer = Vec::new();
    loop {
        let since = match link.next_batch(&mut buffer) {
            Ok(Some(since)) => since,
            Ok(None) => {
                link.wake.notified().await;
                continue;
            }
            Err(disconnect) => return disconnect,
        };
        let write = timeout_at(Instant::from_std(since + age), writer.write_all(&buffer));
        tokio::pin!(write);
        let written = loop {
            tokio::select! {
                biased;
                written = &mut write => break written,
                () = link.wake.notified() => if let Some(disconnect) = link.closed() {
                    return disconnect;
                }
            }
        };
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return io_error(&error),
            Err(_) => return Disconnect::QueueAge { limit: age },
        }
    }
}

async fn expire(link: &Link, age: Duration) -> Infallible {
    let mut ticks = interval(EXPIRY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = ticks.tick().await.into_std();
        link.with(|state| {
            for answer in state.answers.expire(now, age) {
                state.frames.reply(
                    &answer.message_id,
                    Status::Nok,
                    "Internal server error: the command had no outcome",
                );
            }
        });
    }
}

async fn discard<R: AsyncRead + Unpin>(reader: &mut R) {
    let mut buffer = [0_u8; 4096];
    while matches!(reader.read(&mut buffer).await, Ok(1..)) {}
}

fn io_error(error: &io::Error) -> Disconnect {
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Disconnect::Closed,
        _ => Disconnect::Io(error.to_string()),
    }
}
