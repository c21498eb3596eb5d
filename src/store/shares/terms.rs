//! What an operator's rules say about one tenant.

use std::fmt::Debug;

use crate::store::tenant::Tenant;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TenantTerms {
    /// How much its share is, beside those of others; at least 1.
    pub(crate) weight: u32,
    /// Of which reservations it has a part: places in [`ShareRules::reservations`].
    pub(crate) reservations: Box<[usize]>,
    /// Most bytes that it may hold.
    pub(crate) max_bytes: Option<u64>,
    /// Most entries that it may hold.
    pub(crate) max_entries: Option<u64>,
}

impl Default for TenantTerms {
    fn default() -> Self {
        Self {
            weight: 1,
            reservations: Box::default(),
            max_bytes: None,
            max_entries: None,
        }
    }
}

/// The rules as the shares need them.
pub(crate) trait ShareRules: Debug + Send + Sync {
    /// Bytes of each reservation (`min_share`), which the tenants that have a part of it divide.
    fn reservations(&self) -> Vec<u64>;

    /// What holds for a tenant.
    fn terms(&self, tenant: &Tenant) -> TenantTerms;
}

/// No rules: all tenants are equal.
#[derive(Debug)]
pub(super) struct NoRules;

impl ShareRules for NoRules {
    fn reservations(&self) -> Vec<u64> {
        Vec::new()
    }

    fn terms(&self, _tenant: &Tenant) -> TenantTerms {
        TenantTerms::default()
    }
}
