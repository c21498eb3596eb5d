//! Tenants that hold more than a rule allows, as after a reload that lowers `max_bytes` or `max_entries`.

use super::holdings::TenantNumber;
use super::table::ShareTable;
use super::victim::Victim;

impl ShareTable {
    /// One of these that can give something, and what tells it from all others that ever have its number. Takes time
    /// for all tenants.
    pub(crate) fn first_over_bound(&mut self) -> Option<(TenantNumber, u64)> {
        self.reread_rules();
        let numbers = (0..self.seats.len() as u32).map(TenantNumber::new);
        let mut over = numbers.filter(|number| self.is_over_bound(*number));
        let number = over.next()?;
        Some((number, self.seats[number.index()].serial))
    }

    /// Its next entry to go, as long as it is above its bounds.
    pub(crate) fn bound_victim(&mut self, number: TenantNumber, serial: u64) -> Option<Victim> {
        let is_same = self
            .seats
            .get(number.index())
            .is_some_and(|seat| seat.serial == serial);
        (is_same && self.is_over_bound(number)).then(|| self.own_victim(number))?
    }

    fn is_over_bound(&self, number: TenantNumber) -> bool {
        let seat = &self.seats[number.index()];
        let (limits, holdings) = (&seat.limits, &seat.holdings);
        let is_over = |held: u64, most: Option<u64>| most.is_some_and(|most| held > most);
        holdings.is_evictable()
            && (is_over(holdings.bytes(), limits.max_bytes)
                || is_over(holdings.entries(), limits.max_entries))
    }
}
