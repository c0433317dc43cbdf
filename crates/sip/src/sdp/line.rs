//! The lines of a description: `x=value`, ended by CRLF, by a line feed, or by the end.

/// One line.
#[derive(Copy, Clone, Debug)]
pub(super) struct Line<'a> {
    /// Where it begins, in bytes from the text's first.
    pub(super) start: usize,
    /// The line with its end.
    pub(super) whole: &'a [u8],
}

impl<'a> Line<'a> {
    /// The line without its end.
    pub(super) fn content(&self) -> &'a [u8] {
        let line = self.whole.strip_suffix(b"\n").unwrap_or(self.whole);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// The letter before the equals sign; 0 where there is none.
    pub(super) fn kind(&self) -> u8 {
        match self.content() {
            [kind, b'=', ..] => *kind,
            _ => 0,
        }
    }

    /// What follows the equals sign, without white space at its ends, a carriage return that ends no line among it; none where it is not UTF-8.
    pub(super) fn value(&self) -> Option<&'a str> {
        let value = self.content().get(2..)?;
        std::str::from_utf8(value)
            .ok()
            .map(|text| text.trim_matches([' ', '\t', '\r']))
    }
}

/// The lines of a text, in order.
#[derive(Clone, Debug)]
pub(super) struct Lines<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a [u8]) -> Lines<'a> {
        Lines { text, at: 0 }
    }

    /// The value of the first line of that kind.
    pub(super) fn value(&self, kind: u8) -> Option<&'a str> {
        self.clone().find(|line| line.kind() == kind)?.value()
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let line = Line {
            start: self.at,
            whole: rest.get(..length)?,
        };
        self.at += length;
        Some(line)
    }
}

/// The words of a value.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t']).filter(|word| !word.is_empty())
}
