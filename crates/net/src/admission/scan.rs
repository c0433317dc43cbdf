//! The least that is read of a datagram before it is worth parsing: whether it begins as a SIP message does, its method, its
//! User-Agent. No allocation; nothing is believed.

/// The longest method that there is reason to look at, in bytes.
const METHOD: usize = 32;
/// How many empty lines may come before the start line (RFC 3261 §7.5).
const EMPTY: usize = 8;

/// How a message begins.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Start<'a> {
    /// The method; none of a response.
    pub method: Option<&'a [u8]>,
    /// What follows the start line.
    rest: &'a [u8],
}

impl<'a> Start<'a> {
    /// Reads it; none when no SIP message begins so.
    pub fn read(bytes: &'a [u8], start_line_bytes: usize) -> Option<Start<'a>> {
        let skip = bytes
            .iter()
            .take(EMPTY)
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        let bytes = bytes.get(skip..)?;
        let within = bytes.get(..bytes.len().min(start_line_bytes))?;
        let end = within.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = bytes.split_at_checked(end)?;
        let line = line.trim_ascii_end();
        if is_version(line) {
            return Some(Start { method: None, rest });
        }
        let space = line
            .iter()
            .take(METHOD + 1)
            .position(|byte| *byte == b' ')?;
        let (method, target) = line.split_at_checked(space)?;
        let is_method = !method.is_empty() && method.iter().all(|byte| is_token(*byte));
        let version = target.rsplit(|byte| *byte == b' ').next()?;
        (is_method && is_version(version)).then_some(Start {
            method: Some(method),
            rest,
        })
    }

    /// The start line aside, how long the head is: all up to the empty line.
    pub fn head_bytes(&self) -> usize {
        let mut length = 0;
        for line in self.rest.split(|byte| *byte == b'\n') {
            if length > 0 && line.trim_ascii().is_empty() {
                break;
            }
            length += line.len() + 1;
        }
        length
    }

    /// The first value of User-Agent.
    pub fn user_agent(&self) -> Option<&'a [u8]> {
        const NAME: &[u8] = b"user-agent";
        let mut lines = self.rest.split(|byte| *byte == b'\n').skip(1);
        lines
            .by_ref()
            .take_while(|line| !line.is_empty() && *line != b"\r")
            .find_map(|line| {
                let (name, value) = line.split_at_checked(NAME.len())?;
                if !name.eq_ignore_ascii_case(NAME) {
                    return None;
                }
                Some(value.trim_ascii_start().strip_prefix(b":")?.trim_ascii())
            })
    }
}

/// Whether `SIP/` begins it, and a digit follows.
fn is_version(text: &[u8]) -> bool {
    text.split_at_checked(4).is_some_and(|(name, version)| {
        name.eq_ignore_ascii_case(b"SIP/") && version.first().is_some_and(u8::is_ascii_digit)
    })
}

/// A character of a token (RFC 3261 §25.1).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(text: &str) -> Option<Start<'_>> {
        Start::read(text.as_bytes(), 4096)
    }

    #[test]
    fn a_request_and_a_response_are_told_from_anything_else() {
        let request = start("INVITE sip:bob@example.com SIP/2.0\r\nVia: x\r\n\r\n").unwrap();
        assert_eq!(request.method, Some(&b"INVITE"[..]));
        assert_eq!(start("SIP/2.0 200 OK\r\n\r\n").unwrap().method, None);
        assert!(start("\r\n\r\nOPTIONS sip:a SIP/2.0\r\n").is_some());
        // What is wrong with these is for the parser to say, and for the engine to answer.
        assert!(start("OPTIONS  sip:a  SIP/7.0  \r\n").is_some());
        for text in [
            "",
            "\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "INVITE sip:bob@example.com SIP/2.0",
            "INVITE\r\n",
            "\u{0}\u{1}\u{2}\r\n",
            "aVeryLongMethodThatNobodyHasEverSeenAnywhere sip:a SIP/2.0\r\n",
            "SIP/x 200 OK\r\n",
        ] {
            assert_eq!(start(text), None, "{text:?}");
        }
        let long = format!("INVITE sip:{} SIP/2.0\r\n", "a".repeat(5000));
        assert_eq!(start(&long), None);
    }

    #[test]
    fn the_user_agent_is_found_in_the_head_only() {
        let text = "OPTIONS sip:a SIP/2.0\r\nVia: x\r\nuser-AGENT : friendly-scanner \r\nTo: y\r\n\r\nbody\r\n";
        assert_eq!(
            start(text).unwrap().user_agent(),
            Some(&b"friendly-scanner"[..])
        );
        let text = "OPTIONS sip:a SIP/2.0\r\nVia: x\r\n\r\nUser-Agent: friendly-scanner\r\n";
        assert_eq!(start(text).unwrap().user_agent(), None);
        assert_eq!(
            start("OPTIONS sip:a SIP/2.0\nUser-Agent: a\n\n")
                .unwrap()
                .user_agent(),
            Some(&b"a"[..])
        );
    }

    #[test]
    fn the_head_ends_at_the_empty_line() {
        let text = "OPTIONS sip:a SIP/2.0\r\nVia: x\r\n\r\na long body that does not count";
        assert!(start(text).unwrap().head_bytes() < 16);
    }
}
