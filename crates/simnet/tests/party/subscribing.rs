//! A party's subscriptions: SUBSCRIBE, REFER and their NOTIFYs.
use super::{Leg, Stage, State, Task, Watch, key};
use engine::event::{Request, SubscriptionEnded};
use engine::id::{DialogId, TransactionId};
use simnet::Actions;
use sip::{Message, Method};

/// How long every subscription lives, in seconds.
const LIFE: u32 = 20;

/// The value of a header field; empty when there is none.
fn header(message: &Message, name: &str) -> String {
    let field = message.named(name).next();
    field
        .map(|field| field.text().into_owned())
        .unwrap_or_default()
}

impl State {
    /// Subscribes to the peer's presence, outside a dialog.
    pub fn subscribe(&mut self, actions: &mut Actions) {
        let mut client = self.client(Method::Subscribe, None);
        client.watch = Some(("presence".to_owned(), false));
        let life = LIFE.to_string();
        let fields = [("Event", "presence"), ("Expires", life.as_str())];
        self.request(actions, client, &fields, b"");
    }

    /// Refreshes or ends a subscription of ours.
    pub fn resubscribe(
        &mut self,
        actions: &mut Actions,
        dialog: DialogId,
        event: &str,
        over: bool,
    ) {
        let mut client = self.client(Method::Subscribe, Some(dialog));
        client.watch = Some((event.to_owned(), false));
        let life = if over { 0 } else { LIFE }.to_string();
        let fields = [("Event", event), ("Expires", life.as_str())];
        self.request(actions, client, &fields, b"");
        self.count(if over { "unsubscribed" } else { "refreshed" });
    }

    /// Notifies; `over`: for the last time.
    pub fn notify(&mut self, actions: &mut Actions, dialog: DialogId, event: &str, over: bool) {
        let Some(watch) = self.watch(dialog, event, true) else {
            return;
        };
        if !watch.ended.is_empty() || watch.closing {
            return;
        }
        watch.closing |= over;
        let refers = event.starts_with("refer");
        let state = match (over, refers) {
            (true, _) => "terminated;reason=noresource".to_owned(),
            (false, _) => format!("active;expires={LIFE}"),
        };
        let mut client = self.client(Method::Notify, Some(dialog));
        client.watch = Some((event.to_owned(), over));
        let mut fields = vec![("Event", event), ("Subscription-State", state.as_str())];
        let body: &[u8] = match (refers, over) {
            (false, _) => b"",
            (true, false) => b"SIP/2.0 100 Trying\r\n",
            (true, true) => b"SIP/2.0 200 OK\r\n",
        };
        if refers {
            fields.push(("Content-Type", "message/sipfrag;version=2.0"));
        }
        self.request(actions, client, &fields, body);
        if refers && !over {
            let after = self.manner.refer_takes;
            self.later(
                actions.now,
                after,
                Task::Notify(dialog, event.to_owned(), true),
            );
        }
    }

    /// Refers the peer to somebody, in the call.
    pub fn refer(&mut self, actions: &mut Actions, dialog: DialogId) {
        let client = self.client(Method::Refer, Some(dialog));
        self.request(
            actions,
            client,
            &[("Refer-To", "<sip:carol@192.0.2.77>")],
            b"",
        );
    }

    pub(super) fn watch(
        &mut self,
        dialog: DialogId,
        event: &str,
        is_notifier: bool,
    ) -> Option<&mut Watch> {
        let watches = &mut self.legs.get_mut(&dialog)?.watches;
        let found = watches.iter_mut().rev();
        found
            .into_iter()
            .find(|watch| watch.event == event && watch.is_notifier == is_notifier)
    }

    /// A subscription came about, in a dialog that may be new.
    pub(super) fn open_watch(
        &mut self,
        dialog: DialogId,
        event: &str,
        is_notifier: bool,
        message: &Message,
    ) {
        self.legs.entry(dialog).or_insert_with(|| Leg {
            key: key(message),
            is_caller: false,
            is_call: false,
            stage: Stage::Ended,
            ended: Vec::new(),
            session: None,
            invite: None,
            hung_up: false,
            watches: Vec::new(),
        });
        let known = self.watch(dialog, event, is_notifier);
        if known.is_none_or(|watch| !watch.ended.is_empty()) {
            if let Some(leg) = self.legs.get_mut(&dialog) {
                leg.watches.push(Watch {
                    event: event.to_owned(),
                    is_notifier,
                    ended: Vec::new(),
                    closing: false,
                });
            }
        }
    }

    pub(super) fn close_watch(
        &mut self,
        dialog: DialogId,
        event: &str,
        is_notifier: bool,
        how: &str,
    ) {
        if let Some(watch) = self.watch(dialog, event, is_notifier) {
            watch.ended.push(how.to_owned());
        }
    }

    /// A SUBSCRIBE came: granted. The NOTIFY follows when the 2xx is out.
    pub(super) fn subscribe_came(&mut self, request: &Request, actions: &mut Actions) {
        let asked = request.message.expires().ok().flatten().unwrap_or(LIFE);
        let granted = asked.min(LIFE).to_string();
        let fields = [("Expires", granted.as_str())];
        self.respond(actions, request.transaction, 200, &fields, b"");
    }

    pub(super) fn subscribe_granted(
        &mut self,
        dialog: DialogId,
        request: &Message,
        response: &Message,
        actions: &mut Actions,
    ) {
        let refers = request.method() == Method::Refer;
        let event = if refers {
            format!("refer;id={}", request.cseq().map_or(0, |cseq| cseq.number))
        } else {
            header(request, "Event")
        };
        self.open_watch(dialog, &event, true, response);
        let over = !refers && request.expires().ok().flatten() == Some(0);
        self.notify(actions, dialog, &event, over);
    }

    /// A NOTIFY came.
    pub(super) fn notify_came(&mut self, request: &Request, actions: &mut Actions) {
        let mut event = header(&request.message, "Event");
        let over = header(&request.message, "Subscription-State").starts_with("terminated");
        let Some(dialog) = request.dialog else {
            return self.fault("a NOTIFY without a dialog");
        };
        if event == "refer" {
            let legs = self.legs.get(&dialog);
            let open = legs.and_then(|leg| {
                leg.watches
                    .iter()
                    .find(|watch| !watch.is_notifier && watch.ended.is_empty())
            });
            event = open.map_or(event, |watch| watch.event.clone());
        }
        self.open_watch(dialog, &event, false, &request.message);
        self.respond(actions, request.transaction, 200, &[], b"");
        if over {
            self.close_watch(dialog, &event, false, "NOTIFY");
        }
    }

    /// A final response to a SUBSCRIBE, REFER or NOTIFY of ours.
    pub(super) fn watch_answered(
        &mut self,
        transaction: TransactionId,
        dialog: Option<DialogId>,
        status: u16,
        is_made: bool,
        message: &Message,
    ) {
        let Some(client) = self.clients.get(&transaction).cloned() else {
            return;
        };
        let (Some((event, over)), Some(dialog)) = (client.watch, dialog) else {
            return;
        };
        match client.method {
            Method::Notify => {
                let gone = over || matches!(status, 408 | 481) || (is_made && status >= 300);
                let open = self
                    .watch(dialog, &event, true)
                    .is_some_and(|watch| watch.ended.is_empty());
                if gone && open {
                    self.close_watch(dialog, &event, true, &format!("NOTIFY answered {status}"));
                }
            }
            Method::Subscribe | Method::Refer if status < 300 => {
                // Its NOTIFY may have come before, and ended it.
                if self.watch(dialog, &event, false).is_none() {
                    self.open_watch(dialog, &event, false, message);
                }
            }
            _ => {
                let first = self
                    .watch(dialog, &event, false)
                    .is_some_and(|watch| watch.ended.is_empty());
                if first
                    && (client.method == Method::Refer || matches!(status, 404..=405 | 481 | 489))
                {
                    self.close_watch(dialog, &event, false, &format!("refused {status}"));
                }
            }
        }
    }

    pub(super) fn subscription_ended(&mut self, ended: &SubscriptionEnded) {
        let how = format!("{:?}", ended.reason);
        self.count(&format!("subscription ended: {how}"));
        let known = self.watch(ended.dialog, &ended.event, ended.is_notifier);
        match known.map(|watch| watch.ended.clone()) {
            None => self.fault(format!("an end of nothing: {ended:?}")),
            Some(before) if !before.is_empty() => {
                self.fault(format!("told twice of an end: {ended:?} after {before:?}"));
            }
            Some(_) => self.close_watch(ended.dialog, &ended.event, ended.is_notifier, &how),
        }
    }

    /// Walks on when there is time for it: a NOTIFY of the notifier's own.
    pub fn notify_unasked(&mut self, actions: &mut Actions, over: bool) -> bool {
        let Some((dialog, event)) = self.watched(true) else {
            return false;
        };
        self.notify(actions, dialog, &event, over);
        true
    }
}
