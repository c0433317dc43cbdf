//! Typed header fields, read from their values when asked for.
pub mod address;
pub mod challenge;
pub mod cseq;
pub mod diversion;
pub mod event;
pub mod geolocation;
pub mod history_info;
pub mod identity;
pub mod params;
pub mod privacy;
pub mod rack;
pub mod reason;
mod refer;
pub mod replaces;
pub mod retry_after;
pub mod session_expires;
pub mod subscription_state;
mod tokens;
pub mod typed;
pub mod user_to_user;
pub mod via;

pub use address::Address;
pub use challenge::Challenge;
pub use cseq::CSeq;
pub use diversion::Diversion;
pub use event::EventPackage;
pub use geolocation::GeolocationError;
pub use history_info::{HistoryInfo, HistoryTarget};
pub use identity::{Identities, RemotePartyId};
pub use params::Params;
pub use privacy::Privacy;
pub use rack::RAck;
pub use reason::Reason;
pub use refer::refer_sub;
pub use replaces::{Join, Replaces, TargetDialog};
pub use retry_after::RetryAfter;
pub use session_expires::{Refresher, SessionExpires};
pub use subscription_state::{Resubscribe, SubscriptionState, Substate, TerminationReason};
pub use user_to_user::UserToUser;
pub use via::Via;

use crate::error::HeaderError;
use crate::grammar::trim;
use crate::name::HeaderName;

/// A value as text, without white space at its ends.
fn value_text(name: HeaderName, value: &[u8]) -> Result<&str, HeaderError> {
    std::str::from_utf8(trim(value)).map_err(|_| HeaderError::new(name, "it is not UTF-8"))
}
