//! Reads `Streams` (`python/dracht/streams.py`, which documents each attribute), by attribute.
use super::duration;
use net::StreamConfig;
use net::config::KeepAlive;
use pyo3::prelude::*;

/// What `Streams` says; the defaults for None.
pub fn config(given: Option<&Bound<'_, PyAny>>) -> PyResult<StreamConfig> {
    let Some(given) = given else {
        return Ok(StreamConfig::default());
    };
    let seconds = |name| duration(given, "Streams", name);
    Ok(StreamConfig {
        connections: given.getattr("max_connections")?.extract()?,
        handshakes: given.getattr("max_handshakes")?.extract()?,
        connect_timeout: seconds("connect_timeout")?,
        handshake_timeout: seconds("handshake_timeout")?,
        first_message_timeout: seconds("first_message_timeout")?,
        idle_timeout: seconds("idle_timeout")?,
        message_timeout: seconds("message_timeout")?,
        write_timeout: seconds("write_timeout")?,
        ping_interval: seconds("ping_interval")?,
        pong_timeout: seconds("pong_timeout")?,
        keep_alive: match given.getattr("keep_alive")?.extract::<String>()?.as_str() {
            "opened" => KeepAlive::Opened,
            _ => KeepAlive::Registered,
        },
        keep_alive_interval: seconds("keep_alive_interval")?,
        unanswered: given.getattr("unanswered")?.extract()?,
        alias: given.getattr("alias")?.extract()?,
        origins: given.getattr("origins")?.extract()?,
        ..StreamConfig::default()
    })
}
