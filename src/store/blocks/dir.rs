//! The folder of uploads.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::block::UploadFile;
use crate::store::Tenant;
use crate::store::spool::SpoolDir;
use crate::sys;
use crate::tasks::Tasks;

/// After so many new uploads the folder is measured again.
const MEASURE_INTERVAL: usize = 64;

/// Reads from the note of an upload whose it is. `None` for nobody who is known.
pub type TenantOf = fn(&[u8]) -> Option<Tenant>;

/// Makes uploads in one folder of a tier, and finds those of an earlier run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BlockDir(Arc<BlockDirInner>);

#[derive(Debug)]
struct BlockDirInner {
    folder: PathBuf,
    spools: SpoolDir,
    tenant_of: TenantOf,
    tasks: Tasks,
    made: AtomicUsize,
    /// Bytes of the folder itself, as they are counted.
    bytes: AtomicU64,
}

impl BlockDir {
    /// Blocking: uploads in `folder`, which is made if it is not there.
    pub(super) fn new(
        folder: PathBuf,
        spools: SpoolDir,
        tenant_of: TenantOf,
        tasks: Tasks,
    ) -> io::Result<Self> {
        let before = sys::path_block_bytes(&folder);
        sys::create_private_dir(&folder)?;
        let this = Self(Arc::new(BlockDirInner {
            bytes: before.into(),
            folder,
            spools,
            tenant_of,
            tasks,
            made: AtomicUsize::new(0),
        }));
        this.measure();
        Ok(this)
    }

    /// Blocking: counts a new upload.
    pub(super) fn upload_made(&self) {
        let made = self.0.made.fetch_add(1, Ordering::Relaxed) + 1;
        if made.is_multiple_of(MEASURE_INTERVAL) {
            self.measure();
        }
    }

    /// Blocking: counts what the folder has grown.
    fn measure(&self) {
        let now = sys::path_block_bytes(&self.0.folder);
        let before = self.0.bytes.swap(now, Ordering::Relaxed);
        self.spools().budget().adjust(now as i64 - before as i64);
    }

    /// Resolves when uploads may have been revoked since the last time. For one who waits.
    pub async fn revoked(&self) {
        self.spools().budget().taken_back().await;
    }

    pub(super) fn spools(&self) -> &SpoolDir {
        &self.0.spools
    }

    /// The same for the tenant that a note names.
    pub(super) fn spools_of(&self, note: &[u8]) -> SpoolDir {
        self.0.spools.of((self.0.tenant_of)(note).as_ref())
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0.folder
    }

    pub(super) fn path(&self, id: u64, file: UploadFile) -> PathBuf {
        self.0.folder.join(format!("{id:016x}.{}", file.as_str()))
    }
}
