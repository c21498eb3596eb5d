//! What each tenant has under way on this server, held against the operator's rules.
//!
//! A tenant without such a rule costs a look whether there are rules, and is not kept here at all.

mod rate;
mod requests;
mod writer;
mod writes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

pub use self::requests::RequestSlot;
use self::requests::TenantLoad;
pub use self::writer::Writer;
pub use self::writes::WriteCharge;
use crate::store::tenant_rules::TenantRules;
use crate::store::{Digest, Result, Tenancy, Tenant};

/// So many tenants are kept before those without anything under way are looked for.
const MIN_SWEPT: usize = 1024;
/// The most tenants that are kept for nothing but a debt of written bytes.
const MAX_KEPT: usize = 65_536;

/// See the module. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TenantLoads(Arc<LoadTable>);

#[derive(Debug, Default)]
struct LoadTable {
    rules: TenantRules,
    loads: Mutex<Loads>,
}

#[derive(Debug, Default)]
struct Loads {
    by_tenant: HashMap<Digest, Arc<TenantLoad>>,
    /// How many there are when it is swept next.
    sweep_at: usize,
}

impl TenantLoads {
    /// Nothing is under way.
    pub fn new(rules: TenantRules) -> Self {
        let loads = Mutex::default();
        Self(Arc::new(LoadTable { rules, loads }))
    }

    /// The operator's rules.
    pub fn rules(&self) -> &TenantRules {
        &self.0.rules
    }

    /// A place for one more request of a tenant; `None` if no rule bounds them.
    ///
    /// # Errors
    /// [`crate::store::Error::OverBound`].
    pub fn enter(&self, tenant: &Tenant) -> Result<Option<RequestSlot>> {
        let limits = self.0.rules.limits(tenant);
        match limits.and_then(|limits| limits.requests_in_flight) {
            Some(most) => RequestSlot::take(self.of(tenant), most).map(Some),
            None => Ok(None),
        }
    }

    /// The account by which `writer` writes one entry of at most `largest` bytes for a tenant.
    pub fn writes(&self, tenancy: Option<&Tenancy>, writer: Writer, largest: u64) -> WriteCharge {
        let Some(Tenancy { tenant, .. }) = tenancy else {
            return WriteCharge::free();
        };
        let limits = self.0.rules.limits(tenant);
        match limits.and_then(|limits| limits.write_rate) {
            Some(rate) => WriteCharge::new(self.of(tenant), rate, writer, largest),
            None => WriteCharge::free(),
        }
    }

    /// The largest body in bytes that a tenant may store where `capacity` is the largest of all.
    pub fn largest(&self, tenancy: Option<&Tenancy>, capacity: u64) -> u64 {
        let limits = tenancy.and_then(|tenancy| self.0.rules.limits(&tenancy.tenant));
        let largest = limits.and_then(|limits| limits.max_entry_size);
        largest.map_or(capacity, |largest| largest.min(capacity))
    }

    fn of(&self, tenant: &Tenant) -> Arc<TenantLoad> {
        let mut loads = self.0.loads.lock().unwrap_or_else(PoisonError::into_inner);
        if loads.by_tenant.len() >= loads.sweep_at {
            loads.sweep();
        }
        Arc::clone(loads.by_tenant.entry(*tenant.digest()).or_default())
    }
}

impl Loads {
    /// Forgets tenants that have nothing under way, in time in proportion to those that came since the last sweep.
    fn sweep(&mut self) {
        let now = Instant::now();
        let is_used = |load: &Arc<TenantLoad>| Arc::strong_count(load) > 1;
        self.by_tenant
            .retain(|_, load| is_used(load) || !load.is_at_rest(now));
        if self.by_tenant.len() >= MAX_KEPT {
            // Their debts are forgiven. So many tenants with a rule can hardly be.
            self.by_tenant.retain(|_, load| is_used(load));
        }
        self.sweep_at = (2 * self.by_tenant.len()).max(MIN_SWEPT);
    }
}

#[cfg(test)]
mod tests;
