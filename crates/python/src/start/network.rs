//! `network`: a `dracht.Network`, read by its attributes.
use engine::config::{NatRules, Network, RelayKey, Unsigned};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// What the engine is told of the networks around it; the defaults without one.
pub fn read(network: Option<&Bound<'_, PyAny>>) -> PyResult<Network> {
    let Some(given) = network else {
        return Ok(Network::default());
    };
    let local: Vec<String> = given.getattr("local_networks")?.extract()?;
    let local = local.iter().map(|text| {
        text.parse().map_err(|error| {
            PyValueError::new_err(format!("local_networks: {text:?} cannot be used: {error}"))
        })
    });
    let nat: Vec<String> = given.getattr("nat")?.extract()?;
    let has = |rule: &str| nat.iter().any(|given| given == rule);
    let unsigned: String = given.getattr("relay_unsigned")?.extract()?;
    Ok(Network {
        key: key(given)?,
        unsigned: match unsigned.as_str() {
            "refuse" => Unsigned::Refuse,
            "drop" => Unsigned::Drop,
            "relay" => Unsigned::Relay,
            other => {
                return Err(PyValueError::new_err(format!(
                    "relay_unsigned is 'refuse', 'drop' or 'relay', not {other:?}"
                )));
            }
        },
        local: local.collect::<PyResult<Vec<_>>>()?,
        nat: NatRules {
            contact_private: has("contact_private"),
            contact_differs: has("contact_differs"),
            via_differs: has("via_differs"),
        },
        routing: None,
    })
}

/// The key that the secret gives, where there is one. The server adds the number of its process.
fn key(given: &Bound<'_, PyAny>) -> PyResult<Option<RelayKey>> {
    let key: Option<Vec<u8>> = given.getattr("relay_key")?.extract()?;
    let Some(key) = key else { return Ok(None) };
    let words = key.split_at_checked(8).and_then(|(first, second)| {
        Some([
            u64::from_le_bytes(first.try_into().ok()?),
            u64::from_le_bytes(second.try_into().ok()?),
        ])
    });
    let secret = words.ok_or_else(|| {
        PyValueError::new_err("relay_key has 16 bytes: derive it from relay_secret")
    })?;
    Ok(Some(RelayKey { secret, epoch: 0 }))
}
