//! The ledger survives a restart: an append-only file of the entries that were committed and removed. A start
//! reads it and opens no entry.
//!
//! - Lines of many callers go out with one write. A caller is answered when its lines are in the file. One task
//!   at a time owns the end of the file ([`mod@write`]), so no lock is held while it is written.
//! - A start reads the file in the background into the index. A torn end is cut off. Damage ends the reading; the
//!   entries behind it are misses.
//! - When more than half of the file is about entries that are gone, it is written anew ([`rewrite`]).
//!
//! A caller changes the index first and appends to the ledger then. So the lines from before a rewrite are in
//! the index, and later ones are copied.

mod format;
mod former;
mod read;
mod rewrite;
mod site;
mod write;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use format::LedgerItem;
pub use site::{LedgerSite, SpaceAccount};

use self::rewrite::RewrittenLedger;
use self::write::LedgerWriter;
use super::index::ActionsIndex;
use super::index::size::map_bytes;
use crate::store::journal::Ulid;
use crate::store::{Digest, Error, Result};
use crate::tasks::Tasks;

/// Names the operation in errors.
const WRITE_OPERATION: &str = "writing the ledger of the Actions cache";

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger {
    shared: Arc<LedgerShared>,
}

#[derive(Debug)]
struct LedgerShared {
    site: LedgerSite,
    index: Arc<ActionsIndex>,
    tasks: Tasks,
    loaded: CancellationToken,
    queue: Mutex<LedgerQueue>,
    /// The cursors up to which the journals of namespaces were read.
    seen: Mutex<HashMap<Digest, Ulid>>,
    bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct LedgerQueue {
    /// `None` while a task reads or writes the file.
    writer: Option<Box<LedgerWriter>>,
    /// The file could not be read, so nothing is kept.
    is_lost: bool,
    waiting: Vec<PendingAppend>,
    rewriting: bool,
    rewritten: Option<Option<RewrittenLedger>>,
}

#[derive(Debug)]
struct PendingAppend {
    items: Vec<LedgerItem>,
    answer: oneshot::Sender<Result<()>>,
}

impl Ledger {
    /// Opens the ledger of a folder that belongs to this process alone, and begins to read it into `index`.
    pub fn open(site: LedgerSite, index: Arc<ActionsIndex>, tasks: &Tasks) -> Self {
        let shared = Arc::new(LedgerShared {
            site,
            index,
            tasks: tasks.clone(),
            loaded: CancellationToken::new(),
            queue: Mutex::default(),
            seen: Mutex::default(),
            bytes: AtomicU64::new(0),
        });
        let loading = Arc::clone(&shared);
        drop(tasks.spawn_blocking(move || loading.load()));
        Self { shared }
    }

    /// Resolves when all entries of the file are in the index.
    pub async fn loaded(&self) {
        self.shared.loaded.cancelled().await;
    }

    /// Whether [`Ledger::loaded`] has resolved.
    pub fn is_loaded(&self) -> bool {
        self.shared.loaded.is_cancelled()
    }

    /// Adds items, all or none; returns when they are in the file.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NoSpace`]; [`Error::Stopping`] if the ledger could not be opened, or the server
    /// stops.
    pub async fn append(&self, items: Vec<LedgerItem>) -> Result<()> {
        let (answer, outcome) = oneshot::channel();
        {
            let mut queue = self.shared.lock();
            if queue.is_lost {
                return Err(Error::Stopping);
            }
            queue.waiting.push(PendingAppend { items, answer });
        }
        self.shared.kick();
        outcome.await.unwrap_or(Err(Error::Stopping))
    }

    /// The cursor up to which the journal of a namespace was read.
    pub fn seen(&self, namespace: &Digest) -> Option<Ulid> {
        self.shared.seen().get(namespace).copied()
    }

    /// Length of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }
}

impl LedgerShared {
    /// Blocking: reads the file.
    fn load(self: Arc<Self>) {
        // Dropped also after a panic, so that look-ups do not wait for ever.
        let _loaded = self.loaded.clone().drop_guard();
        let stopping = self.tasks.stopping();
        let writer = LedgerWriter::load(
            &self.site,
            &self.index,
            |item| self.note(std::iter::once(item)),
            || !stopping.is_cancelled(),
        );
        let writer = writer.unwrap_or_else(|error| {
            tracing::warn!(
                %error, "cannot read the ledger of the Actions cache; what is stored now is a miss after a restart"
            );
            None
        });
        match writer {
            Some(writer) => self.give_back(Box::new(writer)),
            None => {
                let mut queue = self.lock();
                queue.is_lost = true;
                // Dropping the senders answers the callers.
                let waiting = std::mem::take(&mut queue.waiting);
                drop((queue, waiting));
            }
        }
    }

    /// Starts a task that writes, if there is something to write and none runs.
    fn kick(self: &Arc<Self>) {
        let mut queue = self.lock();
        if queue.waiting.is_empty() && queue.rewritten.is_none() {
            return;
        }
        if let Some(writer) = queue.writer.take() {
            drop(queue);
            let shared = Arc::clone(self);
            drop(self.tasks.spawn_blocking(move || shared.write(writer)));
        }
    }

    /// Blocking: writes until nothing is left.
    fn write(self: &Arc<Self>, mut writer: Box<LedgerWriter>) {
        loop {
            let (waiting, rewritten) = {
                let mut queue = self.lock();
                (std::mem::take(&mut queue.waiting), queue.rewritten.take())
            };
            if waiting.is_empty() && rewritten.is_none() {
                return self.give_back(writer);
            }
            if let Some(rewritten) = rewritten {
                self.take_over(&mut writer, rewritten);
            }
            self.write_all(&mut writer, waiting);
        }
    }

    fn write_all(&self, writer: &mut LedgerWriter, waiting: Vec<PendingAppend>) {
        let items = || waiting.iter().flat_map(|waiting| &waiting.items);
        let written = writer.append(&self.site, items());
        match &written {
            Ok(()) => {
                self.note(items());
                self.bytes.store(writer.len(), Ordering::Relaxed);
                self.index.set_beside(self.memory(writer));
            }
            Err(error) => tracing::warn!(%error, "cannot write the ledger of the Actions cache"),
        }
        let failed = written.err().map(|error| error.kind());
        for waiting in waiting {
            let outcome = failed.map_or(Ok(()), |kind| {
                Err(Error::io(WRITE_OPERATION, io::Error::from(kind)))
            });
            // The caller may have left.
            let _left = waiting.answer.send(outcome);
        }
    }

    fn take_over(&self, writer: &mut LedgerWriter, rewritten: Option<RewrittenLedger>) {
        if let Some(rewritten) = rewritten
            && let Err(error) = rewritten.replace(&self.site, writer)
        {
            tracing::warn!(%error, "cannot write the ledger of the Actions cache anew");
        }
        writer.defer_rewrite();
        self.lock().rewriting = false;
    }

    /// Gives the writer back after writing.
    fn give_back(self: &Arc<Self>, writer: Box<LedgerWriter>) {
        self.bytes.store(writer.len(), Ordering::Relaxed);
        self.index.set_beside(self.memory(&writer));
        let (from, estimate) = (writer.len(), writer.estimate(&self.index));
        let is_stale = writer.is_stale(&self.index);
        let mut queue = self.lock();
        queue.writer = Some(writer);
        let begin = is_stale && !queue.rewriting;
        queue.rewriting |= begin;
        drop(queue);
        if begin {
            let shared = Arc::clone(self);
            drop(self.tasks.spawn(async move {
                let rewritten = Arc::clone(&shared).rewrite(from, estimate).await;
                shared.lock().rewritten = Some(rewritten);
                shared.kick();
            }));
        }
        // Lines may have come after the last look at the queue.
        self.kick();
    }

    /// Bytes that the ledger holds in memory.
    fn memory(&self, writer: &LedgerWriter) -> u64 {
        writer.memory() + map_bytes(&self.seen())
    }

    /// Remembers cursors.
    fn note<'i>(&self, items: impl Iterator<Item = &'i LedgerItem>) {
        for item in items {
            if let LedgerItem::Seen(namespace, cursor) = item {
                self.seen().insert(*namespace, *cursor);
            }
        }
    }

    /// The cursors of some namespaces; the others are forgotten.
    fn cursors(&self, which: impl Fn(&Digest) -> bool) -> Vec<LedgerItem> {
        let mut seen = self.seen();
        seen.retain(|namespace, _| which(namespace));
        seen.iter()
            .map(|(namespace, cursor)| LedgerItem::Seen(*namespace, *cursor))
            .collect()
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<Digest, Ulid>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, LedgerQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
