//! One question, answered while the caller waits: for tools that want to know what a server would find.
use super::{DnsConfig, Names, Way};
use engine::{Resolve, ResolveError, Resolved};

/// Where requests for this host would go, in the order in which they are tried. Blocks for `DnsConfig::limit` at most.
///
/// # Errors
/// Why there is no answer.
pub fn locate_once(
    config: &DnsConfig,
    ways: Vec<Way>,
    question: &Resolve,
) -> Result<Vec<Resolved>, ResolveError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|_| ResolveError::Failed)?;
    let names = Names::new(config, ways);
    let located = runtime.block_on(names.locate(question));
    // Look-ups that nobody waits for any more are left behind.
    runtime.shutdown_background();
    located.targets
}
