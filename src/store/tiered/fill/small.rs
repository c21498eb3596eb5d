//! Entries that fit into memory: read and checked as a whole before anybody gets a byte.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::damaged;
use crate::store::remote::{Remote, RemoteOpen};
use crate::store::spool::{Checksums, SpoolDir};
use crate::store::{Meta, Result, Spool, StoreKey};

/// How often a broken transfer is tried again.
const ATTEMPTS: usize = 3;
/// How long a copy waits for room on the disk.
const PATIENCE: Duration = Duration::from_millis(500);

/// All bytes of an entry.
pub(super) async fn read(
    far: &Arc<dyn Remote>,
    key: &StoreKey,
    open: RemoteOpen,
) -> Result<(Arc<Meta>, Bytes)> {
    let meta = Arc::clone(&open.entry.meta);
    let mut bytes = BytesMut::with_capacity(meta.size as usize);
    let mut stream = open.front;
    let mut attempts = 1;
    loop {
        match stream.next().await {
            Some(Ok(more)) => bytes.extend_from_slice(&more),
            None if bytes.len() as u64 >= meta.size => break,
            Some(Err(error)) if attempts >= ATTEMPTS => return Err(error),
            Some(Err(_)) | None => {
                attempts += 1;
                let rest = bytes.len() as u64..meta.size;
                stream = far.read(key, &open.entry, rest).await?;
            }
        }
    }
    let bytes = bytes.freeze();
    if bytes.len() as u64 != meta.size || Checksums::of(&bytes).etag() != meta.etag {
        return Err(damaged(
            "the body does not have the checksum that was stored with it",
        ));
    }
    Ok((meta, bytes))
}

/// The same bytes, ready for the disk; `None` if it has no room now.
pub(super) async fn spool(spools: &SpoolDir, bytes: Bytes) -> Option<Spool> {
    let write = async {
        let mut writer = spools.create(Some(bytes.len() as u64)).await?;
        writer.write(bytes).await?;
        writer.finish().await
    };
    tokio::time::timeout(PATIENCE, write).await.ok()?.ok()
}
