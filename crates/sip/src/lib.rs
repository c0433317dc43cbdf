//! Bytes to SIP messages and back: one buffer and spans, typed headers on demand.
//!
//! This crate parses, reads, patches and writes SIP messages (RFC 3261 §7, §25). It holds no state, reads no clock and
//! does no I/O; what a message *means* for a transaction or dialog is the engine's business.
pub mod build;
mod equivalence;
pub mod error;
mod field;
pub mod frame;
mod grammar;
mod head;
pub mod header;
pub mod limits;
pub mod message;
pub mod method;
pub mod multipart;
pub mod name;
pub mod patch;
pub mod sdp;
mod start_line;
pub mod status;
pub mod uri;

pub use build::Build;
pub use error::{HeaderError, ParseError, ParseErrorKind};
pub use frame::{Frame, Framer};
pub use grammar::list_values;
pub use header::{Address, CSeq, Challenge, Params, Via};
pub use limits::Limits;
pub use message::{Field, Message};
pub use method::Method;
pub use multipart::BodyPart;
pub use name::HeaderName;
pub use patch::Patch;
pub use sdp::{Sdp, SdpError};
pub use uri::{Host, Scheme, Uri, UriError};
