//! Rows that the bucket does not have yet.

use std::collections::HashMap;

use super::row::UseRow;
use crate::store::{Digest, Tenant};

/// The most rows that wait: some MiB.
pub(super) const MAX_ROWS: usize = 16_384;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct PendingRows {
    tenants: HashMap<Tenant, HashMap<Digest, UseRow>>,
    count: usize,
}

impl PendingRows {
    /// Adds a row. `false` if too many wait.
    pub(super) fn add(&mut self, tenant: &Tenant, row: UseRow) -> bool {
        let rows = match self.tenants.get_mut(tenant) {
            Some(rows) => rows,
            None if self.count >= MAX_ROWS => return false,
            None => self.tenants.entry(tenant.clone()).or_default(),
        };
        if let Some(known) = rows.get_mut(row.key.digest()) {
            known.merge(row);
            return true;
        }
        let has_room = self.count < MAX_ROWS;
        if has_room {
            self.count += 1;
            rows.insert(*row.key.digest(), row);
        }
        has_room
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Takes all rows, by tenant.
    pub(super) fn take(&mut self) -> Vec<(Tenant, Vec<UseRow>)> {
        let taken = std::mem::take(self).tenants.into_iter();
        taken
            .map(|(tenant, rows)| (tenant, rows.into_values().collect()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Protocol, Rank, StoreKey};

    #[test]
    fn the_rows_that_wait_are_bounded_whatever_the_number_of_tenants() {
        let mut pending = PendingRows::default();
        let tenant = |nth: usize| Tenant::from_names(&format!("i#{}", nth % 100), "i");
        let row = |nth: usize| UseRow {
            key: StoreKey::new("i".into(), "n".into(), Protocol::Http, nth.to_be_bytes()),
            size: 1,
            stored: 1,
            used: 1,
            rank: Rank::Other,
        };
        for nth in 0..MAX_ROWS {
            assert!(pending.add(&tenant(nth), row(nth)));
        }
        assert!(!pending.add(&tenant(0), row(MAX_ROWS)));
        assert!(!pending.add(&tenant(101).clone(), row(MAX_ROWS)));
        assert!(pending.add(&tenant(0), row(0)), "it waits already");
        assert_eq!(pending.len(), MAX_ROWS);
        let rows = pending.take().into_iter().map(|(_, rows)| rows.len());
        assert_eq!((rows.sum::<usize>(), pending.len()), (MAX_ROWS, 0));
    }
}
