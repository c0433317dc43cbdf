//! What a request and its 2xx say about the session timer, and what ours say (RFC 4028 §7 to §9). Pure: messages and
//! configuration in, header fields out.
use super::session_timer::{SessionTimer, Terms};
use crate::config::{Refresher, SessionTimers};
use crate::draft::{Fields, invalid};
use crate::event::CommandError;
use sip::header::SessionExpires;
use sip::{HeaderName, Message, Method};

/// The option tag of session timers.
pub(crate) const TIMER: &str = "timer";
/// What a message without Min-SE means by that, in seconds (RFC 4028 §5).
pub(crate) const DEFAULT_MIN_SE: u32 = 90;

/// What our 2xx says.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) session: SessionExpires,
    /// Whether it requires the caller to know what is asked of it.
    pub(crate) require: bool,
}

/// Whether requests of this method, and their 2xx, set the timer.
pub(crate) fn refreshes_session(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Update)
}

/// Whether a request asks for less than we accept, of a peer that would understand to be told so (RFC 4028 §9).
pub(crate) fn is_too_brief(config: &SessionTimers, message: &Message, method: &Method) -> bool {
    config.enabled
        && refreshes_session(method)
        && message
            .session_expires()
            .is_ok_and(|asked| asked.is_some_and(|asked| asked.seconds < config.min_se))
        && message.supports(TIMER)
}

/// Whether one of the application's header fields of that name lists the option tag.
fn lists_timer(fields: &Fields<'_>, wanted: HeaderName) -> bool {
    fields
        .rest
        .iter()
        .filter(|(name, _)| *name == wanted)
        .flat_map(|(_, (_, value))| value.split(|byte| *byte == b','))
        .any(|tag| tag.trim_ascii().eq_ignore_ascii_case(TIMER.as_bytes()))
}

/// The Session-Expires that the application wrote.
fn given(fields: &Fields<'_>) -> Result<Option<SessionExpires>, CommandError> {
    let field = fields
        .rest
        .iter()
        .find(|(name, _)| *name == HeaderName::SessionExpires);
    field
        .map(|(_, (name, value))| {
            SessionExpires::parse(value).map_err(|error| invalid(name, error.what))
        })
        .transpose()
}

/// What our 2xx to `request` says; none when it says nothing, or the application's own fields stay as they are.
///
/// # Errors
/// `InvalidHeader` for a Session-Expires of the application that cannot be read.
pub(crate) fn answer(
    config: &SessionTimers,
    request: &Message,
    fields: &Fields<'_>,
    without: bool,
) -> Result<Option<Answer>, CommandError> {
    if !config.enabled || without {
        return Ok(None);
    }
    let (given, asked) = (given(fields)?, request.session_expires().ok().flatten());
    let supported = request.supports(TIMER);
    let least = request
        .min_se()
        .ok()
        .flatten()
        .unwrap_or_default()
        .max(config.min_se);
    // The application's word counts; else the peer's, which is never raised but for one that cannot be refused (RFC 4028 §9).
    let seconds = match (given, asked) {
        (Some(given), _) => given.seconds,
        (None, Some(asked)) => asked.seconds.max(config.min_se),
        (None, None) => match config.expires {
            Some(expires) => expires.max(least),
            None => return Ok(None),
        },
    };
    let refresher = given.and_then(|given| given.refresher).unwrap_or_else(|| {
        if !supported {
            // RFC 4028 table 2: who does not know of it cannot do it.
            return Refresher::Uas;
        }
        let asked = asked.and_then(|asked| asked.refresher);
        asked.or(config.refresher).unwrap_or(Refresher::Uac)
    });
    let session = SessionExpires {
        seconds,
        refresher: Some(refresher),
    };
    let require =
        refresher == Refresher::Uac && supported && !lists_timer(fields, HeaderName::Require);
    Ok(Some(Answer { session, require }))
}

/// What our INVITE or UPDATE adds to the application's fields. `running`: the timer of the dialog, if one runs.
pub(crate) fn offer(
    config: &SessionTimers,
    fields: &Fields<'_>,
    new_call: bool,
    running: Option<&SessionTimer>,
) -> Vec<(HeaderName, String)> {
    let has = |name| fields.rest.iter().any(|(other, _)| *other == name);
    let mut added = Vec::new();
    if !lists_timer(fields, HeaderName::Supported) && !lists_timer(fields, HeaderName::Require) {
        added.push((HeaderName::Supported, TIMER.to_owned()));
    }
    let asked = match running {
        // RFC 4028 §7.4: who refreshes goes on to.
        Some(timer) => Some(SessionExpires {
            seconds: timer.asks(),
            refresher: Some(if timer.terms.ours {
                Refresher::Uac
            } else {
                Refresher::Uas
            }),
        }),
        None => config
            .expires
            .filter(|_| new_call)
            .map(|expires| SessionExpires {
                seconds: expires.max(config.min_se),
                refresher: config.refresher,
            }),
    };
    let own = has(HeaderName::SessionExpires);
    let Some(asked) = asked.filter(|_| !own) else {
        return added;
    };
    added.push((HeaderName::SessionExpires, asked.to_string()));
    let min_se = running.map_or(config.min_se, |timer| timer.min_se);
    if min_se > DEFAULT_MIN_SE && !has(HeaderName::MinSe) {
        added.push((HeaderName::MinSe, min_se.to_string()));
    }
    added
}

/// What a 2xx sets, seen from us; none: the session has no timer.
pub(crate) fn terms(response: &Message, we_answered: bool) -> Option<Terms> {
    let session = response.session_expires().ok().flatten()?;
    // A 2xx that does not say leaves it to the other side (as deployed user agents read it; RFC 4028 §9 wants it said).
    let by_uas = session.refresher == Some(Refresher::Uas);
    Some(Terms {
        interval: session.seconds,
        ours: by_uas == we_answered,
    })
}

#[cfg(test)]
mod tests {
    //! The table of RFC 4028 §9, row by row, and what an application's own header field does to it.
    use super::*;
    use crate::uas::via::unlimited;
    use bytes::Bytes;

    fn invite(lines: &str) -> Message {
        let text = format!(
            "INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{lines}\r\n"
        );
        Message::parse(Bytes::from(text), &unlimited()).unwrap()
    }

    fn answered(
        config: &SessionTimers,
        request: &str,
        own: &[(&'static str, &'static str)],
    ) -> Option<(String, bool)> {
        let headers: Vec<_> = own
            .iter()
            .map(|(name, value)| {
                (
                    Bytes::from_static(name.as_bytes()),
                    Bytes::from_static(value.as_bytes()),
                )
            })
            .collect();
        let fields = Fields::sort(&headers).unwrap();
        answer(config, &invite(request), &fields, false)
            .unwrap()
            .map(|answer| (answer.session.to_string(), answer.require))
    }

    fn said(value: &str, require: bool) -> Option<(String, bool)> {
        Some((value.to_owned(), require))
    }

    const SUPPORTED: &str = "Supported: 100rel, timer\r\n";

    #[test]
    fn the_refresher_is_the_one_that_the_table_allows() {
        let config = SessionTimers::default();
        let asked = |lines: &str| answered(&config, &format!("Session-Expires: {lines}"), &[]);
        assert_eq!(asked("1800\r\n"), said("1800;refresher=uas", false));
        assert_eq!(
            asked("1800;refresher=uac\r\n"),
            said("1800;refresher=uas", false)
        );
        let asked = |value: &str| asked(&format!("{value}\r\n{SUPPORTED}"));
        assert_eq!(asked("1800"), said("1800;refresher=uac", true));
        assert_eq!(
            asked("1800;refresher=uac"),
            said("1800;refresher=uac", true)
        );
        assert_eq!(
            asked("1800;refresher=uas"),
            said("1800;refresher=uas", false)
        );
    }

    #[test]
    fn the_configured_refresher_counts_where_the_peer_leaves_it_open() {
        let config = SessionTimers {
            refresher: Some(Refresher::Uas),
            ..SessionTimers::default()
        };
        let asked = |value: &str| {
            answered(
                &config,
                &format!("Session-Expires: {value}\r\n{SUPPORTED}"),
                &[],
            )
        };
        assert_eq!(asked("1800"), said("1800;refresher=uas", false));
        assert_eq!(
            asked("1800;refresher=uac"),
            said("1800;refresher=uac", true)
        );
    }

    #[test]
    fn we_ask_only_when_told_to_and_never_for_less_than_the_peer_allows() {
        let config = SessionTimers {
            expires: Some(600),
            ..SessionTimers::default()
        };
        assert_eq!(answered(&SessionTimers::default(), SUPPORTED, &[]), None);
        assert_eq!(
            answered(&config, SUPPORTED, &[]),
            said("600;refresher=uac", true)
        );
        assert_eq!(answered(&config, "", &[]), said("600;refresher=uas", false));
        assert_eq!(
            answered(&config, "Min-SE: 900\r\n", &[]),
            said("900;refresher=uas", false)
        );
    }

    #[test]
    fn an_interval_of_a_peer_that_cannot_be_refused_is_raised() {
        let config = SessionTimers::default();
        assert_eq!(
            answered(&config, "Session-Expires: 20\r\n", &[]),
            said("90;refresher=uas", false)
        );
        let brief = |lines: &str| is_too_brief(&config, &invite(lines), &Method::Invite);
        assert!(brief(&format!("Session-Expires: 89\r\n{SUPPORTED}")));
        assert!(!brief(&format!("Session-Expires: 90\r\n{SUPPORTED}")));
        assert!(!brief("Session-Expires: 89\r\n"));
        assert!(!brief(SUPPORTED));
    }

    #[test]
    fn the_application_s_own_answer_wins_and_is_completed() {
        let config = SessionTimers::default();
        let request = format!("Session-Expires: 1800;refresher=uac\r\n{SUPPORTED}");
        let own = |value| answered(&config, &request, &[("Session-Expires", value)]);
        assert_eq!(own("300;refresher=uas"), said("300;refresher=uas", false));
        assert_eq!(own("300"), said("300;refresher=uac", true));
        let required = [("x", "300"), ("Require", "timer")];
        assert_eq!(
            answered(&config, &request, &required),
            said("300;refresher=uac", false)
        );
        let headers = [(
            Bytes::from_static(b"Session-Expires"),
            Bytes::from_static(b"soon"),
        )];
        let fields = Fields::sort(&headers).unwrap();
        assert!(answer(&config, &invite(&request), &fields, false).is_err());
        assert_eq!(
            answer(&config, &invite(&request), &Fields::default(), true),
            Ok(None),
            "opted out"
        );
    }

    #[test]
    fn a_2xx_is_read_from_either_side() {
        let read = |value: &str, we_answered| {
            let text = format!("SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n{value}\r\n");
            terms(
                &Message::parse(Bytes::from(text), &unlimited()).unwrap(),
                we_answered,
            )
        };
        let of = |ours| {
            Some(Terms {
                interval: 100,
                ours,
            })
        };
        assert_eq!(
            read("Session-Expires: 100;refresher=uac\r\n", false),
            of(true)
        );
        assert_eq!(read("Session-Expires: 100\r\n", false), of(true));
        assert_eq!(
            read("Session-Expires: 100;refresher=uas\r\n", false),
            of(false)
        );
        assert_eq!(read("x: 100;refresher=uac\r\n", true), of(false));
        assert_eq!(read("x: 100;refresher=uas\r\n", true), of(true));
        assert_eq!(read("", true), None);
    }
}
