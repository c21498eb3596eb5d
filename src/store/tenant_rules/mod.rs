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
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::{Origin, Tenant};
use crate::config::TenantRule;

pub use bound::{HeldBound, TenantBound};
pub use limits::TenantLimits;
pub use set::RuleSet;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct TenantRules(Arc<Rules>);

#[derive(Debug, Default)]
struct Rules {
    current: ArcSwap<RuleSet>,
    /// Whether there may be any, and any with an age: most servers have none, and a look here costs a request nothing.
    exist: AtomicBool,
    bound_age: AtomicBool,
}

impl TenantRules {
    /// The rules of a configuration; a percentage is of `limit`, the bytes of the local tier.
    pub fn new(rules: &[TenantRule], limit: u64) -> Self {
        let this = Self::default();
        this.replace(rules, limit);
        this
    }

    /// Takes other rules, for all clones.
    pub fn replace(&self, rules: &[TenantRule], limit: u64) {
        let rules = Arc::new(RuleSet::new(rules, limit));
        self.0.current.store(Arc::clone(&rules));
        // After the rules: who sees that there are some finds them.
        self.0.exist.store(!rules.is_empty(), Ordering::Release);
        self.0.bound_age.store(rules.bounds_age(), Ordering::Release);
    }

    /// The rules of this moment. Another `Arc` than before means that they were replaced.
    pub fn current(&self) -> Arc<RuleSet> {
        self.0.current.load_full()
    }

    /// Whether an entry of this origin is a miss for its age.
    pub fn is_too_old(&self, origin: &Origin) -> bool {
        if !self.bounds_age() {
            return false;
        }
        let Some(tenancy) = &origin.tenancy else {
            return false;
        };
        let rules = self.0.current.load();
        let age = origin.stored.elapsed().unwrap_or_default();
        let most = rules.resolve(&tenancy.tenant).max_age;
        most.is_some_and(|most| age >= most)
    }

    /// Whether any rule is held in a remote tier.
    pub fn bounds_remote(&self) -> bool {
        self.0.current.load().bounds_remote()
    }

    /// The shortest `expire_after_unused` of any rule.
    pub fn shortest_unused(&self) -> Option<Duration> {
        self.exist().then(|| self.0.current.load().shortest_unused())?
    }

    /// What holds for a tenant at this moment; `None` without any rule, which costs nothing.
    pub fn limits(&self, tenant: &Tenant) -> Option<Arc<TenantLimits>> {
        self.exist().then(|| self.0.current.load().resolve(tenant))
    }

    fn exist(&self) -> bool {
        self.0.exist.load(Ordering::Acquire)
    }

    /// Whether any rule bounds the age of entries.
    pub fn bounds_age(&self) -> bool {
        self.0.bound_age.load(Ordering::Acquire)
    }
}
