//! Rules about requests, on their raw bytes: method, User-Agent, sizes. The first rule that fits decides.
use super::scan::Start;
use std::time::Duration;

/// What becomes of a request that a rule fits.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// It is dropped without a word.
    Drop,
    /// It is answered with this status, as far as answers to refused requests go.
    Answer(u16),
    /// It is dropped, and so is everything from its source for so long. Over UDP a source that has shown that it is where it says is only
    /// passed over: the request may have been forged to have it banned.
    Ban(Duration),
    /// It is let in, whatever rules follow.
    Admit,
}

/// A rule. It fits a request that has all that it names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// What the log calls it.
    pub name: String,
    /// The methods, as written on the wire; empty for every one.
    pub methods: Vec<String>,
    /// The User-Agent.
    pub user_agent: Option<Pattern>,
    /// It fits what has a longer head than this, in bytes.
    pub head_over: Option<usize>,
    /// It fits what is longer than this, in bytes.
    pub message_over: Option<usize>,
    /// What becomes of it.
    pub action: Action,
}

/// A text in which `*` stands for anything; upper and lower case are the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    /// The pieces between the stars, in lower case.
    pieces: Vec<Vec<u8>>,
}

impl Pattern {
    /// Reads `friendly-scanner*`.
    #[must_use]
    pub fn new(text: &str) -> Pattern {
        let lower = text.to_ascii_lowercase();
        Pattern {
            pieces: lower.split('*').map(|piece| piece.into()).collect(),
        }
    }

    /// Whether the whole text is like it.
    #[must_use]
    pub fn fits(&self, text: &[u8]) -> bool {
        let (Some(first), Some(last)) = (self.pieces.first(), self.pieces.last()) else {
            return false;
        };
        if self.pieces.len() == 1 {
            return text.eq_ignore_ascii_case(first);
        }
        let Some((head, mut rest)) = text.split_at_checked(first.len()) else {
            return false;
        };
        if !head.eq_ignore_ascii_case(first) {
            return false;
        }
        let middle = self.pieces.get(1..self.pieces.len() - 1);
        for piece in middle.unwrap_or_default() {
            let Some(after) = after(rest, piece) else {
                return false;
            };
            rest = after;
        }
        let tail = rest.len().checked_sub(last.len());
        tail.and_then(|start| rest.get(start..))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(last))
    }
}

/// What follows the first place where `piece` stands.
fn after<'a>(text: &'a [u8], piece: &[u8]) -> Option<&'a [u8]> {
    if piece.is_empty() {
        return Some(text);
    }
    let found = text
        .windows(piece.len())
        .position(|window| window.eq_ignore_ascii_case(piece))?;
    text.get(found + piece.len()..)
}

impl Filter {
    /// A rule about one User-Agent.
    #[must_use]
    pub fn user_agent(pattern: &str, action: Action) -> Filter {
        Filter {
            name: pattern.to_owned(),
            methods: Vec::new(),
            user_agent: Some(Pattern::new(pattern)),
            head_over: None,
            message_over: None,
            action,
        }
    }

    /// The rules about programs that search the Internet for open servers, as they name themselves.
    #[must_use]
    pub fn scanners(action: Action) -> Vec<Filter> {
        let names = [
            "friendly-scanner*",
            "friendly-request*",
            "*sipvicious*",
            "sundayddr*",
            "sipsscuser*",
            "sip-scan*",
            "sipcli*",
            "pplsip*",
            "*siparmyknife*",
            "iwar*",
        ];
        names
            .into_iter()
            .map(|name| Filter::user_agent(name, action))
            .collect()
    }

    /// Whether it fits a request.
    fn fits(&self, bytes: &[u8], start: &Start<'_>, method: &[u8], agent: Option<&[u8]>) -> bool {
        let is_method = self.methods.is_empty()
            || self
                .methods
                .iter()
                .any(|wanted| wanted.as_bytes() == method);
        is_method
            && self
                .user_agent
                .as_ref()
                .is_none_or(|pattern| agent.is_some_and(|agent| pattern.fits(agent)))
            && self.message_over.is_none_or(|most| bytes.len() > most)
            && self.head_over.is_none_or(|most| start.head_bytes() > most)
    }
}

/// The first rule that fits a message; none fits a response.
pub(crate) fn first<'a>(
    filters: &'a [Filter],
    bytes: &[u8],
    start: &Start<'_>,
) -> Option<&'a Filter> {
    let method = start.method?;
    let reads_agent = filters.iter().any(|filter| filter.user_agent.is_some());
    let agent = reads_agent.then(|| start.user_agent()).flatten();
    filters
        .iter()
        .find(|filter| filter.fits(bytes, start, method, agent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_anything_and_without_one_the_whole_text_counts() {
        let fits = |pattern, text: &str| Pattern::new(pattern).fits(text.as_bytes());
        assert!(fits("friendly-scanner", "Friendly-Scanner"));
        assert!(!fits("friendly-scanner", "friendly-scanner/1"));
        assert!(fits("friendly-scanner*", "friendly-scanner/1"));
        assert!(fits("*sipvicious*", "x SIPVicious 0.3"));
        assert!(fits("a*b*c", "a--b--c"));
        assert!(!fits("a*b*c", "a--c"));
        assert!(!fits("ab*ba", "aba"));
        assert!(fits("*", ""));
        assert!(!fits("", "a"));
    }

    #[test]
    fn a_rule_fits_what_has_all_that_it_names() {
        let text = b"REGISTER sip:a SIP/2.0\r\nUser-Agent: sipcli/v1.8\r\n\r\n";
        let start = Start::read(text, 4096).unwrap();
        let rule =
            first(&Filter::scanners(Action::Drop), text, &start).map(|filter| filter.name.clone());
        assert_eq!(rule.as_deref(), Some("sipcli*"));
        let mut filter = Filter::user_agent("sipcli*", Action::Drop);
        filter.methods = vec!["INVITE".to_owned()];
        assert!(first(&[filter.clone()], text, &start).is_none());
        filter.methods.push("REGISTER".to_owned());
        assert!(first(&[filter.clone()], text, &start).is_some());
        filter.message_over = Some(1000);
        assert!(first(&[filter], text, &start).is_none());
        let response = b"SIP/2.0 200 OK\r\nUser-Agent: sipcli/v1.8\r\n\r\n";
        let start = Start::read(response, 4096).unwrap();
        assert!(first(&Filter::scanners(Action::Drop), response, &start).is_none());
    }

    #[test]
    fn no_scanner_rule_fits_a_phone() {
        for agent in [
            "sipp",
            "Yealink SIP-T46S 66.84.0.15",
            "baresip v1.0.0 (x86_64/linux)",
            "Linphone Desktop/4.4.10",
            "JsSIP 3.10.1",
            "sipsak 0.9.8",
            "Asterisk PBX 18",
        ] {
            let text = format!("OPTIONS sip:a SIP/2.0\r\nUser-Agent: {agent}\r\n\r\n");
            let start = Start::read(text.as_bytes(), 4096).unwrap();
            assert!(
                first(&Filter::scanners(Action::Drop), text.as_bytes(), &start).is_none(),
                "{agent}"
            );
        }
    }
}
