//! All rules of one configuration.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::glob;
use super::limits::TenantLimits;
use crate::config::TenantRule;
use crate::store::{Digest, Tenant};

/// Tenants whose limits are remembered. Others cost a look at all patterns.
const MAX_RESOLVED: u64 = 16_384;

/// The rules that are in force at one moment.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<TenantRule>,
    /// Bytes of the local tier, of which a percentage is meant.
    limit: u64,
    reservations: Box<[u64]>,
    bounds_age: bool,
    shortest_unused: Option<Duration>,
    bounds_remote: bool,
    /// What holds for everybody if there is no rule.
    none: Arc<TenantLimits>,
    resolved: Cache<Digest, Arc<TenantLimits>>,
}

impl RuleSet {
    /// The rules of a configuration; a percentage is of `limit`.
    pub fn new(rules: &[TenantRule], limit: u64) -> Self {
        let shares = rules.iter().filter_map(|rule| rule.min_share);
        Self {
            reservations: shares.map(|share| share.bytes(limit)).collect(),
            bounds_age: rules.iter().any(|rule| rule.max_age.is_some()),
            shortest_unused: rules.iter().filter_map(|rule| rule.expire_after_unused).min(),
            bounds_remote: rules.iter().any(TenantRule::bounds_remote),
            rules: rules.to_vec(),
            limit,
            none: Arc::default(),
            resolved: Cache::new(MAX_RESOLVED),
        }
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether any rule has `max_age`.
    pub fn bounds_age(&self) -> bool {
        self.bounds_age
    }

    /// Whether any rule is held in a remote tier.
    pub fn bounds_remote(&self) -> bool {
        self.bounds_remote
    }

    /// The shortest `expire_after_unused` of any rule.
    pub fn shortest_unused(&self) -> Option<Duration> {
        self.shortest_unused
    }

    /// The bytes that each rule with `min_share` reserves for the tenants that match it, together.
    pub fn reservations(&self) -> &[u64] {
        &self.reservations
    }

    /// What holds for a tenant.
    pub fn resolve(&self, tenant: &Tenant) -> Arc<TenantLimits> {
        if self.is_empty() {
            return Arc::clone(&self.none);
        }
        if let Some(known) = self.resolved.get(tenant.digest()) {
            return known;
        }
        let limits = Arc::new(self.merge(tenant.name()));
        self.resolved.insert(*tenant.digest(), Arc::clone(&limits));
        limits
    }

    /// How many tenants are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> u64 {
        self.resolved.run_pending_tasks();
        self.resolved.entry_count()
    }

    /// A later rule overrides single keys of those before it.
    fn merge(&self, name: &str) -> TenantLimits {
        let mut limits = TenantLimits::default();
        let (mut reserving, mut shared) = (0, Vec::new());
        for rule in &self.rules {
            let reservation = rule.min_share.map(|_| {
                reserving += 1;
                reserving - 1
            });
            if !glob::matches(&rule.pattern, name) {
                continue;
            }
            shared.extend(reservation);
            limits = self.overridden(limits, rule);
        }
        limits.reservations = shared.into();
        limits
    }

    fn overridden(&self, limits: TenantLimits, rule: &TenantRule) -> TenantLimits {
        let max_bytes = rule.max_bytes.map(|share| share.bytes(self.limit));
        TenantLimits {
            weight: rule.weight.or(limits.weight),
            max_bytes: max_bytes.or(limits.max_bytes),
            max_entries: rule.max_entries.or(limits.max_entries),
            max_age: rule.max_age.or(limits.max_age),
            expire_after_unused: rule.expire_after_unused.or(limits.expire_after_unused),
            max_entry_size: rule.max_entry_size.or(limits.max_entry_size),
            max_uploads: rule.max_uploads.or(limits.max_uploads),
            write_rate: rule.write_rate.or(limits.write_rate),
            requests_in_flight: rule.requests_in_flight.or(limits.requests_in_flight),
            reservations: limits.reservations,
        }
    }
}

impl Default for RuleSet {
    /// No rules.
    fn default() -> Self {
        Self::new(&[], 0)
    }
}
