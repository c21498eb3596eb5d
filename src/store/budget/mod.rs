//! Room on the volume: what is used, what is promised, and what is waited for.
//!
//! Invariant: used + reserved never exceeds the limit by anything that this process writes. Bytes of
//! a file count as used until it is unlinked, and as held while it is open after that ([`held`]); a file under
//! construction is reserved before it is written. The index decides *what* goes ([`super::disk`]'s evictor); this module
//! says *how much*.
//!
//! New reservations are served in order. A growing upload goes ahead of them, since it holds room
//! that only its end gives back; when nothing can be evicted, the youngest growing upload fails at
//! once instead of waiting for the others, which wait for it. A waiter that needs more than all evictions would
//! give is passed over, and nothing is evicted for it: only the end of another upload can help.
//!
//! Whoever's tenant is above its share ([`super::shares`]) comes after all others. When nobody can give room it is
//! refused: at once if none of its other bodies is on its way, else after five seconds without a release. Room that such
//! tenants hold for running uploads is taken back ([`revoke`]) for those who are not above. What is reserved and what is waited for counts in the share.

mod ask;
mod bounds;
mod evictor;
mod full_volume;
mod held;
mod owner;
mod reservation;
mod revoke;
mod wait;
mod waiter;
mod waiting;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use ask::Ask;
pub(crate) use full_volume::{FullVolumeRetry, VolumeLook, write_error};
pub(crate) use held::{FileHold, OpenFile};
pub(crate) use owner::Owner;
pub(crate) use reservation::Reservation;
pub(crate) use revoke::RoomWatch;
pub(crate) use waiting::WaitingBounds;

use self::bounds::OwnDemand;
use self::owner::CountedBytes;
use self::revoke::RevocableRooms;
use self::waiter::WaitingLine;
use super::shares::Shares;
use super::{Error, Result, Shortage};

/// The unit in which volumes hand out room, in bytes.
pub(crate) const BLOCK_BYTES: u64 = 4096;

/// `bytes` rounded up to whole blocks.
pub(crate) fn whole_blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES)
}

/// The account of one directory. See the module.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    /// Bytes of the volume that are left to others.
    min_free: u64,
    /// What of all that which tenant holds. Its lock is taken under the one of the state.
    shares: Arc<Shares>,
    state: Mutex<BudgetState>,
    work: Notify,
    /// An unlinked file was closed.
    let_go: Notify,
    /// Room was taken back from uploads that may have nobody who would notice.
    taken_back: Notify,
    /// Whether somebody waits for what unlinked files hold. A copy of what the state says.
    pressed: AtomicBool,
    settled: CancellationToken,
    settle_by: Instant,
}

#[derive(Debug, Default)]
struct BudgetState {
    used: u64,
    reserved: u64,
    /// Bytes of unlinked files that are still open.
    held: u64,
    holds: Vec<Weak<FileHold>>,
    /// Free bytes of the volume as they were seen last, less what was handed out since. Known only if some are to
    /// be left to others.
    volume_free: Option<u64>,
    /// Writes that wait on a full volume for what unlinked files hold.
    stranded: usize,
    /// Since when somebody waits for what unlinked files hold.
    pressed_since: Option<Instant>,
    /// Grows with every release; tells a waiter whether anything moves.
    releases: u64,
    waiters: WaitingLine,
    /// Reservations that can be taken back.
    revocable: RevocableRooms,
    demands: Vec<(u64, oneshot::Sender<u64>)>,
    own_demands: Vec<OwnDemand>,
    /// Bodies that become entries at this moment: then something can be evicted that cannot be now.
    committing: usize,
    /// The count of releases when a growing upload was made to fail: its room comes back later.
    failed_at: Option<u64>,
    closed: bool,
}

impl Budget {
    /// The account of a volume that is not shared, see [`Budget::sharing`].
    #[cfg(test)]
    pub(crate) fn new(limit: u64, used: u64, patience: Duration) -> Arc<Self> {
        Self::sharing(limit, 0, used, patience)
    }

    /// An account of `limit` bytes of which `used` are taken. Until [`Budget::settled`] is called, at
    /// most `patience`, nothing is handed out: the bytes in use may not be known yet. At least `min_free`
    /// bytes of the volume are left to others.
    pub(crate) fn sharing(limit: u64, min_free: u64, used: u64, patience: Duration) -> Arc<Self> {
        let state = BudgetState {
            used,
            ..BudgetState::default()
        };
        Arc::new(Self {
            limit,
            min_free,
            shares: Arc::new(Shares::new(low(limit))),
            state: Mutex::new(state),
            work: Notify::new(),
            let_go: Notify::new(),
            taken_back: Notify::new(),
            pressed: AtomicBool::new(false),
            settled: CancellationToken::new(),
            settle_by: Instant::now() + patience,
        })
    }

    /// The configured limit in bytes.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// What of the room which tenant holds.
    pub(crate) fn shares(&self) -> &Arc<Shares> {
        &self.shares
    }

    /// Tells the shares how many bytes tenants divide: those below the low-water mark, without what belongs to none of
    /// them (folders, the snapshot, files that could not be unlinked).
    pub(crate) fn divide(&self) {
        self.divide_with(&self.lock());
    }

    fn divide_with(&self, state: &BudgetState) {
        let mut shares = self.shares.table();
        let others = state.used.saturating_sub(shares.entry_bytes());
        shares.set_capacity(self.low().saturating_sub(others));
    }

    /// The same before `bytes` are evicted: on a volume that is smaller than the limit, less is there to be divided.
    pub(crate) fn divide_for(&self, bytes: u64) {
        self.divide();
        self.shares.table().lower_capacity(bytes);
    }

    /// Whether a body of `needed` bytes may find room: what is free, at least what evictions always bring about, and what
    /// its tenant may push out of the rest.
    ///
    /// # Errors
    /// [`Error::NoSpace`].
    pub(crate) fn check_share(&self, owner: &Owner, needed: u64) -> Result<()> {
        let Some(tenant) = owner.number() else {
            return Ok(());
        };
        self.check_bound(owner, needed)?;
        let surplus = self.limit - self.high();
        let free = self.limit.saturating_sub(self.lock().total()).max(surplus);
        if needed <= free {
            return Ok(());
        }
        // Alone, a tenant may push out everything but the surplus above the high-water mark.
        let share = self.shares.table().share_of(tenant, self.high());
        match needed <= free.saturating_add(share) {
            true => Ok(()),
            false => Err(Error::NoSpace {
                needed,
                reason: Shortage::Share { share },
            }),
        }
    }

    /// The most that one entry can ever take, with everything that belongs to it: what is left below
    /// the high-water mark when all others are evicted. Some folders, the snapshot and small files stay.
    pub(crate) fn largest(&self) -> u64 {
        self.high().saturating_sub(144 * 1024)
    }

    /// Bytes in use and bytes reserved.
    pub(crate) fn figures(&self) -> (u64, u64) {
        let state = self.lock();
        (state.used, state.reserved)
    }

    /// The bytes in use are known from now on.
    pub(crate) fn settled(&self) {
        self.settled.cancel();
    }

    /// Reserves `bytes` if there is room at this moment, ahead of all waiters: for our own housekeeping.
    pub(crate) fn take(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        self.take_for(&Owner::default(), bytes)
    }

    /// The same for `owner`.
    fn take_for(self: &Arc<Self>, owner: &Owner, bytes: u64) -> Option<Reservation> {
        let counted = CountedBytes::new(owner, bytes);
        let mut state = self.lock();
        if !self.fits(&state, bytes) || self.excess(owner).is_some() {
            return None;
        }
        state.reserve(bytes);
        // An upload that was made to fail and is content with less gives nothing back now.
        state.failed_at = None;
        self.work.notify_one();
        Some(Reservation::new(self, counted))
    }

    /// Bytes that an upload of `owner` has on the volume already, whether or not there is room.
    pub(crate) fn hold(self: &Arc<Self>, owner: &Owner, bytes: u64) -> Reservation {
        self.lock().reserved += bytes;
        // Something may have to go now.
        self.grant();
        Reservation::new(self, CountedBytes::new(owner, bytes))
    }

    /// Bytes became used or free without a reservation: folders, the snapshot, found files.
    pub(crate) fn adjust(self: &Arc<Self>, bytes: i64) {
        let mut state = self.lock();
        state.used = state.used.saturating_add_signed(bytes);
        state.releases += u64::from(bytes < 0);
        drop(state);
        self.grant();
    }

    /// A file of `bytes` is unlinked.
    pub(crate) fn freed(self: &Arc<Self>, bytes: u64) {
        self.adjust(-i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A body is about to become an entry. Nobody has to give up for want of room before it is one.
    pub(crate) fn committing(self: &Arc<Self>) -> Committing {
        self.lock().committing += 1;
        Committing(Arc::clone(self))
    }

    fn high(&self) -> u64 {
        self.limit - self.limit / 50
    }

    /// Down to here room is made, once there is too little; what tenants divide.
    pub(crate) fn low(&self) -> u64 {
        low(self.limit)
    }

    fn lock(&self) -> MutexGuard<'_, BudgetState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Down to here room is made, once there is too little.
fn low(limit: u64) -> u64 {
    limit - limit / 20
}

/// See [`Budget::committing`]. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Committing(Arc<Budget>);

impl Drop for Committing {
    fn drop(&mut self) {
        self.0.lock().committing -= 1;
        self.0.grant();
    }
}

impl BudgetState {
    fn total(&self) -> u64 {
        self.used.saturating_add(self.reserved)
    }

    fn reserve(&mut self, bytes: u64) {
        self.reserved += bytes;
        self.volume_free = self.volume_free.map(|free| free.saturating_sub(bytes));
    }
}

fn all_reserved(needed: u64) -> Error {
    Error::NoSpace {
        needed,
        reason: "nothing can be evicted, all room is reserved by uploads that are still running".into(),
    }
}

#[cfg(test)]
mod tests;
