//! Commit: file, name, slot; in one hop to the blocking pool that nothing interrupts half way.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::core::{DiskCore, cannot_remove, now};
use super::file::{DiskFile, EntryOwner};
use super::format;
use super::get::{opened_file, opened_in_memory};
use super::hot::{HotCell, OpenedEntry};
use super::index::{ExpectedVersion, FileRecord, IndexFull};
use super::layout::{TopName, shard_of};
use super::shards::{self, ShardDir};
use crate::config::Durability;
use crate::store::budget::{BLOCK_BYTES, Committing, FullVolumeRetry, whole_blocks, write_error};
use crate::store::shares::{NumberedTenancy, TenantHandle};
use crate::store::spool::{FOLDER_BYTES, SpoolBody, Temp, joined, room_for};
use crate::store::tenant_rules::HeldBound;
use crate::store::{Draft, Error, EvictionCause, Meta, Precondition, Result, Shortage, Spool, StoreKey};
use crate::sys;

impl DiskCore {
    /// See [`crate::store::Store::put`].
    pub(super) async fn put(
        self: &Arc<Self>,
        key: &StoreKey,
        draft: Draft,
        body: Spool,
        precondition: &Precondition,
    ) -> Result<Arc<Meta>> {
        let pass = self.enter()?;
        self.know(key.digest()).await?;
        let meta = Arc::new(Meta {
            size: body.len(),
            etag: body.checksums().etag(),
            origin: draft.origin,
            metadata: draft.metadata,
        });
        let trailer = format::write(key, &meta, body.checksums());
        // Usually held already: the trailer would have to be longer than any usual one.
        let exact = whole_blocks(body.len() + trailer.len() as u64) + FOLDER_BYTES;
        body.room().ensure(exact.max(room_for(body.len())), 0).await?;
        let (tenant, belongs) = self.number(meta.origin.tenancy.as_ref());
        self.check_count(key, belongs, body.len())?;
        let commit = DiskCommit {
            core: Arc::clone(self),
            _tenant: tenant,
            belongs,
            owner: self.owner(key, 0),
            made_way: Vec::new(),
            meta: Arc::clone(&meta),
            trailer,
            body,
            expect: self.expect(key, precondition).await?,
            _committing: self.budget.committing(),
            _pass: pass,
        };
        self.run(Box::new(commit), key, precondition).await?;
        Ok(meta)
    }

    async fn run(
        self: &Arc<Self>,
        mut commit: Box<DiskCommit>,
        key: &StoreKey,
        precondition: &Precondition,
    ) -> Result<()> {
        let mut retry = FullVolumeRetry::default();
        loop {
            let size = commit.body.len();
            let hop = self.blocking_for(key.asker(), move |_| commit.run());
            let (stopped, back) = match hop.await? {
                Ok(()) => return Ok(()),
                Err(stopped) => stopped,
            };
            commit = back;
            match stopped {
                CommitError::Changed => commit.expect = self.expect(key, precondition).await?,
                CommitError::Failed(error) => {
                    let error = write_error("writing an entry", error, size);
                    if !retry.makes_way(&self.budget, &error, size).await {
                        return Err(error);
                    }
                }
                CommitError::Undone(error) => return Err(Error::io("syncing an entry", error)),
            }
        }
    }
}

impl DiskCore {
    /// How many entries a rule allows to a tenant.
    fn max_entries(&self, belongs: NumberedTenancy) -> Option<u64> {
        self.budget.shares().table().limits(belongs.tenant).max_entries
    }

    /// # Errors
    /// [`Error::NoSpace`] if a tenant has as many entries as a rule allows, and none of them can make way.
    fn check_count(&self, key: &StoreKey, belongs: NumberedTenancy, needed: u64) -> Result<()> {
        let Some(limit) = self.max_entries(belongs) else {
            return Ok(());
        };
        let holdings = *self.budget.shares().table().holdings(belongs.tenant);
        let has_room = holdings.entries() < limit || holdings.is_evictable();
        if has_room || self.read_index(|index| index.current(key.digest())).is_some() {
            return Ok(());
        }
        let rule = HeldBound::MaxEntries;
        Err(Error::NoSpace {
            needed,
            reason: Shortage::Rule { rule, limit },
        })
    }
}

/// Why a commit did not happen. Nothing is left of it on the disk, except for a large body.
enum CommitError {
    /// The index holds another version than the one that the precondition was held against.
    Changed,
    /// The operating system refused; it can be tried again.
    Failed(io::Error),
    /// It refused after the file had its name; the file is removed.
    Undone(io::Error),
}

/// Everything that a commit needs.
struct DiskCommit {
    core: Arc<DiskCore>,
    /// Keeps the number of the tenant.
    _tenant: TenantHandle,
    belongs: NumberedTenancy,
    /// Generation 0 until there is one.
    owner: EntryOwner,
    /// Entries of the tenant that made way, as a rule says, and are to be unlinked.
    made_way: Vec<(FileRecord, EvictionCause)>,
    meta: Arc<Meta>,
    trailer: Bytes,
    body: Spool,
    expect: ExpectedVersion,
    _committing: Committing,
    _pass: TaskTrackerToken,
}

impl DiskCommit {
    fn run(mut self: Box<Self>) -> Result<(), (CommitError, Box<Self>)> {
        self.try_run().map_err(|stopped| (stopped, self))
    }

    fn try_run(&mut self) -> Result<(), CommitError> {
        let temp = self.write().map_err(CommitError::Failed)?;
        let placed = self.place(&temp);
        self.core.retire_evicted(&std::mem::take(&mut self.made_way));
        if placed.is_err() && matches!(self.body.body(), SpoolBody::Memory(_)) {
            // The next attempt writes it anew, into the same room.
            temp.remove();
        }
        placed
    }

    /// Gives the file its name, if the precondition still holds.
    fn place(&mut self, temp: &Temp) -> Result<(), CommitError> {
        let core = Arc::clone(&self.core);
        let mut shard = core.shards.lock(shard_of(&self.owner.digest));
        // Other commits and deletes under this digest wait for the shard, so this holds until
        // the slot is swapped. Eviction may take the former version meanwhile, which does no harm.
        let current = core.read_index(|index| index.current(&self.owner.digest));
        if !self.expect.fits(current) {
            return Err(CommitError::Changed);
        }
        self.owner.generation = core.next_generation();
        let name = (self.owner.digest, self.owner.generation);
        let grown = core
            .shards
            .place(&core.layout, &mut shard, temp.path(), &name)
            .map_err(CommitError::Failed)?;
        temp.keep();
        self.settle(temp, grown, &mut shard).map_err(CommitError::Undone)
    }

    /// Writes what is not on the disk yet.
    fn write(&self) -> io::Result<Arc<Temp>> {
        let temp = match self.body.body() {
            SpoolBody::Memory(frames) => {
                let temp = Arc::new(Temp::create(&self.core.spools, self.body.room())?);
                let mut slices = frames.clone();
                slices.push(self.trailer.clone());
                temp.lengthen(self.length())?;
                sys::write_all_vectored_at(temp.file(), &slices, 0)?;
                temp
            }
            SpoolBody::File(temp) => {
                // It may be longer: it was given its length in steps.
                temp.set_length(self.length())?;
                sys::write_all_vectored_at(temp.file(), &[&self.trailer], self.body.len())?;
                Arc::clone(temp)
            }
        };
        if self.core.durability == Durability::Fsync {
            temp.file().sync_all()?;
        }
        Ok(temp)
    }

    /// The file has its name: make it visible, account for it, remove the former one.
    ///
    /// In this order: room that is free or can be evicted wakes those who look for it, and they look into the index.
    fn settle(&mut self, temp: &Temp, grown: i64, shard: &mut ShardDir) -> io::Result<()> {
        let metadata = temp.file().metadata();
        let rounded = whole_blocks(self.length());
        let bytes = metadata
            .as_ref()
            .map_or(rounded, |metadata| rounded.max(sys::block_bytes(metadata)));
        let new = FileRecord {
            digest: self.owner.digest,
            generation: self.owner.generation,
            stamp: now(),
            blocks: u32::try_from(bytes / BLOCK_BYTES).unwrap_or(u32::MAX),
            belongs: Some(self.belongs),
        };
        // What is held beyond the file goes back first: it would push the total over the high-water mark once the entry
        // is counted as well, and the entry that was just stored could be the one that goes for it.
        let used = bytes.saturating_add_signed(grown);
        self.body.room().shrink(used);
        let published = self.sync_folders(shard).and(metadata).and_then(|metadata| {
            let cell = HotCell::filled(self.opened(temp, &metadata));
            let committed = self.commit(new, cell);
            committed.map_err(|_| io::Error::other("the index is full"))
        });
        // Whoever evicts it waits for the shard until this is done.
        match published.is_ok() {
            true => self.body.room().settle_entry(used),
            false => self.body.room().settle(used),
        }
        let (retired, outcome) = match published {
            Ok(former) => (former, Ok(())),
            Err(error) => (Some(new), Err(error)),
        };
        shard.unsynced |= retired.is_some();
        if let Some(retired) = retired
            && let Err(error) = self.core.retire_in(shard, &retired)
        {
            cannot_remove(self.core.role, &error);
        }
        outcome
    }

    /// The entry is in the index from now on; others of its tenant make way for it, as a rule says.
    fn commit(&mut self, new: FileRecord, cell: Arc<HotCell>) -> Result<Option<FileRecord>, IndexFull> {
        let most = self.core.max_entries(self.belongs);
        self.core.index(|index| {
            if let Some(most) = most {
                self.made_way = index.keep_count(&new, most);
            }
            index.commit(new, self.body.room().counted(), cell)
        })
    }

    /// Length of the file in bytes.
    fn length(&self) -> u64 {
        self.body.len() + self.trailer.len() as u64
    }

    fn sync_folders(&self, state: &mut ShardDir) -> io::Result<()> {
        if self.core.durability != Durability::Fsync {
            return Ok(());
        }
        let shard = shard_of(&self.owner.digest);
        let layout = &self.core.layout;
        shards::sync(layout, shard, state)?;
        for folder in [layout.parent(shard), layout.path(TopName::Entries)] {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// The entry as readers will see it: nothing has to be opened or read again.
    fn opened(&self, temp: &Temp, metadata: &std::fs::Metadata) -> Arc<OpenedEntry> {
        match self.body.body() {
            SpoolBody::Memory(frames) if self.core.fits_memory(self.body.len()) => {
                opened_in_memory(joined(frames), Arc::clone(&self.meta))
            }
            _ => {
                let (file, owner) = (Arc::clone(temp.file()), self.owner.clone());
                self.core.handles.add(owner.generation, file.hold());
                let sums = self.body.checksums().clone();
                let file = DiskFile::new(file, metadata, owner, sums, true);
                opened_file(file, Arc::clone(&self.meta))
            }
        }
    }
}
