//! Refusals without state: a request that nobody will see is answered and forgotten (RFC 3261 §8.2.7).
//!
//! The To tag follows from the request, so that its repetitions get the same answer. An ACK is never answered.
use super::Arrival;
use crate::admit::Quota;
use crate::engine::Engine;
use crate::totals::Total;
use crate::transaction::server::ServerTransaction;
use crate::transport::{Origin, TransmitToken};
use sip::status::reason_phrase;
use sip::{Build, HeaderName, Message, Method};

/// Seconds for Retry-After when the engine is overloaded: spread, so that the refused do not come back as one.
const RETRY_AFTER: u64 = 5;

impl Engine {
    /// Answers a request without state.
    pub(crate) fn refuse(
        &mut self,
        arrival: &Arrival<'_>,
        status: u16,
        headers: &[(HeaderName, String)],
    ) {
        if arrival.head.method == Method::Ack {
            return self.totals.add(Total::StrayAcks);
        }
        if !self.answers_refused(&arrival.origin) {
            return;
        }
        let tag = arrival.key.token();
        let mut build = Build::reply(&arrival.message, status, reason_phrase(status), Some(&tag));
        for (name, value) in headers {
            build = build.header(*name, value);
        }
        let destination = self.response_destination(arrival);
        self.totals.add(Total::ResponsesOut);
        self.transmit(destination, build.finish(b""), TransmitToken::NONE);
    }

    /// What exceeds a quota of admission: 503, unless it may be somebody else's address that it comes from and all of those fill it.
    /// There may be room when it comes again.
    pub(crate) fn refuse_surplus(&mut self, arrival: &Arrival<'_>, quota: Quota) {
        let what = match quota {
            Quota::Source => "its source holds as much as one may (admission quotas)",
            Quota::Strangers => "unknown sources hold as much as they may together",
            Quota::HalfOpen => "unknown sources have as many half-open calls as they may together",
        };
        self.note_refused(Total::Quota, &arrival.origin, &arrival.head.method, what);
        if quota == Quota::Source || !self.may_be_forged(&arrival.origin) {
            self.refuse_busy(arrival);
        }
    }

    /// 503 with Retry-After (RFC 3261 §21.5.4).
    pub(crate) fn refuse_busy(&mut self, arrival: &Arrival<'_>) {
        let value = self.retry_after();
        self.refuse(arrival, 503, &[(HeaderName::RetryAfter, value)]);
    }

    /// 422 with what we accept (RFC 4028 §9).
    pub(crate) fn refuse_too_brief(&mut self, arrival: &Arrival<'_>) {
        self.totals.add(Total::Invalid);
        let min_se = self.config.session.min_se.to_string();
        self.refuse(arrival, 422, &[(HeaderName::MinSe, min_se)]);
    }

    /// A Retry-After value, spread over a few seconds.
    pub(crate) fn retry_after(&mut self) -> String {
        (RETRY_AFTER + self.generator.next_u64() % RETRY_AFTER).to_string()
    }

    /// 400 (501: CSeq names another method than one nobody knows) for a request whose mandatory header fields cannot be read.
    pub(crate) fn refuse_unreadable(
        &mut self,
        origin: &Origin,
        message: &Message,
        status: u16,
        what: &str,
    ) {
        self.note_refused(Total::Invalid, origin, &message.method(), what);
        self.answer_raw(origin, message.as_bytes(), status, what);
    }

    /// The bytes of an engine-made response to a request that has a transaction; `headers` are added.
    pub(crate) fn made_response(
        transaction: &ServerTransaction,
        (status, reason): (u16, &str),
        headers: &[(HeaderName, String)],
    ) -> Option<bytes::Bytes> {
        let request = transaction.request.as_ref()?;
        let mut build = Build::reply(request, status, reason, transaction.local_tag.as_deref());
        for (name, value) in headers {
            build = build.header(*name, value);
        }
        Some(build.finish(b""))
    }
}
