//! Frames to a client: events and replies as the control protocol spells them.
//!
//! One buffer, appended to; nothing is allocated per frame. The shapes are those drachtio-server was seen to send. It
//! is above 400 lines as each event has its frame, and no two have much in common.
use crate::answers::Answers;
use crate::name::{
    MessageIds, Sender, TransactionNames, write_dialog, write_named, write_new_dialog,
};
use crate::refusal::{make_plain, write_failure};
use crate::request::Asked;
use crate::server::text;
use crate::time_of_day::TimeOfDay;
use engine::event::{
    DialogEndReason, DialogEnded, Event, Exported, Failed, Imported, ProxyDone, ProxyResponse,
    Request, Response, Sent,
};
use engine::id::DialogId;
use engine::seam::Commands;
use engine::transport::{Origin, PeerCertificate};
use sip::build::write_number;
use sip::{Message, Method};
use std::fmt;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The status word of a reply.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Status {
    /// Done.
    Ok,
    /// A command failed; the connection stays.
    Nok,
    /// The frame was refused; the connection is closed.
    No,
}

impl Status {
    fn text(self) -> &'static [u8] {
        match self {
            Status::Ok => b"OK",
            Status::Nok => b"NOK",
            Status::No => b"NO",
        }
    }
}

/// Writes the frames of one connection.
pub struct FrameWriter {
    /// Whole frames, one after the other.
    out: Vec<u8>,
    meta: Vec<u8>,
    ids: MessageIds,
    names: TransactionNames,
    /// The client asked to be told of certificates; others never see a token that drachtio-server does not send.
    shows_certificates: bool,
    /// The client knows that a `done` may say what the caller got: it gave something up by `cancel_proxy`, a word of dracht's own.
    tells_status: bool,
    /// Who tells the flows of requests, for a client that asked for them.
    flows: Option<Arc<dyn Commands>>,
}

impl fmt::Debug for FrameWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameWriter")
            .field("bytes", &self.out.len())
            .finish_non_exhaustive()
    }
}

impl FrameWriter {
    /// A writer whose frames are numbered by `ids`, and which names transactions by `names`.
    #[must_use]
    pub fn new(ids: MessageIds, names: TransactionNames) -> FrameWriter {
        FrameWriter {
            out: Vec::new(),
            meta: Vec::with_capacity(512),
            ids,
            names,
            flows: None,
            shows_certificates: false,
            tells_status: false,
        }
    }

    /// From now on requests come with the flow that they came over, and whether their sender's Contact is not to be believed: the last
    /// token of the meta line, `TOKEN` or `TOKEN;nat`.
    pub fn show_flows(&mut self, commands: Arc<dyn Commands>) {
        self.flows = Some(commands);
    }

    /// From now on a request whose peer proved a certificate says which, in one more token at the end of its meta line.
    pub fn show_certificates(&mut self) {
        self.shows_certificates = true;
    }

    /// From now on the end of a proxied request says what the caller got.
    pub fn tell_status(&mut self) {
        self.tells_status = true;
    }

    /// The frames written and not yet taken.
    #[must_use]
    pub fn frames(&self) -> &[u8] {
        &self.out
    }

    /// Takes the frames; `empty` takes their place as the buffer.
    pub fn take(&mut self, empty: Vec<u8>) -> Vec<u8> {
        std::mem::replace(&mut self.out, empty)
    }

    /// Writes `<id>|response|<message_id>|<status>` and, behind one more `|`, the text when there is one.
    pub fn reply(&mut self, message_id: &[u8], status: Status, text: &str) {
        self.begin_response(message_id, status);
        if !text.is_empty() {
            self.meta.push(b'|');
            let start = self.meta.len();
            self.meta.extend_from_slice(text.as_bytes());
            make_plain(&mut self.meta, start);
        }
        self.finish(None);
    }

    /// Writes the reply to an authenticated client: `OK|<hostports>|<version>|<local hostports>`.
    pub fn welcome(&mut self, message_id: &[u8], hostports: &str, version: &str, local: &str) {
        self.begin_response(message_id, Status::Ok);
        for text in [hostports, version, local] {
            self.meta.push(b'|');
            let start = self.meta.len();
            self.meta.extend_from_slice(text.as_bytes());
            make_plain(&mut self.meta, start);
        }
        self.finish(None);
    }

    /// Writes the frame of an event, if drachtio's protocol has one for it.
    pub fn event(&mut self, event: &Event, time: TimeOfDay, answers: &mut Answers) {
        match event {
            Event::Request(request) => self.request(request, time),
            Event::Response(response) => self.response(response, time),
            Event::Sent(sent) => self.sent(sent, time, answers),
            Event::Failed(failed) => self.failed(failed, answers),
            Event::ProxyResponse(response) => self.proxy_response(response, time, answers),
            Event::ProxyDone(done) => self.proxy_done(done, answers),
            // drachtio passes the 481 or 408 on, and no more; its clients know what it means.
            Event::DialogEnded(ended) if ended.reason == DialogEndReason::PeerGone => {}
            Event::DialogEnded(ended) => self.dialog_ended(ended, time),
            // The protocol has no word for it. A client counts the time of its subscriptions itself, as with drachtio-server, or
            // learns of the end from its next request in the dialog.
            Event::SubscriptionEnded(_) => {}
            Event::Exported(exported) => self.exported(exported, answers),
            Event::Imported(imported) => self.imported(imported, answers),
        }
    }

    /// `OK`, and behind the meta line the value.
    fn exported(&mut self, exported: &Exported, answers: &mut Answers) {
        if let Some(answer) = answers.take(exported.command) {
            self.begin_response(&answer.message_id, Status::Ok);
            self.finish_with(Some(exported.dialog.to_json().as_bytes()));
        }
    }

    /// `OK|<dialogId>`.
    fn imported(&mut self, imported: &Imported, answers: &mut Answers) {
        if let Some(answer) = answers.take(imported.command) {
            self.begin_response(&answer.message_id, Status::Ok);
            self.meta.push(b'|');
            write_named(
                &mut self.meta,
                &imported.call_id,
                &imported.from_tag,
                imported.dialog,
            );
            self.finish(None);
        }
    }

    fn request(&mut self, request: &Request, time: TimeOfDay) {
        self.begin(b"sip|network|");
        self.path(
            request.wire_bytes,
            request.origin.transport.name(),
            request.origin.peer,
            time,
        );
        // An early UPDATE has the name of its INVITE; the CSeq in the client's answer tells them apart.
        let transaction = request.invite.unwrap_or(request.transaction);
        self.meta.extend_from_slice(&self.names.text(transaction));
        self.meta.push(b'|');
        let message = &request.message;
        match request.dialog {
            Some(dialog) => write_dialog(&mut self.meta, message, dialog, Sender::Peer),
            // A CANCEL that came before any answer, and an ACK, belong to an INVITE that said where it was received.
            None if matches!(message.method(), Method::Cancel | Method::Ack) => {}
            None => {
                self.meta.push(b'|');
                self.received_on(request.origin.local);
            }
        }
        self.meta.push(b'|');
        if let Some(commands) = &self.flows {
            let token = commands.flow_token(&request.origin);
            self.meta
                .extend_from_slice(token.unwrap_or_default().as_bytes());
            if commands.is_behind_nat(message, &request.origin) {
                self.meta.extend_from_slice(b";nat");
            }
            if request.peer_certificate.is_some() && self.shows_certificates {
                self.meta.push(b'|');
            }
        }
        if let Some(certificate) = &request.peer_certificate
            && self.shows_certificates
        {
            write_certificate(&mut self.meta, certificate);
        }
        self.finish(Some(message));
    }

    fn response(&mut self, response: &Response, time: TimeOfDay) {
        let message = &response.message;
        // Never passed up (RFC 3261 §17.1.1.2: it tells of nothing but the next hop).
        if message.status() == 100 {
            return;
        }
        self.begin(b"sip|network|");
        self.path_or_none(response.wire_bytes, response.origin.as_ref(), time);
        self.meta
            .extend_from_slice(&self.names.text(response.transaction));
        self.meta.push(b'|');
        self.dialog(message, response.dialog, Sender::Application);
        self.meta.push(b'|');
        self.finish(Some(message));
    }

    fn sent(&mut self, sent: &Sent, time: TimeOfDay, answers: &mut Answers) {
        let Some(answer) = answers.take(sent.command) else {
            return;
        };
        let message = &sent.message;
        self.begin_response(&answer.message_id, Status::Ok);
        match answer.asked {
            Asked::Proxy { .. } => {
                self.meta.extend_from_slice(b"|done");
                return self.finish(None);
            }
            Asked::Respond => {
                self.meta.extend_from_slice(b"|application|");
                self.path(
                    message.as_bytes().len(),
                    sent.path.transport.name(),
                    sent.path.peer,
                    time,
                );
                self.meta
                    .extend_from_slice(&self.names.text(sent.transaction));
                self.meta.push(b'|');
                self.dialog(message, sent.dialog, Sender::Peer);
                self.meta.push(b'|');
            }
            // Export and import have answers of their own.
            Asked::Export | Asked::Import => return self.finish(None),
            Asked::InDialog | Asked::NewRequest | Asked::Cancel(_) => {
                self.meta.extend_from_slice(b"|application|");
                self.sent_path(message, &sent.path, time);
                if matches!(answer.asked, Asked::Cancel(_)) {
                    // Nothing ever refers to it, and a client that files requests by it must not find the INVITE's there.
                    self.meta.extend_from_slice(self.ids.next_text());
                } else {
                    self.meta
                        .extend_from_slice(&self.names.text(sent.transaction));
                }
            }
        }
        self.meta.extend_from_slice(b"|Msg sent:|");
        self.finish(Some(message));
    }

    fn failed(&mut self, failed: &Failed, answers: &mut Answers) {
        if let Some(answer) = answers.take(failed.command) {
            self.begin_response(&answer.message_id, Status::Nok);
            self.meta.push(b'|');
            write_failure(&mut self.meta, answer.asked, &failed.error, self.names);
            self.finish(None);
        }
    }

    fn proxy_response(&mut self, response: &ProxyResponse, time: TimeOfDay, answers: &mut Answers) {
        let Some(answer) = answers.get(response.command) else {
            return;
        };
        let Asked::Proxy {
            full_response: true,
            ..
        } = answer.asked
        else {
            // Without fullResponse a client waits for no more than that the request was sent: a response shows that it was.
            let message_id = answer.message_id.clone();
            answers.take(response.command);
            return self.reply(&message_id, Status::Ok, "done");
        };
        if response.message.status() < 200 {
            return;
        }
        let message_id = answer.message_id.clone();
        self.begin_response(&message_id, Status::Ok);
        self.meta.extend_from_slice(b"|network|");
        self.path_or_none(response.wire_bytes, response.origin.as_ref(), time);
        self.meta.extend_from_slice(b"||continue");
        self.finish(Some(&response.message));
    }

    fn proxy_done(&mut self, done: &ProxyDone, answers: &mut Answers) {
        if let Some(answer) = answers.take(done.command) {
            self.begin_response(&answer.message_id, Status::Ok);
            self.meta.extend_from_slice(b"|done");
            if let Some(status) = done.status.filter(|_| self.tells_status) {
                self.meta.extend_from_slice(format!("|{status}").as_bytes());
            }
            self.finish(None);
        }
    }

    fn dialog_ended(&mut self, ended: &DialogEnded, time: TimeOfDay) {
        self.begin(b"sip|application|");
        self.sent_path(&ended.message, &ended.path, time);
        self.meta.extend_from_slice(b"unsolicited|");
        write_dialog(
            &mut self.meta,
            &ended.message,
            ended.dialog,
            Sender::Application,
        );
        self.meta.push(b'|');
        self.finish(Some(&ended.message));
    }

    /// The dialog's name; for INVITE and SUBSCRIBE without one, the name that the dialog would have (a refused INVITE has it too).
    fn dialog(&mut self, message: &Message, dialog: Option<DialogId>, sender: Sender) {
        match dialog {
            Some(dialog) => write_dialog(&mut self.meta, message, dialog, sender),
            None if matches!(message.method(), Method::Invite | Method::Subscribe) => {
                write_new_dialog(&mut self.meta, message)
            }
            None => {}
        }
    }

    /// `<bytes>|<protocol>|<address>|<port>|<time>|` of a request that was sent: over UDP our own address, else the peer's.
    fn sent_path(&mut self, message: &Message, path: &Origin, time: TimeOfDay) {
        let address = if path.transport.is_reliable() {
            path.peer
        } else {
            path.local
        };
        self.path(
            message.as_bytes().len(),
            path.transport.name(),
            address,
            time,
        );
    }

    fn path_or_none(&mut self, bytes: usize, origin: Option<&Origin>, time: TimeOfDay) {
        match origin {
            Some(origin) => self.path(bytes, origin.transport.name(), origin.peer, time),
            None => {
                self.number(bytes);
                self.meta.extend_from_slice(b"|unknown||0|");
                self.meta.extend_from_slice(time.text());
                self.meta.push(b'|');
            }
        }
    }

    fn path(&mut self, bytes: usize, protocol: &str, address: SocketAddr, time: TimeOfDay) {
        self.number(bytes);
        self.meta.push(b'|');
        self.meta.extend_from_slice(protocol.as_bytes());
        self.meta.push(b'|');
        self.ip(address.ip());
        self.meta.push(b'|');
        self.number(usize::from(address.port()));
        self.meta.push(b'|');
        self.meta.extend_from_slice(time.text());
        self.meta.push(b'|');
    }

    fn received_on(&mut self, local: SocketAddr) {
        if local.is_ipv6() {
            self.meta.push(b'[');
            self.ip(local.ip());
            self.meta.push(b']');
        } else {
            self.ip(local.ip());
        }
        self.meta.push(b'|');
        self.number(usize::from(local.port()));
    }

    fn ip(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                for (index, octet) in [a, b, c, d].into_iter().enumerate() {
                    if index > 0 {
                        self.meta.push(b'.');
                    }
                    self.number(usize::from(octet));
                }
            }
            // Writing to a vector does not fail.
            IpAddr::V6(address) => write!(self.meta, "{address}").unwrap_or_default(),
        }
    }

    fn number(&mut self, number: usize) {
        write_number(&mut self.meta, number);
    }

    fn begin_response(&mut self, message_id: &[u8], status: Status) {
        self.begin(b"response|");
        self.meta.extend_from_slice(message_id);
        self.meta.push(b'|');
        self.meta.extend_from_slice(status.text());
    }

    fn begin(&mut self, kind: &[u8]) {
        self.meta.clear();
        self.meta.extend_from_slice(self.ids.next_text());
        self.meta.push(b'|');
        self.meta.extend_from_slice(kind);
    }

    /// Writes the frame: its length, the meta line, and a message behind CRLF.
    fn finish(&mut self, message: Option<&Message>) {
        self.finish_with(message.map(Message::as_bytes));
    }

    /// Writes the frame of the meta line and of the text behind it.
    fn finish_with(&mut self, text: Option<&[u8]>) {
        let length = self.meta.len() + text.map_or(0, |text| text.len() + 2);
        self.out.reserve(length + 8);
        write_number(&mut self.out, length);
        self.out.push(b'#');
        self.out.extend_from_slice(&self.meta);
        if let Some(text) = text {
            self.out.extend_from_slice(b"\r\n");
            self.out.extend_from_slice(text);
        }
    }
}

/// `{"subject":"CN=phone.example.com","names":["phone.example.com"]}`.
fn write_certificate(meta: &mut Vec<u8>, certificate: &PeerCertificate) {
    let mut json = String::from("{\"subject\":");
    text(&mut json, &certificate.subject);
    json.push_str(",\"names\":[");
    for (index, name) in certificate.names.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        text(&mut json, name);
    }
    json.push_str("]}");
    meta.extend_from_slice(json.as_bytes());
}
