//! What would be said again and again is said at most once a minute.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const INTERVAL: Duration = Duration::from_secs(60);

/// Whether it may be said now. `last` is when it was said, in microseconds since 1970; 0 if it was not.
pub fn is_time(last: &AtomicU64) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (now, before) = (now.as_micros() as u64, last.load(Ordering::Relaxed));
    u128::from(now.saturating_sub(before)) > INTERVAL.as_micros()
        && last
            .compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_time_once_and_again_a_minute_later() {
        let last = AtomicU64::new(0);
        assert!(is_time(&last) && !is_time(&last));
        last.fetch_sub(61_000_000, Ordering::Relaxed);
        assert!(is_time(&last) && !is_time(&last));
    }
}
