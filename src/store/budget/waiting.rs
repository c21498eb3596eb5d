//! How much may wait for another tier. What waits cannot be evicted.

use super::Budget;
use crate::store::Tenant;
use crate::store::shares::TenantHandle;

/// Bounds of what waits, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaitingBounds {
    /// Of all tenants together.
    pub(crate) most: u64,
    /// So much of one tenant may wait, whatever others have waiting.
    pub(crate) reserved: u64,
}

impl Budget {
    /// All but what rules reserve for tenants (`min_share`) and a twentieth, so that they find that much to evict, or free;
    /// and what of the reservations is this tenant's.
    pub(crate) fn waiting_bounds(&self, tenant: Option<&Tenant>) -> WaitingBounds {
        let handle = tenant.map(|tenant| TenantHandle::new(&self.shares, Some(tenant)));
        let number = handle.as_ref().map(TenantHandle::number);
        let (all, own) = self.shares.table().reservations(number);
        WaitingBounds {
            most: self.low().saturating_sub(all),
            reserved: own,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Share, TenantRule};
    use crate::store::tenant_rules::TenantRules;

    #[test]
    fn what_waits_leaves_what_rules_reserve_and_a_twentieth() {
        const MIB: u64 = 1 << 20;
        let budget = Budget::new(100 * MIB, 0, Duration::ZERO);
        let tenant = |name| Tenant::new("issuer", name, None).expect("a tenant");
        assert_eq!(budget.waiting_bounds(None).most, 95 * MIB);
        let rule = TenantRule {
            pattern: "issuer#first".into(),
            min_share: Some(Share::Bytes(30 * MIB)),
            ..TenantRule::default()
        };
        budget
            .shares()
            .table()
            .follow(TenantRules::new(&[rule], 100 * MIB));
        for (name, reserved) in [("first", 30 * MIB), ("second", 0)] {
            let bounds = budget.waiting_bounds(Some(&tenant(name)));
            let expected = WaitingBounds {
                most: 65 * MIB,
                reserved,
            };
            assert_eq!(bounds, expected, "{name}");
        }
    }
}
