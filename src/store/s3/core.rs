//! What all parts of the tier share: the client, the permits, and the way every request goes.

use std::future::Future;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{S3Error, S3ErrorKind};
use super::health::{self, Health};
use super::notes::MultipartNotes;
use super::object;
use super::stats::{Counters, Op};
use crate::config::S3Config;
use crate::store::{RemoteErrorKind, StoreKey};
use crate::tasks::{Tasks, pause};

/// The right to one request, and to the stream of its answer.
#[derive(Debug)]
pub(super) struct Permit {
    _one: OwnedSemaphorePermit,
    /// Of those that bodies may have on their way out.
    _sending: Option<OwnedSemaphorePermit>,
}

/// The permits of `s3.max_concurrency`.
#[derive(Debug)]
pub(super) struct Permits {
    all: Arc<Semaphore>,
    /// Three quarters: many parts on their way out must not keep readers waiting.
    sending: Arc<Semaphore>,
    count: usize,
}

impl Permits {
    pub(super) fn new(count: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(count)),
            sending: Arc::new(Semaphore::new((count - count / 4).max(1))),
            count,
        }
    }

    /// How many are taken, and how many there are.
    pub(super) fn figures(&self) -> (usize, usize) {
        let used = self.count.saturating_sub(self.all.available_permits());
        (used, self.count)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) client: Client,
    pub(super) config: S3Config,
    pub(super) permits: Permits,
    pub(super) health: Health,
    pub(super) counters: Counters,
    pub(super) notes: Option<MultipartNotes>,
    pub(super) tasks: Tasks,
}

impl Core {
    pub(super) fn name(&self, key: &StoreKey) -> String {
        object::name(&self.config.object_prefix(), key)
    }

    pub(super) fn bucket(&self) -> &str {
        &self.config.bucket
    }

    /// Waits for a permit, unless the server is given a rest.
    ///
    /// # Errors
    /// [`RemoteErrorKind::Resting`] at once; [`RemoteErrorKind::Timeout`] if all permits stay taken.
    pub(super) async fn enter(&self) -> Result<Permit, S3Error> {
        self.refuse_at_rest()?;
        let waiting = Arc::clone(&self.permits.all).acquire_owned();
        match tokio::time::timeout(self.config.idle_timeout, waiting).await {
            Ok(Ok(one)) => Ok(Permit {
                _one: one,
                _sending: None,
            }),
            _ => {
                // The server is not to blame.
                self.counters.failure(RemoteErrorKind::Timeout);
                let text = "all of s3.max_concurrency requests are under way";
                Err(S3Error::new(RemoteErrorKind::Timeout, text))
            }
        }
    }

    /// The same for a body on its way out, which waits as long as others before it are being sent.
    ///
    /// # Errors
    /// [`RemoteErrorKind::Resting`].
    pub(super) async fn enter_to_send(&self) -> Result<Permit, S3Error> {
        self.refuse_at_rest()?;
        let closed = |_| S3Error::new(RemoteErrorKind::Other, "the server is shutting down");
        let sending = Arc::clone(&self.permits.sending).acquire_owned();
        let sending = sending.await.map_err(closed)?;
        let one = Arc::clone(&self.permits.all).acquire_owned();
        let one = one.await.map_err(closed)?;
        // That took a while.
        self.refuse_at_rest()?;
        Ok(Permit {
            _one: one,
            _sending: Some(sending),
        })
    }

    fn refuse_at_rest(&self) -> Result<(), S3Error> {
        if !self.health.is_resting() {
            return Ok(());
        }
        self.counters.failure(RemoteErrorKind::Resting);
        Err(S3Error::new(RemoteErrorKind::Resting, "not asked"))
    }

    /// Makes a request for which there is a permit.
    pub(super) async fn ask<T, E>(
        self: &Arc<Self>,
        op: Op,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> Result<T, S3Error>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.counters.request(op);
        // The futures of the SDK are several KiB.
        let mut failure = match Box::pin(request).await {
            Ok(answer) => {
                self.health.success();
                return Ok(answer);
            }
            Err(error) => S3Error::of(&error),
        };
        if self.config.denied_is_missing
            && failure.remote_kind() == Some(RemoteErrorKind::Denied)
            && matches!(op, Op::Head | Op::Get)
        {
            // S3 gives this answer for every missing object when the caller may not list the bucket.
            failure.kind = S3ErrorKind::Missing;
        }
        match failure.remote_kind() {
            Some(kind) => self.note(kind, &failure.text, failure.answered),
            None => self.health.success(),
        }
        Err(failure)
    }

    /// Waits for a permit, and makes a request with it.
    pub(super) async fn call<T, E>(
        self: &Arc<Self>,
        op: Op,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> Result<T, S3Error>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let _permit = self.enter().await?;
        self.ask(op, request).await
    }

    /// An answer that is not what it should be, counted.
    pub(super) fn fail(self: &Arc<Self>, kind: RemoteErrorKind, text: impl Into<String>) -> S3Error {
        let text = text.into();
        self.note(kind, &text, true);
        S3Error::new(kind, text)
    }

    /// Counts a failure; if it is one too many, probes from now on.
    fn note(self: &Arc<Self>, kind: RemoteErrorKind, cause: &str, answered: bool) {
        self.counters.failure(kind);
        if self.health.failure(kind, cause, answered) {
            let core = Arc::clone(self);
            drop(self.tasks.spawn(async move { core.probe_until_up().await }));
        }
    }

    /// A small request that tells whether the server can be used: for an object that is never there, with
    /// GET, because the answer to a HEAD has no code.
    pub(super) async fn probe(self: &Arc<Self>) -> Result<(), S3Error> {
        let request = self
            .client
            .get_object()
            .bucket(self.bucket())
            .key(format!("{}probe", self.config.object_prefix()))
            .range("bytes=0-0");
        match self.ask(Op::Probe, request.send()).await {
            Ok(_) => Ok(()),
            Err(failure) => match failure.remote_kind() {
                None => Ok(()),
                Some(RemoteErrorKind::Denied) if self.config.denied_is_missing => Ok(()),
                Some(_) => Err(failure),
            },
        }
    }

    async fn probe_until_up(self: Arc<Self>) {
        let stopping = self.tasks.stopping();
        while self.health.is_resting() {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = pause(health::PROBE_INTERVAL) => {}
            }
            let outcome = tokio::select! {
                () = stopping.cancelled() => return,
                outcome = self.probe() => outcome,
            };
            // An answer that concerns this object only comes from a server that works.
            let answered = match &outcome {
                Ok(()) => true,
                Err(failure) => {
                    failure.answered && !failure.remote_kind().is_some_and(health::speaks_of_the_server)
                }
            };
            if answered {
                self.health.success();
            }
        }
    }
}
