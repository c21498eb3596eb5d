//! The rules of tenants that need time and the bucket: `max_age`, `expire_after_unused`, `max_bytes` and `max_entries`
//! of what is in a remote tier.
//!
//! Uses are noted ([`notes`]) and put into the bucket as rows ([`row`], [`flush`]). From time to time the servers go through the
//! rows, each through those of its tenants ([`pass`]), decide ([`choose`]) and remove ([`tend`]).
//!
//! Invariants. What has no row is left alone. A use that was noted, or that may have been lost, keeps an entry. No version is
//! removed that is newer than its row. Without a rule that needs it, nothing is noted and nothing asked.

mod choose;
mod counts;
mod flush;
mod names;
mod notes;
mod pace;
mod parts;
mod pass;
mod pending;
mod row;
mod tend;

use std::sync::Arc;

pub use counts::BucketRulesStats;
pub use pace::BucketRulesPace;
pub use parts::BucketRulesParts;

use self::notes::UseNotes;
use self::parts::Working;
use super::peers::BucketClock;
use crate::store::tenant_rules::TenantRules;
use crate::store::tiered::UseObserver;
use crate::tasks::Tasks;

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BucketRules(Arc<UseNotes>);

impl BucketRules {
    /// Notes from now on what [`BucketRules::observer`] hears, by the bucket's clock.
    pub fn new(rules: TenantRules, clock: Arc<BucketClock>, pace: BucketRulesPace) -> Self {
        Self(Arc::new(UseNotes::new(rules, clock, pace)))
    }

    /// Who has to hear of uses.
    pub fn observer(&self) -> Arc<dyn UseObserver> {
        Arc::clone(&self.0) as Arc<_>
    }

    /// The clock that uses are noted by.
    pub fn clock(&self) -> &Arc<BucketClock> {
        &self.0.clock
    }

    /// Puts what is noted into the bucket, and holds the rules there, until `tasks` stop.
    pub fn start(&self, parts: BucketRulesParts, tasks: &Tasks) {
        let work = Arc::new(Working {
            notes: Arc::clone(&self.0),
            parts,
            tasks: tasks.clone(),
        });
        drop(tasks.spawn(flush::run(Arc::clone(&work))));
        drop(tasks.spawn(pass::run(work)));
    }

    /// Figures for metrics.
    pub fn stats(&self) -> BucketRulesStats {
        self.0.counts.stats(self.0.pending())
    }
}
