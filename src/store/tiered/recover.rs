//! What an earlier run left, settled by its records.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use super::TieredCore;
use super::queue::ChangeKind;
use super::record::{Former, Intent, KeyRecord, KeyState};
use crate::store::disk::{LeftRecord, Mark};
use crate::store::tagged::TaggedError;
use crate::store::{Digest, Error, Result, StoreKey};

/// Reads what an earlier run left, before anything is served. No body is read here: that happens in the background. What
/// is on the disk is looked at there, too, and before the first change of each key; only marks and damaged records need
/// its trailer at once.
pub(super) async fn recover(core: &Arc<TieredCore>) -> Result<()> {
    let left = core.local.records().await?;
    if left.is_empty() {
        return Ok(());
    }
    tracing::info!(
        changes = left.len(),
        "the shared tier has not heard of some changes of the last run; telling it now"
    );
    let mut marks: BTreeMap<Digest, Vec<LeftRecord>> = BTreeMap::new();
    let mut known = std::collections::HashSet::new();
    for left in left {
        if left.mark.is_some() {
            marks.entry(left.digest).or_default().push(left);
            continue;
        }
        known.insert(left.digest);
        recover_one(core, &left).await?;
    }
    for (digest, marks) in marks {
        // A record that is there already was made of these marks.
        if !known.contains(&digest) {
            recover_marks(core, &digest, &marks).await?;
        }
        for mark in marks.iter().filter_map(|left| left.mark) {
            core.local.clear_mark(&digest, mark).await?;
        }
    }
    Ok(())
}

async fn recover_one(core: &Arc<TieredCore>, left: &LeftRecord) -> Result<()> {
    match KeyRecord::decode(&left.content) {
        Ok(record) if *record.key.digest() == left.digest => add(core, record),
        Err(TaggedError::Newer) => {
            let text = format!(
                "marks/{}.state was written by a newer version of this program; start that one again, or remove \
                 the file and with it a change that the shared tier has not heard of",
                left.digest
            );
            return Err(Error::io(
                "reading the record of a key",
                io::Error::new(io::ErrorKind::Unsupported, text),
            ));
        }
        _ => recover_damaged(core, &left.digest, left.since).await?,
    }
    Ok(())
}

fn add(core: &TieredCore, record: KeyRecord) {
    let KeyRecord { key, state, since } = record;
    match state {
        KeyState::Committing => core.queue.add_local(&key, ChangeKind::Drop),
        KeyState::Deleting => core.queue.add_left(&key, ChangeKind::Delete, since),
        KeyState::Uploading(intent) => core.queue.add_left(&key, ChangeKind::Unresolved(intent), since),
    }
}

/// What is on the disk may be what waits, or older than what the remote tier has: that one counts, if there is one.
async fn recover_damaged(core: &Arc<TieredCore>, digest: &Digest, since: SystemTime) -> Result<()> {
    tracing::warn!(
        entry = digest.short(),
        "the record of an entry is damaged; the shared tier decides about the entry"
    );
    match core.local.identity(digest).await? {
        Some((key, sums)) => {
            let upload = ChangeKind::Upload {
                first: true,
                size: sums.size(),
                etag: Some(sums.etag()),
            };
            core.queue.add_left(&key, upload, since);
        }
        None => {
            core.local.discard(digest).await?;
            core.local.clear_record(digest).await?;
            core.local.unpin(digest);
        }
    }
    Ok(())
}

/// Makes a record of the marks of version 0.1.0.
async fn recover_marks(core: &Arc<TieredCore>, digest: &Digest, marks: &[LeftRecord]) -> Result<()> {
    let of = |mark: Mark| marks.iter().find(|left| left.mark == Some(mark));
    let deleted = of(Mark::Deleted).and_then(|left| StoreKey::from_canonical(&left.content));
    let deleted = deleted.filter(|key| key.digest() == digest);
    let copy = core.local.identity(digest).await?;
    let (state, key) = match (of(Mark::Doubt), of(Mark::Upload), copy, deleted) {
        (Some(_), _, Some((key, _)), _) => (KeyState::Committing, key),
        // A write was marked before the mark of the delete went. A delete was marked after the entry went.
        (None, Some(left), Some((key, sums)), deleted) => {
            let intent = Intent {
                etag: None,
                size: sums.size(),
                after: 0,
                first: left.content == b"first",
                former: if deleted.is_some() {
                    Former::Delete
                } else {
                    Former::Nothing
                },
            };
            (KeyState::Uploading(intent), key)
        }
        (_, _, _, Some(key)) => (KeyState::Deleting, key),
        _ => {
            core.local.unpin(digest);
            return Ok(());
        }
    };
    let since = marks.iter().map(|left| left.since).min();
    let record = KeyRecord {
        since: since.unwrap_or(SystemTime::UNIX_EPOCH),
        ..KeyRecord::new(&key, state)
    };
    core.local.set_record(digest, record.encode()).await?;
    add(core, record);
    Ok(())
}

impl TieredCore {
    /// Finds out what holds for a key that an earlier run was changing. Under the lock of the key.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk cannot be asked. Nothing is changed then.
    pub(super) async fn resolve(&self, digest: &Digest) -> Result<()> {
        let Some(job) = self.queue.job(digest) else {
            return Ok(());
        };
        match &job.kind {
            ChangeKind::Drop => {
                self.local.discard(digest).await?;
                self.finish(&job.key).await;
            }
            ChangeKind::Unresolved(intent) if self.is_there(digest, intent).await? => {
                let upload = ChangeKind::Upload {
                    first: intent.first,
                    size: intent.size,
                    etag: intent.etag.clone(),
                };
                self.queue.resolve(&job, upload);
            }
            ChangeKind::Unresolved(intent) => match intent.former {
                Former::Nothing => self.finish(&job.key).await,
                Former::Upload { first, size } => {
                    let etag = None;
                    self.queue.resolve(&job, ChangeKind::Upload { first, size, etag });
                }
                Former::Delete => self.queue.resolve(&job, ChangeKind::Delete),
            },
            ChangeKind::Upload { .. } | ChangeKind::Delete | ChangeKind::Clear => {}
        }
        Ok(())
    }

    /// Whether the version that was about to be put on the disk is there. One that is damaged is there, too.
    async fn is_there(&self, digest: &Digest, intent: &Intent) -> Result<bool> {
        if self.local.generation(digest).await? <= intent.after {
            return Ok(false);
        }
        let copy = self.local.identity(digest).await?;
        Ok(match (&intent.etag, copy) {
            (Some(meant), Some((_, sums))) => sums.etag() == *meant,
            _ => true,
        })
    }
}
