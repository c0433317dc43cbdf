//! Accepts connections of one stream listener and hands them to the shard. Reads nothing from them.
use crate::inbox::{Inbox, Item};
use engine::transport::ListenerId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// A connection that was accepted.
pub(crate) struct Accepted {
    pub listener: ListenerId,
    pub stream: TcpStream,
    pub peer: SocketAddr,
}

/// How long to pause when the system has no descriptor or memory for another connection: those that end give some back.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the shard ends.
pub(crate) async fn accept(
    id: ListenerId,
    listener: TcpListener,
    inboxes: Arc<[Inbox]>,
    shard: u8,
) {
    let mut pauses = 0_u64;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(inbox) = inboxes.get(usize::from(shard)) else {
                    return;
                };
                if !inbox.push(Item::Accepted(Accepted {
                    listener: id,
                    stream,
                    peer,
                })) {
                    return;
                }
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                if pauses % 100 == 0 {
                    tracing::warn!(%error, pauses, "cannot accept connections for now; is the limit of open files too low (ulimit -n)?");
                }
                pauses += 1;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// A peer that was gone before it was accepted says nothing about the listener (accept(2)).
fn is_about_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | ConnectionRefused | Interrupted
    )
}
