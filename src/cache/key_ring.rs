//! The keys of tickets and of messages between servers. All servers of a bucket seal with the same one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::time::Instant;

use super::AgreedKeyFile;
use crate::auth::{MessageSealer, Sealer, SigningKey, Ticket, TicketError};
use crate::error::chain;
use crate::store::Result;
use crate::store::shared::SharedObjects;
use crate::tasks::{Tasks, pause};

/// The object in the bucket that holds the shared key.
const SHARED_KEY_NAME: &str = "signing-key";
/// The shared key is written again after this time, because a lifecycle rule may remove old objects.
const REWRITE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// Time between two looks whether the key is still there.
const CHECK_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Time between two attempts to agree on the shared key.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Seals with the newest key, and opens with all keys that were in use since the start. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KeyRing(Arc<ArcSwap<Vec<RingKey>>>);

/// One key for each purpose, all from one secret.
#[derive(Debug, Clone)]
struct RingKey {
    tickets: Sealer,
    messages: MessageSealer,
}

impl RingKey {
    fn new(key: &SigningKey) -> Self {
        Self {
            tickets: Sealer::new(key),
            messages: MessageSealer::new(key),
        }
    }
}

impl KeyRing {
    /// A ring with this key.
    pub fn new(key: &SigningKey) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(vec![RingKey::new(key)])))
    }

    /// A ring with this key, and a former one that opens and never seals.
    pub fn with_former(key: &SigningKey, former: Option<&SigningKey>) -> Self {
        let keys = [Some(key), former].into_iter().flatten().map(RingKey::new);
        Self(Arc::new(ArcSwap::from_pointee(keys.collect())))
    }

    /// How often the key has changed.
    pub(super) fn changes(&self) -> usize {
        self.0.load().len() - 1
    }

    /// See [`MessageSealer::seal`].
    pub(super) fn seal_message(&self, context: &[u8], payload: &[u8]) -> Vec<u8> {
        // Never empty.
        self.0.load()[0].messages.seal(context, payload)
    }

    /// See [`MessageSealer::open`].
    pub(super) fn open_message(&self, context: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        let keys = self.0.load();
        keys.iter().find_map(|key| key.messages.open(context, message))
    }

    /// See [`Sealer::seal`].
    pub(super) fn seal(&self, payload: &[u8], expires: SystemTime) -> Ticket {
        // Never empty.
        self.0.load()[0].tickets.seal(payload, expires)
    }

    /// See [`Sealer::open`].
    ///
    /// # Errors
    /// No key of the ring opens it.
    pub(super) fn open(&self, ticket: &Ticket, now: SystemTime) -> Result<Vec<u8>, TicketError> {
        let mut outcome = Err(TicketError::Forged);
        for key in self.0.load().iter() {
            outcome = key.tickets.open(ticket, now);
            if !matches!(outcome, Err(TicketError::Forged)) {
                break;
            }
        }
        outcome
    }

    /// Agrees on a key with the other servers of the bucket, in the background: the first server's key counts.
    /// Until then URLs are good on this server only. What was agreed on once stays. The returned future resolves after
    /// the first attempt, and after [`RETRY_INTERVAL`] at the latest.
    pub fn share(
        &self,
        shared: Arc<dyn SharedObjects>,
        (own, agreed, file): (SigningKey, Option<SigningKey>, AgreedKeyFile),
        tasks: &Tasks,
    ) -> impl Future<Output = ()> + use<> {
        let (tried, first) = tokio::sync::oneshot::channel::<()>();
        let (this, stopping) = (self.clone(), tasks.stopping());
        if let Some(agreed) = agreed.as_ref().filter(|agreed| **agreed != own) {
            self.put_first(agreed);
        }
        let mut agreement = Agreement {
            shared,
            own,
            is_kept: agreed.is_some(),
            agreed,
            file,
            written: None,
            tasks: tasks.clone(),
        };
        drop(tasks.spawn(async move {
            let keeping = this.keep_shared(&mut agreement, tried);
            stopping.run_until_cancelled(keeping).await;
        }));
        async move {
            let _tried = tokio::time::timeout(RETRY_INTERVAL, first).await;
        }
    }

    async fn keep_shared(&self, agreement: &mut Agreement, tried: tokio::sync::oneshot::Sender<()>) {
        let mut tried = Some(tried);
        loop {
            let pausing = match agreement.look().await {
                Ok(None) => CHECK_INTERVAL,
                Ok(Some(common)) => {
                    self.put_first(&common);
                    CHECK_INTERVAL
                }
                Err(error) => {
                    tracing::debug!("the key for URLs is not agreed on yet: {}", chain(&error));
                    RETRY_INTERVAL
                }
            };
            // Dropping the sender resolves the future of `share`.
            tried.take();
            pause(pausing).await;
        }
    }

    fn put_first(&self, key: &SigningKey) {
        self.0.rcu(|keys| {
            let mut all = vec![RingKey::new(key)];
            all.extend(keys.iter().cloned());
            all
        });
    }
}

/// What this server does about the key in the bucket.
struct Agreement {
    shared: Arc<dyn SharedObjects>,
    own: SigningKey,
    agreed: Option<SigningKey>,
    /// Whether the file has it.
    is_kept: bool,
    file: AgreedKeyFile,
    /// When the object was written last.
    written: Option<Instant>,
    tasks: Tasks,
}

impl Agreement {
    /// Looks at the key in the bucket. Answers a key that was agreed on just now, if it is not the server's own.
    async fn look(&mut self) -> Result<Option<SigningKey>> {
        if let Some(agreed) = self.agreed.clone() {
            self.keep(&agreed).await;
            self.insist(&agreed).await?;
            return Ok(None);
        }
        let Some(common) = self.agree().await? else {
            return Ok(None);
        };
        self.agreed = Some(common.clone());
        self.keep(&common).await;
        Ok((common != self.own).then_some(common))
    }

    /// Sees to it that the file has the key that was agreed on.
    async fn keep(&mut self, agreed: &SigningKey) {
        if self.is_kept {
            return;
        }
        let (file, key) = (self.file.clone(), agreed.clone());
        match self.tasks.spawn_blocking(move || file.save(&key)).await {
            Ok(Ok(())) => self.is_kept = true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the file server/agreed-key cannot be written; check the disk");
            }
            Err(_) => tracing::debug!("the file server/agreed-key was not written"),
        }
    }

    /// The key in the bucket; our own is written there if there is none. `None` if what is there is no key.
    async fn agree(&mut self) -> Result<Option<SigningKey>> {
        let found = loop {
            if self.shared.create(SHARED_KEY_NAME, bytes(&self.own)).await? {
                self.written = Some(Instant::now());
                return Ok(Some(self.own.clone()));
            }
            match self.shared.get(SHARED_KEY_NAME).await? {
                Some(found) => break found,
                // It was removed in between.
                None => pause(RETRY_INTERVAL).await,
            }
        };
        let common = SigningKey::from_bytes(&found);
        match &common {
            Some(common) => self.write(common).await?,
            None => tracing::warn!(
                "the object signing-key in the bucket is no key; remove it, so that servers can agree on one"
            ),
        }
        Ok(common)
    }

    /// Sees to it that the bucket has the key that was agreed on.
    async fn insist(&mut self, agreed: &SigningKey) -> Result<()> {
        let found = self.shared.get(SHARED_KEY_NAME).await?;
        let is_there = found.as_deref() == Some(agreed.as_bytes());
        if found.is_some() && !is_there {
            tracing::warn!(
                "the object signing-key in the bucket was replaced; this server keeps to the key that was agreed on, \
                 and puts it back. Look who may write to the bucket, and set signing_key_file. If another key is \
                 wanted: stop all servers, remove the object and server/agreed-key in the directory of each, start them"
            );
        }
        let is_fresh = |written: Instant| written.elapsed() < REWRITE_INTERVAL;
        match is_there && self.written.is_some_and(is_fresh) {
            true => Ok(()),
            false => self.write(agreed).await,
        }
    }

    async fn write(&mut self, key: &SigningKey) -> Result<()> {
        self.shared.put(SHARED_KEY_NAME, bytes(key)).await?;
        self.written = Some(Instant::now());
        Ok(())
    }
}

fn bytes(key: &SigningKey) -> Bytes {
    Bytes::copy_from_slice(key.as_bytes())
}

#[cfg(test)]
mod tests;
