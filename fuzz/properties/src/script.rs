//! Inputs with a structure: lines of a verb and arguments, a byte each. However an input is cut or glued, what follows the next line
//! end is understood again, so that a mutation spoils one step and not all that follow; and a person can read and write it.
use std::fmt;

/// One step: a verb and its arguments.
#[derive(Copy, Clone)]
pub struct Step<'a> {
    verb: u8,
    arguments: &'a [u8],
}

impl<'a> Step<'a> {
    /// The verb.
    #[must_use]
    pub fn verb(&self) -> u8 {
        self.verb
    }

    /// An argument as a number: `0` is 0, `1` is 1; 0 where it is missing.
    #[must_use]
    pub fn number(&self, index: usize) -> usize {
        self.arguments
            .get(index)
            .map_or(0, |byte| usize::from(byte.wrapping_sub(b'0')))
    }

    /// One of these, by an argument.
    ///
    /// # Panics
    /// When there is none to choose from.
    #[must_use]
    pub fn choose<T: Copy>(&self, index: usize, from: &[T]) -> T {
        from[self.number(index) % from.len()]
    }

    /// One of these, by an argument; the last one is 0, as scripts speak of what was there just now. None when there is none.
    #[must_use]
    pub fn recent<'b, T>(&self, index: usize, from: &'b [T]) -> Option<&'b T> {
        let back = self.number(index).checked_rem(from.len())?;
        from.get(from.len() - 1 - back)
    }

    /// The arguments from one on.
    #[must_use]
    pub fn rest(&self, index: usize) -> &'a [u8] {
        self.arguments.get(index..).unwrap_or_default()
    }
}

impl fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}",
            char::from(self.verb).escape_default(),
            self.arguments.escape_ascii()
        )
    }
}

/// The steps of an input; empty lines are none.
pub fn steps(data: &[u8]) -> impl Iterator<Item = Step<'_>> {
    data.split(|byte| *byte == b'\n').filter_map(|line| {
        line.split_first().map(|(verb, arguments)| Step {
            verb: *verb,
            arguments,
        })
    })
}
