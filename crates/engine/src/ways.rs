//! The ways of INVITEs that were forwarded without state: their CANCEL and the ACK of their refusal follow them (RFC 3261 §16.10,
//! §16.11), although only the application knew the target.
//!
//! A way is a URI and what becomes of Route, and is forgotten after timer C. It holds no transaction: a proxy that starts anew
//! loses nothing but the CANCELs of what was ringing.
use crate::engine::{Engine, Timer};
use crate::proxy::loops::{key_of, stateless_key};
use crate::proxy::relay::Forwarding;
use crate::proxy::route::Path;
use crate::timer::TimerToken;
use crate::transport::{Origin, Transport};
use crate::uas::Arrival;
use rustc_hash::FxHashMap;
use sip::header::via::Via;
use sip::{Message, Method};
use std::sync::Arc;

/// How long a branch is without its mark: the cookie, an s, sixteen digits.
const MARKED: usize = 24;

/// The Via parameter that says how a response gets back.
const BACK: &str = "back";

/// The way of one INVITE.
pub(crate) struct Way {
    path: Path,
    timer: TimerToken,
}

/// The ways that are remembered, by the key of the branch (`loops::stateless_key`).
pub(crate) type Ways = FxHashMap<u64, Box<Way>>;

impl Engine {
    /// Remembers the way of an INVITE; with a full table it is forgotten at once, and its CANCEL gets 481.
    pub(crate) fn remember_way(&mut self, forwarding: &Forwarding) {
        let request = forwarding.request();
        if request.method() != Method::Invite || self.ways.len() >= self.config.bounds.transactions
        {
            return;
        }
        let key = stateless_key(request);
        let timer = self
            .timers
            .set(self.now, self.config.timers.c, Timer::Way(key));
        let way = Way {
            path: forwarding.path().clone(),
            timer,
        };
        if let Some(old) = self.ways.insert(key, Box::new(way)) {
            self.timers.cancel(old.timer);
        }
    }

    /// A CANCEL or ACK for which there is no transaction: forwarded when its INVITE was forwarded without state. False when not.
    pub(crate) fn follow_way(&mut self, arrival: &Arrival<'_>) -> bool {
        if self.ways.is_empty() {
            return false;
        }
        let Some(way) = self.ways.get(&stateless_key(&arrival.message)) else {
            return false;
        };
        let forwarding = Forwarding::following(Arc::clone(&arrival.message), way.path.clone());
        if let Err(error) = self.forward_stateless(forwarding, arrival.origin) {
            tracing::debug!(?error, "it cannot follow its INVITE");
        }
        true
    }

    /// The branch of a request forwarded without state: what RFC 3261 §16.11 wants, and a mark that only this engine can make, over that
    /// and the Via beneath. A response without it is nobody's: else whoever sent one would have it passed on to wherever its Via says.
    ///
    /// And the way back, in a parameter of its own: the transport that the request came over, whatever its Via calls that, and a mark over
    /// it and the address. They may differ from the INVITE's to its CANCEL, when a NAT forgot the phone or a connection broke; branches
    /// must not.
    pub(crate) fn stateless_branch(&self, forwarding: &Forwarding, origin: &Origin) -> String {
        let branch = forwarding.branch();
        let beneath = forwarding.request().top_via().ok();
        let mark = self.way_mark(&branch, beneath.as_ref());
        let branch = format!("{branch}{mark:016x}");
        let back = self.back_mark(&branch, origin.transport, beneath.as_ref());
        format!("{branch};{BACK}={}-{back:016x}", origin.transport)
    }

    /// Whether a response's top Via, which names us, is one that this engine made for what stands beneath; then the transport that leads
    /// there.
    pub(crate) fn marked_way_back(&self, message: &Message) -> Option<Transport> {
        let mut vias = message.vias().flatten();
        let (ours, beneath) = (vias.next()?, vias.next());
        let text = ours.branch()?;
        let number = |mark| u64::from_str_radix(mark, 16).ok();
        let (branch, mark) = text.split_at_checked(MARKED)?;
        if number(mark)? != self.way_mark(branch, beneath.as_ref()) {
            return None;
        }
        let back = ours.params.get(BACK).flatten()?;
        let (transport, mark) = back.split_once('-')?;
        let transport = Transport::from_name(transport)?;
        (number(mark)? == self.back_mark(text, transport, beneath.as_ref())).then_some(transport)
    }

    fn way_mark(&self, branch: &str, beneath: Option<&Via<'_>>) -> u64 {
        let (host, port, below) = match beneath {
            Some(via) => {
                let (host, port) = via.sent_by();
                (host.to_ascii_lowercase(), port, via.branch())
            }
            None => (String::new(), None, None),
        };
        let port = port.unwrap_or_default().to_be_bytes();
        let below = below.unwrap_or_default().as_bytes();
        let parts = [b"way", branch.as_bytes(), host.as_bytes(), &port, below];
        self.digester.digest(&parts).first()
    }

    fn back_mark(&self, branch: &str, transport: Transport, beneath: Option<&Via<'_>>) -> u64 {
        let address = beneath.and_then(Via::received_address);
        let address = address.map(|address| address.to_string());
        let port = beneath.and_then(|via| via.rport().flatten());
        let parts = [
            b"back",
            branch.as_bytes(),
            transport.name().as_bytes(),
            address.as_deref().unwrap_or_default().as_bytes(),
            &port.unwrap_or_default().to_be_bytes(),
        ];
        self.digester.digest(&parts).first()
    }

    /// A 2xx with this branch passed: no CANCEL has an effect any more, and its ACK goes by its own route.
    pub(crate) fn way_answered(&mut self, branch: &str) {
        if let Some(way) = key_of(branch).and_then(|key| self.ways.remove(&key)) {
            self.timers.cancel(way.timer);
        }
    }

    /// Timer C passed.
    pub(crate) fn forget_way(&mut self, key: u64) {
        self.ways.remove(&key);
    }
}
