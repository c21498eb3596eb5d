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
            self.noted.invalidate(&digest);
            add(&self.counts.dropped, 1);
            self.lose();
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

    /// They could not be sent.
    pub(super) fn put_back(&self, tenants: Vec<(Tenant, Vec<UseRow>)>) {
        for (tenant, rows) in tenants {
            rows.into_iter().for_each(|row| self.note(&tenant, row));
        }
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
