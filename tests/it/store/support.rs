//! A directory with a tier in it that can be closed, crashed and opened again; and plain verbs.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use chacha::config::{DiskConfig, Durability};
use chacha::store::disk::{Disk, DiskOpenError};
use chacha::store::spool::SpoolDir;
use chacha::store::{
    Content, Draft, Error, Meta, Metadata, Origin, Precondition, Protocol, Rank, Result, Spool, Store,
    StoreKey, Tenancy, Tenant,
};
use chacha::tasks::Tasks;
use futures_util::StreamExt;

pub(crate) use crate::support::wait::{TEST_TIMEOUT, until};

pub(crate) const KIB: usize = 1024;
pub(crate) const MIB: usize = 1024 * KIB;

/// A tier in a temporary directory.
pub(crate) struct Rig {
    pub(crate) disk: Arc<Disk>,
    pub(crate) config: DiskConfig,
    tasks: Tasks,
    _dir: Option<tempfile::TempDir>,
}

/// The files below a directory; removed with it.
pub(crate) fn config(dir: &Path, limit: usize) -> DiskConfig {
    DiskConfig {
        dir: dir.join("cache"),
        limit: limit as u64,
        min_free: 0,
        durability: Durability::Relaxed,
        memory: 4 << 20,
        open_files: Some(64),
        revalidate_after: None,
    }
}

impl Rig {
    pub(crate) async fn new(limit: usize) -> Self {
        Self::with(limit, |_| {}).await
    }

    pub(crate) async fn with(limit: usize, change: impl FnOnce(&mut DiskConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path(), limit);
        change(&mut config);
        let (disk, tasks) = open(&config).await.unwrap();
        let _dir = Some(dir);
        Self {
            disk,
            config,
            tasks,
            _dir,
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.config.dir
    }

    /// Closes the tier and opens it again.
    pub(crate) async fn restart(self) -> Self {
        self.disk.close().await;
        self.crash().await
    }

    /// Stops everything without closing the tier, and opens it again.
    pub(crate) async fn crash(self) -> Self {
        let (dir, config) = self.stop().await;
        Self::reopen(dir, config).await
    }

    pub(crate) async fn stop(mut self) -> (Option<tempfile::TempDir>, DiskConfig) {
        self.tasks.finish().await;
        let dir = self._dir.take();
        let lock = Arc::downgrade(&self.disk);
        let config = self.config.clone();
        drop(self);
        assert_eq!(lock.strong_count(), 0, "somebody still holds the tier");
        (dir, config)
    }

    pub(crate) async fn reopen(dir: Option<tempfile::TempDir>, config: DiskConfig) -> Self {
        let (disk, tasks) = open_when_free(&config).await;
        Self {
            disk,
            config,
            tasks,
            _dir: dir,
        }
    }

    pub(crate) async fn put(&self, name: &str, bytes: &[u8]) -> Arc<Meta> {
        put(&*self.disk, &self.disk.spools(), &key(name), bytes)
            .await
            .unwrap()
    }

    pub(crate) async fn get(&self, name: &str) -> Option<Bytes> {
        get(&*self.disk, &key(name)).await
    }

    /// The only file of an entry.
    pub(crate) fn file_of(&self, name: &str) -> PathBuf {
        let mut files = files_of(self.dir(), name);
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }
}

pub(crate) async fn open(config: &DiskConfig) -> Result<(Arc<Disk>, Tasks), DiskOpenError> {
    let tasks = Tasks::new();
    let disk = Disk::open(config, &tasks).await?;
    Ok((disk, tasks))
}

/// A child process that another test starts holds every lock until it executes its program.
pub(crate) async fn open_when_free(config: &DiskConfig) -> (Arc<Disk>, Tasks) {
    let deadline = std::time::Instant::now() + TEST_TIMEOUT;
    loop {
        match open(config).await {
            Err(DiskOpenError::InUse { .. }) if std::time::Instant::now() < deadline => {}
            other => return other.unwrap(),
        }
    }
}

pub(crate) fn key(name: &str) -> StoreKey {
    StoreKey::new(
        "https://issuer".into(),
        "tenant".into(),
        Protocol::Http,
        name.as_bytes(),
    )
}

pub(crate) fn draft() -> Draft {
    Draft {
        origin: Origin {
            issuer: "https://issuer".into(),
            subject: "job".into(),
            stored: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            tenancy: Tenant::new("https://issuer", "42", Some("7")).map(|tenant| Tenancy {
                tenant,
                rank: Rank::Pushed,
            }),
        },
        metadata: Metadata::default(),
    }
}

/// Bytes that differ for every seed and at every offset.
pub(crate) fn body(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) async fn spool(spools: &SpoolDir, bytes: &[u8]) -> Result<Spool> {
    spool_as(spools, bytes, Some(bytes.len() as u64), 50_000).await
}

pub(crate) async fn spool_as(
    spools: &SpoolDir,
    bytes: &[u8],
    expected: Option<u64>,
    piece: usize,
) -> Result<Spool> {
    write_spool(&own(spools), bytes, expected, piece).await
}

/// Spools of the tenant that [`draft`] names.
pub(crate) fn own(spools: &SpoolDir) -> SpoolDir {
    spools.of(draft().origin.tenancy.map(|tenancy| tenancy.tenant).as_ref())
}

/// A body for whomever the spools are.
pub(crate) async fn write_spool(
    spools: &SpoolDir,
    bytes: &[u8],
    expected: Option<u64>,
    piece: usize,
) -> Result<Spool> {
    let mut writer = spools.create(expected).await?;
    for piece in bytes.chunks(piece) {
        writer.write(Bytes::copy_from_slice(piece)).await?;
    }
    assert_eq!(writer.written(), bytes.len() as u64);
    writer.finish().await
}

pub(crate) async fn put(
    store: &dyn Store,
    spools: &SpoolDir,
    key: &StoreKey,
    bytes: &[u8],
) -> Result<Arc<Meta>> {
    put_if(store, spools, key, bytes, Precondition::None).await
}

pub(crate) async fn put_if(
    store: &dyn Store,
    spools: &SpoolDir,
    key: &StoreKey,
    bytes: &[u8],
    precondition: Precondition,
) -> Result<Arc<Meta>> {
    let body = spool(spools, bytes).await?;
    let stored = store.put(key, draft(), body, precondition).await?;
    Ok(stored.meta)
}

pub(crate) async fn get(store: &dyn Store, key: &StoreKey) -> Option<Bytes> {
    let entry = store.get(key).await.unwrap()?;
    let bytes = read(entry.content).await.unwrap();
    assert_eq!(entry.meta.size, bytes.len() as u64);
    Some(bytes)
}

pub(crate) async fn read(content: Content) -> std::io::Result<Bytes> {
    let mut pieces = content.pieces();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes.into())
}

pub(crate) fn is_precondition<T>(outcome: &Result<T>) -> bool {
    matches!(outcome, Err(Error::Precondition))
}

/// What `du` says, in bytes. Files may go while it looks.
pub(crate) fn du(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else {
        return 0;
    };
    let mut bytes = metadata.blocks() * 512;
    if metadata.is_dir() {
        for file in std::fs::read_dir(path).into_iter().flatten().flatten() {
            bytes += du(&file.path());
        }
    }
    bytes
}

/// All entry files below a directory.
pub(crate) fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![path.join("entries")];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match file.path().is_dir() {
                true => folders.push(file.path()),
                false => found.push(file.path()),
            }
        }
    }
    found
}

pub(crate) fn files_of(dir: &Path, name: &str) -> Vec<PathBuf> {
    let digest = key(name).digest().to_string();
    let all = files(dir).into_iter();
    all.filter(|path| path.to_str().unwrap().replace('/', "").contains(&digest))
        .collect()
}

pub(crate) fn temporary_files(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("tmp")).unwrap().count()
}
