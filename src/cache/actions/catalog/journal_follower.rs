//! Catching up with the commits of other servers.
//!
//! A look-up that misses reads the journal of its namespace, from a cursor less [`MAX_CLOCK_SKEW`] on. All
//! look-ups together do so at most once in [`CATCH_UP_INTERVAL`], and wait for a bounded time. The names of records
//! that were read are kept, so that none is taken twice.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::journal_record;
use crate::cache::actions::entry::{NamespaceDigest, NamespaceId};
use crate::cache::actions::index::Index;
use crate::cache::actions::ledger::{Ledger, LedgerItem};
use crate::error::chain;
use crate::store::Result;
use crate::store::journal::{Journal, Note, Page, Ulid, now_millis};
use crate::tasks::Tasks;

/// The clocks of two servers may differ by this much, and a record may be on its way for as long.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);
/// Time from the end of a catch-up to the next one.
const CATCH_UP_INTERVAL: Duration = Duration::from_secs(1);
/// Look-ups wait this long for a catch-up, from its begin on.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(2);
/// Look-ups wait this long for the first catch-up of a namespace.
const FIRST_CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);
/// A namespace without entries is forgotten if no look-up asked for it in this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// Records too long for a listing are read in parallel, this many at once.
const MAX_PARALLEL_READS: usize = 4;

/// See the module.
#[derive(Debug)]
pub(super) struct JournalFollower {
    journal: Arc<dyn Journal>,
    index: Arc<Index>,
    ledger: Option<Ledger>,
    tasks: Tasks,
    streams: Mutex<HashMap<NamespaceDigest, StreamState>>,
    /// The warning about unreadable records was given.
    warned: AtomicBool,
}

/// What is known of the stream of one namespace.
#[derive(Debug, Default)]
struct StreamState {
    /// All records before it are known, but for the last [`MAX_CLOCK_SKEW`].
    cursor: Option<Ulid>,
    /// Names within [`MAX_CLOCK_SKEW`] before the cursor, and after it.
    known: BTreeSet<Ulid>,
    running: Option<CatchUp>,
    ended: Option<Instant>,
}

/// A catch-up that look-ups wait for.
#[derive(Debug, Clone)]
struct CatchUp {
    done: CancellationToken,
    deadline: Instant,
}

/// Marks a catch-up as ended when dropped.
struct CatchUpGuard {
    follower: Arc<JournalFollower>,
    namespace: NamespaceId,
    run: CatchUp,
}

impl Drop for CatchUpGuard {
    fn drop(&mut self) {
        self.follower.with_state(&self.namespace, |state| {
            state.running = None;
            state.ended = Some(Instant::now());
        });
        self.run.done.cancel();
    }
}

impl JournalFollower {
    pub(super) fn new(
        journal: Arc<dyn Journal>,
        index: Arc<Index>,
        ledger: Option<Ledger>,
        tasks: &Tasks,
    ) -> Arc<Self> {
        Arc::new(Self {
            journal,
            index,
            ledger,
            tasks: tasks.clone(),
            streams: Mutex::default(),
            warned: AtomicBool::new(false),
        })
    }

    /// Reads the new records of a namespace, or waits for a catch-up that runs already. `false` if there was
    /// nothing to wait for.
    pub(super) async fn catch_up(self: &Arc<Self>, namespace: &NamespaceId) -> bool {
        let Some(run) = self.join(namespace) else {
            return false;
        };
        // After the deadline it goes on in the background.
        let _late = tokio::time::timeout_at(run.deadline, run.done.cancelled()).await;
        true
    }

    /// How many namespaces are followed.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Forgets idle namespaces. A later look-up reads such a journal from the beginning.
    pub(super) fn forget_idle(&self) {
        self.lock().retain(|namespace, state| {
            let idle = state.ended.is_some_and(|ended| ended.elapsed() > IDLE_TIMEOUT);
            !idle || state.running.is_some() || self.index.has(namespace)
        });
    }

    fn join(self: &Arc<Self>, namespace: &NamespaceId) -> Option<CatchUp> {
        let mut begun = false;
        let run = self.with_state(namespace, |state| {
            if let Some(run) = &state.running {
                return (run.deadline > Instant::now()).then(|| run.clone());
            }
            if state
                .ended
                .is_some_and(|ended| ended.elapsed() < CATCH_UP_INTERVAL)
            {
                return None;
            }
            begun = true;
            let limit = if state.cursor.is_some() {
                CATCH_UP_TIMEOUT
            } else {
                FIRST_CATCH_UP_TIMEOUT
            };
            let run = CatchUp {
                done: CancellationToken::new(),
                deadline: Instant::now() + limit,
            };
            state.running = Some(run.clone());
            Some(run)
        })?;
        if begun {
            let (follower, namespace) = (Arc::clone(self), namespace.clone());
            let guard = CatchUpGuard {
                follower,
                namespace,
                run: run.clone(),
            };
            drop(
                self.tasks
                    .spawn(async move { guard.follower.run(&guard.namespace).await }),
            );
        }
        Some(run)
    }

    async fn run(&self, namespace: &NamespaceId) {
        let stopping = self.tasks.stopping();
        let outcome = tokio::select! {
            () = stopping.cancelled() => return,
            outcome = self.read(namespace) => outcome,
        };
        if let Err(error) = outcome {
            // The tier logs errors that matter.
            tracing::debug!(cause = chain(&error), "the journal cannot be read");
        }
    }

    async fn read(&self, namespace: &NamespaceId) -> Result<()> {
        let start = now_millis();
        let (stream, after) = (
            namespace.stream(),
            self.with_state(namespace, |state| state.cursor).map(before),
        );
        let mut next = None;
        loop {
            let page = self.journal.list(&stream, after, next).await?;
            self.warn_of_unreadable(page.foreign);
            next = page.next.clone();
            self.take(namespace, &stream, start, page).await?;
            if next.is_none() {
                break;
            }
        }
        // A record with an earlier name can only have been on its way meanwhile.
        self.with_state(namespace, |state| state.advance(Ulid::from_parts(start, 0)));
        Ok(())
    }

    /// Puts a page into index and ledger.
    async fn take(&self, namespace: &NamespaceId, stream: &str, start: u64, mut page: Page) -> Result<()> {
        let Some((newest, _)) = page.records.last().cloned() else {
            return Ok(());
        };
        self.with_state(namespace, |state| {
            page.records.retain(|(id, _)| !state.known.contains(id));
        });
        let names: Vec<Ulid> = page.records.iter().map(|(id, _)| *id).collect();
        let records = self.fetch(stream, page.records).await?;
        let mut items = self.learn(namespace, records);
        // A record of a clock that is ahead must not hide the records of the others.
        let cursor = newest.min(Ulid::from_parts(start, 0));
        if let Some(ledger) = self.ledger.as_ref().filter(|_| !items.is_empty()) {
            items.push(LedgerItem::Seen(*namespace.digest(), cursor));
            // The ledger logs its own errors.
            let _kept = ledger.append(items).await;
        }
        let oldest = before(Ulid::from_parts(start, 0));
        self.with_state(namespace, |state| {
            state.known.extend(names.into_iter().filter(|id| *id >= oldest));
            state.advance(cursor);
        });
        Ok(())
    }

    /// Puts records into the index. Returns the new ones, for the ledger.
    fn learn(&self, namespace: &NamespaceId, records: Vec<Bytes>) -> Vec<LedgerItem> {
        let mut items = Vec::new();
        for record in records {
            let Some(entry) = journal_record::decode(namespace, &record) else {
                self.warn_of_unreadable(1);
                continue;
            };
            if self
                .index
                .insert(&entry.namespace, &entry.version, &entry.key, entry.record)
            {
                items.push(LedgerItem::Committed(entry));
            }
        }
        items
    }

    /// The content of all records. Those that are not in the listing are read one by one.
    async fn fetch(&self, stream: &str, notes: Vec<(Ulid, Note)>) -> Result<Vec<Bytes>> {
        let reads = notes.into_iter().map(|(id, note)| async move {
            match note {
                Note::Here(record) => Ok(Some(record)),
                Note::Apart => self.journal.read(stream, id).await,
            }
        });
        let records: Vec<_> = stream::iter(reads)
            .buffer_unordered(MAX_PARALLEL_READS)
            .try_collect()
            .await?;
        Ok(records.into_iter().flatten().collect())
    }

    fn warn_of_unreadable(&self, strange: usize) {
        if strange > 0 && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the journal of the Actions cache has records that this version cannot read; they are skipped"
            );
        }
    }

    fn with_state<T>(&self, namespace: &NamespaceId, work: impl FnOnce(&mut StreamState) -> T) -> T {
        let mut streams = self.lock();
        let state = streams.entry(*namespace.digest()).or_insert_with(|| StreamState {
            cursor: self
                .ledger
                .as_ref()
                .and_then(|ledger| ledger.seen(namespace.digest())),
            ..StreamState::default()
        });
        work(state)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NamespaceDigest, StreamState>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamState {
    fn advance(&mut self, cursor: Ulid) {
        self.cursor = self.cursor.max(Some(cursor));
        if let Some(cursor) = self.cursor {
            self.known = self.known.split_off(&before(cursor));
        }
    }
}

/// The first name that may still arrive after `id` was seen.
fn before(id: Ulid) -> Ulid {
    Ulid::from_parts(
        id.timestamp_ms()
            .saturating_sub(MAX_CLOCK_SKEW.as_millis() as u64),
        0,
    )
}
