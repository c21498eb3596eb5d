//! One rule as it stands in the file.

use std::time::Duration;

use super::share::Share;

/// One entry of `tenants`: bounds and guarantees for the tenants whose names match.
///
/// Every rule that matches applies, in the order of the file; a later one overrides single keys. `min_share` is one
/// reservation for all tenants that match, everything else counts for each of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantRule {
    /// `match`: the name of a tenant as `chacha explain` prints it, in which `*` stands for any characters.
    pub pattern: String,
    /// `min_share`: room that others cannot take.
    pub min_share: Option<Share>,
    /// `weight`: how much a tenant's share is beside those of others, 1 to 1000. Default 1.
    pub weight: Option<u32>,
    /// `max_bytes`: the most that a tenant may have in one tier.
    pub max_bytes: Option<Share>,
    /// `max_entries`: the most entries that a tenant may have in one tier.
    pub max_entries: Option<u64>,
    /// `max_age`: an entry that was stored this long ago is a miss. 1 s to 10 years.
    pub max_age: Option<Duration>,
    /// `expire_after_unused`: an entry that nobody has read for this long is a miss. 1 s to 10 years; with `s3` at
    /// least 48 h.
    pub expire_after_unused: Option<Duration>,
    /// `max_entry_size`: largest accepted body, in bytes.
    pub max_entry_size: Option<u64>,
    /// `max_uploads`: unfinished uploads of the Actions cache on one server.
    pub max_uploads: Option<usize>,
    /// `write_rate`: bytes that a tenant may write to one server in a second.
    pub write_rate: Option<u64>,
    /// `requests_in_flight`: requests at once on one server.
    pub requests_in_flight: Option<usize>,
}

impl TenantRule {
    /// Whether something of it is held in a remote tier.
    pub fn bounds_remote(&self) -> bool {
        let times = self.max_age.or(self.expire_after_unused);
        times.is_some() || self.max_bytes.is_some() || self.max_entries.is_some()
    }
}
