//! Typed header fields, read from their values when asked for.
pub mod address;
pub mod challenge;
pub mod cseq;
pub mod params;
pub mod typed;
pub mod via;

pub use address::Address;
pub use challenge::Challenge;
pub use cseq::CSeq;
pub use params::Params;
pub use via::Via;
