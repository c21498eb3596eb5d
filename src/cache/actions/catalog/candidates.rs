//! Several candidates of one look-up at once, and several entries that are gone.

use std::sync::atomic::Ordering;

use super::{Catalog, queued};
use crate::cache::actions::entry::{CacheKey, CommittedEntry, NamespaceId, Version};
use crate::cache::actions::index::Candidate;
use crate::cache::actions::ledger::LedgerItem;
use crate::store::journal::Ulid;

impl Catalog {
    /// As [`Catalog::find`], the first `limit` entries in GitHub's order.
    pub async fn find_several(
        &self,
        namespaces: &[NamespaceId],
        version: &Version,
        keys: &[CacheKey],
        passed: &[Ulid],
        limit: usize,
    ) -> Vec<Candidate> {
        let Some(first) = self.find(namespaces, version, keys, passed).await else {
            return Vec::new();
        };
        let mut passed = passed.to_vec();
        let mut found = vec![first];
        while let Some(last) = found.last().filter(|_| found.len() < limit) {
            passed.push(last.entry.record.id);
            // A walk over many keys and namespaces takes long, and nothing else in this loop lets others run.
            tokio::task::yield_now().await;
            match self.shared.index.find(namespaces, version, keys, &passed) {
                Some(next) => found.push(next),
                None => break,
            }
        }
        found
    }

    /// Removes entries whose bytes are gone, unless they were replaced since: here, and for servers that are new.
    /// Returns how many.
    pub async fn forget_all(&self, gone: Vec<CommittedEntry>) -> usize {
        let shared = &self.shared;
        let mut removed = Vec::new();
        for entry in gone {
            if !shared.index.remove(&entry) {
                continue;
            }
            if let Some(journal_queue) = &shared.journal_queue {
                journal_queue.remove(queued(&entry));
            }
            removed.push(LedgerItem::Removed(entry));
        }
        let count = removed.len();
        shared.gone.fetch_add(count as u64, Ordering::Relaxed);
        self.keep(removed).await;
        count
    }
}
