//! A typed header field that is written is read back the same, whatever texts it holds.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use proptest::prelude::*;
use sip::header::*;
use std::borrow::Cow;

const TOKEN: &str = "[A-Za-z0-9.!%*_+`'~-]{1,12}";
const TEXT: &str = "[^\\x00-\\x1f\\x7f]{0,20}";

proptest! {
    #[test]
    fn numbers_and_words(seconds in any::<u32>(), refresher in 0_usize..3, a in any::<u32>(), b in 0_u32..0x8000_0000, method in TOKEN) {
        let refresher = [None, Some(Refresher::Uac), Some(Refresher::Uas)][refresher];
        let value = SessionExpires { seconds, refresher };
        prop_assert_eq!(SessionExpires::parse(value.to_string().as_bytes()), Ok(value));
        let value = RAck { response: a, sequence: b, method: sip::Method::parse(method.as_bytes()).unwrap() };
        prop_assert_eq!(RAck::parse(value.to_string().as_bytes()), Ok(value));
    }

    #[test]
    fn dialogs(call_id in "[A-Za-z0-9@.!%*_+`'~-]{1,30}", to in TOKEN, from in TOKEN, early_only in any::<bool>()) {
        let (call_id, to, from): (Cow<'_, str>, Cow<'_, str>, Cow<'_, str>) = (call_id.into(), to.into(), from.into());
        let value = Replaces { call_id: call_id.clone(), to_tag: to.clone(), from_tag: from.clone(), early_only };
        let text = value.to_string();
        prop_assert_eq!(Replaces::parse(text.as_bytes()), Ok(value));
        let value = Join { call_id: call_id.clone(), to_tag: to.clone(), from_tag: from.clone() };
        let text = value.to_string();
        prop_assert_eq!(Join::parse(text.as_bytes()), Ok(value));
        let value = TargetDialog { call_id, local_tag: to, remote_tag: from };
        let text = value.to_string();
        prop_assert_eq!(TargetDialog::parse(text.as_bytes()), Ok(value));
    }

    #[test]
    fn events(package in TOKEN, id in proptest::option::of(TOKEN), reason in TOKEN, expires in proptest::option::of(any::<u32>()), retry_after in proptest::option::of(any::<u32>())) {
        let value = EventPackage { package: &package, id: id.as_deref(), params: Params::default() };
        let text = value.to_string();
        prop_assert!(EventPackage::parse(text.as_bytes()).unwrap().same_as(&value));
        for state in [Substate::Active, Substate::Pending, Substate::Terminated] {
            let value = SubscriptionState { state, reason: Some(TerminationReason::parse(&reason)), expires, retry_after };
            let text = value.to_string();
            prop_assert_eq!(SubscriptionState::parse(text.as_bytes()), Ok(value));
        }
    }

    #[test]
    fn reasons_and_times(protocol in TOKEN, cause in proptest::option::of(any::<u32>()), text in proptest::option::of(TEXT), seconds in any::<u32>(), duration in proptest::option::of(any::<u32>())) {
        let comment = text.clone();
        let value = Reason { protocol: protocol.into(), cause, text: text.map(Cow::Owned) };
        let text = value.to_string();
        prop_assert_eq!(Reason::parse(text.as_bytes()), Ok(value));
        let value = RetryAfter { seconds, comment: comment.map(Cow::Owned), duration };
        let text = value.to_string();
        prop_assert_eq!(RetryAfter::parse(text.as_bytes()), Ok(value));
    }

    #[test]
    fn privacy_and_data(values in proptest::collection::vec(TOKEN, 1..5), data in TEXT, purpose in proptest::option::of(TEXT), bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let value = Privacy { values: values.into_iter().map(Cow::Owned).collect() };
        let text = value.to_string();
        prop_assert_eq!(Privacy::parse(text.as_bytes()).map(Privacy::into_owned), Ok(value));
        let value = UserToUser { data: data.into(), quoted: true, purpose: purpose.map(Cow::Owned), content: None, encoding: Some("text".into()), params: Params::default() };
        let text = value.to_string();
        let back = UserToUser::parse(text.as_bytes()).unwrap();
        prop_assert_eq!((&back.data, &back.purpose, &back.encoding), (&value.data, &value.purpose, &value.encoding));
        let hex = UserToUser::from_bytes(&bytes).to_string();
        prop_assert_eq!(UserToUser::parse(hex.as_bytes()).unwrap().decode().unwrap(), bytes);
    }

    #[test]
    fn addresses_with_parameters(display in TEXT, reason in TEXT, counter in proptest::option::of(any::<u32>()), index in "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}", from in "[0-9]{1,3}") {
        let mut address = Address::parse("<sip:bob@192.0.2.4;x=y?Reason=SIP%3Bcause%3D302>;z=1").unwrap();
        address.display = Some(Cow::Borrowed(&display));
        let value = Diversion { address: address.clone(), reason: Some(reason.as_str().into()), counter, limit: counter, privacy: Some("full".into()), screen: None };
        let text = value.to_string();
        let back = Diversion::parse(text.as_bytes()).unwrap();
        prop_assert_eq!((&back.address.display, back.address.uri_text), (&value.address.display, value.address.uri_text));
        prop_assert_eq!((&back.reason, back.counter, back.limit, &back.privacy, &back.screen), (&value.reason, value.counter, value.limit, &value.privacy, &value.screen));
        prop_assert_eq!(back.to_string(), text.as_str());
        let value = HistoryInfo { address, index: Some(&index), target: Some(HistoryTarget::MappedUser(&from)) };
        let text = value.to_string();
        let back = HistoryInfo::parse(text.as_bytes()).unwrap();
        prop_assert_eq!((back.index, back.target), (value.index, value.target));
        prop_assert_eq!(back.reasons().unwrap()[0].cause, Some(302));
        prop_assert_eq!(back.to_string(), text.as_str());
    }
}
