//! The revoked job tokens, where the next start and the other servers find them: one file on the disk, and with a bucket one
//! object for each, which all servers list every few seconds.
//!
//! One task does all of it. What is in force here and not kept yet is kept with its next turn, also what somebody has
//! removed from the bucket.

mod file;
mod objects;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use self::file::RevokedFile;
use self::objects::RevokedObjects;
use crate::auth::{MessageSealer, NotKeptError, Revocation, RevocationKeeper, RevokedTokens, seconds_now};
use crate::error::chain;
use crate::store::disk::Disk;
use crate::store::shared::SharedObjects;
use crate::tasks::{Tasks, pause};

/// A start waits this long for the first look.
const START_TIMEOUT: Duration = Duration::from_secs(2);
/// The one who revokes waits this long.
const KEEP_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests that may wait.
const MAX_WAITING: usize = 256;

/// What is needed to keep them.
#[derive(Debug)]
pub struct RevocationParts {
    /// The file.
    pub file: PathBuf,
    /// The disk that it is a part of.
    pub disk: Arc<Disk>,
    /// The bucket, if there is one.
    pub objects: Option<Arc<dyn SharedObjects>>,
    /// The first seals what lies in the bucket, all of them open.
    pub sealers: Vec<MessageSealer>,
    /// The list in memory.
    pub revoked: RevokedTokens,
    /// Between two looks at what the other servers have revoked.
    pub interval: Duration,
}

/// Keeps them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Revocations(mpsc::Sender<KeepRequest>);

#[derive(Debug)]
struct KeepRequest {
    revocation: Revocation,
    kept: oneshot::Sender<bool>,
}

impl Revocations {
    /// Reads what is kept, and goes on in the background. Waits two seconds at most: until all was read, nothing is known.
    pub async fn open(parts: RevocationParts, tasks: &Tasks) -> Self {
        let (sender, requests) = mpsc::channel(MAX_WAITING);
        let (first, read) = oneshot::channel();
        let stopping = tasks.stopping();
        let objects = parts
            .objects
            .map(|objects| RevokedObjects::new(objects, parts.sealers));
        let keeping = Keeping {
            file: RevokedFile::new(parts.file, parts.disk),
            objects,
            revoked: parts.revoked,
            interval: parts.interval,
            saved: None,
        };
        drop(tasks.spawn(async move {
            stopping.run_until_cancelled(keeping.run(requests, first)).await;
        }));
        let _late = timeout(START_TIMEOUT, read).await;
        Self(sender)
    }
}

#[async_trait]
impl RevocationKeeper for Revocations {
    async fn keep(&self, revocation: Revocation) -> Result<(), NotKeptError> {
        let (kept, answer) = oneshot::channel();
        let request = KeepRequest { revocation, kept };
        self.0.try_send(request).map_err(|_| NotKeptError)?;
        match timeout(KEEP_TIMEOUT, answer).await {
            Ok(Ok(true)) => Ok(()),
            _ => Err(NotKeptError),
        }
    }
}

/// What the task works with.
struct Keeping {
    file: RevokedFile,
    objects: Option<RevokedObjects>,
    revoked: RevokedTokens,
    interval: Duration,
    /// The generation of the list that is in the file; `None` if that cannot be read.
    saved: Option<u64>,
}

impl Keeping {
    async fn run(mut self, mut requests: mpsc::Receiver<KeepRequest>, first: oneshot::Sender<()>) {
        let mut first = Some(first);
        let is_loaded = self.load().await;
        loop {
            // Forgets those whose tokens have ended: they take room from others.
            self.revoked.take([], seconds_now());
            if is_loaded && self.look().await {
                self.revoked.note_read();
            }
            // Dropping the sender resolves the future of `open`.
            first.take();
            let mut next = std::pin::pin!(pause(self.interval));
            loop {
                tokio::select! {
                    () = &mut next => break,
                    request = requests.recv() => match request {
                        Some(request) => self.keep(request).await,
                        None => return,
                    }
                }
            }
        }
    }

    /// `false` if the file cannot be read: then nobody knows what was revoked.
    async fn load(&mut self) -> bool {
        match self.file.load().await {
            Ok(found) => {
                self.revoked.take(found, seconds_now());
                // Not the generation of now: somebody may have revoked a token meanwhile.
                self.saved = Some(0);
                true
            }
            Err(error) => {
                tracing::warn!(
                    %error,
                    "the file server/revoked cannot be read, so all job tokens are refused; if it is damaged, remove it and \
                     start again: what was revoked on this server alone is forgotten then"
                );
                false
            }
        }
    }

    /// Looks what others have revoked, and keeps what is not kept. Whether all that is kept was seen.
    async fn look(&mut self) -> bool {
        let looked = match &mut self.objects {
            None => Ok(()),
            Some(objects) => objects.look(&self.revoked, seconds_now()).await,
        };
        self.save().await;
        if let Err(error) = &looked {
            // The tier logs errors that matter.
            tracing::debug!(
                cause = chain(error),
                "the revoked tokens in the bucket cannot be read"
            );
        }
        looked.is_ok()
    }

    async fn keep(&mut self, KeepRequest { revocation, kept }: KeepRequest) {
        let is_saved = self.save().await;
        let is_put = match &mut self.objects {
            None => true,
            Some(objects) => objects.put(&revocation).await.is_ok(),
        };
        // Who asked may have left.
        let _gone = kept.send(is_saved && is_put);
    }

    /// A file that could not be read is left as it is, for its operator.
    async fn save(&mut self) -> bool {
        let generation = self.revoked.generation();
        match self.saved {
            None => return false,
            Some(saved) if saved == generation => return true,
            Some(_) => {}
        }
        match self.file.save(self.revoked.all()).await {
            Ok(()) => {
                self.saved = Some(generation);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the file server/revoked cannot be written; check the disk");
                false
            }
        }
    }
}
