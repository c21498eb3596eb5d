//! The operator's rules for tenants, ready for use: what holds for a tenant, and what is reserved for whom.
//!
//! [`TenantRules`] is cheap to clone, and all clones see a reload. Its users ask anew for each request.

mod bound;
mod glob;
mod limits;
mod set;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::{Origin, Tenant};
use crate::config::TenantRule;

pub use bound::{HeldBound, TenantBound};
pub use limits::TenantLimits;
pub use set::RuleSet;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct TenantRules(Arc<ArcSwap<RuleSet>>);

impl TenantRules {
    /// The rules of a configuration; a percentage is of `limit`, the bytes of the local tier.
    pub fn new(rules: &[TenantRule], limit: u64) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(RuleSet::new(rules, limit))))
    }

    /// Takes other rules, for all clones.
    pub fn replace(&self, rules: &[TenantRule], limit: u64) {
        self.0.store(Arc::new(RuleSet::new(rules, limit)));
    }

    /// The rules of this moment. Another `Arc` than before means that they were replaced.
    pub fn current(&self) -> Arc<RuleSet> {
        self.0.load_full()
    }

    /// Whether an entry of this origin is a miss for its age.
    pub fn is_too_old(&self, origin: &Origin) -> bool {
        let rules = self.0.load();
        let Some(tenancy) = origin.tenancy.as_ref().filter(|_| rules.bounds_age()) else {
            return false;
        };
        let age = origin.stored.elapsed().unwrap_or_default();
        let most = rules.resolve(&tenancy.tenant).max_age;
        most.is_some_and(|most| age >= most)
    }

    /// The shortest `expire_after_unused` of any rule.
    pub fn shortest_unused(&self) -> Option<Duration> {
        self.0.load().shortest_unused()
    }

    /// What holds for a tenant at this moment; `None` without any rule, which costs nothing.
    pub fn limits(&self, tenant: &Tenant) -> Option<Arc<TenantLimits>> {
        // A guard, not a copy: nothing is shared with other threads where there are no rules.
        let rules = self.0.load();
        (!rules.is_empty()).then(|| rules.resolve(tenant))
    }
}
