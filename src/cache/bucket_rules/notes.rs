//! What is noted of uses, until the bucket has it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moka::sync::Cache;
use tokio::sync::Notify;

use super::counts::{Counts, add};
use super::pace::BucketRulesPace;
use super::pending::{MAX_ROWS, PendingRows};
use super::row::UseRow;
use crate::cache::peers::BucketClock;
use crate::store::tenant_rules::TenantRules;
use crate::store::tiered::UseObserver;
use crate::store::{Digest, Meta, StoreKey, Tenant};

/// Entries of which it is known that their rows are not old. Others are noted once more.
const MAX_NOTED: u64 = 65_536;

/// See the module.
#[derive(Debug)]
pub(super) struct UseNotes {
    pub(super) rules: TenantRules,
    pub(super) clock: Arc<BucketClock>,
    pub(super) pace: BucketRulesPace,
    pub(super) counts: Counts,
    pending: Mutex<PendingRows>,
    noted: Cache<Digest, ()>,
    /// Rows were lost, and the bucket does not know it.
    lost: AtomicBool,
    woken: Notify,
}

impl UseNotes {
    pub(super) fn new(rules: TenantRules, clock: Arc<BucketClock>, pace: BucketRulesPace) -> Self {
        Self {
            rules,
            clock,
            pace,
            counts: Counts::default(),
            pending: Mutex::default(),
            noted: Cache::builder()
                .max_capacity(MAX_NOTED)
                .time_to_live(pace.note_again_after)
                .build(),
            lost: AtomicBool::new(false),
            woken: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, PendingRows> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_bound(&self, tenant: &Tenant) -> bool {
        let limits = self.rules.limits(tenant);
        limits.is_some_and(|limits| limits.bounds_remote())
    }

    fn note(&self, tenant: &Tenant, row: UseRow) {
        let digest = *row.key.digest();
        self.noted.insert(digest, ());
        let mut pending = self.lock();
        let has_room = pending.add(tenant, row);
        let count = pending.len();
        drop(pending);
        if !has_room {
            self.drop_row(&digest);
        }
        if count == 1 || count == MAX_ROWS / 2 {
            self.woken.notify_one();
        }
    }

    /// Resolves when the first row waits, and when many do.
    pub(super) async fn woken(&self) {
        self.woken.notified().await;
    }

    /// How many rows wait.
    pub(super) fn pending(&self) -> usize {
        self.lock().len()
    }

    /// Whether it is time to send them.
    pub(super) fn are_many(&self) -> bool {
        self.pending() >= MAX_ROWS / 2
    }

    /// Takes all rows, by tenant.
    pub(super) fn take(&self) -> Vec<(Tenant, Vec<UseRow>)> {
        self.lock().take()
    }

    /// They could not be sent. This is no use of the entries: it wakes nobody, and they are noted again when it is time.
    pub(super) fn put_back(&self, tenants: Vec<(Tenant, Vec<UseRow>)>) {
        let mut pending = self.lock();
        for (tenant, rows) in tenants {
            for row in rows {
                let digest = *row.key.digest();
                if !pending.add(&tenant, row) {
                    self.drop_row(&digest);
                }
            }
        }
    }

    /// There is no room for a row: the entry is noted with its next use, and until then the bucket knows of a gap.
    fn drop_row(&self, digest: &Digest) {
        self.noted.invalidate(digest);
        add(&self.counts.dropped, 1);
        self.lose();
    }

    /// Rows were lost.
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Whether rows were lost since this was asked last.
    pub(super) fn take_lost(&self) -> bool {
        self.lost.swap(false, Ordering::AcqRel)
    }
}

impl UseObserver for UseNotes {
    fn used(&self, key: &StoreKey, meta: &Meta) {
        let Some(tenancy) = &meta.origin.tenancy else {
            return;
        };
        if self.is_bound(&tenancy.tenant) && !self.noted.contains_key(key.digest()) {
            self.note(&tenancy.tenant, UseRow::new(key, meta, self.clock.now()));
        }
    }

    fn stored(&self, key: &StoreKey, meta: &Meta) {
        let Some(tenancy) = &meta.origin.tenancy else {
            return;
        };
        if self.is_bound(&tenancy.tenant) {
            self.note(&tenancy.tenant, UseRow::new(key, meta, self.clock.now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::store::{Protocol, Rank};

    fn row(nth: usize) -> UseRow {
        let name = nth.to_string();
        UseRow {
            key: StoreKey::new("i".into(), "n".into(), Protocol::Http, name.as_bytes()),
            size: 1,
            stored: 1,
            used: 1,
            rank: Rank::Other,
        }
    }

    #[test]
    fn rows_that_could_not_be_sent_wait_for_the_next_time_and_are_no_uses() {
        let clock = Arc::new(BucketClock::default());
        let notes = UseNotes::new(TenantRules::new(&[], 0), clock, BucketRulesPace::default());
        let tenant = Tenant::new("i", "t", None).expect("a tenant");
        notes.note(&tenant, row(0));
        assert!(notes.woken().now_or_never().is_some(), "a first use wakes");
        let rows = (1..MAX_ROWS).map(row).collect();
        notes.put_back(vec![(tenant, rows)]);
        assert!(notes.are_many() && notes.woken().now_or_never().is_none());
        assert!(notes.noted.contains_key(row(0).key.digest()));
        assert!(!notes.noted.contains_key(row(1).key.digest()));
        assert!(!notes.take_lost());
    }
}
