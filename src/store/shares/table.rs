//! Tenants, groups and their sums.
//!
//! A change is noted, and brought into sums and orders when somebody asks for them: a start that reads millions of
//! entries, and writers, need none of them.

use std::collections::HashMap;
use std::sync::Arc;

use super::cause::EvictionCause;
use super::guarantee::Guarantees;
use super::holdings::{Holdings, Place, TenantNumber};
use super::orders::{Orders, ratio};
use super::seat::{Group, Seat, Standing};
use crate::store::tenant::Tenant;
use crate::store::tenant_rules::{RuleSet, TenantLimits, TenantRules};

/// See the module. A change takes the same time for any number of tenants, an answer takes logarithmic time for each
/// tenant that changed before it.
#[derive(Debug)]
pub(crate) struct ShareTable {
    /// Bytes that are divided, reservations included.
    pub(super) capacity: u64,
    pub(super) seats: Vec<Seat>,
    free_seats: Vec<u32>,
    numbers: HashMap<Tenant, u32>,
    pub(super) groups: Vec<Group>,
    free_groups: Vec<u32>,
    group_numbers: HashMap<Arc<str>, u32>,
    pub(super) orders: Orders,
    /// The sum of the weights of groups that hold something.
    pub(super) weight_sum: u64,
    entry_bytes: u64,
    reserved: u64,
    pub(super) guarantees: Guarantees,
    /// Seats that sums and orders have not as they are.
    outdated: Vec<u32>,
    rules: TenantRules,
    /// The rules that every seat has its limits from.
    rule_set: Arc<RuleSet>,
    serials: u64,
}

impl ShareTable {
    /// Nobody holds anything of `capacity` bytes.
    pub(super) fn new(capacity: u64) -> Self {
        let rules = TenantRules::default();
        let unknown = Group {
            seats: 1,
            ..Group::default()
        };
        Self {
            capacity,
            seats: vec![Self::seat(None, 0, 0, Arc::default())],
            free_seats: Vec::new(),
            numbers: HashMap::new(),
            groups: vec![unknown],
            free_groups: Vec::new(),
            group_numbers: HashMap::new(),
            orders: Orders::default(),
            weight_sum: 0,
            entry_bytes: 0,
            reserved: 0,
            guarantees: Guarantees::default(),
            outdated: Vec::new(),
            rule_set: rules.current(),
            rules,
            serials: 0,
        }
    }

    fn seat(tenant: Option<Tenant>, group: u32, serial: u64, limits: Arc<TenantLimits>) -> Seat {
        Seat {
            tenant,
            serial,
            group,
            handles: 0,
            holdings: Holdings::default(),
            evictions: [0; EvictionCause::ALL.len()],
            covered: 0,
            limits,
            known: Standing::default(),
            outdated: false,
        }
    }

    /// So many bytes are divided from now on.
    pub(crate) fn set_capacity(&mut self, capacity: u64) {
        self.capacity = capacity;
    }

    /// No more is divided than what stays when tenants give `bytes`.
    pub(crate) fn lower_capacity(&mut self, bytes: u64) {
        let held = self.entry_bytes.saturating_add(self.reserved);
        self.capacity = self.capacity.min(held.saturating_sub(bytes));
    }

    /// From now on these rules hold, and what they are replaced by.
    pub(crate) fn follow(&mut self, rules: TenantRules) {
        self.rules = rules;
        self.reread_rules();
    }

    /// Takes the rules over if they were replaced. Takes time for all tenants.
    pub(super) fn reread_rules(&mut self) {
        let now = self.rules.current();
        if Arc::ptr_eq(&now, &self.rule_set) {
            return;
        }
        self.guarantees = Guarantees::new(now.reservations().to_vec());
        for number in 0..self.seats.len() as u32 {
            let seat = &mut self.seats[number as usize];
            let Some(tenant) = &seat.tenant else { continue };
            seat.limits = now.resolve(tenant);
            seat.covered = 0;
            self.restate(number);
        }
        self.rule_set = now;
    }

    /// One handle more of a tenant, which gets a number if it has none.
    pub(super) fn add_handle(&mut self, tenant: &Tenant) -> TenantNumber {
        let number = match self.numbers.get(tenant) {
            Some(number) => *number,
            None => self.add_seat(tenant),
        };
        self.seats[number as usize].handles += 1;
        TenantNumber::new(number)
    }

    fn add_seat(&mut self, tenant: &Tenant) -> u32 {
        let group = self.join_group(tenant.group());
        self.serials += 1;
        let seat = Self::seat(
            Some(tenant.clone()),
            group,
            self.serials,
            self.rule_set.resolve(tenant),
        );
        let number = match self.free_seats.pop() {
            Some(number) => {
                let free = &mut self.seats[number as usize];
                // It may stand among the outdated ones still.
                let outdated = free.outdated;
                *free = Seat { outdated, ..seat };
                number
            }
            None => {
                self.seats.push(seat);
                self.seats.len() as u32 - 1
            }
        };
        self.numbers.insert(tenant.clone(), number);
        number
    }

    fn join_group(&mut self, name: &str) -> u32 {
        let number = match self.group_numbers.get(name) {
            Some(number) => *number,
            None => {
                let name: Arc<str> = name.into();
                let group = Group {
                    name: Some(Arc::clone(&name)),
                    ..Group::default()
                };
                let number = self.free_groups.pop().unwrap_or(self.groups.len() as u32);
                match self.groups.get_mut(number as usize) {
                    Some(free) => *free = group,
                    None => self.groups.push(group),
                }
                self.group_numbers.insert(name, number);
                number
            }
        };
        self.groups[number as usize].seats += 1;
        number
    }

    /// One more handle of a number that has one.
    pub(super) fn copy_handle(&mut self, number: TenantNumber) {
        self.seats[number.index()].handles += 1;
    }

    /// One handle less.
    pub(super) fn drop_handle(&mut self, number: TenantNumber) {
        self.seats[number.index()].handles -= 1;
        self.give_up_if_idle(number.get());
    }

    fn give_up_if_idle(&mut self, number: u32) {
        let seat = &mut self.seats[number as usize];
        if seat.handles > 0 || !seat.holdings.is_empty() {
            return;
        }
        let Some(tenant) = seat.tenant.take() else { return };
        self.restate(number);
        let seat = &mut self.seats[number as usize];
        seat.limits = Arc::default();
        self.numbers.remove(&tenant);
        self.free_seats.push(number);
        let at = seat.group;
        let group = &mut self.groups[at as usize];
        group.seats -= 1;
        if group.seats == 0
            && let Some(name) = group.name.take()
        {
            self.group_numbers.remove(&name);
            self.free_groups.push(at);
        }
    }

    /// An entry of `bytes` came to a tenant.
    pub(crate) fn add_entry(&mut self, number: TenantNumber, place: Place, bytes: u64) {
        self.entry_bytes += bytes;
        self.change(number).sum(place).add(bytes);
    }

    /// An entry of `bytes` left it.
    pub(crate) fn remove_entry(&mut self, number: TenantNumber, place: Place, bytes: u64) {
        self.entry_bytes = self.entry_bytes.saturating_sub(bytes);
        self.change(number).sum(place).remove(bytes);
        self.give_up_if_idle(number.get());
    }

    /// An entry of a tenant is going to be evicted.
    pub(crate) fn count_eviction(&mut self, number: TenantNumber, cause: EvictionCause) {
        let count = &mut self.seats[number.index()].evictions[cause as usize];
        *count = count.saturating_add(1);
    }

    /// A tenant reserves `bytes`, or waits for them.
    pub(crate) fn reserve(&mut self, number: TenantNumber, bytes: u64) {
        self.reserved = self.reserved.saturating_add(bytes);
        let holdings = self.change(number);
        holdings.reserved = holdings.reserved.saturating_add(bytes);
    }

    /// It gives them back, or they are a part of an entry now.
    pub(crate) fn release(&mut self, number: TenantNumber, bytes: u64) {
        self.reserved = self.reserved.saturating_sub(bytes);
        let holdings = self.change(number);
        holdings.reserved = holdings.reserved.saturating_sub(bytes);
        self.give_up_if_idle(number.get());
    }

    /// Bytes of all entries.
    pub(crate) fn entry_bytes(&self) -> u64 {
        self.entry_bytes
    }

    /// What a tenant holds.
    pub(crate) fn holdings(&self, number: TenantNumber) -> &Holdings {
        &self.seats[number.index()].holdings
    }

    /// The tenant with this number, and what tells it from all others that ever have that number.
    pub(crate) fn tenant(&self, number: TenantNumber) -> Option<(&Tenant, u64)> {
        let seat = self.seats.get(number.index())?;
        Some((seat.tenant.as_ref()?, seat.serial))
    }

    /// What the operator's rules say of a tenant.
    pub(crate) fn limits(&mut self, number: TenantNumber) -> &TenantLimits {
        self.reread_rules();
        &self.seats[number.index()].limits
    }

    /// What a tenant holds, to be changed.
    fn change(&mut self, number: TenantNumber) -> &mut Holdings {
        let seat = &mut self.seats[number.index()];
        if !std::mem::replace(&mut seat.outdated, true) {
            self.outdated.push(number.get());
        }
        &mut seat.holdings
    }

    /// Brings sums and orders up to date, and what reservations cover.
    pub(super) fn refresh(&mut self) {
        self.reread_rules();
        while let Some(number) = self.outdated.pop() {
            self.seats[number as usize].outdated = false;
            self.restate(number);
        }
        for (number, covered) in self.guarantees.take_covered(&self.seats) {
            let seat = &mut self.seats[number as usize];
            if std::mem::replace(&mut seat.covered, covered) != covered {
                self.bring(number);
            }
        }
    }

    /// Brings what a seat holds into sums and orders.
    fn restate(&mut self, number: u32) {
        let seat = &mut self.seats[number as usize];
        if seat.holdings.is_empty() {
            seat.covered = 0;
        }
        self.guarantees.note(number, seat);
        self.bring(number);
    }

    fn bring(&mut self, number: u32) {
        let seat = &mut self.seats[number as usize];
        let (group, after) = (seat.group, seat.standing());
        let before = std::mem::replace(&mut seat.known, after);
        if before != after {
            self.move_tenant(group, number, before, after);
            self.move_group(group, before, after);
        }
    }

    fn move_tenant(&mut self, group: u32, number: u32, before: Standing, after: Standing) {
        let key = |standing: Standing| {
            let weight = standing.weight.filter(|_| standing.evictable)?;
            Some(ratio(standing.over, weight))
        };
        let (old, new) = (key(before), key(after));
        if old == new {
            return;
        }
        if let Some(ratio) = old {
            self.orders.remove_tenant(group, ratio, number);
        }
        if let Some(ratio) = new {
            self.orders.add_tenant(group, ratio, number);
        }
    }

    fn move_group(&mut self, number: u32, before: Standing, after: Standing) {
        let group = &mut self.groups[number as usize];
        let key = |group: &Group| match group.weight() {
            0 => None,
            weight => Some((group.evictable > 0, ratio(group.over, weight), weight)),
        };
        let old = key(group);
        group.over = group.over + after.over - before.over;
        group.evictable = group.evictable + u32::from(after.evictable) - u32::from(before.evictable);
        if before.weight != after.weight {
            // The new one first, so that the list does not lose its only element for a moment.
            after.weight.inspect(|weight| group.add_weight(*weight));
            before.weight.inspect(|weight| group.remove_weight(*weight));
        }
        let new = key(group);
        if old == new {
            return;
        }
        if let Some((evictable, ratio, weight)) = old {
            self.orders.remove_group(evictable, ratio, number);
            self.weight_sum -= u64::from(weight);
        }
        if let Some((evictable, ratio, weight)) = new {
            self.orders.add_group(evictable, ratio, number);
            self.weight_sum += u64::from(weight);
        }
    }
}
