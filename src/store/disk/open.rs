//! Start: check the directory, take the lock, read the snapshot, start the tasks.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use tokio_util::task::TaskTracker;

use super::boot::BootNote;
use super::core::{DiskCore, DiskCounters, now};
use super::error::DiskOpenError;
use super::evict;
use super::expire;
use super::format::VERSION;
use super::handles::FileHandles;
use super::health::HealthCheck;
use super::identify;
use super::index::Index;
use super::layout::{Layout, SHARD_COUNT, TopName};
use super::look;
use super::private;
use super::records::Records;
use super::recover;
use super::role::DiskRole;
use super::rules::FollowedRules;
use super::shards::{Shards, StartScan};
use super::snapshot::load::SnapshotLoader;
use super::snapshot::{self, Snapshot};
use super::unlink_retry::UnlinkRetry;
use crate::config::{DiskConfig, Durability};
use crate::store::budget::Budget;
use crate::store::lock::{DirLock, LockError};
use crate::store::spool::SpoolDir;
use crate::sys;
use crate::tasks::Tasks;

/// How long writers wait for the scan after an unclean stop: until then the bytes in use are not known.
const SCAN_WAIT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a start reads the snapshot before it answers; it reads on in the background.
const LOAD_FIRST: Duration = Duration::from_millis(200);
/// Most files held open unless configured otherwise.
const DEFAULT_OPEN_FILES: u64 = 4096;

/// Adds to an error of the operating system what was tried where.
fn unusable(role: DiskRole, action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskOpenError {
    move |source| DiskOpenError::Unusable {
        key: role.dir_key(),
        action,
        path: path.to_owned(),
        source,
    }
}

/// See [`super::Disk::open`].
pub(super) async fn open(
    config: &DiskConfig,
    role: DiskRole,
    tasks: &Tasks,
) -> Result<Arc<DiskCore>, DiskOpenError> {
    let (owned, own_tasks) = (config.clone(), tasks.clone());
    let hop = tasks.spawn_blocking(move || prepare(&owned, role, &own_tasks));
    let (core, unread) = hop.await.map_err(|_| DiskOpenError::Stopping)??;
    tasks.spawn(recover::run(Arc::clone(&core), unread));
    tasks.spawn(evict::run(Arc::clone(&core)));
    tasks.spawn(expire::run(Arc::clone(&core)));
    tasks.spawn(snapshot::run(Arc::clone(&core)));
    tasks.spawn(look::run(Arc::clone(&core)));
    tasks.spawn(identify::run(Arc::clone(&core)));
    Ok(core)
}

/// The tier, and what of its snapshot is not read yet.
type PreparedDisk = (Arc<DiskCore>, Option<SnapshotLoader>);

fn prepare(config: &DiskConfig, role: DiskRole, tasks: &Tasks) -> Result<PreparedDisk, DiskOpenError> {
    let layout = Layout::new(config.dir.clone());
    let lock = take_directory(&layout, role)?;
    warn_if_too_large(config, role);
    let budget = Budget::sharing(config.limit, config.min_free, 0, SCAN_WAIT_TIMEOUT);
    let mut index = Index::new(config.memory, open_files(config), Arc::clone(budget.shares()));
    let records = records(&layout, config);
    let (digests, record_bytes) =
        records
            .survey()
            .map_err(unusable(role, "read", &layout.path(TopName::Marks)))?;
    for digest in &digests {
        // Before anything can be evicted. The tier that wrote the record ends this.
        index.pin(digest);
    }
    let note = layout.path(TopName::Boot);
    let durable = config.durability == Durability::Fsync;
    let boot = BootNote::begin(note.clone(), sys::boot_id(), now(), durable);
    let boot = boot.map_err(unusable(role, "write", &note))?;
    let shards = Shards::new();
    let used = overhead(&layout, &shards, role)? + record_bytes;
    let volume = layout
        .root()
        .metadata()
        .map_err(unusable(role, "read", layout.root()))?
        .dev();
    budget.adjust(i64::try_from(used).unwrap_or(i64::MAX));
    let core = Arc::new(DiskCore {
        spools: SpoolDir::new(layout.path(TopName::Tmp), Arc::clone(&budget), tasks.clone()),
        snapshot: Snapshot::new(layout.path(TopName::Index)),
        health: HealthCheck::new(volume),
        rules: FollowedRules::default(),
        records,
        boot,
        layout,
        role,
        shards,
        unlink_retry: UnlinkRetry::default(),
        handles: FileHandles::new(&budget),
        budget,
        tasks: tasks.clone(),
        uploads: Tasks::new(),
        scan: StartScan::new(),
        counters: DiskCounters::default(),
        durability: config.durability,
        min_free: config.min_free,
        memory: config.memory,
        lock,
        stop: tasks.stopping().child_token(),
        closed: AtomicBool::new(false),
        passes: TaskTracker::new(),
        last_generation: AtomicU64::new(now()),
        hot: Arc::clone(index.hot_table()),
        index: RwLock::new(index),
    });
    let until = Some(Instant::now() + LOAD_FIRST);
    let opened = core.open_snapshot();
    let unread = opened.and_then(|loader| core.load_snapshot(loader, until));
    // What is too much already, if the limit was lowered, goes at once.
    core.budget.adjust(0);
    Ok((core, unread))
}

fn records(layout: &Layout, config: &DiskConfig) -> Records {
    Records::new(
        layout.path(TopName::Marks),
        layout.path(TopName::Tmp),
        config.durability == Durability::Fsync,
    )
}

/// Makes the directory ours.
fn take_directory(layout: &Layout, role: DiskRole) -> Result<DirLock, DiskOpenError> {
    let (key, root) = (role.dir_key(), layout.root());
    let path = root.to_owned();
    if root.exists() && !root.is_dir() {
        return Err(DiskOpenError::NotADirectory { key, path });
    }
    if let Some(target) = dangling(root) {
        return Err(DiskOpenError::Dangling { key, path, target });
    }
    role.make(root).map_err(unusable(role, "make", root))?;
    // Before anything is written: a wrong path must stay as it is.
    private::check_names(layout).map_err(unusable(role, "use", root))?;
    let formatted = check_format(layout, role)?;
    let lock = layout.lock();
    let taken = DirLock::take(&lock).map_err(|refused| match refused {
        LockError::Io(source) => unusable(role, "write", &lock)(source),
        LockError::Held(pid) => {
            let lock = lock.clone();
            DiskOpenError::InUse { key, path, lock, pid }
        }
    })?;
    if !formatted {
        role.remove_former(root).map_err(unusable(role, "empty", root))?;
        private::write_format(layout).map_err(unusable(role, "write", &layout.format()))?;
    }
    let (entries, tmp) = (layout.path(TopName::Entries), layout.path(TopName::Tmp));
    sys::create_private_dir(&entries).map_err(unusable(role, "make", &entries))?;
    empty(&tmp).map_err(unusable(role, "empty", &tmp))?;
    Ok(taken)
}

/// Where the path leads, if it is a link to something that does not exist.
fn dangling(path: &Path) -> Option<PathBuf> {
    let target = fs::read_link(path).ok()?;
    let absent = fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    absent.then_some(target)
}

/// Whether the directory is marked as ours. One that is not must hold nothing that would be in the way
/// ([`DiskRole::foreign_name`]).
fn check_format(layout: &Layout, role: DiskRole) -> Result<bool, DiskOpenError> {
    let (key, path, known) = (role.dir_key(), layout.root().to_owned(), VERSION);
    let format = sys::if_exists(fs::read_to_string(layout.format()));
    let format = format
        .map_err(unusable(role, "read", &layout.format()))?
        .unwrap_or_default();
    let found = match format.trim() {
        "" => {
            let foreign = role.foreign_name(&path).map_err(unusable(role, "read", &path))?;
            match foreign {
                Some(found) => format!("\"{found}\""),
                None => return Ok(false),
            }
        }
        format => match format.parse() {
            Ok(VERSION) => return Ok(true),
            Ok(found) => {
                return Err(DiskOpenError::Newer {
                    key,
                    path,
                    found,
                    known,
                });
            }
            Err(_) => "a file named format that is not of this program".into(),
        },
    };
    Err(DiskOpenError::Foreign { key, path, found })
}

/// Removes what an earlier run was writing when it ended.
fn empty(tmp: &Path) -> io::Result<()> {
    sys::if_exists(fs::remove_dir_all(tmp))?;
    sys::create_private_dir(tmp)
}

/// Bytes of everything beside the entries and their folders, foreign files at the top included.
fn overhead(layout: &Layout, shards: &Shards, role: DiskRole) -> Result<u64, DiskOpenError> {
    let root = layout.root();
    let measure = || -> io::Result<u64> {
        let mut bytes = sys::block_bytes(&root.metadata()?);
        for file in fs::read_dir(root)? {
            bytes += sys::block_bytes(&file?.metadata()?);
        }
        for parent in (0..SHARD_COUNT).step_by(256) {
            // It is made when it is needed.
            let grown = shards.measure_parent(layout, parent).unwrap_or(0);
            bytes = bytes.saturating_add_signed(grown);
        }
        Ok(bytes)
    };
    measure().map_err(unusable(role, "read", root))
}

/// How many entries the tier keeps open: `disk.open_files`, or a part of what the process may open.
pub fn open_files(config: &DiskConfig) -> u64 {
    let default = || DEFAULT_OPEN_FILES.min(sys::open_file_limit() / 4);
    config.open_files.map_or_else(default, |files| files as u64)
}

fn warn_if_too_large(config: &DiskConfig, role: DiskRole) {
    if let Some(size) = sys::volume_size(&config.dir)
        && size < config.limit
    {
        tracing::warn!(
            limit = config.limit,
            volume = size,
            "{} is larger than the volume of {}; entries are evicted when the volume is full",
            role.limit_key(),
            role.dir_key()
        );
    }
}
