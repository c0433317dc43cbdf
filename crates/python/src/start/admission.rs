//! `admission`: what is taken from whom, as `dracht.Admission` says it. The class has checked the values; this reads them.
use engine::admit::{Admission, Prefix, Rate};
use net::admission::{Action, AdmissionConfig, Filter, Pattern};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::time::Duration;

/// Reads a `dracht.Admission`; none has the defaults.
pub fn read(admission: Option<&Bound<'_, PyAny>>) -> PyResult<AdmissionConfig> {
    let Some(given) = admission else {
        return Ok(AdmissionConfig::default());
    };
    let number = |name: &str| -> PyResult<usize> { given.getattr(name)?.extract() };
    let rate = |name: &str, burst: &str| -> PyResult<Option<Rate>> {
        let per_second: Option<u32> = given.getattr(name)?.extract()?;
        let burst = given.getattr(burst)?.extract()?;
        Ok(per_second.map(|per_second| Rate::new(per_second, burst)))
    };
    let time = |name: &str| seconds(&given.getattr(name)?, name);
    let limits = Admission {
        trusted: prefixes(given)?,
        rate: rate("rate", "burst")?,
        known_rate: rate("known_rate", "known_burst")?,
        byte_rate: rate("byte_rate", "byte_burst")?,
        known_byte_rate: rate("known_byte_rate", "known_byte_burst")?,
        strangers_rate: rate("strangers_rate", "strangers_burst")?,
        refused_rate: rate("refused_rate", "refused_burst")?,
        connection_rate: rate("connection_rate", "connection_burst")?,
        known_for: time("known_for")?,
        transactions: number("transactions")?,
        known_transactions: number("known_transactions")?,
        strangers_transactions: number("strangers_transactions")?,
        half_open: number("half_open")?,
        known_half_open: number("known_half_open")?,
        strangers_half_open: number("strangers_half_open")?,
        dialogs: number("dialogs")?,
        event_age: time("stranger_event_age")?,
        full_repeats: given.getattr("full_repeats")?.extract()?,
    };
    let mut filters = Vec::new();
    for one in given.getattr("filters")?.try_iter()? {
        filters.push(filter(&one?)?);
    }
    if given.getattr("scanners")?.extract()? {
        let ban = given.getattr("ban")?;
        let action = if ban.is_none() {
            Action::Drop
        } else {
            Action::Ban(seconds(&ban, "ban")?)
        };
        filters.extend(Filter::scanners(action));
    }
    Ok(AdmissionConfig {
        limits,
        filters,
        connections: number("connections")?,
    })
}

/// Reads `192.0.2.0/24` and the like.
pub fn prefix(text: &str) -> PyResult<Prefix> {
    text.parse().map_err(PyValueError::new_err)
}

fn prefixes(given: &Bound<'_, PyAny>) -> PyResult<Vec<Prefix>> {
    let texts: Vec<String> = given.getattr("trusted")?.extract()?;
    texts.iter().map(|text| prefix(text)).collect()
}

fn seconds(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Duration> {
    crate::draft::seconds(name, value.extract()?)
}

fn filter(given: &Bound<'_, PyAny>) -> PyResult<Filter> {
    let action = given.getattr("action")?;
    let action = match action.extract::<u16>() {
        Ok(status) => Action::Answer(status),
        Err(_) => match action.extract::<String>()?.as_str() {
            "drop" => Action::Drop,
            "ban" => Action::Ban(seconds(&given.getattr("seconds")?, "seconds")?),
            "admit" => Action::Admit,
            other => {
                return Err(PyValueError::new_err(format!(
                    "action is 'drop', 'ban', 'admit' or a status, not {other:?}"
                )));
            }
        },
    };
    let user_agent: Option<String> = given.getattr("user_agent")?.extract()?;
    Ok(Filter {
        name: given.getattr("name")?.extract()?,
        methods: given.getattr("methods")?.extract()?,
        user_agent: user_agent.map(|pattern| Pattern::new(&pattern)),
        head_over: given.getattr("head_over")?.extract()?,
        message_over: given.getattr("message_over")?.extract()?,
        action,
    })
}
