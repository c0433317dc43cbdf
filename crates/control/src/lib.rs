//! The server side of drachtio's control protocol, over the seam: clients' frames become `Command`s, `Event`s become frames.
//!
//! In reading order: `frame` cuts the stream, `envelope`, `request` and `text` read a payload, `session` answers it or hands a command to the
//! engines, `link` takes their events, `write` spells them, `connection` and `listener` move the bytes. Only the last two, and the
//! wake-up in `link`, know of an asynchronous runtime. What a SIP message means is the engine's business, not this crate's.
pub mod answers;
pub mod config;
pub mod connection;
mod crowd;
pub mod disconnect;
pub mod envelope;
pub mod frame;
pub mod link;
pub mod listener;
pub mod name;
pub mod refusal;
pub mod request;
pub mod server;
pub mod session;
pub mod text;
pub mod time_of_day;
pub mod write;

pub use config::{ControlBounds, ControlConfig, ControlTls, VERSION};
pub use disconnect::Disconnect;
pub use listener::{Listener, serve};
