//! RFC 3263 §4: from a host name to where requests for it go, in the order in which they are to be tried.
//!
//! Where the deployed world and the RFC differ, the world is followed: a domain whose NAPTR or SRV records cannot be had, or lead
//! nowhere, is tried by what comes next, unless it says that the service is not there (`.`, RFC 2782).
use super::cache::{Cache, Pending};
use super::naptr;
use super::random::Draw;
use super::record::{Kind, Outcome, Record};
use super::srv::{self, Service};
use super::{TARGETS, Way};
use engine::transport::Transport;
use engine::{Resolve, ResolveError, Resolved};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// How long the addresses of other targets are waited for once one is known: one broken record does not hold up a request.
const GRACE: Duration = Duration::from_millis(500);

/// The transports that are asked for where neither the URI nor NAPTR records name one, in the order of RFC 3263 §4.1; WebSocket servers
/// are found by NAPTR records or the URI's transport alone.
const SEARCHED: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

/// A host that requests may go to, and over what.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    transport: Transport,
    host: String,
    port: u16,
}

/// One question on its way through the steps.
pub(super) struct Search<'a> {
    pub(super) cache: &'a Cache,
    pub(super) ways: &'a [Way],
    pub(super) services: bool,
    pub(super) deadline: Instant,
    /// Whether a server had to be asked.
    pub(super) asked: bool,
    /// How many addresses and SRV records were left out, as they cannot be a server's.
    pub(super) unusable: u64,
    /// What stood in the way of a better answer.
    error: Option<ResolveError>,
}

impl Search<'_> {
    pub(super) fn new<'a>(
        cache: &'a Cache,
        ways: &'a [Way],
        services: bool,
        deadline: Instant,
    ) -> Search<'a> {
        Search {
            cache,
            ways,
            services,
            deadline,
            asked: false,
            unusable: 0,
            error: None,
        }
    }

    /// Where requests go.
    pub(super) async fn run(&mut self, question: &Resolve) -> Result<Vec<Resolved>, ResolveError> {
        let mut draw = Draw::new(question.draw);
        let host = question.host.trim_end_matches('.');
        if let Some(addresses) = self.cache.servers().in_hosts(host) {
            // What an operator wrote down for this machine is not asked for elsewhere.
            let place = self.own_place(question, host);
            let targets = self.arrange(&place, addresses, &mut draw);
            return self.answer(targets);
        }
        let places = self.places(question, host, &mut draw).await?;
        let targets = self.addresses(&places, &mut draw).await;
        self.answer(targets)
    }

    fn answer(&self, mut targets: Vec<Resolved>) -> Result<Vec<Resolved>, ResolveError> {
        let mut seen = Vec::with_capacity(targets.len());
        targets.retain(|target| {
            let is_new = !seen.contains(target);
            seen.push(*target);
            is_new
        });
        targets.truncate(TARGETS);
        match self.error {
            _ if !targets.is_empty() => Ok(targets),
            _ if self.unusable > 0 => Err(ResolveError::Unusable),
            error => Err(error.unwrap_or(ResolveError::NotFound)),
        }
    }

    fn can_send(&self, transport: Transport) -> bool {
        self.ways.iter().any(|way| way.transport == transport)
    }

    /// The transport of a host that has no records but addresses: what the URI says, else TLS for `sips`, else UDP if we have it.
    fn usual_transport(&self, question: &Resolve) -> Transport {
        let first = self.ways.first().map(|way| way.transport);
        match question.transport {
            Some(transport) => transport,
            None if question.secure => Transport::Tls,
            None if self.can_send(Transport::Udp) => Transport::Udp,
            None => first.unwrap_or(Transport::Udp),
        }
    }

    /// The host itself (RFC 3263 §4.2, last paragraph).
    fn own_place(&self, question: &Resolve, host: &str) -> Place {
        let transport = self.usual_transport(question);
        Place {
            transport,
            host: host.to_owned(),
            port: question.port.unwrap_or(transport.default_port()),
        }
    }

    /// The hosts to try (RFC 3263 §4.1 and §4.2).
    async fn places(
        &mut self,
        question: &Resolve,
        host: &str,
        draw: &mut Draw,
    ) -> Result<Vec<Place>, ResolveError> {
        let own = self.own_place(question, host);
        if question.port.is_some() || !self.services {
            return Ok(vec![own]);
        }
        let mut choices = Vec::new();
        if question.transport.is_none() {
            let records = self.ask(host, Kind::Naptr).await;
            let records = unless_crowded(records)?;
            choices = naptr::choices(&records, |transport| {
                self.can_send(transport) && (transport.is_secure() || !question.secure)
            });
        }
        let (mut places, mut absent) = self.services_at(&choices, draw).await?;
        if places.is_empty() {
            let searched: Vec<(Transport, String)> = self
                .transports(question)
                .into_iter()
                .map(|transport| (transport, format!("{}.{host}", prefix(transport))))
                .filter(|choice| !choices.contains(choice))
                .collect();
            let (found, none) = self.services_at(&searched, draw).await?;
            places = found;
            absent |= none;
        }
        if places.is_empty() && absent {
            return Err(match self.unusable {
                0 => ResolveError::NotFound,
                _ => ResolveError::Unusable,
            });
        }
        if places.is_empty() {
            places.push(own);
        }
        Ok(places)
    }

    /// The transports to look for by their SRV records.
    fn transports(&self, question: &Resolve) -> Vec<Transport> {
        match question.transport {
            Some(transport) => vec![transport],
            None => SEARCHED
                .into_iter()
                .filter(|transport| self.can_send(*transport))
                .filter(|transport| transport.is_secure() || !question.secure)
                .collect(),
        }
    }

    /// The targets of SRV records, and whether one of them says that the service is not there.
    async fn services_at(
        &mut self,
        choices: &[(Transport, String)],
        draw: &mut Draw,
    ) -> Result<(Vec<Place>, bool), ResolveError> {
        let pending: Vec<(Transport, Pending)> = choices
            .iter()
            .take(TARGETS)
            .map(|(transport, name)| (*transport, self.cache.begin(name, Kind::Srv)))
            .collect();
        let (mut places, mut absent) = (Vec::new(), false);
        for (transport, pending) in pending {
            let records = unless_crowded(self.wait(pending).await)?;
            match srv::service(&records, draw, &mut self.unusable) {
                Service::Unknown => {}
                Service::Absent => absent = true,
                Service::At(targets) => places.extend(targets.into_iter().map(|srv| Place {
                    transport,
                    host: srv.target,
                    port: srv.port,
                })),
            }
        }
        places.truncate(TARGETS);
        Ok((places, absent))
    }

    async fn ask(&mut self, name: &str, kind: Kind) -> Outcome {
        self.wait(self.cache.begin(name, kind)).await
    }

    /// Waits for a server, no longer than this search may take.
    async fn wait(&mut self, pending: Pending) -> Outcome {
        self.asked |= !pending.is_known();
        let outcome = timeout_at(self.deadline, pending.outcome()).await;
        let outcome = outcome.unwrap_or(Err(ResolveError::Timeout));
        self.note(&outcome);
        outcome
    }

    fn note(&mut self, outcome: &Outcome) {
        match outcome {
            Ok(_) | Err(ResolveError::NotFound) => {}
            Err(error) => self.error = self.error.or(Some(*error)),
        }
    }

    /// The addresses of these hosts, all asked for at once.
    async fn addresses(&mut self, places: &[Place], draw: &mut Draw) -> Vec<Resolved> {
        let mut found: Vec<Vec<IpAddr>> = places.iter().map(|_| Vec::new()).collect();
        let mut waiting = JoinSet::new();
        for (index, place) in places.iter().enumerate() {
            if let Ok(address) = place.host.parse::<IpAddr>() {
                // Not allowed, but seen: an address where SRV wants a name.
                if let Some(to) = found.get_mut(index) {
                    to.push(address);
                }
                continue;
            }
            for kind in self.families(place.transport) {
                let pending = self.cache.begin(&place.host, kind);
                self.asked |= !pending.is_known();
                waiting.spawn(async move { (index, pending.outcome().await) });
            }
        }
        let mut deadline = self.deadline;
        loop {
            let next = match timeout_at(deadline, waiting.join_next()).await {
                Ok(Some(Ok(next))) => next,
                Ok(Some(Err(_))) => continue,
                Ok(None) => break,
                Err(_) => {
                    self.note(&Err(ResolveError::Timeout));
                    break;
                }
            };
            let (index, outcome) = next;
            self.note(&outcome);
            let Some(to) = found.get_mut(index) else {
                continue;
            };
            for record in outcome.iter().flat_map(|records| records.iter()) {
                if let Record::Address(address) = record {
                    to.push(*address);
                    deadline = deadline.min(Instant::now() + GRACE);
                }
            }
        }
        let mut targets = Vec::new();
        for (place, addresses) in places.iter().zip(found) {
            targets.extend(self.arrange(place, addresses, draw));
        }
        targets
    }

    /// The families that we can send in over this transport; both when we have no listener for it, so that the error tells that.
    fn families(&self, transport: Transport) -> Vec<Kind> {
        let reaches = |is_ipv4: bool| {
            let over = |way: &&Way| way.transport == transport;
            let mut ways = self.ways.iter().filter(over).peekable();
            ways.peek().is_none() || ways.any(|way| way.is_ipv4 == is_ipv4)
        };
        [(Kind::Aaaa, false), (Kind::A, true)]
            .into_iter()
            .filter(|(_, is_ipv4)| reaches(*is_ipv4))
            .map(|(kind, _)| kind)
            .collect()
    }

    /// The addresses of one host in the order to try them: what there is a route to first, IPv6 before IPv4 (RFC 6724), and among
    /// equals by the draw, as name servers that turn their records round would have it.
    fn arrange(
        &mut self,
        place: &Place,
        mut addresses: Vec<IpAddr>,
        draw: &mut Draw,
    ) -> Vec<Resolved> {
        let found = addresses.len();
        addresses.retain(|address| may_be_server(*address));
        let unusable = u64::try_from(found - addresses.len()).unwrap_or(u64::MAX);
        self.unusable = self.unusable.saturating_add(unusable);
        let kinds = self.families(place.transport);
        addresses.retain(|address| {
            kinds.contains(if address.is_ipv4() {
                &Kind::A
            } else {
                &Kind::Aaaa
            })
        });
        addresses.sort_unstable();
        addresses.dedup();
        draw.shuffle(&mut addresses);
        let both = addresses.iter().any(IpAddr::is_ipv4) && addresses.iter().any(IpAddr::is_ipv6);
        addresses.sort_by_key(|address| (both && !has_route(*address), address.is_ipv4()));
        addresses
            .into_iter()
            .map(|address| Resolved {
                transport: place.transport,
                address: SocketAddr::new(address, place.port),
            })
            .collect()
    }
}

/// What a question led to, failures as nothing: what comes next is tried. Where names have to give way to others, that would be more of what
/// there is too much of.
fn unless_crowded(outcome: Outcome) -> Result<Arc<[Record]>, ResolveError> {
    match outcome {
        Err(error @ ResolveError::Crowded) => Err(error),
        outcome => Ok(outcome.unwrap_or_default()),
    }
}

/// The start of the name of a transport's SRV records (RFC 3263 §4.2; for WebSocket as RFC 7118 §10.4 names the protocol).
fn prefix(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
        Transport::Ws => "_sip._ws",
        Transport::Wss => "_sips._ws",
    }
}

/// Whether a server can have this address. Whoever has a domain may write any into it: the unspecified one leads to this host itself, the
/// others to everybody on a network at once. Filters of advertisements write the first for what they block.
fn may_be_server(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || is_broadcast)
}

/// Whether the system knows a way to this address: nothing is sent.
fn has_route(address: IpAddr) -> bool {
    let any: SocketAddr = if address.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    UdpSocket::bind(any)
        .and_then(|socket| socket.connect(SocketAddr::new(address, 9)))
        .is_ok()
}
