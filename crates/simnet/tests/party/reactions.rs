//! What a party does about what its engine tells it.
use super::{Client, Leg, Server, Stage, State, Task, What, describe_as, description, key};
use engine::Event;
use engine::event::{
    CommandError, DialogEnded, Exported, Failed, Imported, Request, Response, Sent,
};
use engine::export::ExportedDialog;
use engine::id::{DialogId, TransactionId};
use simnet::Actions;
use sip::{HeaderName, Message, Method};
use std::time::Duration;

impl State {
    pub(super) fn react(&mut self, event: Event, actions: &mut Actions) {
        match event {
            Event::Request(request) => self.request_came(&request, actions),
            Event::Response(response) => self.response_came(&response, actions),
            Event::Sent(sent) => self.sent(&sent, actions),
            Event::Failed(failed) => self.failed(&failed, actions),
            Event::DialogEnded(ended) => self.dialog_ended(&ended),
            Event::SubscriptionEnded(ended) => self.subscription_ended(&ended),
            Event::Exported(exported) => self.exported(&exported, actions),
            Event::Imported(imported) => self.imported(&imported),
            Event::ProxyResponse(_) | Event::ProxyDone(_) => self.fault("told of a proxy"),
        }
    }

    fn outcome(&mut self, id: engine::id::CommandId) -> Option<What> {
        let Some((what, outcomes)) = self.commands.get_mut(&id) else {
            self.fault("an outcome of no command");
            return None;
        };
        *outcomes += 1;
        let (what, outcomes) = (what.clone(), *outcomes);
        if outcomes > 1 {
            self.fault(format!("{outcomes} outcomes of {what:?}"));
        }
        Some(what)
    }

    fn sent(&mut self, sent: &Sent, actions: &mut Actions) {
        match self.outcome(sent.command) {
            Some(What::Request(client)) => self.request_sent(sent, client),
            Some(What::Answer(transaction, status, described)) => {
                self.answer_sent(sent, transaction, status, described, actions);
            }
            Some(What::Ack(..) | What::Cancel(_) | What::Export(_) | What::Import(_)) | None => {}
        }
    }

    /// The dialog goes by way of its text into the engine again, as another process would take it.
    fn exported(&mut self, exported: &Exported, actions: &mut Actions) {
        let Some(What::Export(old)) = self.outcome(exported.command) else {
            return self.fault("a dialog that nobody asked for");
        };
        let Ok(dialog) = ExportedDialog::from_json(&exported.dialog.to_json()) else {
            return self.fault("an exported dialog that cannot be read");
        };
        let id = actions.import(dialog, Duration::ZERO);
        self.commands.insert(id, (What::Import(old), 0));
    }

    fn imported(&mut self, imported: &Imported) {
        let Some(What::Import(old)) = self.outcome(imported.command) else {
            return self.fault("a dialog that nobody took over");
        };
        if let Some(leg) = self.legs.remove(&old) {
            self.legs.insert(imported.dialog, leg);
        }
        let clients = self.clients.values_mut().map(|client| &mut client.dialog);
        let servers = self.servers.values_mut().map(|server| &mut server.dialog);
        for dialog in clients.chain(servers) {
            *dialog = dialog.map(|dialog| {
                if dialog == old {
                    imported.dialog
                } else {
                    dialog
                }
            });
        }
        for (_, task) in &mut self.tasks {
            if let Task::Retry(dialog, ..) | Task::Notify(dialog, ..) = task {
                if *dialog == old {
                    *dialog = imported.dialog;
                }
            }
        }
        self.count("moved");
    }

    fn request_sent(&mut self, sent: &Sent, mut client: Client) {
        if let (Method::Refer, Some(dialog)) = (&client.method, client.dialog) {
            let number = sent.message.cseq().map_or(0, |cseq| cseq.number);
            let event = format!("refer;id={number}");
            self.open_watch(dialog, &event, false, &sent.message);
            client.watch = Some((event, false));
        }
        if let (Some(dialog), Some(offered), Some(mine)) =
            (client.dialog, &client.offered, &client.offer)
        {
            self.agreed(dialog, offered.clone(), mine.clone());
        }
        self.clients.insert(sent.transaction, client);
    }

    fn answer_sent(
        &mut self,
        sent: &Sent,
        transaction: TransactionId,
        status: u16,
        described: Option<String>,
        actions: &mut Actions,
    ) {
        let Some(server) = self.servers.get(&transaction).cloned() else {
            return self.fault("an answer to nothing went out");
        };
        if let Some(server) = self.servers.get_mut(&transaction) {
            server.status = server.status.max(status);
        }
        let dialog = server.dialog.or(sent.dialog);
        let message = sent.message.as_ref();
        if server.method == Method::Invite && server.dialog.is_none() {
            self.invite_answered(transaction, dialog, status, message);
        }
        // What only a reliable response or a 2xx carries counts.
        if let (Some(dialog), Some(offer), Some(described)) = (dialog, server.offer, described) {
            if status < 300 && matches!(server.method, Method::Invite | Method::Update) {
                self.agreed(dialog, offer, described);
            }
        }
        if let (Some(request), Some(dialog), 200..=299) = (server.request, dialog, status) {
            self.subscribe_granted(dialog, &request, message, actions);
        }
    }

    /// The first INVITE of a call was answered by us.
    fn invite_answered(
        &mut self,
        invite: TransactionId,
        dialog: Option<DialogId>,
        status: u16,
        message: &Message,
    ) {
        if status >= 300 {
            return self.end_early(invite, &format!("refused {status}"));
        }
        let Some(dialog) = dialog else {
            return self.fault(format!("a {status} without a dialog"));
        };
        let leg = self
            .legs
            .entry(dialog)
            .or_insert_with(|| new_leg(message, false, invite));
        if status >= 200 {
            leg.stage = Stage::Confirmed;
        }
    }

    fn end_early(&mut self, invite: TransactionId, how: &str) {
        let early = |leg: &&mut Leg| leg.invite == Some(invite) && leg.stage == Stage::Early;
        for leg in self.legs.values_mut().filter(early) {
            leg.stage = Stage::Ended;
            leg.ended.push(how.to_owned());
        }
    }

    fn failed(&mut self, failed: &Failed, actions: &mut Actions) {
        let Some(what) = self.outcome(failed.command) else {
            return;
        };
        let kind = format!("{:?}", failed.error);
        let kind = kind.split('(').next().unwrap_or_default();
        self.count(&format!("failed: {kind}"));
        match (what, &failed.error) {
            (What::Request(client), CommandError::UnknownDialog) => {
                if let Some(dialog) = client.dialog {
                    self.gone.push((dialog, client.method.to_string()));
                }
            }
            (What::Ack(dialog, ..), CommandError::UnknownDialog) => {
                self.gone.push((dialog, "ACK".to_owned()));
            }
            (What::Request(client), CommandError::RequestPending(_))
                if matches!(client.method, Method::Invite | Method::Update) =>
            {
                if let Some(dialog) = client.dialog {
                    self.try_again(actions.now, dialog, &client.method, client.tries);
                }
            }
            (
                What::Answer(transaction, ..),
                CommandError::AlreadyAnswered | CommandError::UnknownTransaction,
            ) if self
                .servers
                .get(&transaction)
                .is_some_and(|server| server.is_over) => {}
            (What::Answer(transaction, ..), CommandError::AlreadyAnswered) => {
                // For want of a PRACK, or for a CANCEL or BYE whose event is behind this one.
                self.end_early(transaction, "answered by the engine");
                if let Some(server) = self.servers.get_mut(&transaction) {
                    server.is_over = true;
                }
            }
            (What::Cancel(_), CommandError::AlreadyAnswered) => {}
            (what, error) => self.fault(format!("{error:?} for {what:?}")),
        }
    }

    fn request_came(&mut self, request: &Request, actions: &mut Actions) {
        let message = request.message.as_ref();
        let method = message.method();
        let tag = message
            .from()
            .ok()
            .and_then(|from| from.tag().map(str::to_owned));
        let number = message.cseq().map_or(0, |cseq| cseq.number);
        let to = message.to().ok().and_then(|to| to.tag().map(str::to_owned));
        let call = format!(
            "{} {}",
            message.call_id().unwrap_or_default(),
            to.unwrap_or_default()
        );
        let once = (method.to_string(), call, tag.unwrap_or_default(), number);
        if !self.came.insert(once.clone()) {
            self.fault(format!("the same request twice: {once:?}"));
        }
        match method {
            Method::Ack => return self.ack_came(request),
            Method::Cancel => return self.cancel_came(request),
            _ => {}
        }
        let asks = matches!(method, Method::Subscribe | Method::Refer);
        let server = Server {
            method: method.clone(),
            dialog: request.dialog,
            offer: description(message.body()),
            mine: None,
            answered: false,
            status: 0,
            acknowledged: false,
            is_over: false,
            request: asks.then(|| request.message.clone()),
        };
        let offers = server.offer.is_some();
        if self.servers.insert(request.transaction, server).is_some() {
            self.fault("a transaction number twice");
        }
        let leg = request.dialog.and_then(|dialog| self.legs.get(&dialog));
        let over = leg.is_some_and(|leg| leg.is_call && (leg.hung_up || leg.stage == Stage::Ended));
        match method {
            Method::Invite if request.dialog.is_none() => {
                for (after, status) in self.manner.answers.clone() {
                    self.later(
                        actions.now,
                        after,
                        Task::Answer(request.transaction, status),
                    );
                }
            }
            // We have hung up: there is no session to change any more.
            Method::Invite | Method::Update if over => {
                self.respond(actions, request.transaction, 481, &[], b"");
            }
            Method::Invite => self.answer_change(request, true, actions),
            Method::Update => self.answer_change(request, offers, actions),
            Method::Prack => self.prack_came(request, actions),
            Method::Bye => self.bye_came(request, actions),
            Method::Subscribe => self.subscribe_came(request, actions),
            Method::Notify => self.notify_came(request, actions),
            Method::Refer => self.respond(actions, request.transaction, 202, &[], b""),
            _ => self.respond(actions, request.transaction, 200, &[], b""),
        }
    }

    fn answer_change(&mut self, request: &Request, describes: bool, actions: &mut Actions) {
        let refuses = self.manner.refuses > 0 && self.random.below(100) < self.manner.refuses;
        if refuses {
            self.count("refused 488");
            return self.respond(actions, request.transaction, 488, &[], b"");
        }
        // A refresh of the session (RFC 4028 §7.4): what we said last is said again.
        let leg = request.dialog.and_then(|dialog| self.legs.get(&dialog));
        let session = leg.and_then(|leg| leg.session.clone());
        let (name, text) = match (session, description(request.message.body())) {
            (Some((one, other)), Some(theirs)) if one == theirs || other == theirs => {
                self.count("refreshed");
                let mine = if one == theirs { other } else { one };
                let text = describe_as(&mine);
                (mine, text)
            }
            _ => self.describe(),
        };
        if let Some(server) = self.servers.get_mut(&request.transaction) {
            server.mine = Some(name);
        }
        let body = if describes { text } else { Vec::new() };
        self.respond(actions, request.transaction, 200, &[], &body);
    }

    /// An answer to our offer came in an ACK or a PRACK.
    fn answer_came(&mut self, invite: TransactionId, dialog: DialogId, message: &Message) {
        let mine = self
            .servers
            .get(&invite)
            .filter(|server| server.offer.is_none());
        let mine = mine.and_then(|server| server.mine.clone());
        if let (Some(mine), Some(theirs)) = (mine, description(message.body())) {
            self.agreed(dialog, mine, theirs);
        }
    }

    fn ack_came(&mut self, request: &Request) {
        let known = self.servers.get(&request.transaction);
        let answered =
            known.is_some_and(|server| server.method == Method::Invite && server.answered);
        let Some(dialog) = request.dialog.filter(|_| answered) else {
            return self.fault("an ACK of nothing");
        };
        if let Some(server) = self.servers.get_mut(&request.transaction) {
            server.acknowledged = true;
        }
        self.answer_came(request.transaction, dialog, &request.message);
    }

    fn cancel_came(&mut self, request: &Request) {
        self.count("cancelled");
        let invite = request.transaction;
        let Some(server) = self
            .servers
            .get_mut(&invite)
            .filter(|server| server.method == Method::Invite)
        else {
            return self.fault("a CANCEL of nothing");
        };
        server.is_over = true;
        let confirmed = |leg: &Leg| leg.invite == Some(invite) && leg.stage == Stage::Confirmed;
        if self.legs.values().any(confirmed) {
            return self.fault("told of a CANCEL after the 2xx");
        }
        self.end_early(invite, "CANCEL");
    }

    fn prack_came(&mut self, request: &Request, actions: &mut Actions) {
        let Some(dialog) = request.dialog else {
            return self.fault("a PRACK without a dialog");
        };
        if let Some(invite) = self.legs.get(&dialog).and_then(|leg| leg.invite) {
            self.answer_came(invite, dialog, &request.message);
        }
        self.respond(actions, request.transaction, 200, &[], b"");
    }

    fn bye_came(&mut self, request: &Request, actions: &mut Actions) {
        self.respond(actions, request.transaction, 200, &[], b"");
        let Some(dialog) = request.dialog else {
            return self.fault("a BYE without a dialog");
        };
        let invite = self.legs.get(&dialog).and_then(|leg| leg.invite);
        for (transaction, server) in &mut self.servers {
            let of_call = matches!(
                server.method,
                Method::Invite | Method::Update | Method::Prack | Method::Info
            );
            let of_call = of_call && server.dialog == Some(dialog);
            server.is_over |= of_call || (invite == Some(*transaction) && !server.acknowledged);
        }
        match self.legs.get_mut(&dialog).filter(|leg| leg.is_call) {
            Some(leg) if leg.stage != Stage::Ended => {
                leg.stage = Stage::Ended;
                leg.ended.push("BYE".to_owned());
            }
            Some(leg) => {
                let before = leg.ended.clone();
                self.fault(format!("a BYE after the end: {before:?}"));
            }
            None => self.fault("a BYE for no call"),
        }
    }

    fn response_came(&mut self, response: &Response, actions: &mut Actions) {
        let (status, id) = (response.message.status(), response.transaction);
        let is_made = response.origin.is_none();
        let Some(client) = self.clients.get_mut(&id) else {
            return self.fault(format!("an answer to nothing: {status}"));
        };
        let (method, over) = (client.method.clone(), !client.finals.is_empty());
        if status < 200 {
            if over {
                return self.fault(format!("{status} to {method} after a final response"));
            }
            if method == Method::Invite {
                self.progress(response, actions);
            }
            return;
        }
        client.finals.push((status, response.dialog, is_made));
        let client = client.clone();
        self.count(&format!("{method} {status}"));
        if is_made {
            self.count("made by the engine");
        }
        match method {
            Method::Invite if client.dialog.is_none() => {
                self.call_answered(response, &client, actions)
            }
            Method::Invite | Method::Update => self.change_answered(response, &client, actions),
            Method::Bye => self.bye_answered(response, &client),
            Method::Subscribe | Method::Refer | Method::Notify => {
                let dialog = client.dialog.or(response.dialog);
                self.watch_answered(id, dialog, status, is_made, &response.message);
            }
            _ => {}
        }
    }

    fn progress(&mut self, response: &Response, actions: &mut Actions) {
        let (message, invite) = (response.message.as_ref(), response.transaction);
        let Some(dialog) = response.dialog else {
            return;
        };
        self.legs
            .entry(dialog)
            .or_insert_with(|| new_leg(message, true, invite));
        if message.header(HeaderName::RSeq).is_none() {
            return;
        }
        self.described(dialog, invite, message);
        self.count("reliable");
        if self.manner.pracks {
            self.prack(actions, dialog, invite);
        }
    }

    /// A reliable response or a 2xx to our INVITE or UPDATE brought an answer, or an offer.
    fn described(&mut self, dialog: DialogId, request: TransactionId, message: &Message) {
        let (Some(described), Some(client)) =
            (description(message.body()), self.clients.get_mut(&request))
        else {
            return;
        };
        match client.offer.clone() {
            Some(offer) => self.agreed(dialog, offer, described),
            None => client.offered = Some(described),
        }
    }

    fn call_answered(&mut self, response: &Response, client: &Client, actions: &mut Actions) {
        let (message, invite) = (response.message.as_ref(), response.transaction);
        let status = message.status();
        if status >= 300 {
            return self.end_early(invite, &format!("INVITE answered {status}"));
        }
        let Some(dialog) = response.dialog else {
            return self.fault("a 2xx without a dialog");
        };
        let leg = self.legs.entry(dialog);
        let leg = leg.or_insert_with(|| new_leg(message, true, invite));
        // Our BYE crossed it: the engine acknowledges.
        if leg.hung_up || leg.stage == Stage::Ended {
            return;
        }
        leg.stage = Stage::Confirmed;
        self.described(dialog, invite, message);
        // The engine acknowledges and ends what was answered after a CANCEL.
        if client.cancelled {
            return;
        }
        self.acknowledge(actions, dialog, invite);
        // A second fork answered, too (RFC 3261 §13.2.2.4).
        if client.finals.len() > 1 {
            self.count("second fork");
            self.bye(actions, dialog);
        }
    }

    fn change_answered(&mut self, response: &Response, client: &Client, actions: &mut Actions) {
        let (message, status) = (response.message.as_ref(), response.message.status());
        let Some(dialog) = client.dialog else { return };
        let is_invite = client.method == Method::Invite;
        match status {
            200..=299 => {
                self.described(dialog, response.transaction, message);
                self.changed += 1;
                if is_invite {
                    self.acknowledge(actions, dialog, response.transaction);
                }
            }
            491 => self.try_again(actions.now, dialog, &client.method, client.tries),
            500 => {
                let field = message.header(HeaderName::RetryAfter);
                let wait = field
                    .and_then(|field| field.text().trim().parse().ok())
                    .unwrap_or(0);
                let wait =
                    Duration::from_secs(wait) + Duration::from_millis(self.random.below(1000));
                self.count("tried again");
                if client.tries < 6 {
                    let task = Task::Retry(dialog, client.method.clone(), client.tries + 1);
                    self.later(actions.now, wait, task);
                }
            }
            _ => {}
        }
    }

    fn bye_answered(&mut self, response: &Response, client: &Client) {
        let how = format!("BYE answered {}", response.message.status());
        let leg = client.dialog.and_then(|dialog| self.legs.get_mut(&dialog));
        if let Some(leg) = leg.filter(|leg| leg.stage != Stage::Ended) {
            leg.stage = Stage::Ended;
            leg.ended.push(how);
        }
    }

    fn dialog_ended(&mut self, ended: &DialogEnded) {
        let how = format!("{:?}", ended.reason);
        self.count(&format!("ended: {how}"));
        match self.legs.get_mut(&ended.dialog).filter(|leg| leg.is_call) {
            Some(leg) if leg.stage != Stage::Ended => {
                leg.stage = Stage::Ended;
                leg.ended.push(how);
            }
            Some(leg) => {
                let before = leg.ended.clone();
                self.fault(format!("told twice of an end: {how} after {before:?}"));
            }
            None => self.fault(format!("the end of no call: {how}")),
        }
    }
}

fn new_leg(message: &Message, is_caller: bool, invite: TransactionId) -> Leg {
    Leg {
        key: key(message),
        is_caller,
        is_call: true,
        stage: Stage::Early,
        ended: Vec::new(),
        session: None,
        invite: Some(invite),
        hung_up: false,
        watches: Vec::new(),
    }
}
