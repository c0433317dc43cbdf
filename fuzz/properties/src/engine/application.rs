//! The verbs of the applications: commands, and their coming and going.
use super::ledger::Outcome;
use super::network::target;
use super::stage::{APPLICATIONS, Stage};
use super::texts::{DRAFTS, SDP, STATUSES, method};
use crate::script::Step;
use bytes::Bytes;
use engine::Command;
use engine::command::{
    Cancel, CancelProxy, DialogReference, Draft, Export, Forking, Import, PathPolicy, Proxy,
    ProxyOptions, Respond, SendRequest, Written,
};
use engine::id::{ApplicationId, DialogId};
use engine::reply::{Replier, Reply};
use sip::{Limits, Message};
use std::sync::Arc;
use std::time::Duration;

/// Plays a step, if it is the applications'.
pub fn play(stage: &mut Stage, step: Step<'_>) -> bool {
    match step.verb() {
        b'A' => answer(stage, step),
        b'W' => written(stage, step),
        b'S' => send(stage, step),
        b'D' => send_in(stage, step),
        b'C' => cancel(stage, step),
        b'P' => proxy(stage, step),
        b'Q' => cancel_proxy(stage, step),
        b'X' => {
            if let Some((owner, request)) = step.recent(0, &stage.asked) {
                let (owner, transaction) = (*owner, request.transaction);
                stage.command(owner, None, |_| Command::Drop(transaction));
            }
        }
        b'E' => export(stage, step),
        b'I' => import(stage, step),
        b'R' => route(stage, step),
        b'T' => come_or_go(stage, step),
        b'B' => {
            let age = Duration::from_millis(700 * step.number(1) as u64);
            stage
                .engine
                .handle_backlog(stage.now, step.choose(0, &APPLICATIONS), age);
        }
        _ => return false,
    }
    true
}

/// Header fields by one argument, a body by the next.
fn draft(step: Step<'_>, index: usize) -> Draft {
    let headers = step.choose(index, DRAFTS).iter();
    let body = match step.number(index + 1) % 4 {
        0 => SDP,
        1 | 2 => "",
        _ => "text",
    };
    Draft {
        headers: headers
            .map(|(name, value)| {
                (
                    Bytes::from_static(name.as_bytes()),
                    Bytes::from_static(value.as_bytes()),
                )
            })
            .collect(),
        body: Bytes::from_static(body.as_bytes()),
        without_session_timer: step.number(index + 1) % 8 > 3,
    }
}

/// `A`: request, status, header fields, body, whether another application does it.
fn answer(stage: &mut Stage, step: Step<'_>) {
    let Some((owner, request)) = step.recent(0, &stage.asked) else {
        return;
    };
    let transaction = request.transaction;
    let owner = if step.number(4) % 8 == 7 {
        step.choose(4, &APPLICATIONS)
    } else {
        *owner
    };
    let (status, draft) = (step.choose(1, STATUSES), draft(step, 2));
    stage.command(owner, Some(Outcome::Once), |id| {
        Command::Respond(Respond {
            id,
            transaction,
            status,
            reason: String::new(),
            draft,
        })
    });
}

/// `W`: the same, written by the link.
fn written(stage: &mut Stage, step: Step<'_>) {
    let Some((owner, request)) = step.recent(0, &stage.asked) else {
        return;
    };
    let (owner, transaction) = (*owner, request.transaction);
    let (status, draft) = (step.choose(1, STATUSES), draft(step, 2));
    if Replier::needs_engine(&request.message, status, &draft) {
        return;
    }
    let reply = Reply {
        status,
        reason: "",
        tag: Some("written"),
        reliable_number: None,
        draft: &draft,
    };
    let Ok(bytes) = stage
        .replier
        .write(&request.message, &request.origin, &reply)
    else {
        return;
    };
    let message =
        Message::parse(bytes, &Limits::unlimited()).expect("what a link writes can be read");
    let message = Arc::new(message);
    stage.command(owner, Some(Outcome::FailureAtMost), |id| {
        Command::RespondWritten(Written {
            id,
            transaction,
            message,
        })
    });
}

/// `S`: application, method, target, header fields, body, next hop.
fn send(stage: &mut Stage, step: Step<'_>) {
    let application = step.choose(0, &APPLICATIONS);
    let uri = target(stage, step, 2);
    let next_hop = (step.number(5) % 3 == 1).then(|| target(stage, step, 5));
    let (method, draft) = (method(step, 1), draft(step, 3));
    stage.command(application, Some(Outcome::Once), |id| {
        Command::Send(SendRequest {
            id,
            method,
            uri,
            dialog: None,
            next_hop,
            draft,
        })
    });
}

fn dialog(stage: &Stage, step: Step<'_>, index: usize) -> Option<(ApplicationId, DialogId)> {
    step.recent(index, &stage.dialogs).copied()
}

/// `D`: dialog, method, header fields, body, target, how the dialog is named.
fn send_in(stage: &mut Stage, step: Step<'_>) {
    let Some((application, dialog)) = dialog(stage, step, 0) else {
        return;
    };
    let reference = match (step.number(5) % 3, step.recent(5, &stage.known)) {
        (2, Some(known)) => {
            let from = sip::Address::parse(&known.peer).ok();
            let from_tag = from
                .and_then(|from| from.tag().map(str::to_owned))
                .unwrap_or_default();
            DialogReference::Tags {
                call_id: known.call_id.clone(),
                from_tag,
            }
        }
        _ => DialogReference::Id(dialog),
    };
    let uri = if step.number(4) % 4 == 3 {
        target(stage, step, 4)
    } else {
        String::new()
    };
    let (method, draft) = (method(step, 1), draft(step, 2));
    stage.command(application, Some(Outcome::Once), |id| {
        Command::Send(SendRequest {
            id,
            method,
            uri,
            dialog: Some(reference),
            next_hop: None,
            draft,
        })
    });
}

/// `C`: request of ours, header fields.
fn cancel(stage: &mut Stage, step: Step<'_>) {
    let Some((application, transaction)) = step.recent(0, &stage.sent).copied() else {
        return;
    };
    let draft = Draft {
        body: Bytes::new(),
        ..draft(step, 1)
    };
    stage.command(application, Some(Outcome::Once), |id| {
        Command::Cancel(Cancel {
            id,
            transaction,
            draft,
        })
    });
}

/// `P`: request, options (two arguments), then targets.
fn proxy(stage: &mut Stage, step: Step<'_>) {
    let Some((owner, request)) = step.recent(0, &stage.asked) else {
        return;
    };
    let (owner, transaction) = (*owner, request.transaction);
    let (bits, more) = (step.number(1), step.number(2));
    let seconds = |bit: usize, seconds| (more & bit != 0).then(|| Duration::from_secs(seconds));
    let options = ProxyOptions {
        record_route: bits & 1 != 0,
        path: [
            PathPolicy::Always,
            PathPolicy::IfSupported,
            PathPolicy::Required,
        ][more % 3],
        forking: [Forking::Serial, Forking::Simultaneous, Forking::ByQ][(bits >> 1) % 3],
        follow_redirects: bits & 8 != 0,
        provisional_timeout: seconds(1, 2),
        final_timeout: seconds(2, 20),
        stateless: bits & 16 != 0,
        report_responses: bits & 32 != 0,
        ..ProxyOptions::default()
    };
    let places: Vec<usize> = (3..3 + step.rest(3).len().min(20)).collect();
    let targets = places.iter().map(|at| target(stage, step, *at)).collect();
    let headers = match more & 4 {
        0 => Vec::new(),
        _ => vec![(Bytes::from_static(b"X-Proxied"), Bytes::from_static(b"yes"))],
    };
    if options.stateless {
        let request = request.message.clone();
        stage.ledger.forwarded(&request);
    }
    stage.command(owner, Some(Outcome::Proxy), |id| {
        Command::Proxy(Proxy {
            id,
            transaction,
            targets,
            options,
            headers,
        })
    });
}

/// `Q`: request, status.
fn cancel_proxy(stage: &mut Stage, step: Step<'_>) {
    let Some((owner, request)) = step.recent(0, &stage.asked) else {
        return;
    };
    let (owner, transaction) = (*owner, request.transaction);
    let status = step.choose(1, STATUSES);
    let reason = (step.number(2) % 2 == 1).then(|| "SIP;cause=600".to_owned());
    stage.command(owner, None, |_| {
        Command::CancelProxy(CancelProxy {
            transaction,
            status,
            reason,
        })
    });
}

/// `E`: dialog, whether it is given up here.
fn export(stage: &mut Stage, step: Step<'_>) {
    let Some((application, dialog)) = dialog(stage, step, 0) else {
        return;
    };
    let (dialog, release) = (DialogReference::Id(dialog), step.number(1) % 2 == 1);
    stage.command(application, Some(Outcome::Once), |id| {
        Command::Export(Export {
            id,
            dialog,
            release,
        })
    });
}

/// `I`: dialog that was exported, application, age.
fn import(stage: &mut Stage, step: Step<'_>) {
    let Some(dialog) = step.recent(0, &stage.exported).cloned() else {
        return;
    };
    let age = step.choose(
        2,
        &[
            Duration::ZERO,
            Duration::from_secs(30),
            Duration::from_secs(100_000),
            Duration::MAX,
        ],
    );
    stage.command(step.choose(1, &APPLICATIONS), Some(Outcome::Once), |id| {
        Command::Import(Import {
            id,
            dialog: Box::new(dialog),
            age,
        })
    });
}

/// `R`: application, what, method.
fn route(stage: &mut Stage, step: Step<'_>) {
    let method = method(step, 2);
    let command = match step.number(1) % 3 {
        0 => Command::Route(method),
        1 => Command::Unroute(method),
        _ => Command::RouteAll,
    };
    stage.command(step.choose(0, &APPLICATIONS), None, |_| command);
}

/// `T`: application. It goes, or comes again.
fn come_or_go(stage: &mut Stage, step: Step<'_>) {
    let index = step.number(0) % APPLICATIONS.len();
    let application = APPLICATIONS[index];
    stage.attached[index] = !stage.attached[index];
    if stage.attached[index] {
        stage.engine.handle_attach(stage.now, application);
    } else {
        stage.engine.handle_detach(stage.now, application);
        stage.ledger.forget(application);
    }
}
