//! How `limits.memory` and `limits.index_memory` are divided.

use crate::config::{LimitsConfig, defaults};
use crate::sys;

/// What the parts of the server may take, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MemoryPlan {
    /// What requests hold: bodies of calls, batches of bodies, lists of blocks.
    pub(super) requests: u64,
    /// Small bodies of entries (`disk.memory`).
    pub(super) small_bodies: u64,
}

impl MemoryPlan {
    /// For this machine: of `limits.memory` as configured, and of `disk.memory`, which is a part of it.
    pub(super) fn new(limit: Option<u64>, small_bodies: u64) -> Self {
        Self::on(sys::memory_size(), limit, small_bodies)
    }

    /// Of `limits.index_memory`: what the index of the Actions cache may take.
    pub(super) fn index(limits: &LimitsConfig) -> u64 {
        limits.index_memory - Self::tokens(limits)
    }

    /// Of `limits.index_memory`: what tokens that were verified may take.
    pub(super) fn tokens(limits: &LimitsConfig) -> u64 {
        limits.index_memory / 4
    }

    fn on(machine: Option<u64>, limit: Option<u64>, small_bodies: u64) -> Self {
        let quarter = machine.map_or(u64::MAX, |bytes| bytes / 4);
        let default = defaults::LIMITS_MEMORY.min(quarter);
        if limit.is_none() && small_bodies > defaults::MEMORY_BYTES {
            // Whoever gives more to small bodies takes nothing from requests by that.
            return Self {
                requests: default - default / 4,
                small_bodies,
            };
        }
        let limit = limit.unwrap_or(default);
        let small_bodies = small_bodies.min(limit / 2);
        Self {
            requests: limit - small_bodies,
            small_bodies,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[track_caller]
    fn check(machine: u64, limit: Option<u64>, small: u64, expected: (u64, u64)) {
        let plan = MemoryPlan::on(Some(machine * MIB), limit.map(|limit| limit * MIB), small * MIB);
        assert_eq!((plan.requests / MIB, plan.small_bodies / MIB), expected);
    }

    #[test]
    fn the_default_is_128_mib_and_less_on_a_small_machine() {
        check(64_000, None, 32, (96, 32));
        check(512, None, 32, (96, 32));
        check(256, None, 32, (32, 32));
        check(128, None, 32, (16, 16));
        assert_eq!(MemoryPlan::on(None, None, 32 * MIB).requests, 96 * MIB);
    }

    #[test]
    fn what_is_configured_counts_as_one_sum() {
        check(64_000, Some(256), 32, (224, 32));
        check(64_000, Some(32), 32, (16, 16));
        check(128, Some(256), 100, (156, 100));
        // Without a limit for all, more small bodies cost requests nothing.
        check(64_000, None, 1024, (96, 1024));
        check(64_000, None, 8, (120, 8));
    }
}
