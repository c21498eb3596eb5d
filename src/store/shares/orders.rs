//! The orders in which groups and tenants give room: by bytes for each unit of weight.

use std::collections::BTreeSet;

/// Bytes for each unit of weight, in 65,536ths.
pub(super) type Ratio = u64;

pub(super) fn ratio(bytes: u64, weight: u32) -> Ratio {
    let exact = (u128::from(bytes) << 16) / u128::from(weight.max(1));
    Ratio::try_from(exact).unwrap_or(Ratio::MAX)
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// Groups that hold something: whether they have something to evict, ratio, number.
    groups: BTreeSet<(bool, Ratio, u32)>,
    /// Tenants that have something to evict: group, ratio, number.
    tenants: BTreeSet<(u32, Ratio, u32)>,
}

impl Orders {
    pub(super) fn add_group(&mut self, evictable: bool, ratio: Ratio, group: u32) {
        self.groups.insert((evictable, ratio, group));
    }

    pub(super) fn remove_group(&mut self, evictable: bool, ratio: Ratio, group: u32) {
        self.groups.remove(&(evictable, ratio, group));
    }

    pub(super) fn add_tenant(&mut self, group: u32, ratio: Ratio, tenant: u32) {
        self.tenants.insert((group, ratio, tenant));
    }

    pub(super) fn remove_tenant(&mut self, group: u32, ratio: Ratio, tenant: u32) {
        self.tenants.remove(&(group, ratio, tenant));
    }

    /// Groups that have something to evict, the one furthest above first.
    pub(super) fn evictable_groups(&self) -> impl Iterator<Item = u32> {
        let groups = self.groups.range((true, 0, 0)..).rev();
        groups.map(|(_, _, group)| *group)
    }

    /// The furthest above of those that have nothing to evict.
    pub(super) fn stuck_group(&self) -> Option<u32> {
        let last = self.groups.range(..(true, 0, 0)).next_back();
        last.map(|(_, _, group)| *group)
    }

    /// The tenant of the group that is furthest above among those that have something to evict.
    pub(super) fn highest_tenant(&self, group: u32) -> Option<u32> {
        let tenants = self.tenants.range((group, 0, 0)..=(group, Ratio::MAX, u32::MAX));
        tenants.last().map(|(_, _, tenant)| *tenant)
    }
}
