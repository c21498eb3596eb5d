//! The time that all servers of a bucket agree on: that of the bucket.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use super::ServerId;
use crate::store::Result;
use crate::store::shared::SharedObjects;

/// Names of the objects by which the clock is asked.
const PREFIX: &str = "server-clocks/";
/// Two clocks run apart by less than a second in this time.
const RENEW_INTERVAL: Duration = Duration::from_secs(600);

/// An answer about the time that took longer is not exact enough.
pub(super) const MAX_CLOCK_DELAY: Duration = Duration::from_secs(5);

/// The two clocks of this machine run apart by more only if one jumped, or if the machine slept.
const MAX_DRIFT: Duration = Duration::from_secs(30);

/// The bucket's clock as it was seen last, carried on by one that never jumps. Exact to a second or two.
#[derive(Debug, Default)]
pub struct BucketClock(Mutex<Option<Seen>>);

/// The bucket's time at a moment of this machine.
#[derive(Debug, Clone, Copy)]
struct Seen {
    time: SystemTime,
    at: Instant,
    /// The same moment by the other clock of this machine.
    wall: SystemTime,
}

impl Seen {
    /// Whether it can be carried on to now.
    fn holds(&self) -> bool {
        let carried = self.at.elapsed();
        // A clock that went back has no time since.
        let wall = self.wall.elapsed().unwrap_or_default();
        carried < RENEW_INTERVAL && carried.abs_diff(wall) < MAX_DRIFT
    }
}

impl BucketClock {
    /// Now; by the clock of this machine until the bucket's was seen.
    pub fn now(&self) -> SystemTime {
        let seen = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let carried = seen.and_then(|seen| seen.time.checked_add(seen.at.elapsed()));
        carried.unwrap_or_else(SystemTime::now)
    }

    /// Asks the bucket for its time, unless it was seen not long ago.
    ///
    /// # Errors
    /// The bucket cannot be asked.
    pub async fn learn(&self, shared: &dyn SharedObjects, me: ServerId) -> Result<()> {
        let seen = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_some_and(|seen| seen.holds()) {
            return Ok(());
        }
        let (name, asked) = (format!("{PREFIX}{:03x}", me.number()), Instant::now());
        shared.put(&name, Bytes::new()).await?;
        let listed = shared.list_page(&name, None).await?;
        let own = listed.objects.iter().find(|object| object.name == name);
        let written = own.and_then(|object| object.written);
        // A bucket without times has none that would be better.
        self.observe(written.unwrap_or_else(SystemTime::now), asked);
        Ok(())
    }

    /// The bucket says that something was written at `time`, which was asked for at `at`.
    pub(in crate::cache) fn observe(&self, time: SystemTime, at: Instant) {
        let seen = Seen {
            time,
            at,
            wall: SystemTime::now(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
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
