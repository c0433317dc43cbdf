//! What the caller gets when no branch answered with a 2xx, and what the application is told (RFC 3261 §16.7 items 6 and 7).
use super::{Candidate, Phase, ProxyContext};
use crate::event::{ProxyDone, ProxyResponse};
use crate::proxy::best::{Rank, best};
use crate::proxy::{Effect, Effects, Upstream, response};
use crate::time::Time;
use crate::transport::Origin;
use sip::Message;
use std::sync::Arc;

impl ProxyContext {
    pub(super) fn end_with_made(
        &mut self,
        now: Time,
        branch: u32,
        status: u16,
        effects: &mut Effects,
    ) {
        let Some(entry) = self.branches.get_mut(branch as usize) else {
            return;
        };
        if !entry.is_pending() {
            return;
        }
        entry.end(effects);
        if !entry.is_given_up() {
            self.add_made(branch, status, effects);
        }
        self.advance(now, effects);
    }

    /// A branch that gave no final response counts as if it had given this one.
    pub(super) fn add_made(&mut self, branch: u32, status: u16, effects: &mut Effects) {
        if self.phase == Phase::Done {
            return;
        }
        self.candidates.push(Candidate {
            branch,
            status,
            message: None,
        });
        if self.is_reporting()
            && let Some(message) = response::made(&self.request, status)
        {
            self.report(branch, &message, None, 0, effects);
        }
    }

    /// Sends the best response upstream (RFC 3261 §16.7 item 6).
    pub(super) fn finish(&mut self, effects: &mut Effects) {
        let cancelled = self.phase == Phase::Cancelled;
        self.phase = Phase::Done;
        self.untried.clear();
        let candidates = std::mem::take(&mut self.candidates);
        let chosen = if cancelled {
            let given = self.given;
            candidates
                .iter()
                .find(|candidate| given == 487 && candidate.status == 487)
        } else {
            let ranks = candidates.iter().map(|one| Rank {
                status: one.status,
                received: one.message.is_some(),
            });
            best(ranks, self.drachtio_compatible).and_then(|index| candidates.get(index))
        };
        let status = chosen.map_or(if cancelled { self.given } else { 408 }, |chosen| {
            chosen.status
        });
        if status == 408 && !self.is_invite {
            effects.push(Effect::Upstream(Upstream::Nothing));
            self.done(None, None, effects);
            return;
        }
        let forwarded = chosen
            .filter(|_| status != 503 || self.drachtio_compatible)
            .and_then(|chosen| {
                let message = chosen.message.as_ref()?;
                let is_challenge = |status| matches!(status, 401 | 407);
                let others = candidates
                    .iter()
                    .filter(|other| {
                        is_challenge(status)
                            && is_challenge(other.status)
                            && other.branch != chosen.branch
                    })
                    .filter_map(|other| other.message.as_deref());
                Some((
                    chosen.branch,
                    response::upstream_with_challenges(message, others)?,
                ))
            });
        let Some((branch, response)) = forwarded else {
            let status = if status == 503 && !self.drachtio_compatible && !cancelled {
                500
            } else {
                status
            };
            effects.push(Effect::Upstream(Upstream::Made { status }));
            self.done(Some(status), None, effects);
            return;
        };
        effects.push(Effect::Upstream(Upstream::Forwarded {
            status,
            branch,
            response,
        }));
        self.done(Some(status), Some(branch), effects);
    }

    pub(super) fn done(&self, status: Option<u16>, winner: Option<u32>, effects: &mut Effects) {
        if let Some(command) = self.command {
            effects.push(Effect::Done(ProxyDone {
                command,
                status,
                winner,
            }));
        }
    }

    /// Whether the application is to be told of responses: not after the end (`ProxyDone` is the last it hears).
    pub(super) fn is_reporting(&self) -> bool {
        self.options.report_responses && self.phase != Phase::Done
    }

    pub(super) fn report(
        &self,
        branch: u32,
        message: &Arc<Message>,
        origin: Option<Origin>,
        wire_bytes: usize,
        effects: &mut Effects,
    ) {
        if let (true, Some(command)) = (self.is_reporting(), self.command) {
            let message = Arc::clone(message);
            effects.push(Effect::Report(ProxyResponse {
                command,
                branch,
                message,
                origin,
                wire_bytes,
            }));
        }
    }
}
