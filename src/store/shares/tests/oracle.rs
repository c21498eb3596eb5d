//! Max-min shares, the slow way.

use std::collections::BTreeMap;

use crate::store::tenant::Rank;

/// A tenant as the oracle sees it.
#[derive(Debug, Clone, Default)]
pub(super) struct Naive {
    pub(super) group: usize,
    pub(super) weight: u32,
    pub(super) reservations: Vec<usize>,
    /// Rank and bytes of entries, oldest first; `None`: pinned.
    pub(super) entries: Vec<(Option<Rank>, u64)>,
    pub(super) reserved: u64,
}

impl Naive {
    pub(super) fn bytes(&self) -> u64 {
        self.reserved + self.entries.iter().map(|(_, bytes)| bytes).sum::<u64>()
    }

    pub(super) fn holds(&self) -> bool {
        self.reserved > 0 || !self.entries.is_empty()
    }

    pub(super) fn is_evictable(&self) -> bool {
        self.entries.iter().any(|(rank, _)| rank.is_some())
    }

    fn of_rank(&self, rank: Rank) -> impl Iterator<Item = u64> {
        let same = self.entries.iter().filter(move |(other, _)| *other == Some(rank));
        same.map(|(_, bytes)| *bytes)
    }

    /// The rank that gives room, `share` being the tenant's.
    pub(super) fn rank(&self, share: f64) -> Option<Rank> {
        let filled = |rank: &Rank| self.of_rank(*rank).next().is_some();
        let down_to = |rank: Rank| {
            let lower = Rank::ALL.iter().filter(|other| **other >= rank);
            lower.map(|rank| self.of_rank(*rank).sum::<u64>()).sum::<u64>()
        };
        let ranks = || Rank::ALL.iter().rev().copied().filter(filled);
        ranks()
            .find(|rank| down_to(*rank) as f64 > share / 20.0)
            .or_else(|| ranks().next())
    }
}

/// Everybody, and what is divided.
#[derive(Debug, Clone, Default)]
pub(super) struct Oracle {
    pub(super) capacity: u64,
    pub(super) reservations: Vec<u64>,
    pub(super) tenants: Vec<Naive>,
}

/// What each of the demands gets of a supply that rises in all of them alike, by weight.
fn fill(supply: f64, demands: &[(f64, f64)]) -> Vec<f64> {
    let (mut low, mut high) = (0.0, 1e15);
    for _ in 0..200 {
        let level = f64::midpoint(low, high);
        let taken: f64 = demands
            .iter()
            .map(|(demand, weight)| demand.min(level * weight))
            .sum();
        match taken > supply {
            true => high = level,
            false => low = level,
        }
    }
    demands
        .iter()
        .map(|(demand, weight)| demand.min(low * weight))
        .collect()
}

impl Oracle {
    pub(super) fn bytes(&self) -> u64 {
        self.tenants.iter().map(Naive::bytes).sum()
    }

    fn divided(&self) -> f64 {
        self.capacity.saturating_sub(self.reservations.iter().sum()) as f64
    }

    /// What reservations cover of each tenant.
    pub(super) fn covered(&self) -> Vec<f64> {
        let mut covered = vec![0.0; self.tenants.len()];
        for (rule, bytes) in self.reservations.iter().enumerate() {
            let demand = |(at, tenant): (usize, &Naive)| match tenant.reservations.contains(&rule) {
                true => (tenant.bytes() as f64 - covered[at], 1.0),
                false => (0.0, 1.0),
            };
            let demands: Vec<_> = self.tenants.iter().enumerate().map(demand).collect();
            let parts = fill(*bytes as f64, &demands);
            covered.iter_mut().zip(parts).for_each(|(all, part)| *all += part);
        }
        covered
    }

    fn over(&self) -> Vec<f64> {
        let covered = self.covered().into_iter();
        let over = covered
            .zip(&self.tenants)
            .map(|(covered, tenant)| tenant.bytes() as f64 - covered);
        over.collect()
    }

    /// Groups of those who hold something: weight, and the numbers of its tenants that do.
    fn groups(&self) -> BTreeMap<usize, (f64, Vec<usize>)> {
        let mut groups = BTreeMap::<usize, (f64, Vec<usize>)>::new();
        for (at, tenant) in self
            .tenants
            .iter()
            .enumerate()
            .filter(|(_, tenant)| tenant.holds())
        {
            let group = groups.entry(tenant.group).or_default();
            group.0 = group.0.max(tenant.weight.into());
            group.1.push(at);
        }
        groups
    }

    /// What everybody keeps of what it holds when it is divided max-min: among groups, then among their tenants.
    pub(super) fn kept(&self) -> Vec<f64> {
        let (over, groups) = (self.over(), self.groups());
        let demand = |(weight, members): &(f64, Vec<usize>)| {
            (members.iter().map(|at| over[*at]).sum::<f64>(), *weight)
        };
        let demands: Vec<_> = groups.values().map(demand).collect();
        let mut kept = self.covered();
        for ((_, members), part) in groups.values().zip(fill(self.divided(), &demands)) {
            let demand = |at: &usize| (over[*at], f64::from(self.tenants[*at].weight));
            let demands: Vec<_> = members.iter().map(demand).collect();
            for (at, part) in members.iter().zip(fill(part, &demands)) {
                kept[*at] += part;
            }
        }
        kept
    }

    /// The share of each tenant that holds something, and whether it is above by more than `slack` bytes, in a group
    /// that is.
    pub(super) fn shares(&self, slack: f64) -> Vec<(f64, bool)> {
        let (over, covered, groups) = (self.over(), self.covered(), self.groups());
        let all: f64 = groups.values().map(|(weight, _)| weight).sum();
        let mut shares = vec![(0.0, false); self.tenants.len()];
        for (weight, members) in groups.values() {
            let part = self.divided() * weight / all;
            let in_group: u64 = members.iter().map(|at| u64::from(self.tenants[*at].weight)).sum();
            let group_over: f64 = members.iter().map(|at| over[*at]).sum();
            for at in members {
                let own = part * f64::from(self.tenants[*at].weight) / in_group as f64;
                let above = over[*at] > own + slack && group_over > part + slack;
                shares[*at] = (own + covered[*at], above);
            }
        }
        shares
    }
}
