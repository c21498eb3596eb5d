//! How often something is done, and how much at once.

use std::time::Duration;

/// See the fields.
#[derive(Debug, Clone, Copy)]
pub struct BucketRulesPace {
    /// A read of an entry is noted if the last row of it is so old.
    pub note_again_after: Duration,
    /// How long rows wait in memory.
    pub flush: Duration,
    /// Between the first pass and the start.
    pub first_pass: Duration,
    /// Between two passes.
    pub pass: Duration,
    /// Between two steps of a pass; each is some requests.
    pub step: Duration,
    /// Rows of a tenant that a pass has in memory at once, some hundred bytes each.
    pub rows_at_once: usize,
}

impl Default for BucketRulesPace {
    fn default() -> Self {
        Self {
            note_again_after: Duration::from_secs(24 * 3600),
            flush: Duration::from_secs(3600),
            first_pass: Duration::from_secs(600),
            pass: Duration::from_secs(6 * 3600),
            step: Duration::from_millis(20),
            rows_at_once: 50_000,
        }
    }
}

impl BucketRulesPace {
    /// By how much the last use of an entry may be later than its row says: it was not noted again, and the row may wait.
    pub(super) fn slack(&self) -> Duration {
        self.note_again_after + 2 * self.flush
    }
}
