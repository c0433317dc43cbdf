//! What the Rust half logs: one line per record on stderr. A Python `logging` handler would take the interpreter on I/O threads
//! for every record, which invariant 3 of ARCHITECTURE.md forbids.
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::Mutex;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::{fmt, reload};

/// How to change the level of the subscriber that was installed.
static LEVEL: Mutex<Option<reload::Handle<Targets, Registry>>> = Mutex::new(None);

/// The libraries that write a line for each datagram of whoever can send one to them, without a limit: their errors only, until somebody
/// wants to see everything.
const TALKATIVE: [&str; 3] = ["hickory_net", "hickory_proto", "hickory_resolver"];

fn filter(level: LevelFilter) -> Targets {
    let theirs = if level < LevelFilter::DEBUG {
        level.min(LevelFilter::ERROR)
    } else {
        level
    };
    Targets::new()
        .with_default(level)
        .with_targets(TALKATIVE.map(|library| (library, theirs)))
}

/// Writes what the Rust half logs to stderr, one line per record, from `level` up.
#[pyfunction]
#[pyo3(signature = (level = "warning"))]
pub fn install_logging(level: &str) -> PyResult<()> {
    let filter = match level.to_ascii_lowercase().as_str() {
        "off" => LevelFilter::OFF,
        "critical" | "error" => LevelFilter::ERROR,
        "warn" | "warning" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => {
            let text = format!(
                "no log level \"{level}\": there are error, warning, info, debug, trace and off"
            );
            return Err(PyValueError::new_err(text));
        }
    };
    let filter = self::filter(filter);
    let mut installed = LEVEL
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(handle) = &*installed {
        return handle
            .modify(|level| *level = filter)
            .map_err(|error| PyValueError::new_err(error.to_string()));
    }
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer().with_ansi(false).with_writer(std::io::stderr);
    let subscriber = Registry::default().with(filter).with(lines);
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    *installed = Some(handle);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn what_strangers_send_to_a_library_is_told_to_those_only_who_want_everything() {
        let warnings = filter(LevelFilter::WARN);
        assert!(warnings.would_enable("net::incoming", &Level::WARN));
        assert!(!warnings.would_enable("hickory_net::udp::udp_client_stream", &Level::WARN));
        assert!(warnings.would_enable("hickory_net::udp", &Level::ERROR));
        assert!(filter(LevelFilter::DEBUG).would_enable("hickory_net::udp", &Level::DEBUG));
        assert!(!filter(LevelFilter::OFF).would_enable("hickory_net::udp", &Level::ERROR));
    }
}
