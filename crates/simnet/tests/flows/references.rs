//! References in flows: REFER and its NOTIFYs, and the dialogs that Replaces and Join name.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)] // Each test file uses its part.
use super::{Fields, Flow, talk, wire};
use engine::event::Request;
use engine::id::DialogId;
use simnet::HostId;
use sip::header::{Address, Replaces};
use sip::{Method, Uri};

/// A Refer-To with a Replaces in it, and what it says once it is read.
pub fn refer_to(uri: &str, replaces: &str) -> String {
    let escaped = replaces
        .replace(';', "%3B")
        .replace('=', "%3D")
        .replace('@', "%40");
    let value = format!("<{uri}?Replaces={escaped}>");
    let address = Address::parse(&value).unwrap();
    let uri = Uri::parse(address.uri_text).unwrap();
    let read = Replaces::from_uri(&uri).unwrap().unwrap();
    assert_eq!(read.to_string(), replaces);
    value
}

impl Flow {
    /// The latest answered INVITE, named as Replaces and Join name its dialog to its caller or its callee (RFC 3891 §3).
    #[track_caller]
    pub fn named_to(&self, caller: bool) -> String {
        let lines = wire::lines(self.world.ladder());
        let answered = lines.iter().rfind(|line| {
            line.message.is_response()
                && line.message.cseq().unwrap().method == Method::Invite
                && !line.tag("To").is_empty()
        });
        let line = answered.unwrap();
        let tags = [line.tag("From"), line.tag("To")];
        let [own, peers] = if caller {
            tags
        } else {
            let [from, to] = tags;
            [to, from]
        };
        format!("{};to-tag={own};from-tag={peers}", line.call_id())
    }

    /// A REFER outside of a dialog is accepted, and told of at once: the dialogs of the subscription.
    #[track_caller]
    pub fn refer(
        &mut self,
        from: HostId,
        to: HostId,
        fields: Fields<'_>,
    ) -> (DialogId, DialogId, Request) {
        self.ask(from, Method::Refer, &to.uri("service"), fields, b"");
        let refer = self.hears(to, "REFER");
        let there = self.answer(to, &refer, 202, &[], b"").dialog.unwrap();
        let here = self.gets(from, 202).dialog.unwrap();
        self.report(to, there, from, "active;expires=60", "SIP/2.0 100 Trying");
        (here, there, refer)
    }

    /// `from` takes the place of a party in the call that `named` names: both dialogs.
    #[track_caller]
    pub fn replace(
        &mut self,
        from: HostId,
        to: HostId,
        named: &str,
        more: Fields<'_>,
    ) -> (DialogId, DialogId) {
        let own = [("Require", "replaces"), ("Replaces", named)];
        let fields = [&own, more].concat();
        self.ask(from, Method::Invite, &to.uri("alice"), &fields, &talk());
        let invite = self.hears(to, "INVITE");
        let given = invite.message.named("Replaces").next().unwrap();
        assert_eq!(given.text(), named);
        self.accept(to, &invite, from, &talk())
    }

    /// A NOTIFY that tells of a reference's state (RFC 3515 §2.4.5), and its 200.
    #[track_caller]
    pub fn report(
        &mut self,
        from: HostId,
        dialog: DialogId,
        to: HostId,
        state: &str,
        fragment: &str,
    ) {
        let fields = [
            ("Event", "refer"),
            ("Subscription-State", state),
            ("Content-Type", "message/sipfrag"),
        ];
        let body = format!("{fragment}\r\n");
        self.exchange(from, dialog, to, Method::Notify, &fields, body.as_bytes());
    }
}
