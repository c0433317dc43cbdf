//! The frames that proxy a request, and that give such a search up.
use super::{Asked, Refusal, Request};
use crate::envelope::Envelope;
use crate::name::TransactionNames;
use crate::text::SipText;
use engine::command::{CancelProxy, Command, Forking, PathPolicy, Proxy, ProxyOptions};
use engine::id::CommandId;
use std::time::Duration;

impl Envelope {
    /// `proxy|<transactionId>|remainInDialog|fullResponse|followRedirects|simultaneous|<provisional>|<final>|<target>...`; extensions
    /// are `byQ` (with targets that carry a q) and `stateless` in the place of `simultaneous`, `;untrusted` behind either, and those
    /// of `path_policy`.
    pub(super) fn proxy<'a>(
        &self,
        tokens: impl Iterator<Item = &'a [u8]>,
        names: TransactionNames,
    ) -> Result<Request, Refusal> {
        let tokens: Vec<&[u8]> = tokens.collect();
        let [
            transaction,
            record_route,
            full_response,
            follow_redirects,
            order,
            provisional,
            last,
            targets @ ..,
        ] = tokens.as_slice()
        else {
            return Err(Refusal::Disconnect(
                "Invalid proxy request: not enough information provided",
            ));
        };
        let unknown = || {
            Refusal::Failure(
                format!(
                    "Unknown transaction id: {}",
                    String::from_utf8_lossy(transaction)
                )
                .into(),
            )
        };
        let transaction = names.transaction(transaction).ok_or_else(unknown)?;
        let full_response = *full_response == b"fullResponse";
        let targets = targets
            .iter()
            .filter(|target| !target.is_empty())
            .map(|target| String::from_utf8(target.to_vec()))
            .collect::<Result<Vec<String>, _>>()
            .map_err(|_| {
                Refusal::Failure("error proxying request to a target that is not UTF-8".into())
            })?;
        let (order, untrusted, consumed) = proxy_order(order);
        let options = ProxyOptions {
            record_route: path_policy(record_route).is_some(),
            path: path_policy(record_route).unwrap_or_default(),
            forking: match order {
                b"simultaneous" => Forking::Simultaneous,
                // An extension: drachtio-server takes it for `serial`.
                b"byQ" => Forking::ByQ,
                _ => Forking::Serial,
            },
            follow_redirects: *follow_redirects == b"followRedirects",
            provisional_timeout: timeout(provisional),
            final_timeout: timeout(last),
            stateless: order == b"stateless",
            untrusted,
            consumed,
            // Without fullResponse the first response is the sign that the request was sent, which is what is to be answered.
            report_responses: true,
        };
        let headers = SipText::parse(&self.text).draft.headers;
        let proxy = Proxy {
            id: CommandId(0),
            transaction,
            targets,
            options,
            headers,
        };
        Ok(Request::Command(
            Command::Proxy(proxy),
            Asked::Proxy {
                transaction,
                full_response,
            },
        ))
    }

    /// `cancel_proxy|<transactionId>|<status>` and a Reason header field perhaps: an extension, which drachtio-server does not know.
    pub(super) fn cancel_proxy<'a>(
        &self,
        mut tokens: impl Iterator<Item = &'a [u8]>,
        names: TransactionNames,
    ) -> Result<Request, Refusal> {
        let transaction = tokens
            .next()
            .and_then(|name| names.transaction(name))
            .ok_or(Refusal::Failure("Unknown transaction id".into()))?;
        let status = tokens
            .next()
            .and_then(|status| std::str::from_utf8(status).ok()?.parse().ok())
            .filter(|status| (300..700).contains(status))
            .ok_or(Refusal::Failure(
                "cancel_proxy needs a status from 300 to 699".into(),
            ))?;
        let headers = SipText::parse(&self.text).draft.headers;
        let reason = headers
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(b"reason"))
            .map(|(_, value)| String::from_utf8_lossy(&value).into_owned());
        Ok(Request::Unanswered(Command::CancelProxy(CancelProxy {
            transaction,
            status,
            reason,
        })))
    }
}

/// The order of a `proxy` frame, and what stands behind it: `;untrusted`, `;consumed=0,2` (extensions: drachtio-server takes what it does
/// not know for `serial`).
fn proxy_order(text: &[u8]) -> (&[u8], bool, Vec<u8>) {
    let mut parts = text.split(|byte| *byte == b';');
    let order = parts.next().unwrap_or_default();
    let (mut untrusted, mut consumed) = (false, Vec::new());
    for part in parts {
        if let Some(numbers) = part.strip_prefix(b"consumed=") {
            let numbers = std::str::from_utf8(numbers).unwrap_or_default();
            consumed = numbers
                .split(',')
                .filter_map(|one| one.parse().ok())
                .collect();
        } else if part == b"untrusted" {
            untrusted = true;
        }
    }
    (order, untrusted, consumed)
}

/// `remainInDialog`, or an extension that says so as well and what it means for a REGISTER from a user agent without Path.
fn path_policy(token: &[u8]) -> Option<PathPolicy> {
    match token {
        b"remainInDialog" => Some(PathPolicy::Always),
        b"pathIfSupported" => Some(PathPolicy::IfSupported),
        b"pathRequired" => Some(PathPolicy::Required),
        _ => None,
    }
}

/// `2s` or `500ms`; anything else is none, as drachtio-server has it.
fn timeout(token: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(token).ok()?;
    let digits = text.trim_end_matches(|end: char| end.is_ascii_alphabetic());
    let unit = text.get(digits.len()..)?;
    let number: u64 = digits.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => {
            tracing::warn!(
                timeout = text,
                "proxy: a timeout that is neither `<n>s` nor `<n>ms` is ignored"
            );
            None
        }
    }
}
