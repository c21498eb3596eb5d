//! How far the scan of the start has come.

use std::sync::atomic::{AtomicBool, AtomicU64};

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::layout::{SHARD_COUNT, shard_of};
use crate::store::Digest;

/// See the module.
#[derive(Debug)]
pub(super) struct StartScan {
    pub(super) shards: Box<[OnceCell<()>]>,
    /// Set when the scan has ended, whatever came of it.
    pub(super) done: CancellationToken,
    /// Whether it has seen everything; only then is the index the whole truth.
    pub(super) complete: AtomicBool,
    pub(super) added: AtomicU64,
    pub(super) removed: AtomicU64,
}

impl StartScan {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARD_COUNT).map(|_| OnceCell::new()).collect(),
            done: CancellationToken::new(),
            complete: AtomicBool::new(false),
            added: AtomicU64::new(0),
            removed: AtomicU64::new(0),
        }
    }

    /// Whether everything on the disk under this digest is in the index.
    pub(super) fn knows(&self, digest: &Digest) -> bool {
        self.shards[shard_of(digest)].initialized()
    }
}
