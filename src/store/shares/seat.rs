//! A tenant and a group as the table keeps them.

use std::sync::Arc;

use super::cause::EvictionCause;
use super::holdings::Holdings;
use crate::store::tenant::Tenant;
use crate::store::tenant_rules::TenantLimits;

/// A tenant in the table.
#[derive(Debug)]
pub(super) struct Seat {
    /// `None` for whoever cannot be told, and in a free seat.
    pub(super) tenant: Option<Tenant>,
    /// Tells this tenant from all others that had or will have the number.
    pub(super) serial: u64,
    pub(super) group: u32,
    /// Who needs the number although the tenant may hold nothing.
    pub(super) handles: u32,
    pub(super) holdings: Holdings,
    /// Entries that were evicted, by the number of the cause.
    pub(super) evictions: [u32; EvictionCause::ALL.len()],
    /// Bytes of it that reservations cover.
    pub(super) covered: u64,
    /// What the operator's rules say of it.
    pub(super) limits: Arc<TenantLimits>,
    /// What sums and orders have of it.
    pub(super) known: Standing,
    /// They have not all of it.
    pub(super) outdated: bool,
}

/// What the orders and sums know of a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Standing {
    /// Bytes that no reservation covers.
    pub(super) over: u64,
    /// `None` if it holds nothing.
    pub(super) weight: Option<u32>,
    pub(super) evictable: bool,
}

impl Seat {
    pub(super) fn standing(&self) -> Standing {
        Standing {
            over: self.holdings.bytes().saturating_sub(self.covered),
            weight: (!self.holdings.is_empty()).then_some(self.limits.weight()),
            evictable: self.holdings.is_evictable(),
        }
    }
}

/// The tenants of one group, together.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) name: Option<Arc<str>>,
    /// How many tenants have seats in it.
    pub(super) seats: u32,
    /// Bytes of its tenants that no reservation covers.
    pub(super) over: u64,
    /// How many of its tenants have something to evict.
    pub(super) evictable: u32,
    /// Weights of the tenants that hold something, ascending, and how many have each.
    pub(super) weights: Vec<(u32, u32)>,
    /// The sum of these weights.
    pub(super) weight_sum: u64,
}

impl Group {
    /// The weight of its heaviest tenant that holds something; 0 if none does.
    pub(super) fn weight(&self) -> u32 {
        self.weights.last().map_or(0, |(weight, _)| *weight)
    }

    pub(super) fn add_weight(&mut self, weight: u32) {
        self.weight_sum += u64::from(weight);
        match self.weights.binary_search_by_key(&weight, |(other, _)| *other) {
            Ok(at) => self.weights[at].1 += 1,
            Err(at) => self.weights.insert(at, (weight, 1)),
        }
    }

    pub(super) fn remove_weight(&mut self, weight: u32) {
        let Ok(at) = self.weights.binary_search_by_key(&weight, |(other, _)| *other) else {
            return;
        };
        self.weight_sum -= u64::from(weight);
        self.weights[at].1 -= 1;
        if self.weights[at].1 == 0 {
            self.weights.remove(at);
        }
    }
}
