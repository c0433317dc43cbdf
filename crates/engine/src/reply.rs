//! Writes responses. Pure, so that a link in this process can write its application's answers itself and need not wait for
//! the engine to say what it sent; the engine writes the others with the same code.
//!
//! It refuses to decide whether a response may be sent: that is the transaction's (`uas::respond`).
use crate::command::Draft;
use crate::config::{Listener, Network, SessionTimers};
use crate::dialog::session_terms::{self, refreshes_session};
use crate::draft::{self, Fields};
use crate::event::CommandError;
use crate::id::{DialogId, DialogRole, TransactionId};
use crate::listener::Listeners;
use crate::transaction::key::MAGIC_COOKIE;
use crate::transport::{Origin, Transport};
use crate::uas::in_dialog::contact_uri;
use bytes::Bytes;
use sip::header::refer_sub;
use sip::status::reason_phrase;
use sip::{Address, Build, HeaderName, Message, Method, Scheme, Uri};

/// What a response says beside what it takes from its request.
pub struct Reply<'a> {
    /// The status, 101 to 699.
    pub status: u16,
    /// The reason phrase; the standard one when empty.
    pub reason: &'a str,
    /// Our tag for To, unless the request has one there.
    pub tag: Option<&'a str>,
    /// The RSeq of a reliable provisional response (RFC 3262 §3).
    pub reliable_number: Option<u32>,
    /// Header fields and body.
    pub draft: &'a Draft,
}

/// Writes responses as the listeners of one engine would send them.
pub struct Replier {
    listeners: Listeners,
    drachtio_compatible: bool,
    session: SessionTimers,
}

/// Methods whose response may create a dialog (RFC 3261 §12.1, RFC 6665 §4.4.1, RFC 3515 §2.4.4).
pub(crate) fn creates_dialog(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Subscribe | Method::Refer)
}

/// Whether a request says nowhere in its Contact where its sender is reached (RFC 3261 §8.1.1.8), as a dialog needs it. More than one
/// Contact is none too few: the first is taken. What has no magic cookie is of RFC 2543, whose target is its From (RFC 4475 §3.4.1).
pub(crate) fn lacks_contact(request: &Message) -> bool {
    let is_routed = || request.header(HeaderName::RecordRoute).is_some();
    // Who is reached by a proxy may have a URI that only that knows what to do with.
    let leads = |uri: &str| is_routed() || Uri::parse(uri).is_ok_and(|it| is_sip(it.scheme()));
    !contact_uri(request).is_some_and(|uri| leads(&uri))
        && request
            .top_via()
            .is_ok_and(|via| via.branch().is_some_and(|it| it.starts_with(MAGIC_COOKIE)))
}

fn is_sip(scheme: Scheme<'_>) -> bool {
    matches!(scheme, Scheme::Sip | Scheme::Sips)
}

/// Whether a response of this status creates the dialog of its request, or confirms it.
pub(crate) fn answers_dialog(method: &Method, status: u16) -> bool {
    let first = if *method == Method::Invite { 101 } else { 200 };
    creates_dialog(method) && (first..300).contains(&status)
}

/// The identifier of the dialog that answering this request creates: the transaction's own number, which no other has.
pub(crate) fn dialog_of(transaction: TransactionId) -> DialogId {
    let number = transaction.to_bits() & 0x00ff_ffff_ffff_ffff;
    DialogId::with_role(transaction.shard(), number, DialogRole::Uas)
}

/// Whether an application wants a provisional response sent reliably (RFC 3262 §3).
pub(crate) fn asks_reliability(draft: &Draft) -> bool {
    let mut headers = draft.headers.iter();
    headers.any(|(name, value)| {
        HeaderName::from_bytes(name) == HeaderName::Require && lists_100rel(value)
    })
}

fn lists_100rel(value: &[u8]) -> bool {
    let mut tags = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    tags.any(|tag| tag.eq_ignore_ascii_case(b"100rel"))
}

/// Whether the engine adds its Contact to a response that has none.
fn wants_contact(method: &Method, status: u16) -> bool {
    match method {
        Method::Invite => (101..300).contains(&status),
        Method::Subscribe | Method::Refer | Method::Update | Method::Notify => {
            (200..300).contains(&status)
        }
        _ => false,
    }
}

impl Replier {
    /// Writes as an engine with these listeners does (`Config::listeners`, `Config::network`, `Config::drachtio_compatible`,
    /// `Config::session`).
    #[must_use]
    pub fn new(
        listeners: &[Listener],
        network: &Network,
        drachtio_compatible: bool,
        session: SessionTimers,
    ) -> Replier {
        Replier {
            listeners: Listeners::new(listeners, network),
            drachtio_compatible,
            session,
        }
    }

    /// The token of the flow that a message came over, for an application to keep; none where tokens are not signed.
    #[must_use]
    pub fn flow_token(&self, origin: &Origin) -> Option<String> {
        self.listeners.flow_token(origin)
    }

    /// Whether a request comes from a user agent whose Contact is not believed (`Network::is_behind_nat`).
    #[must_use]
    pub fn is_behind_nat(&self, request: &Message, origin: &Origin) -> bool {
        self.listeners.network().is_behind_nat(request, origin)
    }

    /// Whether the engine must write this response itself, because it depends on what only the engine knows: the RSeq of a
    /// reliable provisional response (RFC 3262 §3), a To tag that the application chose; or because it is to be refused.
    #[must_use]
    pub fn needs_engine(request: &Message, status: u16, draft: &Draft) -> bool {
        let chooses_tag = draft
            .headers
            .iter()
            .any(|(name, _)| HeaderName::from_bytes(name) == HeaderName::To);
        let reliable = status < 200 && (asks_reliability(draft) || request.requires("100rel"));
        let is_new = || request.to().is_ok_and(|to| to.tag().is_none());
        let refused =
            answers_dialog(&request.method(), status) && is_new() && lacks_contact(request);
        chooses_tag || reliable || refused
    }

    /// The dialog that this response creates or belongs to, when its request was outside any.
    #[must_use]
    pub fn dialog(
        request: &Message,
        transaction: TransactionId,
        status: u16,
        draft: &Draft,
    ) -> Option<DialogId> {
        let method = request.method();
        // RFC 4488 §4: without a subscription a REFER makes no dialog.
        let declines = |(name, value): &(Bytes, Bytes)| {
            HeaderName::from_bytes(name) == HeaderName::ReferSub && refer_sub(value) == Some(false)
        };
        let declined = method == Method::Refer && draft.headers.iter().any(declines);
        (answers_dialog(&method, status) && !declined).then(|| dialog_of(transaction))
    }

    /// The response to `request`, received by way of `origin`.
    ///
    /// # Errors
    /// `InvalidHeader` for what cannot be sent, `MissingContentType` for a body of unknown type.
    pub fn write(
        &self,
        request: &Message,
        origin: &Origin,
        reply: &Reply<'_>,
    ) -> Result<Bytes, CommandError> {
        write(
            &self.listeners,
            (self.drachtio_compatible, &self.session),
            request,
            origin,
            reply,
        )
    }
}

/// Whether a request demands a `sips` Contact of the response that creates its dialog (RFC 3261 §12.1.1): by its URI, or by the way back to
/// whoever sent it.
fn demands_sips(request: &Message) -> bool {
    if request.uri().is_ok_and(|uri| uri.scheme() == Scheme::Sips) {
        return true;
    }
    let first = |name| request.values(name).next();
    let back = first(HeaderName::RecordRoute).or_else(|| first(HeaderName::Contact));
    back.is_some_and(|value| leads_to_sips(&value))
}

/// Whether the URI of this Route, Record-Route or Contact value is a `sips` URI.
pub(crate) fn leads_to_sips(value: &str) -> bool {
    let uri = Address::parse(value).and_then(|address| address.uri().map(|uri| uri.scheme()));
    uri.is_ok_and(|scheme| scheme == Scheme::Sips)
}

/// The most bytes that a UDP datagram over IPv4 holds (RFC 768, RFC 791).
const DATAGRAM: usize = 65_507;

/// See [`Replier::write`].
pub(crate) fn write(
    listeners: &Listeners,
    (drachtio_compatible, session): (bool, &SessionTimers),
    request: &Message,
    origin: &Origin,
    reply: &Reply<'_>,
) -> Result<Bytes, CommandError> {
    let fields = Fields::sort(&reply.draft.headers)?;
    if reply.reason.chars().any(char::is_control) {
        return Err(CommandError::InvalidHeader(
            "the reason phrase must be one line".to_owned(),
        ));
    }
    let (status, method) = (reply.status, request.method());
    let reason = if reply.reason.is_empty() {
        reason_phrase(status)
    } else {
        reply.reason
    };
    let (listener, peer, local) = (origin.listener, origin.peer.ip(), Some(origin.local.ip()));
    let mut build = Build::reply(request, status, reason, reply.tag);
    if creates_dialog(&method) && (101..300).contains(&status) {
        build = build.copy(request, HeaderName::RecordRoute);
    }
    if !fields.contacts && wants_contact(&method, status) {
        build = build.header(
            HeaderName::Contact,
            listeners
                .contact(listener, (peer, local), || demands_sips(request))
                .as_bytes(),
        );
    }
    if let Some(number) = reply.reliable_number {
        build = build.header(HeaderName::RSeq, number.to_string());
        if !asks_reliability(reply.draft) {
            build = build.header(HeaderName::Require, "100rel");
        }
    }
    let mut session_answer = None;
    if refreshes_session(&method) && (200..300).contains(&status) {
        let without = reply.draft.without_session_timer;
        session_answer = session_terms::answer(session, request, &fields, without)?;
    }
    if let Some(answer) = session_answer {
        build = build.header(HeaderName::SessionExpires, answer.session.to_string());
        if answer.require {
            build = build.header(HeaderName::Require, session_terms::TIMER);
        }
    }
    for (name, (raw, value)) in &fields.rest {
        if session_answer.is_some() && *name == HeaderName::SessionExpires {
            // The engine completed it.
            continue;
        }
        let own = draft::takes_own_host(*name)
            .then(|| draft::own_host(value, &listeners.host_port(listener, peer, local)))
            .flatten();
        build = build.named(
            &String::from_utf8_lossy(raw),
            own.as_deref().unwrap_or(value),
        );
    }
    match draft::missing_content_type(reply.draft, &fields) {
        Some(true) => build = build.header(HeaderName::ContentType, "application/sdp"),
        // drachtio sends such a response as it is.
        Some(false) if !drachtio_compatible => return Err(CommandError::MissingContentType),
        Some(false) | None => {}
    }
    let bytes = build.finish(&reply.draft.body);
    if origin.transport == Transport::Udp && bytes.len() > DATAGRAM {
        return Err(CommandError::Limit(
            "65,507 bytes, all that a datagram holds",
        ));
    }
    Ok(bytes)
}
