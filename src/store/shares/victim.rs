//! Who gives room.

use super::cause::EvictionCause;
use super::holdings::{NumberedTenancy, Sum, TenantNumber};
use super::table::ShareTable;
use crate::store::tenant::Rank;

/// So much of a tenant's share stays open to its lower ranks: a twentieth.
const LOWER_RANKS_PART: u64 = 20;
/// Most groups that are looked at. Those before the last one are above their share for what cannot be evicted.
const MAX_GROUPS: usize = 64;

/// Who gives room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Victim {
    /// The oldest entry of this rank of this tenant.
    pub(crate) whose: NumberedTenancy,
    pub(crate) cause: EvictionCause,
}

impl Victim {
    fn new(tenant: TenantNumber, rank: Rank, cause: EvictionCause) -> Self {
        let whose = NumberedTenancy { tenant, rank };
        Self { whose, cause }
    }
}

impl ShareTable {
    /// Who gives room for a body, which is one of `writer` if that is known.
    ///
    /// Whoever is at or below its share gives none while somebody is above. If they have nothing to evict, a writer
    /// gets room from itself or has to wait. If nobody is above, what belongs to no tenant has used up the room.
    pub(crate) fn victim(&mut self, writer: Option<TenantNumber>) -> Option<Victim> {
        if let Some(victim) = self.victim_above() {
            return Some(victim);
        }
        if let Some(writer) = writer.filter(|writer| self.holdings(*writer).is_evictable()) {
            return Some(Victim::new(writer, self.rank(writer)?, EvictionCause::Own));
        }
        let highest = self.highest()?;
        Some(Victim::new(highest, self.rank(highest)?, EvictionCause::Nobody))
    }

    /// The same of those only who are above their shares.
    pub(crate) fn victim_above(&mut self) -> Option<Victim> {
        self.refresh();
        let tenant = self.above()?;
        Some(Victim::new(tenant, self.rank(tenant)?, EvictionCause::Above))
    }

    /// A tenant gives room because a rule says so. Its lowest rank goes first.
    pub(crate) fn own_victim(&self, tenant: TenantNumber) -> Option<Victim> {
        Some(Victim::new(
            tenant,
            self.lowest_rank(tenant)?,
            EvictionCause::Rule,
        ))
    }

    /// The tenant that is furthest above its share and has something to evict, in the group of which the same holds.
    fn above(&self) -> Option<TenantNumber> {
        let groups = self.orders.evictable_groups().take(MAX_GROUPS);
        groups
            .take_while(|group| self.is_group_above(*group))
            .filter_map(|group| self.orders.highest_tenant(group))
            .map(TenantNumber::new)
            .find(|tenant| self.is_tenant_above(*tenant))
    }

    /// The same whether or not it is above; `None` if somebody is who has nothing to evict.
    fn highest(&self) -> Option<TenantNumber> {
        let group = self.orders.evictable_groups().next()?;
        let others = [Some(group), self.orders.stuck_group()];
        if others
            .into_iter()
            .flatten()
            .any(|group| self.is_group_above(group))
        {
            return None;
        }
        self.orders.highest_tenant(group).map(TenantNumber::new)
    }

    /// The rank that gives room first: the last one, unless all from it down to this one hold so little that it is
    /// left to them.
    fn rank(&self, tenant: TenantNumber) -> Option<Rank> {
        let seat = &self.seats[tenant.index()];
        let left = self.fair_part(tenant).saturating_add(seat.covered) / LOWER_RANKS_PART;
        let mut lower = 0;
        let is_too_much = |(_, sum): &(Rank, Sum)| {
            lower += sum.bytes;
            sum.entries > 0 && lower > left
        };
        let found = ranks(&seat.holdings.ranks).find(is_too_much);
        found.map(|(rank, _)| rank).or_else(|| self.lowest_rank(tenant))
    }

    fn lowest_rank(&self, tenant: TenantNumber) -> Option<Rank> {
        let mut ranks = ranks(&self.seats[tenant.index()].holdings.ranks);
        ranks.find(|(_, sum)| sum.entries > 0).map(|(rank, _)| rank)
    }
}

/// What each rank holds, the last one first.
fn ranks(sums: &[Sum; Rank::ALL.len()]) -> impl Iterator<Item = (Rank, Sum)> {
    let ranks = Rank::ALL.iter().copied().zip(sums.iter().copied());
    ranks.rev()
}
