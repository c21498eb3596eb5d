//! What operators see: the largest tenants apart, all others as one.
//!
//! The table is looked through in slices, so that nobody waits for long; tenants may come, go and grow between two of
//! them. Figures are exact for each tenant, and as good as that for sums.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::cause::EvictionCause;
use super::holdings::TenantNumber;
use super::shared::Shares;
use super::table::ShareTable;
use crate::store::tenant::Tenant;

/// Seats that are looked at while the table is locked.
const SLICE_SEATS: usize = 1024;

/// The tenants at one moment.
#[derive(Debug, Clone, Default)]
pub struct TenantFigures {
    /// Those that hold most bytes, the largest first.
    pub largest: Vec<LargeTenant>,
    /// All others together.
    pub others: HeldFigures,
    /// How many tenants hold something.
    pub tenants: u64,
    /// Bytes that groups divide.
    pub divided: u64,
    /// Bytes that rules reserve for tenants (`min_share`).
    pub reserved: u64,
}

/// One tenant.
#[derive(Debug, Clone)]
pub struct LargeTenant {
    /// `None` for all that cannot be told: what former versions stored, and what nobody has read yet.
    pub tenant: Option<Tenant>,
    /// What it holds.
    pub held: HeldFigures,
    /// Bytes that it never has to give for others.
    pub share: u64,
    /// Entries that were evicted since it holds anything, by the number of the cause.
    pub evictions: [u32; EvictionCause::ALL.len()],
}

/// What one tenant holds, or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct HeldFigures {
    /// Bytes that count in the share.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
    /// Of the bytes, those of bodies that are no entries yet.
    pub reserved: u64,
    /// How many are above their shares.
    pub above: u64,
}

/// A tenant as it was seen on the way; the order is by bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SeenTenant {
    held: HeldFigures,
    number: u32,
    serial: u64,
}

impl Shares {
    /// Figures with at most `most` tenants apart. Takes time for all tenants, and the lock for a thousand at a time.
    pub(crate) fn figures(&self, most: usize) -> TenantFigures {
        let mut figures = TenantFigures::default();
        let mut largest = BinaryHeap::with_capacity(most + 1);
        for slice in 0.. {
            let Some(seen) = self.table().look(slice * SLICE_SEATS) else {
                break;
            };
            for tenant in seen {
                figures.tenants += 1;
                largest.push(Reverse(tenant));
                if largest.len() > most
                    && let Some(Reverse(least)) = largest.pop()
                {
                    figures.others.add(least.held);
                }
            }
        }
        let largest = largest.into_sorted_vec();
        figures.largest = largest
            .into_iter()
            .filter_map(|Reverse(seen)| self.table().large_tenant(seen))
            .collect();
        let table = self.table();
        (figures.divided, figures.reserved) = (table.divided(), table.guarantees.bytes());
        figures
    }
}

impl HeldFigures {
    fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.entries += other.entries;
        self.reserved += other.reserved;
        self.above += other.above;
    }
}

impl ShareTable {
    /// The tenants in a slice of the seats that hold something; `None` behind the last seat.
    fn look(&mut self, from: usize) -> Option<Vec<SeenTenant>> {
        self.refresh();
        let end = self.seats.len().min(from + SLICE_SEATS);
        if from >= end {
            return None;
        }
        let all = (from..end).filter_map(|number| self.seen(number as u32));
        Some(all.collect())
    }

    pub(super) fn seen(&self, number: u32) -> Option<SeenTenant> {
        let seat = &self.seats[number as usize];
        let holdings = &seat.holdings;
        let above = || self.is_tenant_above(TenantNumber::new(number)) && self.is_group_above(seat.group);
        (!holdings.is_empty()).then(|| SeenTenant {
            held: HeldFigures {
                bytes: holdings.bytes(),
                entries: holdings.entries(),
                reserved: holdings.reserved,
                above: above().into(),
            },
            number,
            serial: seat.serial,
        })
    }

    /// The rest of what there is to say of a tenant; `None` if it has left meanwhile.
    pub(super) fn large_tenant(&mut self, seen: SeenTenant) -> Option<LargeTenant> {
        let seat = &self.seats[seen.number as usize];
        if seat.serial != seen.serial || seat.holdings.is_empty() {
            return None;
        }
        let (tenant, evictions) = (seat.tenant.clone(), seat.evictions);
        Some(LargeTenant {
            tenant,
            held: seen.held,
            share: self.share(TenantNumber::new(seen.number)),
            evictions,
        })
    }
}
