//! The clock of the bucket beside the one of this machine: other servers have clocks of their own, the bucket has one.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};

/// Nothing was answered yet.
const UNKNOWN: i64 = i64::MIN;

/// See the module.
#[derive(Debug)]
pub(super) struct StoreClock {
    /// How far it was ahead at the last answer, in ms.
    ahead: AtomicI64,
}

impl Default for StoreClock {
    fn default() -> Self {
        Self {
            ahead: AtomicI64::new(UNKNOWN),
        }
    }
}

impl StoreClock {
    /// An answer that has come now has this `Date`.
    pub(super) fn told(&self, date: &str) {
        let told = DateTime::from_str(date, DateTimeFormat::HttpDate);
        if let Some(millis) = told.ok().and_then(|told| told.to_millis().ok()) {
            self.ahead.store(millis - now_millis(), Ordering::Relaxed);
        }
    }

    /// What this clock shows at a moment of the bucket's, to a second or two. `None` if no answer has told the time.
    pub(super) fn by_ours(&self, theirs: &DateTime) -> Option<SystemTime> {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let millis = theirs.to_millis().ok().filter(|_| ahead != UNKNOWN)?;
        let ours = u64::try_from(millis.checked_sub(ahead)?).ok()?;
        UNIX_EPOCH.checked_add(Duration::from_millis(ours))
    }
}

fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_of_the_bucket_is_told_by_this_clock() {
        let clock = StoreClock::default();
        let there = DateTime::from_secs(1_700_000_000);
        assert_eq!(clock.by_ours(&there), None);
        clock.told("no date");
        assert_eq!(clock.by_ours(&there), None);
        // Ten minutes after that moment.
        let date = DateTime::from_secs(1_700_000_600).fmt(DateTimeFormat::HttpDate);
        clock.told(&date.expect("a date"));
        let ago = clock
            .by_ours(&there)
            .expect("told")
            .elapsed()
            .expect("in the past");
        assert!((599..602).contains(&ago.as_secs()), "{ago:?}");
    }
}
