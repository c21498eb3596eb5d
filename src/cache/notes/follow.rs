//! Reading the log.
//!
//! The reader keeps no clock. It knows when the bucket wrote the newest object that it has seen, and lists from a place
//! some minutes before, by the times in the names. Writers take these times from the bucket's clock, too. What it
//! has read of that stretch it knows by name.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::LogShared;
use super::codec::{self, NoteName, PREFIX};
use crate::error::chain;
use crate::store::Result;
use crate::store::journal::Ulid;
use crate::store::shared::ListedObject;
use crate::tasks::pause;

/// Time between two readings.
const READ_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two readings that misses ask for.
const MISS_INTERVAL: Duration = Duration::from_secs(1);
/// A miss waits this long.
const MISS_TIMEOUT: Duration = Duration::from_secs(2);
/// After a sign of something new, misses do not wait for [`MISS_INTERVAL`].
const EXPECT_TIME: Duration = Duration::from_secs(5);
/// A note may arrive in the bucket by so much later than its name says, its writer's view of the bucket's clock included.
const OVERLAP: Duration = Duration::from_secs(120);
/// Messages that are not in the listing are read in parallel, this many at once.
const MAX_PARALLEL_READS: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Follower(Mutex<FollowState>);

#[derive(Debug, Default)]
struct FollowState {
    /// When the bucket wrote the newest object that was seen; before the first, where to begin.
    newest: Option<SystemTime>,
    /// What was read of the last stretch.
    read: BTreeSet<Ulid>,
    running: Option<Reading>,
    /// When the last reading ended, and when the last one that reached the end of the log began.
    ended: Option<Instant>,
    complete: Option<Instant>,
    expecting: Option<Instant>,
    warned: bool,
}

#[derive(Debug, Clone)]
struct Reading {
    begun: Instant,
    done: CancellationToken,
}

impl Follower {
    pub(super) fn begin(&self, since: SystemTime) {
        self.lock().newest = Some(since);
    }

    pub(super) fn expect(&self) {
        self.lock().expecting = Some(Instant::now());
    }

    /// Since when the last complete reading has been going.
    pub(super) fn age(&self) -> Option<Duration> {
        self.lock().complete.map(|begun| begun.elapsed())
    }

    fn is_expecting(&self) -> bool {
        let since = self.lock().expecting;
        since.is_some_and(|since| since.elapsed() < EXPECT_TIME)
    }

    /// The reading that is running, or a new one if `interval` is over since the last; `true` if it has to be run.
    fn join(&self, interval: Duration) -> Option<(Reading, bool)> {
        let mut state = self.lock();
        if let Some(running) = &state.running {
            return Some((running.clone(), false));
        }
        if state.ended.is_some_and(|ended| ended.elapsed() < interval) {
            return None;
        }
        let reading = Reading {
            begun: Instant::now(),
            done: CancellationToken::new(),
        };
        state.running = Some(reading.clone());
        Some((reading, true))
    }

    fn end(&self, reading: &Reading, complete: bool) {
        let mut state = self.lock();
        state.running = None;
        state.ended = Some(Instant::now());
        if complete {
            state.complete = Some(reading.begun);
        }
        drop(state);
        reading.done.cancel();
    }

    fn lock(&self) -> MutexGuard<'_, FollowState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the log again and again, where there are others to hear of.
pub(super) fn start(log: &Arc<LogShared>) {
    if !log.peers.is_on() {
        return;
    }
    let (stopping, this) = (log.tasks.stopping(), Arc::clone(log));
    drop(log.tasks.spawn(async move {
        let reading = async {
            loop {
                if let Some((reading, true)) = this.follower.join(Duration::ZERO) {
                    run(&this, reading).await;
                }
                pause(READ_INTERVAL).await;
            }
        };
        stopping.run_until_cancelled(reading).await;
    }));
}

/// See [`super::NoteLog::catch_up`].
pub(super) async fn catch_up(log: &Arc<LogShared>) -> bool {
    let arrived = Instant::now();
    let (deadline, mut waited) = (arrived + MISS_TIMEOUT, false);
    loop {
        let fresh = log.follower.is_expecting() || log.peers.changed_within(EXPECT_TIME);
        let interval = if fresh { Duration::ZERO } else { MISS_INTERVAL };
        let Some((reading, is_new)) = log.follower.join(interval) else {
            return waited;
        };
        waited = true;
        if is_new {
            let (this, reading) = (Arc::clone(log), reading.clone());
            // Goes on without its caller, for the others that wait for it.
            drop(log.tasks.spawn(async move { run(&this, reading).await }));
        }
        let done = tokio::time::timeout_at(deadline, reading.done.cancelled()).await;
        if done.is_err() || reading.begun >= arrived || !fresh {
            return true;
        }
    }
}

async fn run(log: &LogShared, reading: Reading) {
    let mut guard = EndGuard {
        log,
        reading,
        complete: false,
    };
    let stopping = log.tasks.stopping();
    match stopping.run_until_cancelled(read(log)).await {
        Some(Ok(())) => guard.complete = true,
        // The tier logs errors that matter.
        Some(Err(error)) => tracing::debug!(cause = chain(&error), "the log of notes cannot be read"),
        None => {}
    }
}

/// Ends a reading, however it ends: others wait for it.
struct EndGuard<'a> {
    log: &'a LogShared,
    reading: Reading,
    complete: bool,
}

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        self.log.follower.end(&self.reading, self.complete);
    }
}

async fn read(log: &LogShared) -> Result<()> {
    let from = {
        // A place to begin that the clock of this machine gave may be in the bucket's future.
        let (mut state, now) = (log.follower.lock(), log.clock.now());
        let newest = state.newest.map_or(now, |newest| newest.min(now));
        state.newest = state.newest.map(|_| newest);
        codec::bound(newest.checked_sub(OVERLAP).unwrap_or(SystemTime::UNIX_EPOCH))
    };
    let mut after = Some(codec::name_of(from));
    while let Some(name) = after {
        let page = log.objects.list_page(PREFIX, Some(&name)).await?;
        take(log, page.objects).await?;
        after = page.next;
    }
    // What is before the stretch that will be listed next is not seen again.
    let mut state = log.follower.lock();
    let bound = state
        .newest
        .and_then(|newest| newest.checked_sub(OVERLAP))
        .map(codec::bound);
    if let Some(bound) = bound {
        state.read = state.read.split_off(&bound);
    }
    Ok(())
}

/// Takes a page of the log.
async fn take(log: &LogShared, objects: Vec<ListedObject>) -> Result<()> {
    let newest = objects.iter().filter_map(|object| object.written).max();
    let names = objects.iter().filter_map(|object| codec::read_name(&object.name));
    let unread: Vec<NoteName> = {
        let state = log.follower.lock();
        names.filter(|name| !state.read.contains(&name.id)).collect()
    };
    let messages = unread.into_iter().map(|name| async move {
        let message = match name.message {
            Some(message) => Some(message),
            None => log.objects.get(&codec::name_of(name.id)).await?,
        };
        Ok::<_, crate::store::Error>((name.id, message))
    });
    // In their order: a later note of a server is about what an earlier one said.
    let messages: Vec<_> = stream::iter(messages)
        .buffered(MAX_PARALLEL_READS)
        .try_collect()
        .await?;
    for (id, message) in messages {
        let opened = message.map(|message| codec::open_object(&log.keys, id, &message));
        match opened {
            // What this server wrote itself it knows.
            Some(Some((sender, _))) if sender == log.peers.me() => {}
            Some(Some((sender, notes))) => log.dispatch(sender, notes).await,
            Some(None) => warn_of_unreadable(log),
            // Removed since it was listed.
            None => {}
        }
        log.follower.lock().read.insert(id);
    }
    let mut state = log.follower.lock();
    state.newest = state.newest.max(newest);
    Ok(())
}

fn warn_of_unreadable(log: &LogShared) {
    if !std::mem::replace(&mut log.follower.lock().warned, true) {
        tracing::warn!(
            "objects below notes/ in the bucket were not written with the key of this server; they are skipped. All \
             servers of a bucket need the same gha.signing_key_file"
        );
    }
}
