//! Where spools are made.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Checksums;
use crate::store::budget::{Ask, BLOCK_BYTES, Budget, Owner, Reservation, whole_blocks};
use crate::store::memory::MemoryAccount;
use crate::store::shares::TenantHandle;
use crate::store::{Asker, Error, Result, Tenant};
use crate::sys;
use crate::tasks::Tasks;

/// Room beside the body that is reserved for a trailer of the usual size, in bytes.
const TRAILER_BYTES: u64 = 4096;
/// Room for the folders that one more file may need or enlarge, in bytes.
pub(crate) const FOLDER_BYTES: u64 = 2 * BLOCK_BYTES;

/// Makes spools in the directory of one tier. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SpoolDir {
    inner: Arc<SpoolDirInner>,
    /// For whom it takes room.
    owner: Owner,
}

#[derive(Debug)]
struct SpoolDirInner {
    path: PathBuf,
    budget: Arc<Budget>,
    memory: MemoryAccount,
    tasks: Tasks,
    last_name: AtomicU64,
    /// Files that exist now.
    files: AtomicUsize,
    /// The most files that ever existed at once, in steps of [`NAMES_PER_FOLDER_BLOCK`].
    most: AtomicUsize,
    folder_bytes: AtomicU64,
}

/// Memory for what waits there, in bytes, until somebody sets another limit.
const DEFAULT_MEMORY_BYTES: u64 = 96 << 20;

/// So many new names fit into a block of a folder: the folder is measured again after as many.
const NAMES_PER_FOLDER_BLOCK: usize = 64;

impl SpoolDir {
    /// Spools in the empty folder `path`, accounted in `budget`.
    pub(crate) fn new(path: PathBuf, budget: Arc<Budget>, tasks: Tasks) -> Self {
        let folder_bytes = folder_bytes(&path).into();
        let owner = Owner::tenant(TenantHandle::new(budget.shares(), None));
        let inner = SpoolDirInner {
            path,
            budget,
            memory: MemoryAccount::new(DEFAULT_MEMORY_BYTES),
            tasks,
            last_name: AtomicU64::new(0),
            files: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            folder_bytes,
        };
        let inner = Arc::new(inner);
        Self { inner, owner }
    }

    /// The same for bodies of this tenant, in whose share they count; of nobody who is known if it is `None`.
    #[must_use]
    pub fn of(&self, tenant: Option<&Tenant>) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            owner: Owner::tenant(TenantHandle::new(self.inner.budget.shares(), tenant)),
        }
    }

    /// The largest body in bytes that can ever be stored.
    pub fn capacity(&self) -> u64 {
        // The room for trailer and folders of the largest body bounds that of every smaller one.
        let largest = self.inner.budget.largest();
        largest.saturating_sub(room_for(largest) - largest)
    }

    /// # Errors
    /// [`Error::TooLarge`] if a body of `size` bytes can never fit.
    pub(crate) fn check_size(&self, size: u64) -> Result<()> {
        let limit = self.capacity();
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        Ok(())
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.inner.budget
    }

    /// In whose name bodies are written.
    pub(crate) fn asker(&self) -> Asker {
        self.owner.asker()
    }

    /// Reserves `bytes` for its tenant. See [`Budget::reserve_for`].
    pub(crate) async fn reserve(&self, bytes: u64, ask: Ask) -> Result<Reservation> {
        self.inner.budget.reserve_for(&self.owner, bytes, ask).await
    }

    /// Bytes that its tenant has on the volume already.
    pub(crate) fn hold(&self, bytes: u64) -> Reservation {
        self.inner.budget.hold(&self.owner, bytes)
    }

    /// # Errors
    /// [`Error::NoSpace`] if a body of `size` bytes is more than what is free and what its tenant may push out.
    pub(crate) fn check_share(&self, size: u64) -> Result<()> {
        self.inner.budget.check_share(&self.owner, whole_blocks(size))
    }

    /// The share of its tenant in bytes.
    pub(crate) fn share(&self) -> Option<u64> {
        let tenant = self.owner.number()?;
        Some(self.inner.budget.shares().table().share(tenant))
    }

    /// The account of what waits in memory.
    pub fn memory(&self) -> &MemoryAccount {
        &self.inner.memory
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.inner.tasks
    }

    /// A path that no other file had, not even in an earlier run.
    pub(super) fn next_path(&self) -> PathBuf {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_micros() as u64);
        let next = |last: u64| now.max(last + 1);
        let last = (self.inner.last_name)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        self.inner.path.join(format!("{:016x}", last.map_or(now, next)))
    }

    /// Blocking: makes the folder again after it was removed from outside.
    pub(super) fn make_again(&self) -> std::io::Result<()> {
        sys::create_private_dir(&self.inner.path)
    }

    /// Blocking: counts a new file, and what the folder grows by it.
    pub(super) fn file_made(&self) {
        let files = self.inner.files.fetch_add(1, Ordering::Relaxed) + 1;
        let most = self.inner.most.load(Ordering::Relaxed);
        if files < most + NAMES_PER_FOLDER_BLOCK {
            return;
        }
        self.inner.most.store(files, Ordering::Relaxed);
        let now = folder_bytes(&self.inner.path);
        let before = self.inner.folder_bytes.swap(now, Ordering::Relaxed);
        self.inner.budget.adjust(now as i64 - before as i64);
    }

    /// A file is gone or has become an entry.
    pub(super) fn file_gone(&self) {
        self.inner.files.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Room in bytes for a body of `body` bytes with all that belongs to it: trailer, folders, and the
/// blocks in which a volume keeps the map of a large file.
pub(crate) fn room_for(body: u64) -> u64 {
    let table = body.div_ceil(Checksums::BLOCK_BYTES) * 8;
    let map = if body > Checksums::BLOCK_BYTES {
        (1 + (body >> 27)) * BLOCK_BYTES
    } else {
        0
    };
    whole_blocks(body + table + TRAILER_BYTES) + map + FOLDER_BYTES
}

fn folder_bytes(path: &Path) -> u64 {
    path.metadata()
        .map_or(BLOCK_BYTES, |metadata| sys::block_bytes(&metadata))
}
