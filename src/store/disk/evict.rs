//! The evictor: frees room off the request path. [`crate::store::shares`] says whose entries go, the index which of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::core::{DiskCore, cannot_remove};
use super::index::{FileRecord, MAX_BATCH_ENTRIES};
use super::role::DiskRole;
use crate::store::EvictionCause;
use crate::store::budget::{Owner, VolumeLook};
use crate::store::shares::{ShareTable, Victim};
use crate::sys;
use crate::telemetry::seldom::is_time;

/// How long one turn may read whom entries belong to before it evicts what belongs to nobody who is known.
const MAX_READ_TIME: Duration = Duration::from_secs(2);
/// How often readers of unlinked files are looked at, and the volume if others share it.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Runs until the tier stops.
pub(super) async fn run(core: Arc<DiskCore>) {
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut indexed = false;
    loop {
        tokio::select! {
            () = core.stop.cancelled() => break,
            () = core.budget.wanted() => {}
            () = core.indexed(), if !indexed => {
                indexed = true;
                core.rules.require_bounds();
            }
            () = core.unlink_retry.due() => {
                let _freed = retry(&core).await;
            }
            _ = looks.tick() => {
                core.budget.press();
                leave_free(&core).await;
                // Room that was taken back may not have come.
                if !core.budget.is_pressed_for_long() && !core.budget.is_waited_for() {
                    continue;
                }
            }
        }
        answer_demands(&core).await;
        make_room(&core).await;
        keep_bounds(&core).await;
    }
    core.budget.close();
}

/// Evicts until as much of the volume is free as is to be left to others.
async fn leave_free(core: &Arc<DiskCore>) {
    if core.min_free == 0 {
        return;
    }
    let free = look(core).await;
    if free < core.min_free {
        let missing = core.min_free - free;
        say_full(core.role, missing, free);
        free_up(core, missing).await;
        look(core).await;
    }
}

/// Free bytes of the volume, which the account learns if some are to be left to others.
async fn look(core: &Arc<DiskCore>) -> u64 {
    let look = |core: &Arc<DiskCore>| sys::volume_free(core.layout.root());
    let free = core.blocking(look).await.ok().flatten().unwrap_or(u64::MAX);
    if core.min_free > 0 {
        core.budget.look(free);
    }
    free
}

/// Evicts until `bytes` are free, or nothing more can be freed. Answers how many are, once the volume shows them.
async fn free_up(core: &Arc<DiskCore>, bytes: u64) -> u64 {
    let before = VolumeLook::at(core.layout.root()).await;
    let mut freed = 0;
    while freed < bytes && !core.stop.is_cancelled() {
        match free(core, bytes - freed, Cause::Volume).await {
            0 => break,
            more => freed += more,
        }
    }
    before.wait_until_shown(freed).await;
    freed
}

/// Evicts until the budget is content or nothing is left.
async fn make_room(core: &Arc<DiskCore>) {
    loop {
        let goal = core.budget.goal();
        if goal == 0 || free(core, goal, Cause::Limit).await == 0 {
            core.budget.exhausted();
            return;
        }
        if core.min_free > 0 {
            look(core).await;
        }
    }
}

/// Tenants at their own bounds get room from their own entries. Then, if the volume is full for other reasons than our
/// entries: evict as much as is asked for.
async fn answer_demands(core: &Arc<DiskCore>) {
    // What was freed beyond the need of one is there for the next one.
    let mut spare = 0;
    for demand in core.budget.own_demands() {
        let freed = keep_own_bound(core, demand.owner, demand.bytes).await;
        let _left = demand.answer.send(freed);
    }
    for (bytes, answer) in core.budget.demands() {
        let mut freed = bytes;
        if spare < bytes {
            say_full(core.role, bytes, look(core).await);
            freed = free_up(core, bytes).await;
            spare += freed;
        }
        spare = spare.saturating_sub(bytes);
        // Who asked may have left.
        let _left = answer.send(freed);
    }
}

/// Evicts a batch of what a tenant holds beyond its bounds, after rules have changed. Others get a turn before the next one.
async fn keep_bounds(core: &Arc<DiskCore>) {
    if core.rules.take_bounds() && core.blocking(|core| core.evict_over_bound()).await.unwrap_or(0) > 0 {
        core.rules.require_bounds();
        core.budget.wake();
    }
}

/// Evicts entries of a tenant that was above its own bound by `bytes`, by as much as it is now: what went for another one
/// of its demands serves this one as well. Answers how many bytes there are for it.
async fn keep_own_bound(core: &Arc<DiskCore>, owner: Owner, bytes: u64) -> u64 {
    let Some((excess, _)) = core.budget.excess(&owner) else {
        return bytes;
    };
    let evict = move |core: &Arc<DiskCore>| core.evict_own(excess, &owner);
    core.blocking(evict).await.unwrap_or(0)
}

/// Why room is made.
#[derive(Debug, Clone, Copy)]
enum Cause {
    /// The account wants it.
    Limit,
    /// The volume has less than the account says.
    Volume,
}

/// Files that are out of the index go first, then entries. Answers how many bytes were freed. What readers hold of
/// them counts as long as the volume may hold more of that.
async fn free(core: &Arc<DiskCore>, bytes: u64, cause: Cause) -> u64 {
    if core.unlink_retry.is_worth_it() {
        let freed = retry(core).await;
        if freed > 0 {
            return freed;
        }
    }
    let before = core.budget.held();
    let evict = move |core: &Arc<DiskCore>| match cause {
        // Some may have been given back meanwhile.
        Cause::Limit => core.evict(bytes.min(core.budget.goal()), &core.budget.next_writer()),
        Cause::Volume => core.evict_for_volume(bytes),
    };
    let evicted = core.blocking(evict).await.unwrap_or(0);
    match core.budget.is_let_go().await {
        true => evicted,
        // If it is all held, the rest of the cache may free nothing either.
        false => evicted.saturating_sub(core.budget.held().saturating_sub(before)),
    }
}

/// Tries again what could not be unlinked. Answers the bytes freed.
async fn retry(core: &Arc<DiskCore>) -> u64 {
    core.blocking(|core| core.retry_unlinks()).await.unwrap_or(0)
}

impl DiskCore {
    /// Blocking: evicts a batch of at most `bytes`, rounded up to an entry, for a body of `writer`. Answers the bytes
    /// that it took out, some of which may be held by readers still.
    ///
    /// If nobody who is above a share has entries, uploads give room first, and then the writer no more than it needs.
    pub(super) fn evict(&self, bytes: u64, writer: &Owner) -> u64 {
        self.budget.divide();
        let freed = self.evict_of(bytes, ShareTable::victim_above);
        if freed > 0 || self.budget.is_room_coming(writer) {
            return freed;
        }
        let bytes = bytes.min(self.budget.need());
        self.evict_of(bytes, |shares| shares.victim(writer.number()))
    }

    /// Blocking: the same because the volume is full, so that less is there to be divided than the limit says.
    fn evict_for_volume(&self, bytes: u64) -> u64 {
        self.budget.divide_for(bytes);
        self.evict_of(bytes, |shares| shares.victim(None))
    }

    /// Blocking: the same of one tenant, which is at a bound of its own.
    pub(super) fn evict_own(&self, bytes: u64, owner: &Owner) -> u64 {
        self.evict_of(bytes, |shares| shares.own_victim(owner.number()?))
    }

    /// Blocking: the same of the first tenant that is above its bounds, if there is one.
    fn evict_over_bound(&self) -> u64 {
        let over = self.budget.shares().table().first_over_bound();
        over.map_or(0, |(tenant, serial)| {
            self.evict_of(u64::MAX, |shares| shares.bound_victim(tenant, serial))
        })
    }

    fn evict_of(&self, bytes: u64, mut choose: impl FnMut(&mut ShareTable) -> Option<Victim>) -> u64 {
        let Ok(_pass) = self.enter() else { return 0 };
        let is_known = self.read_victims(&mut choose);
        // On a volume that refuses everything, a batch would cost entries and free nothing.
        let most = if !is_known || self.unlink_retry.is_full() || self.budget.held() > 0 {
            1
        } else {
            MAX_BATCH_ENTRIES
        };
        let victims = self.index(|index| index.evict(bytes, most, choose));
        self.retire_evicted(&victims)
    }

    /// Blocking: after a crash, what nobody has read yet belongs to nobody who is known, and would go first. So it is read
    /// whose those entries are whose turn it is. Answers whether all are known.
    fn read_victims(&self, choose: &mut impl FnMut(&mut ShareTable) -> Option<Victim>) -> bool {
        if self.read_index(|index| index.unread()) == 0 {
            return true;
        }
        let began = Instant::now();
        let mut last = None;
        while let Some(next) = self.read_index(|index| index.unread_victim(&mut *choose)) {
            // What cannot be read may go.
            if last == Some(next) || began.elapsed() >= MAX_READ_TIME {
                break;
            }
            self.read_tenancy(&next.0, next.1);
            last = Some(next);
        }
        false
    }

    /// Blocking: unlinks what was taken out of the index. Answers the bytes of it.
    pub(super) fn retire_evicted(&self, victims: &[(FileRecord, EvictionCause)]) -> u64 {
        let mut freed = 0;
        for (victim, cause) in victims {
            match self.retire(victim) {
                Ok(_existed) => {
                    freed += victim.bytes();
                    self.counters.evictions[*cause as usize].fetch_add(1, Ordering::Relaxed);
                    (self.counters.evicted_bytes).fetch_add(victim.bytes(), Ordering::Relaxed);
                }
                Err(error) => cannot_remove(self.role, &error),
            }
        }
        freed
    }

    /// Blocking: see [`retry`].
    fn retry_unlinks(&self) -> u64 {
        let mut freed = 0;
        for file in self.unlink_retry.take() {
            match self.retire(&file) {
                Ok(_existed) => freed += file.bytes(),
                Err(error) => cannot_remove(self.role, &error),
            }
        }
        self.unlink_retry.tried(freed > 0);
        freed
    }
}

fn say_full(role: DiskRole, needed: u64, free: u64) {
    static LAST: AtomicU64 = AtomicU64::new(0);
    if is_time(&LAST) {
        tracing::warn!(
            needed,
            free,
            "the volume of {} is full although {} is not reached; evicting entries. Lower {} below what the volume has \
             for it, with 5 % to spare, or remove what others have stored there",
            role.dir_key(),
            role.limit_key(),
            role.limit_key()
        );
    }
}
