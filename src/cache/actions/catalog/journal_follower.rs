//! Catching up with the commits of other servers.
//!
//! A look-up that misses reads the journal of its namespace, from a cursor less the skew of clocks on. All
//! look-ups together do so at most once in an interval, and wait for a bounded time ([`super::stream_state`]). The names
//! of records that were read are kept, so that none is taken twice.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::journal_record;
use super::stream_state::{CatchUp, Join, StreamState, earliest};
use crate::cache::actions::entry::NamespaceId;
use crate::cache::actions::index::ActionsIndex;
use crate::cache::actions::ledger::{Ledger, LedgerItem};
use crate::cache::notes::NoteLog;
use crate::error::chain;
use crate::store::journal::{Journal, JournalPage, JournalRecord, Ulid, now_millis};
use crate::store::{Digest, Result};
use crate::tasks::Tasks;

/// Records too long for a listing are read in parallel, this many at once.
const MAX_PARALLEL_READS: usize = 4;
/// Namespaces that are followed at once. For one more, all are forgotten that are not being read.
const MAX_STREAMS: usize = 65_536;

#[derive(Debug)]
pub(super) struct JournalFollower {
    journal: Journal,
    /// Between two catch-ups of a namespace.
    interval: Duration,
    /// Knows the bucket's time.
    notes: Option<NoteLog>,
    index: Arc<ActionsIndex>,
    ledger: Option<Ledger>,
    tasks: Tasks,
    streams: Mutex<HashMap<Digest, StreamState>>,
    /// The warning about unreadable records was given.
    warned: AtomicBool,
}

/// Marks a catch-up as ended when dropped.
struct CatchUpGuard {
    follower: Arc<JournalFollower>,
    namespace: NamespaceId,
    run: CatchUp,
}

impl Drop for CatchUpGuard {
    fn drop(&mut self) {
        self.follower.with_state(&self.namespace, StreamState::end);
        self.run.done.cancel();
    }
}

impl JournalFollower {
    pub(super) fn new(
        journal: Journal,
        (interval, notes): (Duration, Option<NoteLog>),
        (index, ledger): (&Arc<ActionsIndex>, Option<&Ledger>),
        tasks: &Tasks,
    ) -> Arc<Self> {
        Arc::new(Self {
            journal,
            interval,
            notes,
            index: Arc::clone(index),
            ledger: ledger.cloned(),
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
        self.lock()
            .retain(|namespace, state| !state.is_idle() || self.index.has(namespace));
    }

    fn join(self: &Arc<Self>, namespace: &NamespaceId) -> Option<CatchUp> {
        let begun = match self.with_state(namespace, |state| state.join(self.interval)) {
            Join::Begin(begun) => begun,
            Join::Wait(running) => return Some(running),
            Join::Skip => return None,
        };
        let guard = CatchUpGuard {
            follower: Arc::clone(self),
            namespace: namespace.clone(),
            run: begun.clone(),
        };
        let running = async move { guard.follower.run(&guard.namespace).await };
        drop(self.tasks.spawn(running));
        Some(begun)
    }

    async fn run(&self, namespace: &NamespaceId) {
        let stopping = self.tasks.stopping();
        let outcome = stopping.run_until_cancelled(self.read(namespace)).await;
        if let Some(Err(error)) = outcome {
            // The tier logs errors that matter.
            tracing::debug!(cause = chain(&error), "the journal cannot be read");
        }
    }

    async fn read(&self, namespace: &NamespaceId) -> Result<()> {
        let start = self.notes.as_ref().map_or_else(now_millis, NoteLog::now_millis);
        let stream = namespace.stream();
        let after = self.with_state(namespace, |state| state.cursor).map(earliest);
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
    async fn take(
        &self,
        namespace: &NamespaceId,
        stream: &str,
        start: u64,
        mut page: JournalPage,
    ) -> Result<()> {
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
        let oldest = earliest(Ulid::from_parts(start, 0));
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
            if self.index.insert(&entry) {
                items.push(LedgerItem::Committed(entry));
            }
        }
        items
    }

    /// The content of all records. Those that are not in the listing are read one by one.
    async fn fetch(&self, stream: &str, notes: Vec<(Ulid, JournalRecord)>) -> Result<Vec<Bytes>> {
        let reads = notes.into_iter().map(|(id, note)| async move {
            match note {
                JournalRecord::Here(record) => Ok(Some(record)),
                JournalRecord::Apart => self.journal.read(stream, id).await,
            }
        });
        let reads = stream::iter(reads).buffer_unordered(MAX_PARALLEL_READS);
        let records: Vec<_> = reads.try_collect().await?;
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
        if streams.len() >= MAX_STREAMS && !streams.contains_key(namespace.digest()) {
            streams.retain(|_, state| state.is_running());
        }
        let state = streams.entry(*namespace.digest()).or_insert_with(|| {
            let ledger = self.ledger.as_ref();
            StreamState::new(ledger.and_then(|ledger| ledger.seen(namespace.digest())))
        });
        work(state)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, StreamState>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
