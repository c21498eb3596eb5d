//! Begins uploads, and finds those of an earlier run.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use super::block::UploadFile;
use super::log::LogRecord;
use super::recover;
use super::state::UploadState;
use super::upload::BlockUpload;
use super::{BlockDir, Blocks, MAX_NOTE_BYTES, TenantOf};
use crate::store::budget::{Ask, FullVolumeRetry, whole_blocks};
use crate::store::spool::{FOLDER_BYTES, SpoolDir};
use crate::store::{Error, Result};
use crate::sys;
use crate::tasks::Tasks;

impl BlockDir {
    /// Uploads in `folder`, which is on the volume of `spools` and counted there; made if it is not there. Room is taken
    /// for the tenants that `tenant_of` reads from their notes.
    /// Answers what an earlier run left: every upload whose log can be read, up to its last complete block.
    /// The rest is removed. Call it once, before anything is made. Once `tasks` have ended, nothing touches the
    /// folder any more.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be read, [`Error::Stopping`].
    pub(crate) async fn open(
        folder: PathBuf,
        spools: SpoolDir,
        tenant_of: TenantOf,
        tasks: &Tasks,
    ) -> Result<(Self, Vec<Blocks>)> {
        let own_tasks = tasks.clone();
        let hop = tasks.spawn_blocking(move || {
            let this = Self::new(folder, spools, tenant_of, own_tasks)?;
            let found = recover::all(&this)?;
            Ok((this, found))
        });
        let opened = hop.await.map_err(|_| Error::Stopping)?;
        opened.map_err(|error| Error::io("reading the folder of uploads", error))
    }

    /// Begins an upload. `id` is its name, also after a restart; no other upload may have it. `note`: bytes of the
    /// owner, at most 16 KiB, given back after a restart. They are on the disk when this returns.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a longer note, [`Error::NoSpace`], [`Error::Io`] also if `id` is taken,
    /// [`Error::Stopping`].
    pub async fn create(&self, id: u64, note: Vec<u8>) -> Result<Blocks> {
        let (size, limit) = (note.len() as u64, MAX_NOTE_BYTES as u64);
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        let note: Box<[u8]> = note.into();
        let record: Arc<[u8]> = LogRecord::Begin { note: note.clone() }.encode(&[]).into();
        let length = record.len() as u64;
        let spools = self.spools_of(&note);
        let room = spools
            .reserve(whole_blocks(length) + FOLDER_BYTES, Ask::New)
            .await?;
        let mut retry = FullVolumeRetry::default();
        loop {
            let (this, record) = (self.clone(), Arc::clone(&record));
            let hop = self.tasks().spawn_blocking(move || this.begin(id, &record));
            let Err(error) = hop.await.map_err(|_| Error::Stopping)? else {
                break;
            };
            if !retry.makes_way(spools.budget(), &error, length).await {
                return Err(error);
            }
        }
        let state = UploadState::begun(length);
        let room = (spools, room);
        Ok(Blocks(BlockUpload::new(id, note, self.clone(), room, state)))
    }

    /// Blocking: makes the log.
    fn begin(&self, id: u64, record: &[u8]) -> Result<()> {
        let path = self.path(id, UploadFile::Log);
        let make = || File::options().write(true).create_new(true).open(&path);
        let file = make().map_err(|error| Error::io("making the log of an upload", error))?;
        if let Err(error) = sys::write_all_vectored_at(&file, &[record], 0) {
            // A torn one is removed at the next start, too.
            let _gone = std::fs::remove_file(&path);
            return Err(Error::io("writing the log of an upload", error));
        }
        self.upload_made();
        Ok(())
    }
}
