//! What an engine holds and has done, as Python dicts.
use engine::counts::Counts;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The state of one shard: the sizes of its tables, then its totals.
pub fn shard_dict(py: Python<'_>, counts: Counts) -> PyResult<Bound<'_, PyDict>> {
    // No `..`: a count that is added to the engine is to be added here.
    let Counts {
        shard,
        server_transactions,
        client_transactions,
        dialogs,
        proxies,
        timers,
        resolves,
        unavailable,
        applications,
        flows,
        connections,
        bans,
        sources,
        totals,
    } = counts;
    let dict = PyDict::new(py);
    for (name, number) in [
        ("shard", usize::from(shard)),
        ("server_transactions", server_transactions),
        ("client_transactions", client_transactions),
        ("dialogs", dialogs),
        ("proxies", proxies),
        ("timers", timers),
        ("resolves", resolves),
        ("targets_unavailable", unavailable),
        ("applications", applications),
        ("flows", flows),
        ("connections", connections),
        ("bans", bans),
        ("sources", sources),
    ] {
        dict.set_item(name, number)?;
    }
    for (name, total) in totals {
        dict.set_item(name, total)?;
    }
    Ok(dict)
}
