//! What an engine has done since its start, by name: plain counters.
use sip::Method;

/// Declares the counters that are no per-method ones.
macro_rules! totals {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A counter.
        #[derive(Copy, Clone, PartialEq, Eq, Debug)]
        pub(crate) enum Total { $($(#[$doc])* $variant,)* }
        const NAMES: &[&str] = &[$($name,)*];
    };
}

totals! {
    /// Responses received.
    ResponsesIn = "responses_in",
    /// Responses sent, repetitions included.
    ResponsesOut = "responses_out",
    /// Requests that came again within their transaction.
    RetransmissionsIn = "retransmissions_in",
    /// Requests and responses sent again by a timer.
    RetransmissionsOut = "retransmissions_out",
    /// Responses that no client transaction waits for.
    StrayResponses = "stray_responses",
    /// ACKs that belong to nothing.
    StrayAcks = "stray_acks",
    /// Bytes that are no SIP message.
    Malformed = "malformed",
    /// Messages that were not answered for want of what an answer needs.
    Dropped = "dropped",
    /// Requests refused as invalid (400, 416, 482, 500 for CSeq).
    Invalid = "refused_invalid",
    /// Requests refused since an application is behind with its events.
    Overload = "refused_overload",
    /// Requests refused since a table is full.
    Full = "refused_full",
    /// Requests refused since their source, or all unknown sources together, hold as much as they may.
    Quota = "refused_quota",
    /// Half-open INVITEs of unknown sources that were ended to make room for another one.
    HalfOpenShed = "half_open_shed",
    /// Requests of unknown sources passed over without an answer while applications are behind: their repetitions come.
    PassedOver = "passed_over",
    /// Requests refused without an answer: their unknown source was answered often enough.
    RefusedSilently = "refused_silently",
    /// Final responses that were not repeated further to a source that has acknowledged nothing.
    RepeatsWithheld = "repeats_withheld",
    /// Requests that no application takes.
    Unrouted = "refused_unrouted",
    /// In-dialog requests for dialogs that do not exist.
    UnknownDialogs = "refused_unknown_dialog",
    /// Requests that were to be relayed within a call and had no mark of this server.
    Unproven = "refused_unproven",
    /// Client transactions that timed out.
    Timeouts = "timeouts",
    /// Messages that the transport could not deliver.
    TransmitFailures = "transmit_failures",
    /// Attempts at another address of the same target.
    Failovers = "failovers",
    /// Targets of names that were found not to answer, and are left out for a while.
    TargetsFailed = "targets_failed",
    /// Those of them that answered again.
    TargetsReturned = "targets_returned",
    /// Requests that the application did not answer in time.
    Unanswered = "unanswered",
    /// Dialogs that the engine ended itself.
    DialogsEnded = "dialogs_ended",
    /// Commands that failed.
    CommandsFailed = "commands_failed",
}

const REQUESTS_IN: [&str; Method::KNOWN + 1] = [
    "requests_in_invite",
    "requests_in_ack",
    "requests_in_bye",
    "requests_in_cancel",
    "requests_in_options",
    "requests_in_register",
    "requests_in_prack",
    "requests_in_subscribe",
    "requests_in_notify",
    "requests_in_publish",
    "requests_in_info",
    "requests_in_refer",
    "requests_in_message",
    "requests_in_update",
    "requests_in_other",
];

const REQUESTS_OUT: [&str; Method::KNOWN + 1] = [
    "requests_out_invite",
    "requests_out_ack",
    "requests_out_bye",
    "requests_out_cancel",
    "requests_out_options",
    "requests_out_register",
    "requests_out_prack",
    "requests_out_subscribe",
    "requests_out_notify",
    "requests_out_publish",
    "requests_out_info",
    "requests_out_refer",
    "requests_out_message",
    "requests_out_update",
    "requests_out_other",
];

/// All counters of an engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    requests_in: [u64; Method::KNOWN + 1],
    requests_out: [u64; Method::KNOWN + 1],
    others: [u64; NAMES.len()],
}

impl Totals {
    /// Adds one.
    pub(crate) fn add(&mut self, total: Total) {
        if let Some(count) = self.others.get_mut(total as usize) {
            *count += 1;
        }
    }

    /// A request came.
    pub(crate) fn request_in(&mut self, method: &Method) {
        if let Some(count) = self.requests_in.get_mut(method.index()) {
            *count += 1;
        }
    }

    /// A request was sent for the first time.
    pub(crate) fn request_out(&mut self, method: &Method) {
        if let Some(count) = self.requests_out.get_mut(method.index()) {
            *count += 1;
        }
    }

    /// All counters with their names.
    pub(crate) fn list(&self) -> Vec<(&'static str, u64)> {
        let requests_in = REQUESTS_IN.iter().copied().zip(self.requests_in);
        let requests_out = REQUESTS_OUT.iter().copied().zip(self.requests_out);
        let others = NAMES.iter().copied().zip(self.others);
        requests_in.chain(requests_out).chain(others).collect()
    }
}
