//! Looks at the certificates' files every few seconds, on a thread of its own, so that a renewed certificate is used without a restart.
use super::store::Store;
use crate::config::Companion;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How often certificates that end soon are named again.
const DAY: Duration = Duration::from_secs(86_400);

/// The task that watches; none when nothing is to be watched.
pub(crate) fn watch(store: Arc<Store>) -> Option<Companion> {
    let every = store.config().reload_interval;
    if every.is_zero() {
        return None;
    }
    Some(Box::new(move |_| {
        Box::pin(async move {
            let mut ticks = interval_at(Instant::now() + every, every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut warned = Instant::now();
            loop {
                let now = ticks.tick().await;
                let is_due = now.duration_since(warned) >= DAY;
                if is_due {
                    warned = now;
                }
                let store = store.clone();
                // Files may be on a disk that is slow or gone: never on the shard's thread.
                let looked = tokio::task::spawn_blocking(move || {
                    let today = SystemTime::now();
                    store.reload_if_changed(today);
                    if is_due {
                        store.warn_of_expiry(today);
                    }
                });
                if looked.await.is_err() {
                    tracing::error!(
                        "TLS: looking at the certificates' files caused a panic: this is a bug"
                    );
                }
            }
        })
    }))
}
