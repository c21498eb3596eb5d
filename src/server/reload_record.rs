//! How reloads went.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// How reloads went, for metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct ReloadRecord(Arc<ReloadTimes>);

#[derive(Debug)]
struct ReloadTimes {
    was_good: AtomicBool,
    /// Seconds since 1970.
    last_good: AtomicU64,
}

impl ReloadRecord {
    /// A start counts as a reload that went well.
    pub(super) fn new() -> Self {
        Self(Arc::new(ReloadTimes {
            was_good: AtomicBool::new(true),
            last_good: AtomicU64::new(now()),
        }))
    }

    pub(super) fn note(&self, good: bool) {
        self.0.was_good.store(good, Ordering::Relaxed);
        if good {
            self.0.last_good.store(now(), Ordering::Relaxed);
        }
    }

    pub(super) fn was_good(&self) -> bool {
        self.0.was_good.load(Ordering::Relaxed)
    }

    pub(super) fn last_good(&self) -> u64 {
        self.0.last_good.load(Ordering::Relaxed)
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
