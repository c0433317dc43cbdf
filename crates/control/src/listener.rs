//! The listening socket of the control protocol: accepts clients, within bounds, and serves each in a task of its own.
//!
//! Everything here is non-blocking: it runs on a shard's thread, beside its traffic.
use crate::config::{ControlConfig, ControlTls};
use crate::connection;
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
    let strangers = Arc::new(Semaphore::new(config.bounds.unauthenticated));
    let server = Arc::new(Server::new(config, commands));
    let mut tasks = JoinSet::new();
    let mut refused = 0_u64;
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
                tracing::error!(%error, "cannot accept control connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (Ok(client), Ok(stranger)) = (
            Arc::clone(&clients).try_acquire_owned(),
            Arc::clone(&strangers).try_acquire_owned(),
        ) else {
            refused += 1;
            if refused.is_power_of_two() {
                tracing::warn!(%peer, refused, "too many control clients: connection refused");
            }
            continue;
        };
        tasks.spawn(client_task(
            stream,
            peer,
            Arc::clone(&server),
            client,
            stranger,
        ));
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
    _client: OwnedSemaphorePermit,
    stranger: OwnedSemaphorePermit,
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
    match disconnect {
        Disconnect::Closed => tracing::info!(%peer, "control client disconnected"),
        disconnect => tracing::warn!(%peer, reason = %disconnect, "control client disconnected"),
    }
}
