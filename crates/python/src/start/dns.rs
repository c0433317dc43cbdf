//! `dns`: a `dracht.Dns`, read by its attributes.
use crate::draft;
use engine::config::Failover;
use net::DnsConfig;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How names are resolved, and what becomes of targets that do not answer; the defaults without one.
pub fn read(dns: Option<&Bound<'_, PyAny>>) -> PyResult<(DnsConfig, Failover)> {
    let Some(given) = dns else {
        return Ok((DnsConfig::default(), Failover::default()));
    };
    let addresses: Vec<(String, u16)> = given.getattr("addresses")?.extract()?;
    let servers: PyResult<Vec<SocketAddr>> = addresses
        .iter()
        .map(|(address, port)| {
            let address: IpAddr = address.parse().map_err(|_| {
                PyValueError::new_err(format!("servers: \"{address}\" is no address"))
            })?;
            Ok(SocketAddr::new(address, *port))
        })
        .collect();
    let time = |name: &str| -> PyResult<Duration> {
        draft::seconds(name, given.getattr(name)?.extract()?)
    };
    let target_timeout: Option<f64> = given.getattr("target_timeout")?.extract()?;
    let config = DnsConfig {
        servers: servers?,
        hosts: given.getattr("hosts")?.extract()?,
        timeout: time("timeout")?,
        attempts: given.getattr("attempts")?.extract()?,
        limit: time("limit")?,
        services: given.getattr("services")?.extract()?,
        cache: given.getattr("cache")?.extract()?,
        longest_ttl: time("longest_ttl")?,
        stale: time("stale")?,
        ..DnsConfig::default()
    };
    let failover = Failover {
        target_timeout: target_timeout
            .map(|seconds| draft::positive_seconds("target_timeout", seconds))
            .transpose()?,
        unavailable: time("unavailable")?,
        unavailable_longest: time("unavailable_longest")?,
    };
    Ok((config, failover))
}
