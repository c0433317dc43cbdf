//! The listening socket of the control protocol: accepts clients, within bounds, and serves each in a task of its own.
//!
//! Everything here is non-blocking: it runs on a shard's thread, beside its traffic.
use crate::config::{ControlConfig, ControlTls};
use crate::connection;
use crate::crowd::{Lines, Stranger, Strangers};
use crate::disconnect::Disconnect;
use crate::server::Server;
use engine::seam::Commands;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long to wait when no connection can be accepted (no file descriptor left, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket that does not accept yet.
#[derive(Debug)]
pub struct Listener {
    socket: std::net::TcpListener,
}

impl Listener {
    /// Binds to `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// The operating system's: address in use, not ours, no permission.
    pub fn bind(address: SocketAddr) -> io::Result<Listener> {
        let socket = std::net::TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(Listener { socket })
    }

    /// The address bound, its port filled in.
    ///
    /// # Errors
    /// The operating system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Serves clients until dropped; then all of them are disconnected and their applications detached.
///
/// # Errors
/// When the socket cannot be registered with the runtime. Errors of single connections are logged.
pub async fn serve(
    listener: Listener,
    config: ControlConfig,
    commands: Arc<dyn Commands>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener.socket)?;
    let clients = Arc::new(Semaphore::new(config.bounds.clients));
    let mut strangers = Strangers::new(config.bounds.unauthenticated);
    let lines = Arc::new(Lines::new());
    let server = Arc::new(Server::new(config, commands));
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = tasks.join_next() => {
                if ended.is_err_and(|error| error.is_panic()) {
                    tracing::error!("the task of a control client panicked; the client was disconnected");
                }
                continue;
            }
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if let Some(suppressed) = lines.allow() {
                    tracing::error!(%error, suppressed, "cannot accept control connections");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let client = Arc::clone(&clients).try_acquire_owned().ok();
        let admitted = match client {
            Some(client) => strangers.admit().await.map(|admitted| (client, admitted)),
            None => None,
        };
        let Some((client, (stranger, displaced))) = admitted else {
            if let Some(suppressed) = lines.allow() {
                tracing::warn!(%peer, suppressed, "too many control clients: connection refused");
            }
            continue;
        };
        if displaced && let Some(suppressed) = lines.allow() {
            tracing::warn!(
                suppressed,
                "too many control clients that have not authenticated: the oldest was disconnected"
            );
        }
        let token = Strangers::token(&stranger);
        let places = (client, stranger);
        let serving = client_task(
            stream,
            peer,
            Arc::clone(&server),
            Arc::clone(&lines),
            places,
        );
        strangers.note(token, tasks.spawn(serving));
    }
}

/// Agrees upon TLS with a client, within the time that it has to authenticate.
async fn agree(
    tls: &ControlTls,
    stream: TcpStream,
    limit: Duration,
) -> io::Result<TlsStream<TcpStream>> {
    let config = (tls.0)().ok_or_else(|| io::Error::other("there is no certificate to show"))?;
    let agreeing = TlsAcceptor::from(config).accept(stream);
    timeout(limit, agreeing)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn client_task(
    stream: TcpStream,
    peer: SocketAddr,
    server: Arc<Server>,
    lines: Arc<Lines>,
    (_client, stranger): (OwnedSemaphorePermit, Stranger),
) {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15));
    if let Err(error) = stream
        .set_nodelay(true)
        .and_then(|()| SockRef::from(&stream).set_tcp_keepalive(&keepalive))
    {
        tracing::debug!(%peer, %error, "cannot set the options of a control connection");
    }
    let disconnect = match server.config.tls.clone() {
        None => {
            let (reader, writer) = stream.into_split();
            connection::run(reader, writer, peer, server, stranger).await
        }
        Some(tls) => match agree(&tls, stream, server.config.bounds.authentication).await {
            Ok(stream) => {
                let (reader, writer) = tokio::io::split(stream);
                connection::run(reader, writer, peer, server, stranger).await
            }
            Err(error) => Disconnect::Io(format!("TLS: {error}")),
        },
    };
    if disconnect == Disconnect::Closed {
        tracing::info!(%peer, "control client disconnected");
    } else if let Some(suppressed) = lines.allow_for(&disconnect) {
        match disconnect {
            // Whoever looks whether the port is open, a health check or a scan.
            Disconnect::Left => {
                tracing::info!(%peer, reason = %disconnect, suppressed, "control client disconnected")
            }
            _ => {
                tracing::warn!(%peer, reason = %disconnect, suppressed, "control client disconnected")
            }
        }
    }
}
