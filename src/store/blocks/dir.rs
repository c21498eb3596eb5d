//! The folder of uploads.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::block::Which;
use super::log::Record;
use super::state::State;
use super::upload::Upload;
use super::{Blocks, BlocksError, MOST_NOTE};
use crate::store::budget::{Ask, FullVolumeRetry, whole_blocks};
use crate::store::spool::{FOLDER_BYTES, SpoolDir};
use crate::store::{Error, Result};
use crate::sys;
use crate::tasks::Tasks;

/// After so many new uploads the folder is measured again.
const STEP: usize = 64;

/// Makes uploads in one folder of a tier, and finds those of an earlier run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BlockDir(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    spools: SpoolDir,
    tasks: Tasks,
    made: AtomicUsize,
    /// Bytes of the folder itself, as they are counted.
    bytes: AtomicU64,
}

impl BlockDir {
    /// Uploads in `folder`, which is on the volume of `spools` and counted there; made if it is not there.
    /// Answers what an earlier run left: every upload whose log can be read, up to its last complete block.
    /// The rest is removed. Call it once, before anything is made. Once `tasks` have ended, nothing touches the
    /// folder any more.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be read, [`Error::Stopping`].
    pub(crate) async fn open(
        folder: PathBuf,
        spools: SpoolDir,
        tasks: &Tasks,
    ) -> Result<(Self, Vec<Blocks>)> {
        let own_tasks = tasks.clone();
        let hop = tasks.spawn_blocking(move || {
            let before = folder_bytes(&folder);
            sys::create_private_dir(&folder)?;
            let this = Self(Arc::new(Inner {
                bytes: before.into(),
                folder,
                spools,
                tasks: own_tasks,
                made: AtomicUsize::new(0),
            }));
            this.measure();
            let found = super::recover::all(&this)?;
            Ok((this, found))
        });
        let opened = hop.await.map_err(|_| Error::Stopping)?;
        opened.map_err(|error| Error::io("reading the folder of uploads", error))
    }

    /// Begins an upload. `id` is its name, also after a restart; nobody else may have it. `note`: bytes of the
    /// owner, at most 16 KiB, given back after a restart. They are on the disk when this returns.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a longer note, [`Error::NoSpace`], [`Error::Io`] also if `id` is taken,
    /// [`Error::Stopping`].
    pub async fn create(&self, id: u64, note: Vec<u8>) -> Result<Blocks> {
        let (size, limit) = (note.len() as u64, MOST_NOTE as u64);
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        let note: Box<[u8]> = note.into();
        let record: Arc<[u8]> = Record::Begin { note: note.clone() }.encode(&[]).into();
        let length = record.len() as u64;
        let spools = self.spools();
        let room = spools
            .budget()
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
        let state = State::begun(length);
        Ok(Blocks(Upload::new(id, note, self.clone(), room, state)))
    }

    /// Blocking: makes the log.
    fn begin(&self, id: u64, record: &[u8]) -> Result<()> {
        let path = self.path(id, Which::Log);
        let make = || File::options().write(true).create_new(true).open(&path);
        let file = make().map_err(|error| Error::io("making the log of an upload", error))?;
        if let Err(error) = sys::write_all_vectored_at(&file, &[record], 0) {
            // A torn one is removed at the next start, too.
            let _gone = std::fs::remove_file(&path);
            return Err(Error::io("writing the log of an upload", error));
        }
        if (self.0.made.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(STEP) {
            self.measure();
        }
        Ok(())
    }

    /// Blocking: counts what the folder has grown.
    fn measure(&self) {
        let now = folder_bytes(&self.0.folder);
        let before = self.0.bytes.swap(now, Ordering::Relaxed);
        self.spools().budget().adjust(now as i64 - before as i64);
    }

    pub(super) fn spools(&self) -> &SpoolDir {
        &self.0.spools
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0.folder
    }

    pub(super) fn path(&self, id: u64, file: Which) -> PathBuf {
        self.0.folder.join(format!("{id:016x}.{}", file.extension()))
    }
}

/// Runs a part of an upload's work in the blocking pool; not once the server stops.
pub(super) async fn blocking<T: Send + 'static>(
    upload: &Arc<Upload>,
    work: impl FnOnce(&Arc<Upload>) -> Result<T, BlocksError> + Send + 'static,
) -> Result<T, BlocksError> {
    let (owned, tasks) = (Arc::clone(upload), upload.dir.tasks());
    let pass = tasks.enter().ok_or(BlocksError::Store(Error::Stopping))?;
    let hop = tasks.spawn_blocking(move || {
        let _pass = pass;
        work(&owned)
    });
    hop.await.map_err(|_| BlocksError::Store(Error::Stopping))?
}

/// Bytes of the folder itself; 0 if there is none.
fn folder_bytes(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| sys::block_bytes(&metadata))
}
