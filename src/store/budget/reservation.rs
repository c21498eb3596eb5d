//! Room that an upload holds.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::owner::CountedBytes;
use super::revoke::{Room, RoomWatch};
use super::{Ask, Budget, Owner};
use crate::store::shares::ReservedBytes;
use crate::store::{Error, Result};

/// Reserved bytes; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    owner: Owner,
    room: Arc<Room>,
}

impl Reservation {
    /// Of bytes that the account has as reserved.
    pub(super) fn new(budget: &Arc<Budget>, mut counted: CountedBytes) -> Self {
        let (owner, bytes) = counted.take();
        Self {
            budget: Arc::clone(budget),
            owner,
            room: Room::new(bytes),
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        self.room.bytes()
    }

    /// What of it counts in the share of a tenant.
    pub(crate) fn counted(&self) -> Option<ReservedBytes> {
        let (tenant, bytes) = (self.owner.number()?, self.bytes());
        Some(ReservedBytes { tenant, bytes })
    }

    /// From now on it may be taken back for others while its tenant is above its share, until
    /// [`Reservation::keep`]. Whoever holds it asks from time to time.
    pub(crate) fn may_be_revoked(&self) -> RoomWatch {
        self.budget.lock().revocable.add(&self.owner, &self.room);
        RoomWatch {
            budget: Arc::clone(&self.budget),
            owner: self.owner.clone(),
            room: Arc::clone(&self.room),
        }
    }

    /// From now on it is not taken back.
    pub(crate) fn keep(&self) {
        self.room.kept.store(true, Ordering::Relaxed);
    }

    /// Makes sure that at least `bytes` are held, in steps of `step` bytes. Fails as [`Budget::reserve`] does.
    pub(crate) async fn ensure(&self, bytes: u64, step: u64) -> Result<()> {
        self.grow(bytes, step, Ask::Growth).await
    }

    /// The same for a body that will have `most` bytes with all that belongs to it: never holds more.
    pub(crate) async fn ensure_of(&self, bytes: u64, step: u64, most: u64) -> Result<()> {
        let held = self.bytes();
        let step = step.min(most.saturating_sub(held));
        self.grow(bytes, step, Ask::Announced).await
    }

    async fn grow(&self, bytes: u64, step: u64, ask: Ask) -> Result<()> {
        let held = self.bytes();
        if bytes <= held {
            return Ok(());
        }
        let missing = bytes - held;
        let more = match self
            .budget
            .grow(&self.owner, &self.room, missing.max(step), ask)
            .await
        {
            // The step was too long: perhaps the need itself is not.
            Err(refused @ Error::NoSpace { .. }) => {
                self.budget.take_for(&self.owner, missing).ok_or(refused)?
            }
            other => other?,
        };
        more.move_to(self, more.bytes());
        Ok(())
    }

    /// Gives back what exceeds `bytes`.
    pub(crate) fn shrink(&self, bytes: u64) {
        let held = self.bytes();
        if held > bytes {
            self.room.bytes.store(bytes, Ordering::Relaxed);
            self.give_back(held - bytes, 0);
        }
    }

    /// Gives back `bytes`, or all that is held if that is less.
    pub(crate) fn release(&self, bytes: u64) {
        let taken = self.take_out(bytes);
        if taken > 0 {
            self.give_back(taken, 0);
        }
    }

    /// Hands `bytes` to another reservation of the same account, or all that is held if that is less.
    pub(crate) fn move_to(&self, other: &Self, bytes: u64) {
        let taken = self.take_out(bytes);
        other.room.bytes.fetch_add(taken, Ordering::Relaxed);
        if self.owner.number() != other.owner.number() {
            other.owner.count(taken);
            self.owner.uncount(taken);
        }
    }

    /// A reservation of its own for `bytes` of this one, or all that is held if that is less.
    pub(crate) fn split(&self, bytes: u64) -> Self {
        let none = CountedBytes::new(&self.owner, 0);
        let part = Self::new(&self.budget, none);
        self.move_to(&part, bytes);
        part
    }

    fn take_out(&self, bytes: u64) -> u64 {
        let left = |held: u64| Some(held.saturating_sub(bytes));
        let held = (self.room.bytes).fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        held.unwrap_or_else(|held| held).min(bytes)
    }

    /// Turns the reservation into `used` bytes in use; nothing is held afterwards.
    pub(crate) fn settle(&self, used: u64) {
        self.give_back(self.take_out(u64::MAX), used);
    }

    /// The same for an entry that the index counts already, and that took what was held out of the share with it.
    pub(crate) fn settle_entry(&self, used: u64) {
        self.budget.give_back(self.take_out(u64::MAX), used);
    }

    fn give_back(&self, bytes: u64, used: u64) {
        self.owner.uncount(bytes);
        self.budget.give_back(bytes, used);
    }
}

impl Budget {
    /// Of reserved bytes, `used` are in use now, and the others free.
    fn give_back(self: &Arc<Self>, bytes: u64, used: u64) {
        let mut state = self.lock();
        state.reserved = state.reserved.saturating_sub(bytes);
        state.used = state.used.saturating_add(used);
        state.releases += u64::from(bytes > used);
        let idle = state.waiters.is_empty() && state.total() <= self.high();
        drop(state);
        if !idle {
            self.grant();
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let held = self.take_out(u64::MAX);
        if held > 0 {
            self.give_back(held, 0);
        }
    }
}
