//! Request validation (RFC 3261 §16.3): what a proxy refuses before it looks for targets.
use crate::command::{PathPolicy, ProxyOptions};
use crate::event::CommandError;
use crate::proxy::{OwnNames, Rejection, breadth, loops};
use sip::{HeaderName, Message, Method};

/// Checks Max-Forwards, Max-Breadth, loops and Proxy-Require. The syntax was checked when the message was parsed, the scheme of the
/// request-URI matters only where it is followed (`ProxyContext::new` checks it there).
///
/// # Errors
/// The rejection to carry out. An ACK is never answered (RFC 3261 §17): its rejections carry no status.
pub fn check(request: &Message, own: &dyn OwnNames) -> Result<(), Rejection> {
    let method = request.method();
    let rejected = |status: u16, error: CommandError| Rejection {
        status: (method != Method::Ack).then_some(status),
        header: None,
        error,
    };
    match request.max_forwards() {
        // An OPTIONS may be answered here instead (RFC 3261 §16.3 item 3); an application that wants that does not proxy it.
        Ok(Some(0)) => return Err(rejected(483, CommandError::TooManyHops)),
        Ok(_) => {}
        Err(_) => return Err(rejected(400, CommandError::Rejected(400))),
    }
    // RFC 5393 §5.3.3: a request that may go on no branch at all. ACK and CANCEL follow their INVITE's branches.
    let forks = !matches!(method, Method::Ack | Method::Cancel);
    if forks && breadth::received(request) == Some(0) {
        return Err(rejected(440, CommandError::Rejected(440)));
    }
    if loops::is_loop(request, own) {
        return Err(rejected(482, CommandError::Loop));
    }
    // No extension asks anything of this proxy, so every one is unknown. ACK and CANCEL are exempt, as they are for Require
    // (RFC 3261 §8.2.2.3).
    if forks {
        let unknown: Vec<_> = request
            .values(HeaderName::ProxyRequire)
            .filter(|option| !option.is_empty())
            .collect();
        if !unknown.is_empty() {
            let header = Some((HeaderName::Unsupported, unknown.join(", ")));
            return Err(Rejection {
                header,
                ..rejected(420, CommandError::Rejected(420))
            });
        }
    }
    Ok(())
}

/// Whether a REGISTER comes from a user agent that knows Path (RFC 3327 §5.1).
#[must_use]
pub fn supports_path(request: &Message) -> bool {
    request
        .values(HeaderName::Supported)
        .any(|option| option.eq_ignore_ascii_case("path"))
}

/// RFC 3327 §5.2: a proxy that has to be in the path of later requests refuses a REGISTER whose sender knows nothing of that.
///
/// # Errors
/// 421, with the Require header field that says what is wanted.
pub fn check_path(request: &Message, options: &ProxyOptions) -> Result<(), Rejection> {
    let needed = options.record_route
        && options.path == PathPolicy::Required
        && request.method() == Method::Register;
    if !needed || supports_path(request) {
        return Ok(());
    }
    Err(Rejection {
        status: Some(421),
        header: Some((HeaderName::Require, "path".to_owned())),
        error: CommandError::Rejected(421),
    })
}
