//! The lists of all tenants: for each of their ranks one of each kind, in the order in which their entries go.

use crate::store::Rank;
use crate::store::disk::slab::{List, ListKind, Slab};
use crate::store::shares::NumberedTenancy;

/// See the module. Takes 72 bytes for each number that a tenant ever had.
#[derive(Debug, Default)]
pub(super) struct TenantLists(Vec<[RankLists; Rank::ALL.len()]>);

#[derive(Debug, Default)]
struct RankLists {
    /// Entries that were written in this run, or got another round in it: in that order.
    used: List,
    /// Other entries of the snapshot, by their last use in earlier runs.
    restored: List,
    /// Entries found by the scan; in no order until [`super::Index::order`], then by the time of their files.
    found: List,
}

impl TenantLists {
    /// The list of this kind; `None` if the kind is one that tenants share.
    pub(super) fn list(&mut self, tenancy: NumberedTenancy, kind: ListKind) -> Option<&mut List> {
        let at = tenancy.tenant.index();
        if at >= self.0.len() {
            self.0.resize_with(at + 1, Default::default);
        }
        let lists = &mut self.0[at][usize::from(tenancy.rank.number())];
        match kind {
            ListKind::Used => Some(&mut lists.used),
            ListKind::Restored => Some(&mut lists.restored),
            ListKind::Found => Some(&mut lists.found),
            ListKind::Pinned => None,
        }
    }

    /// The entry at the front of those that this run knows.
    pub(super) fn newest(&self, tenancy: NumberedTenancy) -> Option<u32> {
        self.lists(tenancy)?.used.front()
    }

    /// The entry whose turn it is: of those at the ends of the lists the one with the earliest stamp.
    pub(super) fn oldest(&self, tenancy: NumberedTenancy, slab: &Slab) -> Option<u32> {
        let lists = self.lists(tenancy)?;
        let backs = [lists.found.back(), lists.restored.back(), lists.used.back()];
        let backs = backs.into_iter().flatten();
        backs.min_by_key(|id| slab.get(*id).stamp)
    }

    fn lists(&self, tenancy: NumberedTenancy) -> Option<&RankLists> {
        let ranks = self.0.get(tenancy.tenant.index())?;
        ranks.get(usize::from(tenancy.rank.number()))
    }
}
