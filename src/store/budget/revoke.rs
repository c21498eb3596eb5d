//! Taking room back from uploads that run.
//!
//! Room that nobody else needs is anybody's, so a tenant may hold far more than its share for bodies that are on their
//! way, and none of it can be evicted. When somebody who is not above its share finds no room, the youngest reservations
//! of those who are above are revoked: their writers fail at once, and give the room back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::owner::Owner;
use super::{Budget, BudgetState};
use crate::store::shares::TenantNumber;
use crate::store::{Error, Result};

/// For so long, a tenant that is not above its share loses nothing of its own while room that was taken back is on its way.
const REVOKE_PATIENCE: Duration = Duration::from_secs(1);

/// Bytes that one reservation holds.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) bytes: AtomicU64,
    revoked: OnceLock<Instant>,
    /// It is too late for that.
    pub(super) kept: AtomicBool,
    told: Notify,
}

impl Room {
    pub(super) fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            bytes: bytes.into(),
            ..Self::default()
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Whether its writer is expected to give it back soon. Most do at once, an upload in pieces when it is looked at.
    fn is_coming(&self) -> bool {
        self.revoked
            .get()
            .is_some_and(|at| at.elapsed() < REVOKE_PATIENCE)
    }

    pub(super) fn is_revoked(&self) -> bool {
        self.revoked.get().is_some()
    }

    /// Whether it can come back before it is an entry.
    fn is_revocable(&self) -> bool {
        self.bytes() > 0 && !self.kept.load(Relaxed)
    }

    fn revoke(&self) {
        self.revoked.get_or_init(Instant::now);
        self.told.notify_waiters();
    }
}

/// Whether a reservation was revoked.
#[derive(Debug, Clone)]
pub(crate) struct RoomWatch {
    pub(super) budget: Arc<Budget>,
    pub(super) owner: Owner,
    pub(super) room: Arc<Room>,
}

impl RoomWatch {
    /// Whether others need it.
    pub(crate) fn is_revoked(&self) -> bool {
        self.room.is_revoked()
    }

    /// # Errors
    /// [`Error::NoSpace`] if others need it: it has to be given back.
    pub(crate) fn check(&self) -> Result<()> {
        match self.is_revoked() {
            true => Err(self.error()),
            false => Ok(()),
        }
    }

    /// Resolves when others need it.
    pub(crate) async fn revoked(&self) -> Error {
        loop {
            let mut told = std::pin::pin!(self.room.told.notified());
            told.as_mut().enable();
            if self.is_revoked() {
                return self.error();
            }
            told.await;
        }
    }

    fn error(&self) -> Error {
        self.budget.share_used_up(&self.owner, self.room.bytes())
    }
}

/// Rooms that can be taken back, the oldest first.
#[derive(Debug, Default)]
pub(super) struct RevocableRooms {
    rooms: Vec<(TenantNumber, Weak<Room>)>,
    /// Above so many, those that are gone are forgotten.
    prune_at: usize,
}

/// The list is looked through at this length for the first time.
const MIN_PRUNE_LENGTH: usize = 64;

impl RevocableRooms {
    pub(super) fn add(&mut self, owner: &Owner, room: &Arc<Room>) {
        let Some(tenant) = owner.number() else { return };
        if self.rooms.len() >= self.prune_at {
            self.rooms.retain(|(_, room)| room.strong_count() > 0);
            self.prune_at = (2 * self.rooms.len()).max(MIN_PRUNE_LENGTH);
        }
        self.rooms.push((tenant, Arc::downgrade(room)));
    }

    /// Whether any room of tenants for whom `is_above` holds can be taken back, or is expected.
    fn any_for_others(&self, mut is_above: impl FnMut(TenantNumber) -> bool) -> bool {
        let rooms = self.rooms.iter();
        let mut rooms = rooms.filter_map(|(tenant, room)| Some((*tenant, room.upgrade()?)));
        rooms.any(|(tenant, room)| {
            room.is_revocable() && (room.is_coming() || !room.is_revoked() && is_above(tenant))
        })
    }

    /// Whether any room that was taken back is expected.
    fn is_any_coming(&self) -> bool {
        let mut rooms = self.rooms.iter().rev().filter_map(|(_, room)| room.upgrade());
        rooms.any(|room| room.is_revocable() && room.is_coming())
    }

    /// Takes back `bytes` of tenants for whom `is_above` holds, the youngest first. What was taken back before and is
    /// still held counts. Answers whether any room is on its way back.
    fn revoke(&self, bytes: u64, mut is_above: impl FnMut(TenantNumber) -> bool) -> bool {
        let rooms = self.rooms.iter().rev();
        let rooms = rooms.filter_map(|(tenant, room)| Some((*tenant, room.upgrade()?)));
        let (coming, others): (Vec<_>, Vec<_>) = rooms
            .filter(|(_, room)| room.is_revocable())
            .partition(|(_, room)| room.is_revoked());
        let mut back: u64 = coming.iter().map(|(_, room)| room.bytes()).sum();
        for (tenant, room) in others {
            if back >= bytes {
                break;
            }
            if is_above(tenant) {
                room.revoke();
                back += room.bytes();
            }
        }
        back > 0
    }
}

impl BudgetState {
    /// Whether room is on its way back for somebody who is not above its share. Nobody who is above gets any meanwhile.
    pub(super) fn is_room_promised(&self) -> bool {
        let first = self.waiters.iter().next();
        first.is_some_and(|first| !first.above) && self.revocable.is_any_coming()
    }
}

impl Budget {
    /// Whether room can be taken back for `writer`, or is on its way back, so that nothing of its own has to go.
    pub(crate) fn is_room_coming(&self, writer: &Owner) -> bool {
        let state = self.lock();
        if writer.number().is_none() || self.is_above(writer) {
            return false;
        }
        let mut shares = self.shares.table();
        (state.revocable).any_for_others(|tenant| shares.is_above(tenant, 0))
    }

    /// Takes back `bytes` that tenants above their shares hold for uploads. Answers whether any are on their way back.
    pub(super) fn revoke(&self, rooms: &RevocableRooms, bytes: u64) -> bool {
        let mut shares = self.shares.table();
        let is_coming = rooms.revoke(bytes, |tenant| shares.is_above(tenant, 0));
        if is_coming {
            self.taken_back.notify_one();
        }
        is_coming
    }

    /// Resolves when room was taken back. For one who waits.
    pub(crate) async fn taken_back(&self) {
        self.taken_back.notified().await;
    }
}
