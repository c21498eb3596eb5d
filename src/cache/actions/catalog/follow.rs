//! Catching up with what other servers have committed.
//!
//! The journal of a namespace is read from a cursor on, less [`SKEW`], when a look-up here did not find what
//! it wanted: at most once in [`REST`], whoever asks, and for a bounded time. What was read is known by its
//! name, so that nothing is taken twice.

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

/// How far clocks may differ, and how long a record may be on its way.
const SKEW: Duration = Duration::from_secs(60);
/// From the end of a reading to the next one.
const REST: Duration = Duration::from_secs(1);
/// How long look-ups wait for a reading, from its begin on.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same for the first one.
const FIRST: Duration = Duration::from_secs(5);
/// A namespace without entries that nobody asked for in this time is forgotten.
const IDLE: Duration = Duration::from_secs(3600);
/// Records that are read at once because they did not fit into a listing.
const PARALLEL: usize = 4;

/// See the module.
#[derive(Debug)]
pub(super) struct Follower {
    journal: Arc<dyn Journal>,
    index: Arc<Index>,
    ledger: Option<Ledger>,
    tasks: Tasks,
    feeds: Mutex<HashMap<NamespaceDigest, Feed>>,
    /// The warning about strange records was given.
    warned: AtomicBool,
}

/// What is known of the journal of one namespace.
#[derive(Debug, Default)]
struct Feed {
    /// All records that were there when it was made are known, but for the last [`SKEW`] before it.
    cursor: Option<Ulid>,
    /// Names within [`SKEW`] before the cursor, and after it.
    known: BTreeSet<Ulid>,
    running: Option<Run>,
    ended: Option<Instant>,
}

/// A reading that somebody waits for.
#[derive(Debug, Clone)]
struct Run {
    done: CancellationToken,
    deadline: Instant,
}

/// Ends a reading, however it ends.
struct Turn {
    follower: Arc<Follower>,
    namespace: NamespaceId,
    run: Run,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.follower.feed(&self.namespace, |feed| {
            feed.running = None;
            feed.ended = Some(Instant::now());
        });
        self.run.done.cancel();
    }
}

impl Follower {
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
            feeds: Mutex::default(),
            warned: AtomicBool::new(false),
        })
    }

    /// Reads what is new in a namespace, or waits for whoever does so already. `false` if there was nothing to
    /// wait for.
    pub(super) async fn catch_up(self: &Arc<Self>, namespace: &NamespaceId) -> bool {
        let Some(run) = self.join(namespace) else {
            return false;
        };
        // Goes on in the background.
        let _late = tokio::time::timeout_at(run.deadline, run.done.cancelled()).await;
        true
    }

    /// How many namespaces are followed.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Forgets what nobody asks for. Should somebody do so, its journal is read from the beginning.
    pub(super) fn forget_idle(&self) {
        self.lock().retain(|namespace, feed| {
            let idle = feed.ended.is_some_and(|ended| ended.elapsed() > IDLE);
            !idle || feed.running.is_some() || self.index.has(namespace)
        });
    }

    fn join(self: &Arc<Self>, namespace: &NamespaceId) -> Option<Run> {
        let mut begun = false;
        let run = self.feed(namespace, |feed| {
            if let Some(run) = &feed.running {
                return (run.deadline > Instant::now()).then(|| run.clone());
            }
            if feed.ended.is_some_and(|ended| ended.elapsed() < REST) {
                return None;
            }
            begun = true;
            let patience = if feed.cursor.is_some() { PATIENCE } else { FIRST };
            let run = Run {
                done: CancellationToken::new(),
                deadline: Instant::now() + patience,
            };
            feed.running = Some(run.clone());
            Some(run)
        })?;
        if begun {
            let (follower, namespace) = (Arc::clone(self), namespace.clone());
            let turn = Turn {
                follower,
                namespace,
                run: run.clone(),
            };
            drop(
                self.tasks
                    .spawn(async move { turn.follower.run(&turn.namespace).await }),
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
            // The tier has said so in the log, if it is worth it.
            tracing::debug!(cause = chain(&error), "the journal cannot be read");
        }
    }

    async fn read(&self, namespace: &NamespaceId) -> Result<()> {
        let start = now_millis();
        let (stream, after) = (
            namespace.stream(),
            self.feed(namespace, |feed| feed.cursor).map(before),
        );
        let mut next = None;
        loop {
            let page = self.journal.list(&stream, after, next).await?;
            self.warn_of(page.foreign);
            next = page.next.clone();
            self.take(namespace, &stream, start, page).await?;
            if next.is_none() {
                break;
            }
        }
        // Whatever comes with an earlier name now was under way meanwhile.
        self.feed(namespace, |feed| feed.advance(Ulid::from_parts(start, 0)));
        Ok(())
    }

    /// Puts a page into index and ledger.
    async fn take(&self, namespace: &NamespaceId, stream: &str, start: u64, mut page: Page) -> Result<()> {
        let Some((newest, _)) = page.records.last().cloned() else {
            return Ok(());
        };
        self.feed(namespace, |feed| {
            page.records.retain(|(id, _)| !feed.known.contains(id));
        });
        let names: Vec<Ulid> = page.records.iter().map(|(id, _)| *id).collect();
        let records = self.fetch(stream, page.records).await?;
        let mut items = self.learn(namespace, records);
        // A clock that is ahead must not make us miss what the others write.
        let cursor = newest.min(Ulid::from_parts(start, 0));
        if let Some(ledger) = self.ledger.as_ref().filter(|_| !items.is_empty()) {
            items.push(LedgerItem::Seen(*namespace.digest(), cursor));
            // It says in the log why it cannot keep them.
            let _kept = ledger.append(items).await;
        }
        let oldest = before(Ulid::from_parts(start, 0));
        self.feed(namespace, |feed| {
            feed.known.extend(names.into_iter().filter(|id| *id >= oldest));
            feed.advance(cursor);
        });
        Ok(())
    }

    /// Puts records into the index. Answers which were new, for the ledger.
    fn learn(&self, namespace: &NamespaceId, records: Vec<Bytes>) -> Vec<LedgerItem> {
        let mut items = Vec::new();
        for record in records {
            let Some(entry) = journal_record::decode(namespace, &record) else {
                self.warn_of(1);
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

    /// All records; those that are not in the listing are asked for.
    async fn fetch(&self, stream: &str, notes: Vec<(Ulid, Note)>) -> Result<Vec<Bytes>> {
        let reads = notes.into_iter().map(|(id, note)| async move {
            match note {
                Note::Here(record) => Ok(Some(record)),
                Note::Apart => self.journal.read(stream, id).await,
            }
        });
        let records: Vec<_> = stream::iter(reads)
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await?;
        Ok(records.into_iter().flatten().collect())
    }

    fn warn_of(&self, strange: usize) {
        if strange > 0 && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the journal of the Actions cache has records that this version cannot read; they are skipped"
            );
        }
    }

    fn feed<T>(&self, namespace: &NamespaceId, work: impl FnOnce(&mut Feed) -> T) -> T {
        let mut feeds = self.lock();
        let feed = feeds.entry(*namespace.digest()).or_insert_with(|| Feed {
            cursor: self
                .ledger
                .as_ref()
                .and_then(|ledger| ledger.seen(namespace.digest())),
            ..Feed::default()
        });
        work(feed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NamespaceDigest, Feed>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    fn advance(&mut self, cursor: Ulid) {
        self.cursor = self.cursor.max(Some(cursor));
        if let Some(cursor) = self.cursor {
            self.known = self.known.split_off(&before(cursor));
        }
    }
}

/// The first name that may come when all before `id` should be there.
fn before(id: Ulid) -> Ulid {
    Ulid::from_parts(id.timestamp_ms().saturating_sub(SKEW.as_millis() as u64), 0)
}
