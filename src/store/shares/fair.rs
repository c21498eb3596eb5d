//! How much a tenant's share is, and who is above it.

use super::holdings::TenantNumber;
use super::table::ShareTable;

/// `bytes` x `part` / `whole`; all of it if the whole is nothing.
fn part_of(bytes: u64, part: u64, whole: u64) -> u64 {
    let exact = u128::from(bytes) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(exact).unwrap_or(u64::MAX).min(bytes)
}

impl ShareTable {
    /// Bytes that a tenant never has to give for others, all that hold something now being there: its part of what
    /// groups divide, and of the reservations of rules. Takes time for the tenants that have a part of these.
    pub(crate) fn share(&mut self, number: TenantNumber) -> u64 {
        self.refresh();
        let covered = self.guarantees.part(number.get(), &self.seats);
        self.fair_part(number).saturating_add(covered)
    }

    /// Bytes that rules reserve for all tenants, and for this one if it held everything.
    pub(crate) fn reservations(&mut self, number: Option<TenantNumber>) -> (u64, u64) {
        self.refresh();
        let own = number.map_or(0, |number| self.guarantees.part(number.get(), &self.seats));
        (self.guarantees.bytes(), own)
    }

    /// The same if `capacity` bytes were divided.
    pub(crate) fn share_of(&mut self, number: TenantNumber, capacity: u64) -> u64 {
        let now = std::mem::replace(&mut self.capacity, capacity);
        let share = self.share(number);
        self.capacity = now;
        share
    }

    /// Whether a tenant would be above its share, and its group above the group's, if it held `more` bytes.
    pub(crate) fn is_above(&mut self, number: TenantNumber, more: u64) -> bool {
        self.refresh();
        let seat = &self.seats[number.index()];
        let holds = seat.holdings.bytes().saturating_add(more);
        let over = holds.saturating_sub(self.guarantees.part(number.get(), &self.seats));
        let before = seat.known.over;
        let group = (self.groups[seat.group as usize].over - before).saturating_add(over);
        over > self.fair_part(number) && group > self.group_part(number)
    }

    /// Bytes that groups divide.
    pub(super) fn divided(&self) -> u64 {
        self.capacity.saturating_sub(self.guarantees.bytes())
    }

    /// The part of what groups divide that is its group's; as if it held something.
    fn group_part(&self, number: TenantNumber) -> u64 {
        let seat = &self.seats[number.index()];
        let now = self.groups[seat.group as usize].weight();
        let weight = now.max(seat.limits.weight());
        let sum = self.weight_sum - u64::from(now) + u64::from(weight);
        part_of(self.divided(), weight.into(), sum)
    }

    /// Its part of its group's part; as if it held something.
    pub(super) fn fair_part(&self, number: TenantNumber) -> u64 {
        let seat = &self.seats[number.index()];
        let weight = u64::from(seat.limits.weight());
        let sum = self.groups[seat.group as usize].weight_sum;
        let sum = match seat.holdings.is_empty() {
            true => sum + weight,
            false => sum,
        };
        part_of(self.group_part(number), weight, sum)
    }

    /// Whether a group is above its part.
    pub(super) fn is_group_above(&self, group: u32) -> bool {
        let group = &self.groups[group as usize];
        let part = part_of(self.divided(), group.weight().into(), self.weight_sum);
        group.over > part
    }

    /// Whether what no reservation covers of a tenant is above its part. Call it after [`ShareTable::refresh`].
    pub(super) fn is_tenant_above(&self, number: TenantNumber) -> bool {
        self.seats[number.index()].known.over > self.fair_part(number)
    }
}
