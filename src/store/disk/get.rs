//! Look-up: hot entries at once, cold ones with one hop to the blocking pool.

use std::fs::File;
use std::io;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::core::{DiskCore, FoundEntry, now};
use super::file::{Condemn, DiskFile, EntryOwner};
use super::format::{self, EntryError, EntryOpenError, MAX_MEMORY_BODY_BYTES};
use super::hot::OpenedEntry;
use super::index::{IndexHit, LookUp};
use crate::store::spool::Checksums;
use crate::store::{Content, Digest, Entry, Error, FileRange, Meta, Result, StoreKey, TierName};

/// A file that was changed so many microseconds after its generation was not changed by us.
const CLOCK_SLACK_US: u64 = 2_000_000;
/// Each further attempt follows a change of the entry by another request.
const MAX_ATTEMPTS: usize = 32;

impl DiskCore {
    /// The entry under `key`, opened. Awaits nothing if it is hot.
    pub(super) async fn find(self: &Arc<Self>, key: &StoreKey) -> Result<Option<FoundEntry>> {
        for _ in 0..MAX_ATTEMPTS {
            let now = now();
            let Some(hit) = self.look_up(key.digest()) else {
                if self.scan.knows(key.digest()) {
                    return Ok(None);
                }
                self.know(key.digest()).await?;
                continue;
            };
            // Boxed to keep the future of a hit small.
            if self.may_be_unused(&hit, now) && Box::pin(self.expire(key.digest(), now)).await? {
                continue;
            }
            hit.cell.touch(now);
            let opened = match hit.cell.opened.get() {
                Some(opened) if opened.is_sound(now) => Some(Arc::clone(opened)),
                Some(_) => {
                    self.index(|index| index.distrust(key.digest(), &hit));
                    None
                }
                // Boxed to keep the future of a hit small.
                None => Box::pin(self.open_cold(key, &hit)).await?,
            };
            if let Some(opened) = opened {
                let generation = hit.generation;
                return Ok(Some(FoundEntry { generation, opened }));
            }
        }
        Ok(None)
    }

    /// What is hot is found without the lock of the index. Only an entry without a cell needs it for itself.
    fn look_up(&self, digest: &Digest) -> Option<IndexHit> {
        if let Some(row) = self.hot.find(digest) {
            return Some(row.into());
        }
        match self.read_index(|index| index.look_up(digest)) {
            LookUp::Absent => None,
            LookUp::Cold => self.index(|index| index.warm(digest)),
            LookUp::Found(hit) => Some(hit),
        }
    }

    /// Whether some rule may take the entry for a miss, as nobody used it for so long.
    fn may_be_unused(&self, hit: &IndexHit, now: u64) -> bool {
        let shortest = self.rules.shortest_unused();
        let unused = || u128::from(now.saturating_sub(hit.cell.last_used()));
        shortest.is_some_and(|shortest| unused() >= shortest.as_micros())
    }

    /// The same for somebody who reads its body. What was not checked yet, or has left the page cache, is read and
    /// checked before, as far as an answer waits for that: damage is a miss. What is hot costs a look at some pages.
    pub(super) async fn find_sound(self: &Arc<Self>, key: &StoreKey) -> Result<Option<FoundEntry>> {
        for _ in 0..MAX_ATTEMPTS {
            let Some(found) = self.find(key).await? else {
                return Ok(None);
            };
            let (Content::File(range), Some(file)) = (&found.opened.entry.content, &found.opened.file) else {
                return Ok(Some(found));
            };
            // Boxed to keep the future of a hit small.
            if !file.must_be_checked(file.checked_first())
                || Box::pin(self.check_first(key, found.generation, file, range)).await?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Reads and checks what an answer waits for, once for all who wait for it. `false`: it is damaged, and gone.
    async fn check_first(
        self: &Arc<Self>,
        key: &StoreKey,
        generation: u64,
        file: &DiskFile,
        range: &FileRange,
    ) -> Result<bool> {
        let first = file.checked_first();
        let turn = file.turns().wait().await;
        let Some(turn) = turn.filter(|_| !file.is_damaged()) else {
            return Ok(!file.is_damaged());
        };
        let range = range.clone();
        let warmed = self.blocking_for(key.asker(), move |_| range.warm(first)).await?;
        turn.end();
        if file.is_checked() {
            self.index(|index| index.trust(key.digest(), generation));
        }
        // Another error is for the one who reads.
        Ok(warmed.is_ok() || !file.is_damaged())
    }

    /// Opens an entry once for all who ask for it meanwhile. `None`: look again, it has changed.
    async fn open_cold(self: &Arc<Self>, key: &StoreKey, hit: &IndexHit) -> Result<Option<Arc<OpenedEntry>>> {
        let open = || async {
            let (key, asker) = (key.clone(), key.asker());
            let (generation, trusted) = (hit.generation, hit.trusted);
            let open = move |core: &Arc<Self>| core.open(&key, generation, trusted);
            let opened = self.blocking_for(asker, open).await;
            opened.map_err(|lost| EntryOpenError::Io(io::Error::other(lost)))?
        };
        match hit.cell.opened.get_or_try_init(open).await {
            Ok(opened) => {
                let checked = opened.file.as_ref().is_none_or(|file| file.is_checked());
                let (_keeps_its_number, belongs) = self.number(opened.entry.meta.origin.tenancy.as_ref());
                self.index(|index| index.admit(key.digest(), hit, checked, belongs));
                Ok(Some(Arc::clone(opened)))
            }
            Err(EntryOpenError::Gone | EntryOpenError::Damaged(_)) => Ok(None),
            Err(EntryOpenError::Io(error)) => Err(Error::io("opening an entry", error)),
        }
    }

    /// Blocking: opens a version of an entry; removes it if it is not what it should be.
    fn open(
        self: &Arc<Self>,
        key: &StoreKey,
        generation: u64,
        trusted: bool,
    ) -> Result<Arc<OpenedEntry>, EntryOpenError> {
        let opened = self.try_open(key, generation, trusted);
        opened.inspect_err(|refused| match refused {
            // Evicted a moment ago, or removed from outside.
            EntryOpenError::Gone => _ = self.forget(key.digest(), generation),
            EntryOpenError::Damaged(flaw) => self.condemn(key.digest(), generation, *flaw),
            EntryOpenError::Io(_) => {}
        })
    }

    fn try_open(
        self: &Arc<Self>,
        key: &StoreKey,
        generation: u64,
        trusted: bool,
    ) -> Result<Arc<OpenedEntry>, EntryOpenError> {
        let open = || self.open_file(key, generation);
        let file = Arc::new(self.handles.of(generation).open(open)?);
        let metadata = file.metadata()?;
        let parsed = format::read(&file, metadata.len(), key)?;
        let owner = self.owner(key, generation);
        if let Some(body) = &parsed.body {
            if Checksums::of(body) != parsed.sums {
                return Err(EntryError::Body.into());
            }
            if self.fits_memory(parsed.meta.size) {
                return Ok(opened_in_memory(body.clone(), Arc::new(parsed.meta)));
            }
        }
        // Another body is checked by whoever reads it: a look at its description costs no more than its trailer.
        let checked = parsed.body.is_some() || trusted && !changed_since(&metadata, generation);
        let open = DiskFile::new(file, &metadata, owner, parsed.sums, checked);
        Ok(opened_file(open, Arc::new(parsed.meta)))
    }

    /// Opens the file; if the process has run out of open files, after closing some of ours.
    fn open_file(&self, key: &StoreKey, generation: u64) -> io::Result<File> {
        let path = self.layout.entry(key.digest(), generation);
        match File::open(&path) {
            Err(error) if is_out_of_files(&error) => {
                self.index(|index| index.shed_files());
                File::open(&path)
            }
            other => other,
        }
    }

    pub(super) fn owner(self: &Arc<Self>, key: &StoreKey, generation: u64) -> EntryOwner {
        EntryOwner {
            tier: Arc::downgrade(self) as Weak<dyn Condemn>,
            digest: *key.digest(),
            generation,
        }
    }

    /// Whether a body of `size` bytes is held in memory rather than as an open file.
    pub(super) fn fits_memory(&self, size: u64) -> bool {
        size <= MAX_MEMORY_BODY_BYTES && size < self.memory
    }
}

/// An entry whose body is kept in memory.
pub(super) fn opened_in_memory(body: Bytes, meta: Arc<Meta>) -> Arc<OpenedEntry> {
    let entry = Entry {
        meta,
        content: Content::Memory(body),
        tier: TierName::MEMORY,
    };
    OpenedEntry::new(entry, None, now())
}

/// An entry whose body is sent from its file.
pub(super) fn opened_file(file: Arc<DiskFile>, meta: Arc<Meta>) -> Arc<OpenedEntry> {
    let range = FileRange::whole(Arc::clone(&file) as _, meta.size);
    let entry = Entry {
        meta,
        content: Content::File(range),
        tier: TierName::DISK,
    };
    OpenedEntry::new(entry, Some(file), now())
}

/// Whether the file was changed from outside after it was committed.
fn changed_since(metadata: &std::fs::Metadata, generation: u64) -> bool {
    let committed =
        std::time::UNIX_EPOCH + std::time::Duration::from_micros(generation.saturating_add(CLOCK_SLACK_US));
    metadata.modified().is_ok_and(|modified| modified > committed)
}

fn is_out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}
