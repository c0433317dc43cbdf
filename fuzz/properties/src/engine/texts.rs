//! What the messages and commands of a script are made of.
use sip::Method;

/// Our own address, which the engine listens on.
pub const OWN: &str = "192.0.2.1:5060";

pub const METHODS: &[&str] = &[
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "REGISTER",
    "SUBSCRIBE",
    "NOTIFY",
    "REFER",
    "PRACK",
    "UPDATE",
    "MESSAGE",
    "INFO",
    "PUBLISH",
    "FOO",
];

pub fn method(step: crate::script::Step<'_>, index: usize) -> Method {
    Method::parse(step.choose(index, METHODS).as_bytes()).expect("a method")
}

pub const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.101\r\ns=-\r\nc=IN IP4 192.0.2.101\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/// Header lines that a request or response may carry beside what it must.
pub const EXTRAS: &[&str] = &[
    "",
    "Supported: 100rel, timer, replaces\r\n",
    "Require: 100rel\r\nRSeq: 1\r\n",
    "Require: 100rel\r\nRSeq: 2\r\n",
    "Session-Expires: 90;refresher=uac\r\nSupported: timer\r\n",
    "Session-Expires: 1800;refresher=uas\r\nSupported: timer\r\nMin-SE: 90\r\n",
    "Session-Expires: 30\r\n",
    "Event: presence\r\nExpires: 60\r\n",
    "Event: presence\r\nExpires: 0\r\n",
    "Event: refer\r\nSubscription-State: active;expires=60\r\nContent-Type: message/sipfrag\r\n",
    "Event: presence\r\nSubscription-State: terminated;reason=timeout\r\n",
    "Refer-To: <sip:carol@192.0.2.103>\r\n",
    "Refer-To: <sip:carol@192.0.2.103>\r\nRefer-Sub: false\r\n",
    "RAck: 1 1 INVITE\r\n",
    "RAck: 2 1 INVITE\r\n",
    "Route: <sip:192.0.2.1;lr>\r\n",
    "Route: <sip:192.0.2.1;lr>, <sip:192.0.2.103;lr>\r\n",
    "Route: <sip:192.0.2.102;lr>\r\n",
    "Record-Route: <sip:192.0.2.102;lr>, <sip:192.0.2.103;transport=tcp;lr>\r\n",
    "Record-Route: <sip:192.0.2.102>\r\n",
    "Replaces: call-0;to-tag=t0;from-tag=t1\r\n",
    "Expires: 4294967295\r\nEvent: presence\r\n",
    "Max-Breadth: 1\r\n",
    "Proxy-Require: foo\r\n",
    "Require: foo\r\n",
    "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKloop\r\n",
    "Retry-After: 1\r\nMin-SE: 1800\r\n",
    "Contact: <sip:a@one.example>, <sip:b@192.0.2.103;transport=tcp>;q=0.5\r\n",
    "Contact: *\r\n",
    "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n",
    "Min-Expires: 3600\r\nSIP-ETag: x\r\n",
    "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n",
    "Supported: path\r\nPath: <sip:192.0.2.102;lr>\r\n",
    "Max-Forwards: 0\r\n",
    "X: \u{0}\r\n",
    "Timestamp: 1\r\nSubject: a\r\n b\r\n",
];

/// Header fields that an application may give.
pub const DRAFTS: &[&[(&str, &str)]] = &[
    &[],
    &[("Supported", "100rel, timer")],
    &[("Require", "100rel")],
    &[
        ("Session-Expires", "90;refresher=uas"),
        ("Supported", "timer"),
    ],
    &[("Session-Expires", "1800")],
    &[("Event", "presence"), ("Expires", "60")],
    &[("Event", "presence"), ("Expires", "0")],
    &[
        ("Event", "presence"),
        ("Subscription-State", "active;expires=30"),
    ],
    &[
        ("Event", "presence"),
        ("Subscription-State", "terminated;reason=noresource"),
    ],
    &[("Refer-To", "<sip:carol@192.0.2.103>")],
    &[
        ("Event", "refer"),
        ("Subscription-State", "terminated"),
        ("Content-Type", "message/sipfrag"),
    ],
    &[("Contact", "<sip:me@localhost>;x=y")],
    &[
        ("Contact", "<sip:a@192.0.2.101>"),
        ("Contact", "<sip:b@carol.example>"),
    ],
    &[("To", "<sip:x@y>;tag=mine")],
    &[("From", "<sip:x@y>;tag=mine"), ("Call-ID", "call-0")],
    &[("CSeq", "4294967295 INVITE")],
    &[("CSeq", "7 UPDATE")],
    &[("Route", "<sip:192.0.2.102;lr>")],
    &[("Route", "<sip:192.0.2.1;lr>"), ("Max-Forwards", "1")],
    &[("X-A", "one\r\nVia: two")],
    &[("Refer-Sub", "false")],
    &[("RAck", "1 1 INVITE")],
    &[("Retry-After", "5"), ("Reason", "Q.850;cause=16")],
    &[
        ("Replaces", "call-0;to-tag=t0;from-tag=t1"),
        ("Require", "replaces"),
    ],
    &[("Content-Type", "text/plain")],
];

/// Where requests go.
pub const TARGETS: &[&str] = &[
    "sip:bob@192.0.2.102",
    "sip:bob@192.0.2.103;transport=tcp",
    "sip:carol@carol.example",
    "sip:carol@carol.example:5070;transport=tcp",
    "sip:192.0.2.1",
    "sip:bob@[2001:db8::5]",
    "sips:bob@192.0.2.102",
    "tel:+15550100",
    "sip:placeholder",
    "",
    "<sip:dave@192.0.2.104>;q=0.3",
    "<sip:erin@192.0.2.105;transport=tcp>;q=0.9",
    "http://example.com",
    "sip:bob@192.0.2.102;maddr=192.0.2.106",
    "sip:bob@192.0.2.102?Replaces=x",
];

/// The statuses of responses.
pub const STATUSES: &[u16] = &[
    200, 180, 183, 100, 202, 404, 486, 487, 481, 408, 491, 422, 401, 407, 302, 300, 500, 503, 600,
    603, 199, 423, 299, 699,
];
