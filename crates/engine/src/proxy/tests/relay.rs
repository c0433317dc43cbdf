//! Requests within a dialog that was record-routed here go on along their route; a stateless proxy makes the same branch each time.
use super::*;

fn in_dialog(method: &str, uri: &str, routes: &str) -> Arc<Message> {
    parse(&format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bKbye\n{routes}\
         From: <sip:alice@a.example>;tag=1\nTo: <sip:bob@b.example>;tag=2\nCall-ID: c1\nCSeq: 8 {method}\nMax-Forwards: 70\n\
         Content-Length: 0\n\n"
    ))
}

fn relayed(request: &Arc<Message>) -> Option<(String, Message)> {
    match in_dialog_of(request) {
        InDialog::Relay(forwarding) => {
            let branch = forwarding.branch();
            let bytes = forwarding.write(&hop(&branch, ""));
            Some((
                forwarding.next_hop().to_string(),
                Message::parse(bytes, &Limits::default()).unwrap(),
            ))
        }
        InDialog::NotRelayed => None,
        InDialog::Reject(rejection) | InDialog::Unproven(rejection) => {
            panic!("refused: {rejection:?}")
        }
    }
}

fn in_dialog_of(request: &Arc<Message>) -> InDialog {
    crate::proxy::relay::in_dialog(request, &own)
}

#[test]
fn a_bye_goes_on_to_the_contact_without_our_route() {
    let bye = in_dialog(
        "BYE",
        "sip:bob@203.0.113.10:5070",
        "Route: <sip:192.0.2.1:5060;lr>\n",
    );
    let (next_hop, sent) = relayed(&bye).expect("relayed");
    assert_eq!(next_hop, "sip:bob@203.0.113.10:5070");
    assert_eq!(sent.request_uri(), "sip:bob@203.0.113.10:5070");
    assert!(
        sent.header(HeaderName::Route).is_none() && sent.header(HeaderName::RecordRoute).is_none()
    );
    assert_eq!(value(&sent, HeaderName::MaxForwards), "69");
    assert_eq!(sent.values(HeaderName::Via).count(), 2);
}

#[test]
fn both_of_our_routes_come_off_and_the_next_one_is_the_next_hop() {
    let routes = "Route: <sip:192.0.2.1:5060;lr>\nRoute: <sip:192.0.2.1:5060;transport=tcp;lr>, <sip:edge.example;lr>\n";
    let (next_hop, sent) =
        relayed(&in_dialog("ACK", "sip:bob@203.0.113.10", routes)).expect("relayed");
    assert_eq!(next_hop, "sip:edge.example;lr");
    assert_eq!(value(&sent, HeaderName::Route), "<sip:edge.example;lr>");
}

#[test]
fn a_strict_router_before_us_is_understood() {
    let (next_hop, sent) = relayed(&in_dialog(
        "BYE",
        "sip:192.0.2.1:5060;lr",
        "Route: <sip:bob@203.0.113.10>\n",
    ))
    .expect("relayed");
    assert_eq!(
        (next_hop.as_str(), sent.request_uri()),
        ("sip:bob@203.0.113.10", "sip:bob@203.0.113.10")
    );
    assert!(sent.header(HeaderName::Route).is_none());
}

#[test]
fn what_is_not_ours_to_relay_is_left_alone() {
    // No route of ours; a dialog that ends here; a new request.
    assert!(relayed(&in_dialog("BYE", "sip:bob@203.0.113.10", "")).is_none());
    assert!(
        relayed(&in_dialog(
            "BYE",
            "sip:bob@203.0.113.10",
            "Route: <sip:other.example;lr>\n"
        ))
        .is_none()
    );
    assert!(
        relayed(&in_dialog(
            "BYE",
            "sip:app@192.0.2.1",
            "Route: <sip:192.0.2.1;lr>\n"
        ))
        .is_none()
    );
    assert!(
        relayed(&request(
            "INVITE",
            "sip:bob@b.example",
            "Route: <sip:192.0.2.1;lr>\n"
        ))
        .is_none()
    );
}

#[test]
fn an_ack_without_a_hop_left_is_dropped_and_a_bye_answered() {
    for (method, status) in [("ACK", None), ("BYE", Some(483))] {
        let text = String::from_utf8(
            in_dialog(
                method,
                "sip:bob@203.0.113.10",
                "Route: <sip:192.0.2.1;lr>\n",
            )
            .as_bytes()
            .to_vec(),
        );
        let last = parse(
            &text
                .unwrap()
                .replace("\r\n", "\n")
                .replace("Max-Forwards: 70", "Max-Forwards: 0"),
        );
        let InDialog::Reject(rejection) = in_dialog_of(&last) else {
            panic!("{method} is refused")
        };
        assert_eq!(rejection.status, status);
    }
}

#[test]
fn a_stateless_branch_is_the_same_for_a_repetition_its_ack_and_its_cancel() {
    let branch = |request: &Message| loops::stateless_branch(request);
    assert_eq!(branch(&invite()), branch(&invite()));
    assert_eq!(
        branch(&invite()),
        branch(&request("ACK", "sip:bob@proxy.example", ""))
    );
    assert_eq!(
        branch(&invite()),
        branch(&request("CANCEL", "sip:bob@proxy.example", ""))
    );
    let other = String::from_utf8(invite().as_bytes().to_vec())
        .unwrap()
        .replace("\r\n", "\n")
        .replace("z9hG4bKalice", "z9hG4bKelse");
    assert_ne!(branch(&invite()), branch(&parse(&other)));
}

#[test]
fn without_the_cookie_the_other_fields_make_the_stateless_branch() {
    let old = |uri: &str| {
        parse(&format!(
            "INVITE {uri} SIP/2.0\nVia: SIP/2.0/UDP 198.51.100.7;branch=1\nFrom: <sip:a@a.example>;tag=1\nTo: <sip:b@b.example>\n\
             Call-ID: c1\nCSeq: 1 INVITE\nContent-Length: 0\n\n"
        ))
    };
    assert_eq!(
        loops::stateless_branch(&old("sip:b@b.example")),
        loops::stateless_branch(&old("sip:b@b.example"))
    );
    assert_ne!(
        loops::stateless_branch(&old("sip:b@b.example")),
        loops::stateless_branch(&old("sip:c@b.example"))
    );
}

#[test]
fn the_stateless_proxy_forwards_to_the_first_target() {
    let mut asked = order(invite(), &["sip:one@203.0.113.10", "sip:two@203.0.113.20"]);
    asked.options.stateless = true;
    let forwarding = crate::proxy::relay::stateless(asked, &own).unwrap();
    assert_eq!(&**forwarding.next_hop(), "sip:one@203.0.113.10");
    let sent = Message::parse(
        forwarding.write(&hop(&forwarding.branch(), "")),
        &Limits::default(),
    )
    .unwrap();
    assert_eq!(
        sent.top_via().unwrap().branch(),
        Some(forwarding.branch().as_str())
    );
    assert_eq!(value(&sent, HeaderName::MaxForwards), "10");
}
