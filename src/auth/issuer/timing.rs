//! Time limits and intervals of key sets.

use std::time::Duration;

/// The intervals of key sets. The defaults are for production; tests shorten them.
#[derive(Debug, Clone, Copy)]
pub struct KeyTiming {
    /// Longest time for one fetch: discovery and key set together. Default 5 s.
    pub fetch: Duration,
    /// Longest time that a request waits for keys. Default 5 s.
    pub wait: Duration,
    /// Pause after the first failed fetch; it doubles with each further one. Default 1 s.
    pub first_retry: Duration,
    /// Longest pause after a failed fetch. Default 60 s.
    pub longest_retry: Duration,
    /// Shortest time between two good fetches, whatever `Cache-Control` says. Default 5 min.
    pub shortest_refresh: Duration,
    /// Longest time between two good fetches, whatever `Cache-Control` says. Default 60 min.
    pub longest_refresh: Duration,
    /// Shortest time between two fetches that requests with unknown keys ask for, per issuer.
    /// Default 10 s.
    pub demand: Duration,
    /// How often a `jwks_file` is looked at. Default 10 s.
    pub file: Duration,
    /// How long keys are used while fetches fail. Default 24 h.
    pub stale: Duration,
}

impl Default for KeyTiming {
    fn default() -> Self {
        Self {
            fetch: Duration::from_secs(5),
            wait: Duration::from_secs(5),
            first_retry: Duration::from_secs(1),
            longest_retry: Duration::from_secs(60),
            shortest_refresh: Duration::from_secs(5 * 60),
            longest_refresh: Duration::from_secs(60 * 60),
            demand: Duration::from_secs(10),
            file: Duration::from_secs(10),
            stale: Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl KeyTiming {
    /// Time between two good fetches when the issuer does not say how long its keys are fresh.
    const DEFAULT_REFRESH_INTERVAL: Duration = Duration::from_secs(15 * 60);

    /// The pause after the `failures`-th failed fetch in a row (from 1).
    pub(super) fn retry(&self, failures: u32) -> Duration {
        let factor = 1 << failures.saturating_sub(1).min(16);
        jitter(self.first_retry.saturating_mul(factor).min(self.longest_retry))
    }

    /// The pause after a good fetch, given the `max-age` of its answer.
    pub(super) fn refresh(&self, max_age: Option<Duration>) -> Duration {
        let wished = max_age.unwrap_or(Self::DEFAULT_REFRESH_INTERVAL);
        let longest = self.longest_refresh.max(self.shortest_refresh);
        jitter(wished.clamp(self.shortest_refresh, longest))
    }
}

/// Takes off up to a fifth, so that many servers do not ask one issuer in step.
fn jitter(pause: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness the servers are in step, which only costs the issuer.
    aws_lc_rs::rand::fill(&mut random).ok();
    let share = f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX);
    pause.mul_f64(1.0 - 0.2 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(pause: Duration, full: u64) -> bool {
        let full = Duration::from_secs(full);
        pause <= full && pause >= full.mul_f64(0.79)
    }

    #[test]
    fn failures_back_off_to_a_minute() {
        let timing = KeyTiming::default();
        for (failures, seconds) in [(1, 1), (2, 2), (4, 8), (7, 60), (40, 60), (u32::MAX, 60)] {
            assert!(within(timing.retry(failures), seconds), "{failures}");
        }
    }

    #[test]
    fn max_age_is_followed_within_bounds() {
        let timing = KeyTiming::default();
        for (max_age, seconds) in [
            (Some(0), 300),
            (Some(600), 600),
            (Some(1 << 40), 3600),
            (None, 900),
        ] {
            assert!(
                within(timing.refresh(max_age.map(Duration::from_secs)), seconds),
                "{max_age:?}"
            );
        }
    }
}
