//! What holds for one tenant.

use std::time::Duration;

/// What the rules say about one tenant; `None` where they say nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantLimits {
    /// How much its share is beside those of others; see [`TenantLimits::weight`].
    pub weight: Option<u32>,
    /// The most bytes in one tier.
    pub max_bytes: Option<u64>,
    /// The most entries in one tier.
    pub max_entries: Option<u64>,
    /// An entry that was stored this long ago is a miss.
    pub max_age: Option<Duration>,
    /// An entry that nobody has read for this long is a miss.
    pub expire_after_unused: Option<Duration>,
    /// The largest body in bytes.
    pub max_entry_size: Option<u64>,
    /// Unfinished uploads of the Actions cache on one server.
    pub max_uploads: Option<usize>,
    /// Bytes that it may write to one server in a second.
    pub write_rate: Option<u64>,
    /// Requests at once on one server.
    pub requests_in_flight: Option<usize>,
    /// The reservations that it shares in: places in [`super::RuleSet::reservations`], in order.
    pub reservations: Box<[usize]>,
}

impl TenantLimits {
    /// Whether something of it is held in a remote tier.
    pub fn bounds_remote(&self) -> bool {
        let times = self.max_age.or(self.expire_after_unused);
        times.is_some() || self.max_bytes.is_some() || self.max_entries.is_some()
    }

    /// The weight; 1 where no rule says another one.
    pub fn weight(&self) -> u32 {
        self.weight.unwrap_or(1)
    }
}
