//! The catalog of committed entries: the index, the ledger that survives a restart, and the journal through
//! which servers that share a bucket learn of each other's entries.
//!
//! It knows what was committed, not whether the bytes are still there. A caller that finds them gone calls
//! [`Catalog::forget`] and asks again. Nor does it know all that was committed: the index has a bound, and what left it
//! is a miss. Whether an entry may be stored is never its decision, but that of the tiers.

mod candidates;
mod commit_note;
mod journal_follower;
mod journal_queue;
pub(super) mod journal_record;
pub(super) mod prune;
mod stream_state;
mod told;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

pub use prune::{DiskAndRemote, Liveness};

use self::journal_follower::JournalFollower;
use self::journal_queue::{JournalQueue, QueuedRecord};
use self::told::{STOP_GRACE, ToldMark, Untold};
use super::entry::{CacheKey, CommittedEntry, EntryRecord, NamespaceId, Version};
use super::index::{ActionsIndex, Candidate};
use super::ledger::{Ledger, LedgerItem, LedgerSite};
use crate::cache::notes::NoteLog;
use crate::store::journal::{Journal, Ulid};
use crate::tasks::{self, Tasks};

/// After the start, look-ups wait this long until the ledger is read.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait of a commit for the bucket and the other servers.
const TELL_TIMEOUT: Duration = Duration::from_secs(5);
/// Versions that a list walks over before others have their turn.
const LISTED_VERSIONS: usize = 32;
/// A miss reads the journal of its namespace again after this time: servers of an earlier version write nothing else.
const JOURNAL_INTERVAL: Duration = Duration::from_secs(60);
/// The same without notes.
const JOURNAL_ALONE_INTERVAL: Duration = Duration::from_secs(1);

/// The parts of a catalog; each may be absent.
#[derive(Debug, Default)]
pub struct CatalogParts {
    /// The place of the ledger. Without one, a restart forgets entries that are in no journal.
    pub ledger: Option<LedgerSite>,
    /// The journal of the servers that share a bucket.
    pub journal: Option<Journal>,
    /// What these servers tell each other of new entries. With it the journal is for servers that are new to a
    /// namespace.
    pub notes: Option<NoteLog>,
    /// Asked from time to time which entries are gone.
    pub liveness: Option<Arc<dyn Liveness>>,
    /// Bytes that the index and the ledger may take in memory. Without one there is no bound.
    pub index_memory: Option<u64>,
}

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalog {
    shared: Arc<CatalogShared>,
}

#[derive(Debug)]
struct CatalogShared {
    index: Arc<ActionsIndex>,
    ledger: Option<Ledger>,
    follower: Option<Arc<JournalFollower>>,
    journal_queue: Option<Arc<JournalQueue>>,
    notes: Option<NoteLog>,
    told: Arc<ToldMark>,
    /// Entries that left because their bytes were gone.
    gone: AtomicU64,
    liveness: Option<Arc<dyn Liveness>>,
    tasks: Tasks,
    ready_by: Instant,
}

/// A catalog at one moment, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogStats {
    /// Entries in the index.
    pub entries: usize,
    /// Namespaces that have entries.
    pub namespaces: usize,
    /// Bytes that they take in memory, with what the ledger holds for them.
    pub index_bytes: u64,
    /// Entries that left the index, by why.
    pub dropped: [(&'static str, u64); 2],
    /// Length of the ledger in bytes.
    pub ledger_bytes: u64,
    /// Namespaces whose journals are followed.
    pub followed: usize,
    /// Entries that other servers were not told about yet.
    pub unsent: usize,
}

impl Catalog {
    /// Opens a catalog; the ledger is read in the background ([`Catalog::loaded`]).
    pub fn open(parts: CatalogParts, tasks: &Tasks) -> Self {
        let index = Arc::new(ActionsIndex::new(parts.index_memory.unwrap_or(u64::MAX)));
        let site = parts.ledger.clone().filter(|_| parts.journal.is_some());
        let open = |site| Ledger::open(site, Arc::clone(&index), tasks);
        let ledger = parts.ledger.map(open);
        let interval = match &parts.notes {
            Some(_) => JOURNAL_INTERVAL,
            None => JOURNAL_ALONE_INTERVAL,
        };
        let follow = |journal| {
            let notes = parts.notes.clone();
            JournalFollower::new(journal, (interval, notes), (&index, ledger.as_ref()), tasks)
        };
        let this = Self {
            shared: Arc::new(CatalogShared {
                follower: parts.journal.clone().map(follow),
                journal_queue: parts.journal.map(|journal| JournalQueue::new(journal, tasks)),
                notes: parts.notes,
                told: Arc::default(),
                gone: AtomicU64::new(0),
                liveness: parts.liveness,
                tasks: tasks.clone(),
                ready_by: Instant::now() + LEDGER_TIMEOUT,
                ledger,
                index,
            }),
        };
        drop(tasks.spawn(prune::run(this.clone(), tasks.clone())));
        if let Some(site) = site {
            drop(tasks.spawn(told::run(this.clone(), site, tasks.clone())));
        }
        this
    }

    /// Resolves when the ledger was read.
    pub async fn loaded(&self) {
        if let Some(ledger) = &self.shared.ledger {
            ledger.loaded().await;
        }
    }

    /// The first entry in GitHub's order, without those named in `passed`. A caller that cannot serve an entry
    /// now names it there and asks again; one that knows it to be gone calls [`Catalog::forget`] before. `keys`
    /// has the primary key first.
    ///
    /// Asks the journal unless the primary key is there in the first namespace; waits some seconds at most.
    pub async fn find(
        &self,
        namespaces: &[NamespaceId],
        version: &Version,
        keys: &[CacheKey],
        passed: &[Ulid],
    ) -> Option<Candidate> {
        self.ready().await;
        let index = &self.shared.index;
        let found = index.find(namespaces, version, keys, passed);
        // Namespaces before it in the order may have new entries.
        let open = match &found {
            Some(found) => found.position + usize::from(!found.exact),
            None => namespaces.len(),
        };
        match self.catch_up(&namespaces[..open]).await {
            true => index.find(namespaces, version, keys, passed),
            false => found,
        }
    }

    /// The entry of a namespace under exactly this key. Asks the journal if it is not known here.
    pub async fn exact(
        &self,
        namespace: &NamespaceId,
        version: &Version,
        key: &CacheKey,
    ) -> Option<EntryRecord> {
        self.ready().await;
        let index = &self.shared.index;
        if let Some(record) = index.exact(namespace, version, key) {
            return Some(record);
        }
        match self.catch_up(std::slice::from_ref(namespace)).await {
            true => index.exact(namespace, version, key),
            false => None,
        }
    }

    /// Entries of these namespaces whose keys begin with `prefix`, newest first, at most `limit`. Does not ask
    /// the journal.
    pub async fn list(&self, namespaces: &[NamespaceId], prefix: &str, limit: usize) -> Vec<CommittedEntry> {
        self.ready().await;
        let index = &self.shared.index;
        let mut all = Vec::new();
        for namespace in namespaces {
            // A namespace may have as many versions as entries.
            for versions in index.versions(namespace).chunks(LISTED_VERSIONS) {
                all.extend(index.newest_first(namespace, versions, prefix, limit));
                all.sort_by_key(|entry| std::cmp::Reverse(entry.record));
                all.truncate(limit);
                tokio::task::yield_now().await;
            }
        }
        all
    }

    /// Adds an entry that was committed here. Returns when ledger, journal and notes have it, and the other servers
    /// that can be reached. What fails there is logged and, for journal and notes, repeated later. Dropping the future
    /// does not stop it.
    pub async fn commit(&self, entry: CommittedEntry) {
        self.commit_within(entry, Duration::MAX).await;
    }

    /// [`Catalog::commit`], which waits for the bucket and the other servers for `patience` only. They hear of it all
    /// the same.
    pub async fn commit_within(&self, entry: CommittedEntry, patience: Duration) {
        self.shared.index.insert(&entry);
        let (this, told) = (self.clone(), entry.clone());
        // Before the answer: what is untold then is told later, also after a crash.
        let untold = self.untold(&entry);
        let telling = self
            .shared
            .tasks
            .spawn(async move { this.tell_untold(&told, untold).await });
        let this = self.clone();
        let keeping = self
            .shared
            .tasks
            .spawn(async move { this.keep(vec![LedgerItem::Committed(entry)]).await });
        // Both fail only when the process ends.
        let _ended = keeping.await;
        let _late = tokio::time::timeout(patience.min(TELL_TIMEOUT), telling).await;
    }

    /// Tells the other servers, and those that come later. Returns when the log of notes has it, or at the end.
    async fn tell(&self, entry: &CommittedEntry) {
        self.tell_untold(entry, self.untold(entry)).await;
    }

    /// Once for the journal and once for the notes.
    fn untold(&self, entry: &CommittedEntry) -> [Untold; 2] {
        [(); 2].map(|()| self.shared.told.begin(entry.record.id))
    }

    async fn tell_untold(&self, entry: &CommittedEntry, [for_journal, for_notes]: [Untold; 2]) {
        let announce = async {
            match &self.shared.journal_queue {
                Some(journal_queue) => journal_queue.send(queued(entry), for_journal).await,
                None => for_journal.told(),
            }
        };
        let note = commit_note::note(entry);
        let tell = async {
            let arrived = match &self.shared.notes {
                Some(notes) => tokio::join!(notes.tell(&note), notes.append_for_sure(note.clone())).1,
                None => true,
            };
            if arrived {
                for_notes.told();
            }
        };
        let stopping = self.shared.tasks.stopping();
        let ending = async {
            stopping.cancelled().await;
            tasks::pause(STOP_GRACE).await;
        };
        tokio::select! {
            ((), ()) = async { tokio::join!(announce, tell) } => {}
            () = ending => {}
        }
    }

    /// Adds an entry that another server committed. `false` if it or a newer one was known.
    pub async fn learn(&self, entry: CommittedEntry) -> bool {
        let is_new = self.shared.index.insert(&entry);
        if is_new {
            self.keep(vec![LedgerItem::Committed(entry)]).await;
        }
        is_new
    }

    /// Removes an entry whose bytes are gone, unless it was replaced since: here, and for servers that are new.
    pub async fn forget(&self, entry: &CommittedEntry) {
        self.forget_all(vec![entry.clone()]).await;
    }

    /// Figures of this moment.
    pub fn stats(&self) -> CatalogStats {
        let shared = &self.shared;
        CatalogStats {
            entries: shared.index.len(),
            namespaces: shared.index.count_namespaces(),
            index_bytes: shared.index.bytes_with_beside(),
            dropped: [
                ("memory", shared.index.dropped()),
                ("gone", shared.gone.load(Ordering::Relaxed)),
            ],
            ledger_bytes: shared.ledger.as_ref().map_or(0, Ledger::bytes),
            followed: shared.follower.as_ref().map_or(0, |follower| follower.len()),
            unsent: shared.journal_queue.as_ref().map_or(0, |queue| queue.len())
                + shared.notes.as_ref().map_or(0, |notes| notes.stats().unsent),
        }
    }

    /// Waits for the ledger until [`LEDGER_TIMEOUT`] after the start.
    async fn ready(&self) {
        if let Some(ledger) = &self.shared.ledger
            && !ledger.is_loaded()
        {
            let _late = tokio::time::timeout_at(self.shared.ready_by, ledger.loaded()).await;
        }
    }

    /// Reads the notes, and the journals of some namespaces. `false` if there was nothing to wait for.
    async fn catch_up(&self, namespaces: &[NamespaceId]) -> bool {
        let Some(follower) = self.shared.follower.as_ref().filter(|_| !namespaces.is_empty()) else {
            return false;
        };
        let notes = async {
            match &self.shared.notes {
                Some(notes) => notes.catch_up().await,
                None => false,
            }
        };
        let journals = join_all(namespaces.iter().map(|namespace| follower.catch_up(namespace)));
        let (notes, journals) = tokio::join!(notes, journals);
        notes || journals.contains(&true)
    }

    /// Appends to the ledger, which logs its own errors. An entry that it cannot keep is found until the next
    /// restart.
    async fn keep(&self, items: Vec<LedgerItem>) {
        if let Some(ledger) = self.shared.ledger.as_ref().filter(|_| !items.is_empty()) {
            let _kept = ledger.append(items).await;
        }
    }
}

/// The record of an entry in the journal of its namespace. The entry names it, so that it is found again.
fn queued(entry: &CommittedEntry) -> QueuedRecord {
    QueuedRecord {
        stream: entry.namespace.stream(),
        id: entry.record.id,
        record: journal_record::encode(entry),
    }
}

#[cfg(test)]
mod tests;
