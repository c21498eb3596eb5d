//! The evictor: frees room off the request path, from the entry that was not used for longest on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::core::{DiskCore, cannot_remove, is_time};
use super::index::FileRecord;
use super::layout::shard_of;
use super::role::DiskRole;
use super::shards;
use crate::config::Durability;

/// Entries per hop to the blocking pool: room is given to waiters after each.
const MAX_BATCH_ENTRIES: usize = 256;

/// Runs until the tier stops.
pub(super) async fn run(core: Arc<DiskCore>) {
    loop {
        tokio::select! {
            () = core.stop.cancelled() => break,
            () = core.budget.wanted() => {}
            () = core.unlink_retry.due() => {
                let _freed = retry(&core).await;
            }
        }
        answer_demands(&core).await;
        make_room(&core).await;
    }
    core.budget.close();
}

/// Evicts until the budget is content or nothing is left.
async fn make_room(core: &Arc<DiskCore>) {
    loop {
        let goal = core.budget.goal();
        if goal == 0 || free(core, goal).await == 0 {
            core.budget.exhausted();
            return;
        }
    }
}

/// The volume is full for other reasons than our entries: evict as much as is asked for.
async fn answer_demands(core: &Arc<DiskCore>) {
    for (bytes, answer) in core.budget.demands() {
        say_full(core.role, bytes);
        let mut freed = 0;
        while freed < bytes && !core.stop.is_cancelled() {
            match free(core, bytes - freed).await {
                0 => break,
                more => freed += more,
            }
        }
        // Who asked may have left.
        let _left = answer.send(freed);
    }
}

/// Files that are out of the index go first, then entries.
async fn free(core: &Arc<DiskCore>, bytes: u64) -> u64 {
    if core.unlink_retry.is_worth_it() {
        let freed = retry(core).await;
        if freed > 0 {
            return freed;
        }
    }
    core.blocking(move |core| core.evict(bytes)).await.unwrap_or(0)
}

/// Tries again what could not be unlinked. Answers the bytes freed.
async fn retry(core: &Arc<DiskCore>) -> u64 {
    core.blocking(|core| core.retry_unlinks()).await.unwrap_or(0)
}

impl DiskCore {
    /// Blocking: evicts a batch of at most `bytes`, rounded up to an entry. Answers the bytes freed.
    pub(super) fn evict(&self, bytes: u64) -> u64 {
        let mut freed = 0;
        let Ok(_pass) = self.enter() else { return 0 };
        // On a volume that refuses everything, a batch would cost entries and free nothing.
        let most = if self.unlink_retry.is_full() {
            1
        } else {
            MAX_BATCH_ENTRIES
        };
        for victim in self.index(|index| index.evict(bytes, most)) {
            match self.evict_file(&victim) {
                Ok(_existed) => {
                    freed += victim.bytes();
                    self.counters.evictions.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => cannot_remove(self.role, &error),
            }
        }
        self.counters.evicted_bytes.fetch_add(freed, Ordering::Relaxed);
        freed
    }

    /// Blocking: unlinks an evicted file. The version that it once replaced must not come back in its place.
    fn evict_file(&self, victim: &FileRecord) -> io::Result<bool> {
        let number = shard_of(&victim.digest);
        let mut shard = self.shards.lock(number);
        if shard.unsynced && self.durability == Durability::Fsync {
            shards::sync(&self.layout, number, &mut shard).inspect_err(|_| self.unlink_retry.add(victim))?;
        }
        self.retire_in(&mut shard, victim)
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

fn say_full(role: DiskRole, needed: u64) {
    static LAST: AtomicU64 = AtomicU64::new(0);
    if is_time(&LAST) {
        tracing::warn!(
            needed,
            "the volume of {} is full although {} is not reached; evicting entries",
            role.dir_key(),
            role.limit_key()
        );
    }
}
