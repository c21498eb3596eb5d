//! The time that all servers of a bucket agree on: that of the bucket.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use tokio::time::Instant;

/// The bucket's clock as it was seen last, carried on by one that never jumps. Exact to a second or two.
#[derive(Debug, Default)]
pub struct BucketClock(Mutex<Option<(SystemTime, Instant)>>);

impl BucketClock {
    /// Now; by the clock of this machine until the bucket's was seen.
    pub fn now(&self) -> SystemTime {
        let seen = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let carried = seen.and_then(|(time, at)| time.checked_add(at.elapsed()));
        carried.unwrap_or_else(SystemTime::now)
    }

    /// The bucket says that something was written at `time`, which was asked for at `at`.
    pub(super) fn observe(&self, time: SystemTime, at: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((time, at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn the_clock_of_this_machine_does_not_count() {
        let clock = BucketClock::default();
        let early = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        clock.observe(early, Instant::now());
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(clock.now(), early + Duration::from_secs(9));
    }
}
