//! The counters of the identity layer, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start of the server. Each only grows.
#[derive(Debug, Default)]
pub struct AuthStats {
    /// Key sets fetched, or read anew from a file.
    pub refreshes_ok: AtomicU64,
    /// Attempts to fetch a key set that failed.
    pub refreshes_failed: AtomicU64,
    /// Tokens whose signature and claims were checked and found good.
    pub verified: AtomicU64,
    /// Requests answered from the token cache.
    pub remembered: AtomicU64,
    /// Requests refused: bad credentials, or not allowed by a rule.
    pub refused: AtomicU64,
    /// Requests that could not be judged because keys were not known.
    pub unavailable: AtomicU64,
}

/// Adds one. Relaxed: nothing is ordered by these numbers.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
