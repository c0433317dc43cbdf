//! Why a client is disconnected: the errors that a server's log names.
use crate::frame::FrameError;
use std::fmt;
use std::time::Duration;

/// Why a connection to a client ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Disconnect {
    /// The client closed it.
    Closed,
    /// The client closed it, and had not authenticated.
    Left,
    /// Reading or writing failed.
    Io(String),
    /// Its frames cannot be followed.
    Frame(FrameError),
    /// It sent something before it was authenticated.
    NotAuthenticated,
    /// It does not know the secret.
    WrongSecret,
    /// It took too long to authenticate.
    AuthenticationTimeout(Duration),
    /// A frame of it was refused; the text is what it was told.
    Refused(&'static str),
    /// It does not read: too many bytes wait for it.
    QueueBytes {
        /// How many may, in bytes.
        limit: usize,
    },
    /// It does not read: a frame waits too long for it.
    QueueAge {
        /// How long one may.
        limit: Duration,
    },
}

impl Disconnect {
    /// Whether a reply that says so is still to be written.
    #[must_use]
    pub fn has_reply(&self) -> bool {
        matches!(
            self,
            Disconnect::NotAuthenticated | Disconnect::WrongSecret | Disconnect::Refused(_)
        )
    }
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Disconnect::Closed => f.write_str("the client closed the connection"),
            Disconnect::Left => {
                f.write_str("the client closed the connection without authenticating")
            }
            Disconnect::Io(error) => write!(f, "network error: {error}"),
            Disconnect::Frame(error) => write!(f, "framing error: {error}"),
            Disconnect::NotAuthenticated => {
                f.write_str("the client sent a command before it authenticated")
            }
            Disconnect::WrongSecret => {
                f.write_str("wrong secret: compare the client's with the server's `--secret`")
            }
            Disconnect::AuthenticationTimeout(limit) => {
                write!(f, "the client did not authenticate within {limit:?}")
            }
            Disconnect::Refused(text) => write!(f, "a message of the client was refused: {text}"),
            Disconnect::QueueBytes { limit } => write!(
                f,
                "the client does not read: more than {limit} bytes wait for it"
            ),
            Disconnect::QueueAge { limit } => write!(
                f,
                "the client does not read: a message has waited for it for {limit:?}"
            ),
        }
    }
}

impl std::error::Error for Disconnect {}
