//! What a composition needs of this tier beyond [`Store`]: pins, records of keys, and entries by digest alone.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::core::DiskCore;
use super::file::Condemn;
use super::format::{self, EntryError, EntryOpenError};
use super::layout::TopName;
use super::records::{LeftRecord, Mark};
use super::tier::Disk;
use crate::config::Durability;
use crate::store::blocks::{BlockDir, Blocks, TenantOf};
use crate::store::budget::{Ask, BLOCK_BYTES, Reservation, WaitingBounds, whole_blocks};
use crate::store::spool::Checksums;
use crate::store::{Digest, Entry, Error, Result, Store, StoreKey, Tenant};
use crate::sys;

/// Bytes for [`Disk::parts_folder`]: a block for each note, and the folder.
const PARTS_NOTES_BYTES: u64 = 64 * BLOCK_BYTES;

impl Disk {
    /// Whether there is an entry under this digest.
    ///
    /// # Errors
    /// [`Error::Io`] if its folder cannot be read.
    pub async fn contains(&self, digest: &Digest) -> Result<bool> {
        self.core.know(digest).await?;
        Ok(self.core.read_index(|index| index.current(digest)).is_some())
    }

    /// The generation of the entry under this digest: greater than those of all versions before. 0 if there is none.
    ///
    /// # Errors
    /// [`Error::Io`] if its folder cannot be read.
    pub async fn generation(&self, digest: &Digest) -> Result<u64> {
        self.core.know(digest).await?;
        Ok(self.core.read_index(|index| index.current(digest)).unwrap_or(0))
    }

    /// Whether a power loss may have brought back this version of the entry under this digest in the place of a later
    /// one. Without one it costs nothing.
    pub fn is_suspect(&self, digest: &Digest) -> bool {
        let suspect = self.core.boot.suspect();
        let current = || self.core.read_index(|index| index.current(digest));
        suspect > 0 && current().is_some_and(|generation| generation <= suspect)
    }

    /// Whatever is here now counts as [`Disk::is_suspect`].
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be noted.
    pub async fn suspect_all(&self) -> Result<()> {
        let suspect = |core: &Arc<DiskCore>| core.boot.suspect_up_to(core.next_generation());
        self.blocking("noting that copies are in doubt", suspect).await
    }

    /// Removes whatever is under this digest; `true` if there was something.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Stopping`].
    pub async fn discard(&self, digest: &Digest) -> Result<bool> {
        self.core.delete_any(digest).await
    }

    /// Removes this version of the entry under this digest, if it is still there, because it cannot be read.
    ///
    /// # Errors
    /// [`Error::Stopping`].
    pub async fn condemn(&self, digest: &Digest, generation: u64) -> Result<()> {
        let digest = *digest;
        let condemn = move |core: &Arc<DiskCore>| {
            core.condemn(&digest, generation, EntryError::Unreadable);
            Ok(())
        };
        self.blocking("removing a damaged entry", condemn).await
    }

    /// The entry under this digest, with the key that stands in its file and the checksums of its body.
    /// `None` if there is none, or a damaged one.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn entry(&self, digest: &Digest) -> Result<Option<(StoreKey, Checksums, Entry)>> {
        let Some((key, sums)) = self.identity(digest).await? else {
            return Ok(None);
        };
        let entry = self.get(&key).await?;
        // Overwritten between the two reads: the writer of that version queues it again.
        let entry = entry.filter(|entry| entry.meta.etag == sums.etag());
        Ok(entry.map(|entry| (key, sums, entry)))
    }

    /// The key and the checksums that stand in the file of the entry under this digest. Its body is not read, and may
    /// be damaged. `None` if there is no entry, or one that does not say what it is.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn identity(&self, digest: &Digest) -> Result<Option<(StoreKey, Checksums)>> {
        self.core.know(digest).await?;
        let Some(generation) = self.core.read_index(|index| index.current(digest)) else {
            return Ok(None);
        };
        let digest = *digest;
        let reading = self.blocking("reading an entry", move |core| core.identify(&digest, generation));
        reading.await
    }

    /// Keeps whatever is under `digest` from being evicted, now and later.
    pub fn pin(&self, digest: &Digest) {
        self.core.index(|index| index.pin(digest));
    }

    /// Ends [`Disk::pin`].
    pub fn unpin(&self, digest: &Digest) {
        self.core.index(|index| index.unpin(digest));
        // There may be something to evict again.
        self.core.budget.adjust(0);
    }

    /// The configured limit, in bytes.
    pub fn limit(&self) -> u64 {
        self.core.budget.limit()
    }

    /// How many bytes may wait here for a remote tier, and what of that is reserved for a tenant.
    pub(crate) fn waiting_bounds(&self, tenant: Option<&Tenant>) -> WaitingBounds {
        self.core.budget.waiting_bounds(tenant)
    }

    /// Records that earlier runs left, oldest first. What has one is pinned from the start on.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn records(&self) -> Result<Vec<LeftRecord>> {
        self.blocking("reading the records of keys", |core| core.records.load())
            .await
    }

    /// Writes the record of a key, a few KiB that survive a crash, in place of the former one. After an error either of
    /// them may be there.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Io`].
    pub async fn set_record(&self, digest: &Digest, content: Vec<u8>) -> Result<()> {
        let digest = *digest;
        let room = self.record_room(whole_blocks(content.len() as u64)).await?;
        // After the close, the directory may be another server's.
        let pass = self.core.enter()?;
        let set = move |core: &Arc<DiskCore>| {
            let _pass = pass;
            let usage = core.records.set(&digest, &content)?;
            room.settle(usage.written);
            core.budget.adjust(usage.grown);
            Ok(())
        };
        self.blocking("writing the record of a key", set).await
    }

    /// Room for a record: what is left, or what evictions give.
    async fn record_room(&self, bytes: u64) -> Result<Reservation> {
        match self.core.budget.take(bytes) {
            Some(room) => Ok(room),
            None => self.core.budget.reserve(bytes, Ask::Growth).await,
        }
    }

    /// Removes the record of a key, if there is one.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn clear_record(&self, digest: &Digest) -> Result<()> {
        let digest = *digest;
        let pass = self.core.enter()?;
        let clear = move |core: &Arc<DiskCore>| {
            let _pass = pass;
            core.budget.adjust(-core.records.clear(&digest)?);
            Ok(())
        };
        self.blocking("removing the record of a key", clear).await
    }

    /// Removes a mark of an older version, if there is one.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn clear_mark(&self, digest: &Digest, mark: Mark) -> Result<()> {
        let digest = *digest;
        let clear = move |core: &Arc<DiskCore>| {
            core.budget.adjust(-core.records.clear_mark(&digest, mark)?);
            Ok(())
        };
        self.blocking("removing a mark", clear).await
    }

    /// A folder in which a remote tier may note what it has begun. Room for some dozens of notes counts as used
    /// from now on; call it once.
    pub fn parts_folder(&self) -> PathBuf {
        let notes = PARTS_NOTES_BYTES.min(self.limit() / 64);
        self.core.budget.adjust(notes as i64);
        self.core.layout.path(TopName::Parts)
    }

    /// A folder for the ledger of the Actions cache. The ledger, which makes it and writes there, says so with
    /// [`Disk::account`] and [`Disk::claim`].
    pub fn actions_folder(&self) -> PathBuf {
        self.core.layout.path(TopName::Actions)
    }

    /// Blocking: a folder for the few small files that tell this server from others. They count as used
    /// from now on; call it once.
    pub fn server_folder(&self) -> io::Result<PathBuf> {
        let folder = self.core.layout.path(TopName::Server);
        sys::create_private_dir(&folder)?;
        self.core.budget.adjust(6 * BLOCK_BYTES as i64);
        Ok(folder)
    }

    /// Whether what is written has to survive a power loss (`disk.durability: fsync`).
    pub fn is_synced(&self) -> bool {
        self.core.durability == Durability::Fsync
    }

    /// `bytes` more are in use below the directory, in whole blocks; fewer if it is negative. For a little at
    /// once: it does not wait for room.
    pub fn account(&self, bytes: i64) {
        self.core.budget.adjust(bytes);
    }

    /// Waits until there is room for `bytes`, which count as used then.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Stopping`].
    pub async fn claim(&self, bytes: u64) -> Result<()> {
        let room = self.core.budget.reserve(bytes, Ask::New).await?;
        room.settle(bytes);
        Ok(())
    }

    /// Uploads in blocks whose bodies go into this tier, and those that an earlier run left. Call it once,
    /// before the first client is served. They end with [`Disk::close`], and go on at the next start.
    ///
    /// # Errors
    /// As [`BlockDir::open`].
    pub async fn blocks(&self) -> Result<(BlockDir, Vec<Blocks>)> {
        self.blocks_of(|_| None).await
    }

    /// The same for the tenants that the notes of uploads name.
    ///
    /// # Errors
    /// As [`BlockDir::open`].
    pub async fn blocks_of(&self, tenant_of: TenantOf) -> Result<(BlockDir, Vec<Blocks>)> {
        let core = &self.core;
        BlockDir::open(
            core.layout.path(TopName::Uploads),
            core.spools.clone(),
            tenant_of,
            &core.uploads,
        )
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Arc<DiskCore>) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let done = self.core.blocking(work).await?;
        done.map_err(|error| Error::io(operation, error))
    }
}

impl DiskCore {
    /// Blocking: the key and the checksums in the file of an entry.
    fn identify(&self, digest: &Digest, generation: u64) -> io::Result<Option<(StoreKey, Checksums)>> {
        let opened = std::fs::File::open(self.layout.entry(digest, generation));
        let Some(file) = sys::if_exists(opened)? else {
            return Ok(None);
        };
        let length = file.metadata()?.len();
        let found = match format::identify(&file, length) {
            // Another time it may be read.
            Err(EntryOpenError::Io(error)) => return Err(error),
            found => found.ok().flatten(),
        };
        Ok(found.filter(|(key, _)| key.digest() == digest))
    }
}
