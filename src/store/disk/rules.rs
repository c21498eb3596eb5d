//! The rules for tenants as the tier follows them, and what a change of them makes due.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::store::tenant_rules::TenantRules;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct FollowedRules {
    rules: OnceLock<TenantRules>,
    changed: Notify,
    /// Tenants may hold more than their bounds.
    bounds_due: AtomicBool,
}

impl FollowedRules {
    /// Follows these rules, if none were followed before.
    pub(super) fn follow(&self, rules: &TenantRules) {
        let _followed = self.rules.set(rules.clone());
    }

    /// Others may hold from now on.
    pub(super) fn change(&self) {
        self.require_bounds();
        self.changed.notify_one();
    }

    /// Resolves after [`FollowedRules::change`].
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The shortest time after which any rule takes an unused entry for a miss.
    pub(super) fn shortest_unused(&self) -> Option<Duration> {
        self.rules.get()?.shortest_unused()
    }

    /// Somebody may hold more than its bounds.
    pub(super) fn require_bounds(&self) {
        self.bounds_due.store(true, Ordering::Release);
    }

    /// Whether that is so since this was asked last.
    pub(super) fn take_bounds(&self) -> bool {
        self.bounds_due.swap(false, Ordering::AcqRel)
    }
}
