//! Answers an engine's questions about names, off the driver's path: addresses only, by the system's resolver.
//!
//! Bounded: so many at a time, so many waiting, each for so long. NAPTR and SRV (RFC 3263 §4.1, §4.2) are not asked for yet: a name
//! without a transport means UDP, or what this server listens on.
use crate::config::ResolverConfig;
use crate::inbox::{Inbox, Item};
use engine::config::Listener;
use engine::id::ResolveId;
use engine::transport::Transport;
use engine::{Resolve, ResolveError, Resolved};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::Instant;

/// The resolver of one shard. Answers come back as `Item::Resolved`.
pub(crate) struct Resolver {
    config: ResolverConfig,
    inbox: Arc<[Inbox]>,
    shard: u8,
    ways: Vec<Way>,
    waiting: VecDeque<(Resolve, Instant)>,
    running: usize,
}

/// A transport and address family on which this server can send.
#[derive(Copy, Clone, PartialEq, Eq)]
struct Way {
    transport: Transport,
    is_ipv4: bool,
}

impl Resolver {
    pub fn new(
        config: ResolverConfig,
        shard: u8,
        inbox: Arc<[Inbox]>,
        listeners: &[Listener],
    ) -> Resolver {
        let ways = listeners
            .iter()
            .map(|listener| Way {
                transport: listener.transport,
                is_ipv4: listener.bound.is_ipv4(),
            })
            .collect();
        Resolver {
            config,
            inbox,
            shard,
            ways,
            waiting: VecDeque::new(),
            running: 0,
        }
    }

    /// Takes a question.
    pub fn ask(&mut self, question: Resolve) {
        if self.waiting.len() >= self.config.waiting {
            self.answer(question.id, Err(ResolveError::Failed));
            return;
        }
        self.waiting
            .push_back((question, Instant::now() + self.config.timeout));
        self.start();
    }

    /// A look-up ended: another may begin.
    pub fn ended(&mut self) {
        self.running = self.running.saturating_sub(1);
        self.start();
    }

    fn start(&mut self) {
        while self.running < self.config.concurrent {
            let Some((question, deadline)) = self.waiting.pop_front() else {
                return;
            };
            self.running += 1;
            let transport = question.transport.unwrap_or_else(|| self.usual_transport());
            let ways: Vec<Way> = self
                .ways
                .iter()
                .filter(|way| way.transport == transport)
                .copied()
                .collect();
            let (inbox, shard) = (self.inbox.clone(), self.shard);
            tokio::spawn(async move {
                let answer =
                    tokio::time::timeout_at(deadline, look_up(&question, transport, &ways)).await;
                let answer = answer.unwrap_or(Err(ResolveError::Timeout));
                if let Some(inbox) = inbox.get(usize::from(shard)) {
                    inbox.push(Item::Resolved(question.id, answer));
                }
            });
        }
    }

    fn answer(&mut self, id: ResolveId, answer: Result<Vec<Resolved>, ResolveError>) {
        self.running += 1;
        if let Some(inbox) = self.inbox.get(usize::from(self.shard)) {
            inbox.push(Item::Resolved(id, answer));
        }
    }

    /// UDP where neither the URI nor its records name a transport (RFC 3263 §4.1), if there is a UDP listener.
    fn usual_transport(&self) -> Transport {
        let has_udp = self.ways.iter().any(|way| way.transport == Transport::Udp);
        if has_udp {
            Transport::Udp
        } else {
            self.ways
                .first()
                .map_or(Transport::Udp, |way| way.transport)
        }
    }
}

async fn look_up(
    question: &Resolve,
    transport: Transport,
    ways: &[Way],
) -> Result<Vec<Resolved>, ResolveError> {
    let port = question.port.unwrap_or(transport.default_port());
    let found = tokio::net::lookup_host((question.host.as_str(), port))
        .await
        .map_err(|error| reason(&error))?;
    let is_reachable =
        |address: &SocketAddr| ways.iter().any(|way| way.is_ipv4 == address.is_ipv4());
    let mut places = Vec::new();
    // The system orders them (RFC 6724); a TCP target may use a listener of either family only if there is one.
    for address in found.filter(|address| ways.is_empty() || is_reachable(address)) {
        let place = Resolved { transport, address };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    if places.is_empty() {
        Err(ResolveError::NotFound)
    } else {
        Ok(places)
    }
}

/// The system tells its resolver's errors apart only by their text.
fn reason(error: &io::Error) -> ResolveError {
    let text = error.to_string();
    if text.contains("Temporary failure") || text.contains("Non-recoverable") {
        ResolveError::Failed
    } else {
        ResolveError::NotFound
    }
}
