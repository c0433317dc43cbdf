//! `dracht._core`: the only crate that knows Python. Turns messages, events and commands of the Rust half into Python objects
//! and back; decides nothing about SIP.
//!
//! Classes are frozen and no Python object enters the other crates; the I/O threads never take the interpreter (invariant 3 of
//! ARCHITECTURE.md). What Python sees is written down in `python/dracht/_core.pyi`.
mod address;
mod answering;
mod application;
pub mod bridge;
mod counts;
mod cseq;
mod draft;
mod engine;
mod errors;
mod event;
mod header;
mod logging;
mod message;
mod origin;
mod plan;
mod sdp;
mod start;
mod text;
mod uri;
mod via;
pub mod wakeup;

use pyo3::prelude::*;

/// Reads a URI: `Uri.parse`.
#[pyfunction]
fn parse_uri(py: Python<'_>, text: &str) -> PyResult<uri::Uri> {
    uri::Uri::read_text(py, text)
}

/// The usual reason phrase of a status; that of its class when it is not registered (RFC 3261 §21, IANA).
#[pyfunction]
fn reason_phrase(status: u16) -> &'static str {
    sip::status::reason_phrase(status)
}

/// How long to wait before an INVITE or UPDATE that got 491 is sent again; seconds (RFC 3261 §14.1).
#[pyfunction]
fn glare_back_off(is_call_id_owner: bool, random: u64) -> f64 {
    ::engine::dialog::glare::back_off(is_call_id_owner, random).as_secs_f64()
}

/// Gives back to the system what memory is free. It takes some milliseconds.
#[pyfunction]
fn give_back_memory(py: Python<'_>) {
    py.detach(::net::give_back_memory);
}

/// The Rust half of dracht: SIP messages, and an engine in this process.
#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    for (name, kind) in event::KINDS {
        module.add(name, kind)?;
    }
    module.add_class::<engine::Engine>()?;
    module.add_class::<message::Message>()?;
    module.add_class::<address::Address>()?;
    module.add_class::<uri::Uri>()?;
    module.add_class::<via::Via>()?;
    module.add_class::<cseq::CSeq>()?;
    module.add_class::<origin::Origin>()?;
    module.add_class::<plan::Plan>()?;
    module.add_class::<header::Diversion>()?;
    module.add_class::<header::EventPackage>()?;
    module.add_class::<header::GeolocationError>()?;
    module.add_class::<header::HistoryInfo>()?;
    module.add_class::<header::Join>()?;
    module.add_class::<header::Privacy>()?;
    module.add_class::<header::RAck>()?;
    module.add_class::<header::Reason>()?;
    module.add_class::<header::RemotePartyId>()?;
    module.add_class::<header::Replaces>()?;
    module.add_class::<header::RetryAfter>()?;
    module.add_class::<header::SessionExpires>()?;
    module.add_class::<header::SubscriptionState>()?;
    module.add_class::<header::TargetDialog>()?;
    module.add_class::<header::UserToUser>()?;
    module.add_class::<sdp::Sdp>()?;
    module.add_class::<sdp::SdpMedia>()?;
    module.add_function(wrap_pyfunction!(parse_uri, module)?)?;
    module.add_function(wrap_pyfunction!(reason_phrase, module)?)?;
    module.add_function(wrap_pyfunction!(glare_back_off, module)?)?;
    module.add_function(wrap_pyfunction!(give_back_memory, module)?)?;
    module.add_function(wrap_pyfunction!(logging::install_logging, module)?)?;
    module.add_function(wrap_pyfunction!(start::tls::check_tls, module)?)?;
    Ok(())
}
