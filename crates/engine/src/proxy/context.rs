//! The response context (RFC 3261 §16.7): one proxied request, its branches, and what their answers lead to.
//!
//! It holds no transaction and sends nothing. Where RFC 3261 leaves a choice, or `drachtio_compatible` makes another:
//!
//! | question | here | drachtio_compatible |
//! |---|---|---|
//! | request-URI of the forwarded request | the target (§16.6 item 2) | the target if the received one names this server, else kept |
//! | next hop | the first Route value left, else the target (§16.6 item 7) | the target |
//! | 401 or 407 in a series | the next target is tried; challenges are merged at the end (§16.7 item 7) | ends the search |
//! | only 503s | 500 (§16.7 item 6; Kamailio and OpenSIPS too), as a 503 would take us out of the caller's rotation | 503 |
//! | 3xx beside others | lowest class first (§16.7 item 6) | last choice |
//! | a search without end | at most 128 targets, none begun when the caller has given up (`search::is_late`) | the same |
//! | a branch timed out by the application or timer C | counts as 408, is cancelled, the next target is tried at once | the same |
mod answer;
mod search;

use crate::command::{Forking, ProxyOptions};
use crate::id::CommandId;
use crate::proxy::branch::{Branch, Linger};
use crate::proxy::prepare::{Prepared, prepare};
use crate::proxy::route::Route;
use crate::proxy::{
    BranchFailure, BranchResponse, CancelReason, Effect, Effects, Hop, OwnNames, ProxyOrder,
    ProxyTimers, Rejection, TimerKind, Upstream, breadth, forward, loops, response,
};
use crate::time::Time;
use bytes::Bytes;
use sip::{Message, Method, Scheme};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;

/// Where the search stands.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Phase {
    /// Targets are tried.
    Searching,
    /// No further target; the answer is there once the branches have ended.
    Stopping,
    /// The caller cancelled, or the application gave up; the final response follows once the branches have ended.
    Cancelled,
    /// The final response went upstream.
    Done,
}

/// A final response that counts; without a message one that stands for a branch that gave none.
#[derive(Clone, Debug)]
struct Candidate {
    branch: u32,
    status: u16,
    message: Option<Arc<Message>>,
}

/// One proxied request.
#[derive(Clone, Debug)]
pub struct ProxyContext {
    request: Arc<Message>,
    command: Option<CommandId>,
    options: ProxyOptions,
    headers: Vec<(Bytes, Bytes)>,
    timers: ProxyTimers,
    drachtio_compatible: bool,
    is_invite: bool,
    route: Route,
    branches: SmallVec<[Branch; 1]>,
    /// Max-Breadth (RFC 5393 §5): what all pending branches may have together.
    breadth: u32,
    untried: VecDeque<u32>,
    /// The group of branches that is being tried, and the last number given to one.
    group: u32,
    groups: u32,
    /// What the caller gets when the search is given up.
    given: u16,
    redirected: usize,
    candidates: SmallVec<[Candidate; 1]>,
    phase: Phase,
    /// When the search began, and when the caller last heard that it rings somewhere.
    started: Time,
    rang: Time,
}

impl ProxyContext {
    /// Validates the request (RFC 3261 §16.3), preprocesses its route (§16.4) and takes its targets (§16.5). `own` tells which
    /// hosts are this server.
    ///
    /// # Errors
    /// Why it is not proxied, and the status that the engine answers with, if any.
    pub fn new(order: ProxyOrder, own: &dyn OwnNames) -> Result<ProxyContext, Rejection> {
        let Prepared { route, paths } = prepare(&order, own)?;
        let ProxyOrder {
            request,
            command,
            options,
            headers,
            timers,
            drachtio_compatible,
            ..
        } = order;
        let is_invite = request.method() == Method::Invite;
        let breadth = breadth::received(&request).unwrap_or(breadth::DEFAULT);
        let mut context = ProxyContext {
            request,
            command,
            options,
            headers,
            timers,
            drachtio_compatible,
            is_invite,
            route,
            branches: SmallVec::new(),
            breadth,
            untried: VecDeque::with_capacity(paths.len()),
            group: 0,
            groups: 0,
            given: 487,
            redirected: 0,
            candidates: SmallVec::new(),
            phase: Phase::Searching,
            started: Time::ZERO,
            rang: Time::ZERO,
        };
        let mut weights: SmallVec<[u16; 1]> = SmallVec::new();
        for prospect in paths {
            let number = context.add_branch(prospect.target, prospect.path, 0);
            context.untried.push_back(number);
            weights.push(prospect.q);
        }
        context.group(&weights);
        Ok(context)
    }

    /// The received request.
    #[must_use]
    pub fn request(&self) -> &Arc<Message> {
        &self.request
    }

    /// The command that asked for it.
    #[must_use]
    pub fn command(&self) -> Option<CommandId> {
        self.command
    }

    /// The mark for `loops::branch_parameter`.
    #[must_use]
    pub fn mark(&self) -> u32 {
        loops::mark(&self.request)
    }

    /// The way that a branch takes.
    #[must_use]
    pub fn path(&self, branch: u32) -> Option<&crate::proxy::route::Path> {
        self.branches
            .get(branch as usize)
            .map(|branch| &branch.path)
    }

    /// Whether it adds its Record-Route or Path: otherwise a `Hop` needs none.
    #[must_use]
    pub fn stays_in_path(&self) -> bool {
        forward::stays_in_path(&self.request, &self.options)
    }

    /// Whether Record-Route has to be a `sips` URI, since the request-URI is one (RFC 3261 §16.6 item 4).
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.request
            .uri()
            .is_ok_and(|uri| uri.scheme() == Scheme::Sips)
    }

    /// Whether no branch is pending and the final response went upstream: the context may be dropped.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Done && !self.branches.iter().any(Branch::is_pending)
    }

    /// Begins the search.
    pub fn start(&mut self, now: Time, effects: &mut Effects) {
        (self.started, self.rang) = (now, now);
        self.advance(now, effects);
    }

    /// The request as it goes out on a branch; none when the branch ended meanwhile. Each call is another attempt at the same
    /// target and needs another Via branch.
    pub fn write_request(&mut self, branch: u32, hop: &Hop<'_>) -> Option<Bytes> {
        let entry = self.branches.get_mut(branch as usize)?;
        if !entry.mark_sent() {
            return None;
        }
        Some(forward::write(
            &self.request,
            &entry.path,
            &self.headers,
            &forward::withheld(&self.request, &self.options),
            forward::stays_in_path(&self.request, &self.options),
            Some(entry.breadth),
            hop,
        ))
    }

    /// A response came on a branch: every one, 100 too.
    pub fn on_response(
        &mut self,
        now: Time,
        branch: u32,
        response: BranchResponse,
        effects: &mut Effects,
    ) {
        let status = response.message.status();
        if status != 100 {
            let BranchResponse {
                message,
                origin,
                wire_bytes,
            } = &response;
            self.report(branch, message, Some(*origin), *wire_bytes, effects);
        }
        let message = response.message;
        match status {
            ..=199 => self.on_provisional(now, branch, &message, effects),
            200..=299 => self.on_success(now, branch, &message, effects),
            _ => self.on_refusal(now, branch, message, effects),
        }
    }

    /// A branch ended without a final response.
    pub fn on_branch_failed(
        &mut self,
        now: Time,
        branch: u32,
        failure: BranchFailure,
        effects: &mut Effects,
    ) {
        let status = match failure {
            BranchFailure::Timeout => 408,
            BranchFailure::Transport | BranchFailure::Unresolvable => 503,
            BranchFailure::FlowFailed => 430,
            BranchFailure::FlowForged => 403,
        };
        self.end_with_made(now, branch, status, effects);
    }

    /// The caller cancelled the INVITE (RFC 3261 §16.10). `reason` holds the values of the CANCEL's Reason header fields, if any.
    /// The 487 follows when the branches have ended; a 2xx that was quicker than the CANCEL still goes upstream.
    pub fn on_cancelled(&mut self, now: Time, reason: Option<&str>, effects: &mut Effects) {
        if self.is_invite {
            let reason = CancelReason::CallerCancelled(reason.map(Arc::from));
            self.stop(now, 487, &reason, effects);
        }
    }

    /// The application gave the request up: as if the caller had cancelled it, but that the application chooses the status.
    /// Requests other than INVITE cannot be cancelled: the caller is answered at once, and what the branches answer goes nowhere.
    pub fn on_abandoned(
        &mut self,
        now: Time,
        status: u16,
        reason: Option<&str>,
        effects: &mut Effects,
    ) {
        let reason = CancelReason::Abandoned(reason.map(Arc::from));
        self.stop(now, status, &reason, effects);
    }

    fn stop(&mut self, now: Time, status: u16, reason: &CancelReason, effects: &mut Effects) {
        if matches!(self.phase, Phase::Done | Phase::Cancelled) {
            return;
        }
        self.phase = Phase::Cancelled;
        self.given = status;
        self.untried.clear();
        if self.is_invite {
            self.cancel_all(now, reason, effects);
            self.advance(now, effects);
            return;
        }
        // The final response waits for no branch: nothing ends them early.
        for branch in &mut self.branches {
            branch.end_unsent(effects);
        }
        self.finish(effects);
    }

    /// A timer of a branch fired.
    pub fn on_timer(&mut self, now: Time, kind: TimerKind, branch: u32, effects: &mut Effects) {
        let linger = self.linger();
        let Some(entry) = self.branches.get_mut(branch as usize) else {
            return;
        };
        if !entry.take_fired(kind) {
            return;
        }
        if kind == TimerKind::Cancelled {
            entry.on_cancelled_timer(now, linger, effects);
        } else {
            // RFC 3261 §16.8 for timer C; the timeouts of the application do the same.
            entry.give_up(now, self.is_invite, linger, effects);
            self.add_made(branch, 408, effects);
        }
        self.advance(now, effects);
    }

    fn on_provisional(
        &mut self,
        now: Time,
        branch: u32,
        message: &Arc<Message>,
        effects: &mut Effects,
    ) {
        let (linger, timer_c) = (self.linger(), now + self.timers.c);
        let Some(entry) = self.branches.get_mut(branch as usize) else {
            return;
        };
        if !entry.is_pending() || !entry.on_provisional(now, linger, effects) {
            return;
        }
        // RFC 4320 §4.1: nothing but 100 is a provisional response to a request other than INVITE, and 100 goes one hop.
        if !self.is_invite || message.status() == 100 {
            return;
        }
        entry.arm(TimerKind::C, timer_c, effects);
        if let Some(bytes) = response::upstream(message) {
            self.rang = now;
            effects.push(Effect::Upstream(Upstream::Forwarded {
                status: message.status(),
                branch,
                response: bytes,
            }));
        }
    }

    fn on_success(
        &mut self,
        now: Time,
        branch: u32,
        message: &Arc<Message>,
        effects: &mut Effects,
    ) {
        let Some(entry) = self.branches.get_mut(branch as usize) else {
            return;
        };
        let Some(bytes) = response::upstream(message) else {
            self.end_with_made(now, branch, 502, effects);
            return;
        };
        entry.end(effects);
        // Of several 2xx to an INVITE each goes upstream: each is a dialog that the caller has to know (RFC 3261 §16.7 item 5).
        let first = self.phase != Phase::Done;
        if !first && !self.is_invite {
            return;
        }
        let status = message.status();
        effects.push(Effect::Upstream(Upstream::Forwarded {
            status,
            branch,
            response: bytes,
        }));
        if first {
            self.phase = Phase::Done;
            self.untried.clear();
            self.candidates.clear();
            self.cancel_all(now, &CancelReason::AnsweredElsewhere, effects);
            self.done(Some(status), Some(branch), effects);
        }
    }

    fn on_refusal(&mut self, now: Time, branch: u32, message: Arc<Message>, effects: &mut Effects) {
        let Some(entry) = self.branches.get_mut(branch as usize) else {
            return;
        };
        if !entry.is_pending() {
            return;
        }
        entry.end(effects);
        let status = message.status();
        let counts = !entry.is_given_up() && self.phase != Phase::Done;
        if counts && !self.follow(now, branch, &message) {
            self.candidates.push(Candidate {
                branch,
                status,
                message: Some(message),
            });
            let challenged = matches!(status, 401 | 407)
                && self.drachtio_compatible
                && self.options.forking == Forking::Serial;
            if (status >= 600 || challenged)
                && matches!(self.phase, Phase::Searching | Phase::Stopping)
            {
                self.phase = Phase::Stopping;
                self.untried.clear();
                self.cancel_all(now, &CancelReason::Declined(status), effects);
            }
        }
        self.advance(now, effects);
    }

    fn linger(&self) -> Linger {
        Linger {
            cancelled: self.timers.cancelled,
            crossing: self.timers.crossing,
        }
    }
}
