//! Which tenants a snapshot names.
//!
//! A number is told before the first row that has it, again when it has become another tenant's, and again in each run:
//! the numbers of one run mean nothing in the next.

use super::format::SnapshotBatch;
use crate::store::shares::{Shares, TenantNumber};

/// By number, which tenant was told last: what [`Shares`] tells it from others by. 0 for none.
#[derive(Debug, Default)]
pub(super) struct ToldTenants(Vec<u64>);

impl ToldTenants {
    /// Adds to a batch what its rows need that was not told. From now on it is told.
    pub(super) fn tell(&mut self, batch: &mut SnapshotBatch, shares: &Shares) {
        let table = shares.table();
        for (number, _) in batch.rows.iter().filter_map(|row| row.belongs) {
            let Some((tenant, serial)) = table.tenant(TenantNumber::new(number)) else {
                continue;
            };
            let at = number as usize;
            if at >= self.0.len() {
                self.0.resize(at + 1, 0);
            }
            if std::mem::replace(&mut self.0[at], serial) != serial {
                batch.tenants.push((number, tenant.clone()));
            }
        }
    }
}
