//! Offer and answer (RFC 3264, RFC 6337): whose offer is open, and which message is to bring the answer. A pure machine, one for
//! each dialog, three bytes of plain data.
//!
//! It counts session descriptions and does not read them. Towards an application it is strict (`check`, before anything is sent);
//! towards the peer it is liberal: what does not fit changes nothing and is passed on.

/// A side of a dialog.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    We,
    Peer,
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::We => Side::Peer,
            Side::Peer => Side::We,
        }
    }
}

/// What an offer came with; it decides what the answer comes with (RFC 6337 §2.2, table 1).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum By {
    /// Answered by a reliable provisional response or the 2xx.
    Invite,
    /// A reliable provisional response to an INVITE without an offer: answered by its PRACK.
    Provisional,
    /// The 2xx to an INVITE without an offer: answered by the ACK.
    Accepted,
    /// Answered by the 2xx to the PRACK (RFC 3262 §5).
    Prack,
    /// Answered by the 2xx to the UPDATE (RFC 3311 §5.2).
    Update,
}

/// A message that may carry an offer or an answer. Responses are named after the method that they answer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Carrier {
    Invite,
    /// Reliable. What another provisional response carries is a preview, and no business of this machine (RFC 6337 §3.1.1).
    Provisional,
    Accepted,
    Refused,
    Ack,
    Prack,
    /// Any final response: a refused PRACK answers no offer, and leaves none.
    PrackDone,
    Update,
    /// Any final response.
    UpdateDone,
}

/// Where a dialog's exchange stands.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Offer {
    /// None is open: either side may offer.
    Stable,
    /// An INVITE without an offer is under way: the first reliable response of this side is to bring it.
    Due(Side),
    /// This side offered.
    Offered(Side, By),
}

/// Why a request may not be sent now, or is refused.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Clash {
    /// Our offer has no answer yet: 491 to the peer's (RFC 3311 §5.2, RFC 3261 §14.2).
    Ours,
    /// The peer's has none: 500 with Retry-After to another one.
    Theirs,
}

impl Offer {
    /// The state after the INVITE that `from` sent.
    pub(crate) fn invited(from: Side, offers: bool) -> Offer {
        if offers {
            Offer::Offered(from, By::Invite)
        } else {
            Offer::Due(from.other())
        }
    }

    /// Whether `from` may send this request, with a session description in it or not.
    ///
    /// # Errors
    /// Whose offer stands in the way.
    pub(crate) fn check(self, from: Side, request: Carrier, describes: bool) -> Result<(), Clash> {
        let open = match self {
            Offer::Stable => return Ok(()),
            Offer::Due(Side::We) | Offer::Offered(Side::Peer, _) => Clash::Theirs,
            Offer::Due(Side::Peer) | Offer::Offered(Side::We, _) => Clash::Ours,
        };
        match request {
            // Without an offer it asks for one, which would come at the wrong time.
            Carrier::Invite => Err(open),
            Carrier::Update if describes => Err(open),
            // The answer to the offer of a reliable provisional response.
            Carrier::Prack if self == Offer::Offered(from.other(), By::Provisional) => Ok(()),
            Carrier::Prack if describes => Err(open),
            _ => Ok(()),
        }
    }

    /// The state after `from` sent `message`, with a session description in it or not.
    #[must_use]
    pub(crate) fn after(self, from: Side, message: Carrier, describes: bool) -> Offer {
        let asked = |by| self == Offer::Offered(from.other(), by);
        match message {
            Carrier::Invite => Offer::invited(from, describes),
            Carrier::Provisional if describes && asked(By::Invite) => Offer::Stable,
            Carrier::Provisional if describes && self == Offer::Due(from) => {
                Offer::Offered(from, By::Provisional)
            }
            Carrier::Accepted if describes && self == Offer::Due(from) => {
                Offer::Offered(from, By::Accepted)
            }
            // Without a description as well: the call stands, whatever becomes of its media.
            Carrier::Accepted if asked(By::Invite) || self == Offer::Due(from) => Offer::Stable,
            // The INVITE is over: what it offered is answered now, or void (RFC 6337 §3.4).
            Carrier::Refused => self.without_invite(),
            // Of the sender's own INVITE: the other side may have sent one since its 2xx.
            Carrier::Ack if self.is_of_invite(from) => Offer::Stable,
            Carrier::Prack if asked(By::Provisional) => Offer::Stable,
            Carrier::Prack if describes && matches!(self, Offer::Stable | Offer::Due(_)) => {
                Offer::Offered(from, By::Prack)
            }
            Carrier::PrackDone if asked(By::Prack) => Offer::Stable,
            Carrier::Update if describes && self == Offer::Stable => {
                Offer::Offered(from, By::Update)
            }
            Carrier::UpdateDone if asked(By::Update) => Offer::Stable,
            Carrier::Provisional
            | Carrier::Accepted
            | Carrier::Ack
            | Carrier::Prack
            | Carrier::PrackDone
            | Carrier::Update
            | Carrier::UpdateDone => self,
        }
    }

    /// Whether what is open belongs to an INVITE of this side.
    fn is_of_invite(self, from: Side) -> bool {
        match self {
            Offer::Offered(side, By::Invite) => side == from,
            Offer::Due(side) | Offer::Offered(side, By::Provisional | By::Accepted) => side != from,
            Offer::Stable | Offer::Offered(_, By::Prack | By::Update) => false,
        }
    }

    /// The state without what belongs to an INVITE.
    fn without_invite(self) -> Offer {
        match self {
            Offer::Offered(_, By::Prack | By::Update) => self,
            Offer::Stable | Offer::Due(_) | Offer::Offered(..) => Offer::Stable,
        }
    }
}

#[cfg(test)]
mod tests;

/// Whether a body is a session description, or holds one among its parts (RFC 5621). Without a Content-Type it is judged by
/// its first line.
pub(crate) fn describes_session(content_type: Option<&[u8]>, body: &[u8]) -> bool {
    const SDP: &[u8] = b"application/sdp";
    const MULTIPART: &[u8] = b"multipart/";
    let begins = |text: &[u8], with: &[u8]| {
        text.get(..with.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(with))
    };
    if body.is_empty() {
        return false;
    }
    let Some(content_type) = content_type.map(<[u8]>::trim_ascii_start) else {
        return crate::draft::looks_like_sdp(body);
    };
    begins(content_type, SDP)
        || (begins(content_type, MULTIPART)
            && body
                .windows(SDP.len())
                .any(|window| window.eq_ignore_ascii_case(SDP)))
}

/// Whether a message carries a session description.
pub(crate) fn describes(message: &sip::Message) -> bool {
    let body = message.body();
    if body.is_empty() {
        return false;
    }
    let content_type = message.header(sip::HeaderName::ContentType);
    let content_type = content_type.as_ref().map(sip::Field::value);
    describes_session(content_type.as_deref(), body)
}
