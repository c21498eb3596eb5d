//! Sends parts of a body to the remote tier while the others arrive ([`crate::store::early`]).
//!
//! A part is sent when all its bytes were written at one place in the data file, on the guess that their blocks
//! become complete and stay there. When the body is put together, the guess is held against it ([`progress`]); one part that is something
//! else makes all of them void. Nobody waits for any of this before then, and then only a while for parts that are
//! under way. A part that fails ends it.

mod progress;

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::progress::{PartProgress, ProgressChange};
use super::block::Segment;
use crate::store::budget::FileHold;
use crate::store::content::EntryFile;
use crate::store::remote::{EarlyUploadTask, RemoteParts};
use crate::store::spool::fresh;
use crate::store::turns::FairPermit;
use crate::store::{Content, EarlyUpload, Error, FileRange, Result, UploadedParts};

/// Parts of one upload that are under way at once.
const MAX_PARTS_IN_FLIGHT: usize = 3;
/// How long a commit waits for parts that are under way.
const COMMIT_WAIT_TIMEOUT: Duration = Duration::from_secs(5);

/// See the module. Dropped, what was sent is removed from the remote tier.
#[derive(Debug)]
pub(super) struct PartSender {
    shared: Arc<SenderShared>,
    sending: Mutex<Option<EarlyUploadTask>>,
    stop: DropGuard,
}

impl PartSender {
    /// For an upload that has nothing yet, whose data file will be at `path`.
    pub(super) fn new(upload: EarlyUpload, path: PathBuf, hold: Arc<FileHold>) -> Self {
        let stop = upload.tasks().stopping().child_token();
        Self {
            shared: Arc::new(SenderShared {
                progress: Mutex::new(PartProgress::new(upload.part_size())),
                changed: Notify::new(),
                closed: CancellationToken::new(),
                stop: stop.clone(),
                path,
                hold,
                upload,
            }),
            sending: Mutex::default(),
            stop: stop.drop_guard(),
        }
    }

    /// The block in the data file that begins at `at` is complete, with all its bytes told before. Never waits.
    pub(super) fn arrived(&self, at: u64, number: u32) {
        self.shared.progress().complete(at, number);
    }

    /// These bytes of a block in the data file were written. Never waits.
    pub(super) fn grew(&self, bytes: Range<u64>) {
        let change = self.shared.progress().grow(bytes);
        match change {
            ProgressChange::None => {}
            ProgressChange::Begin => {
                let sending = self.shared.upload.tasks().spawn(send(Arc::clone(&self.shared)));
                *self.sending() = Some(sending);
            }
            ProgressChange::More => self.shared.changed.notify_one(),
            ProgressChange::Void => self.shared.stop.cancel(),
        }
    }

    /// Begins no further part. What was sent, if it is part of the body with these segments.
    pub(super) fn close(self, body: &[Segment]) -> Option<UploadedParts> {
        let fits = {
            let mut progress = self.shared.progress();
            progress.close();
            progress.fits(body)
        };
        self.shared.closed.cancel();
        let sending = self.sending().take()?;
        fits.then(|| UploadedParts::new(sending, self.stop))
    }

    /// Ends it, and waits until its task is gone, and with it the open data file.
    pub(super) async fn end(self) {
        self.shared.stop.cancel();
        let sending = self.sending().take();
        if let Some(sending) = sending {
            // What it has sent is dropped here at the latest.
            let _ended = sending.await;
        }
    }

    fn sending(&self) -> MutexGuard<'_, Option<EarlyUploadTask>> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the upload and the task share.
#[derive(Debug)]
struct SenderShared {
    upload: EarlyUpload,
    path: PathBuf,
    hold: Arc<FileHold>,
    progress: Mutex<PartProgress>,
    /// A part became ready.
    changed: Notify,
    /// No further part is begun.
    closed: CancellationToken,
    /// Nothing of it is wanted any more.
    stop: CancellationToken,
}

/// The task: ends with the parts that were sent, or with nothing.
async fn send(shared: Arc<SenderShared>) -> Option<Box<dyn RemoteParts>> {
    let sent = shared.stop.run_until_cancelled(shared.run()).await;
    let error = match sent? {
        Ok(parts) => return parts,
        Err(error) => error,
    };
    shared.progress().close();
    let error = &error as &dyn std::error::Error;
    tracing::debug!(error, "an upload is not sent ahead any more");
    None
}

impl SenderShared {
    fn progress(&self) -> MutexGuard<'_, PartProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self) -> Result<Option<Box<dyn RemoteParts>>> {
        let file = self.open().await?;
        let Some(parts) = self.closed.run_until_cancelled(self.upload.begin()).await else {
            return Ok(None);
        };
        let parts = parts?;
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = self.closed.cancelled() => break,
                Some(sent) = under_way.next() => sent?,
                (slot, part) = self.next(), if under_way.len() < MAX_PARTS_IN_FLIGHT => {
                    under_way.push(self.send_one(&*parts, &file, slot, part));
                }
            }
        }
        let rest = async {
            while let Some(sent) = under_way.next().await {
                sent?;
            }
            Ok(())
        };
        // What hangs is sent again with the rest of the body.
        tokio::time::timeout(COMMIT_WAIT_TIMEOUT, rest)
            .await
            .unwrap_or(Ok(()))?;
        drop(under_way);
        Ok(Some(parts))
    }

    async fn open(&self) -> Result<Arc<dyn EntryFile>> {
        let (path, hold) = (self.path.clone(), Arc::clone(&self.hold));
        let hop = self
            .upload
            .tasks()
            .spawn_blocking(move || hold.open(|| File::open(path)));
        let opened = hop.await.map_err(|_| Error::Stopping)?;
        let file = opened.map_err(|error| Error::io("opening a file of an upload", error))?;
        Ok(fresh(&Arc::new(file)))
    }

    /// The next part, and the right to send it.
    async fn next(&self) -> (FairPermit, u64) {
        loop {
            while !self.progress().is_ready() {
                self.changed.notified().await;
            }
            let slot = self.upload.slot().await;
            if let Some(part) = self.progress().begin() {
                return (slot, part);
            }
        }
    }

    async fn send_one(
        &self,
        parts: &dyn RemoteParts,
        file: &Arc<dyn EntryFile>,
        slot: FairPermit,
        part: u64,
    ) -> Result<()> {
        let length = self.upload.part_size();
        let (start, end) = (part * length, (part + 1) * length);
        let bytes = FileRange::whole(Arc::clone(file), end).slice(start..end);
        // The remote tier refuses too many parts.
        let number = u32::try_from(part + 1).unwrap_or(u32::MAX);
        parts.part(number, Content::File(bytes)).await?;
        drop(slot);
        Ok(())
    }
}
