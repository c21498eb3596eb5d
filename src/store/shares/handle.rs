//! Keeps the number of a tenant.

use std::sync::Arc;

use super::holdings::TenantNumber;
use super::shared::Shares;
use crate::store::tenant::Tenant;
use crate::store::turns::Asker;

/// While it is there, the number belongs to the tenant, whether or not it holds anything.
#[derive(Debug)]
pub(crate) struct TenantHandle {
    shares: Arc<Shares>,
    number: TenantNumber,
    asker: Asker,
}

impl TenantHandle {
    /// Of a tenant; of whoever cannot be told if it is `None`.
    pub(crate) fn new(shares: &Arc<Shares>, tenant: Option<&Tenant>) -> Self {
        let mut table = shares.table();
        let number = match tenant {
            Some(tenant) => table.add_handle(tenant),
            None => {
                table.copy_handle(TenantNumber::UNKNOWN);
                TenantNumber::UNKNOWN
            }
        };
        drop(table);
        Self {
            shares: Arc::clone(shares),
            number,
            asker: tenant.map_or(Asker::SERVER, Tenant::asker),
        }
    }

    pub(crate) fn number(&self) -> TenantNumber {
        self.number
    }

    pub(crate) fn asker(&self) -> Asker {
        self.asker
    }

    /// The tenant reserves `bytes`, or waits for them.
    pub(crate) fn reserve(&self, bytes: u64) {
        self.shares.table().reserve(self.number, bytes);
    }

    /// It gives them back.
    pub(crate) fn release(&self, bytes: u64) {
        self.shares.table().release(self.number, bytes);
    }
}

impl Drop for TenantHandle {
    fn drop(&mut self) {
        self.shares.table().drop_handle(self.number);
    }
}
