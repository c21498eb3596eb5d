//! What all parts of the tier share: the client, the permits, and the way every request goes.

use std::future::Future;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use tokio::time::{Instant, sleep_until};

use super::abilities::{Abilities, Lack};
use super::attempts::Attempts;
use super::clock::StoreClock;
use super::error::{S3Error, S3ErrorKind};
use super::health::{Health, SUSPICION_TIME, Suspicion, Verdict};
use super::notes::MultipartNotes;
use super::object;
use super::permits::{ALL_TAKEN, Permits};
use super::stats::{Counters, Op};
use crate::config::S3Config;
use crate::store::turns::Asker;
use crate::store::{RemoteErrorKind, StoreKey};
use crate::tasks::Tasks;

/// See the module.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) client: Client,
    pub(super) config: S3Config,
    pub(super) permits: Permits,
    pub(super) health: Arc<Health>,
    pub(super) clock: Arc<StoreClock>,
    pub(super) abilities: Abilities,
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

    /// Makes a request for which there is a permit. Found down meanwhile, the server is not waited for.
    pub(super) async fn ask<T, E>(
        self: &Arc<Self>,
        op: Op,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> Result<T, S3Error>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.counters.request(op);
        let attempts = Arc::default();
        let outcome = tokio::select! {
            biased;
            // The futures of the SDK are several KiB.
            outcome = Attempts::count(&attempts, Box::pin(request)) => outcome,
            () = self.health.found_down() => return Err(self.given_up(op, &attempts)),
            // Never resolves.
            () = self.suspect_silence() => return Err(self.resting()),
        };
        self.judge(op, &attempts, outcome)
    }

    /// The same without regard to the health, which it decides; `head` is that the answer has no body.
    pub(super) async fn ask_as_probe<T, E>(
        self: &Arc<Self>,
        head: bool,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> (Result<T, S3Error>, Arc<Attempts>)
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.counters.request(Op::Probe);
        let attempts = Arc::default();
        let outcome = Attempts::count(&attempts, Box::pin(request)).await;
        (outcome.map_err(|error| S3Error::of(&error, head)), attempts)
    }

    /// What the outcome of a request means for it and for the health.
    fn judge<T, E>(
        self: &Arc<Self>,
        op: Op,
        attempts: &Attempts,
        outcome: Result<T, SdkError<E, HttpResponse>>,
    ) -> Result<T, S3Error>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let mut failure = match outcome {
            Ok(_) if op.stores() && self.abilities.sends_ids() && !attempts.has_ids() => {
                let text = "a success without the headers that the store gives to every answer";
                S3Error::new(RemoteErrorKind::NotS3, text)
            }
            Ok(answer) => {
                self.health.success();
                return Ok(answer);
            }
            Err(error) => S3Error::of(&error, op == Op::Head),
        };
        failure.kind = self.in_context(op, attempts, failure.kind);
        match failure.remote_kind() {
            Some(kind) => self.note(kind, &failure.text, failure.answered),
            None => self.health.success(),
        }
        Err(in_doubt(failure, op, attempts))
    }

    /// What an answer means in view of what is known of the store.
    fn in_context(&self, op: Op, attempts: &Attempts, kind: S3ErrorKind) -> S3ErrorKind {
        use RemoteErrorKind::{Denied, NotS3};
        match kind {
            // S3 gives this answer for every missing object when the caller may not list the bucket.
            S3ErrorKind::Remote(Denied)
                if self.config.denied_is_missing && matches!(op, Op::Head | Op::Get) =>
            {
                S3ErrorKind::Missing
            }
            S3ErrorKind::Remote(NotS3) if op == Op::Get && self.abilities.lacks(Lack::Codes) => {
                S3ErrorKind::Missing
            }
            // The answer to a HEAD has no document that could tell.
            S3ErrorKind::Missing if op == Op::Head && self.abilities.sends_ids() && !attempts.has_ids() => {
                S3ErrorKind::Remote(NotS3)
            }
            kind => kind,
        }
    }

    /// The server is down, and is not asked.
    pub(super) fn resting(&self) -> S3Error {
        self.counters.failure(RemoteErrorKind::Resting);
        S3Error::new(RemoteErrorKind::Resting, "not asked")
    }

    /// The server was found down while a request was under way.
    fn given_up(&self, op: Op, attempts: &Attempts) -> S3Error {
        if !op.changes() || !attempts.leave_doubt() {
            return self.resting();
        }
        self.counters.failure(RemoteErrorKind::Timeout);
        let text =
            "the server was found to be down before it answered; what it was asked for may have been done";
        let mut failure = S3Error::new(RemoteErrorKind::Timeout, text);
        failure.answered = false;
        failure
    }

    /// Has the server probed as often as a request waits while nothing else is answered.
    async fn suspect_silence(self: &Arc<Self>) {
        let began = Instant::now();
        loop {
            let since = self.health.last_heard().max(began);
            sleep_until(since + SUSPICION_TIME).await;
            if self.health.last_heard() <= since {
                self.suspect(Suspicion::Silent(since));
                sleep_until(Instant::now() + SUSPICION_TIME).await;
            }
        }
    }

    /// Waits for a permit in the turn of `asker`, and makes a request with it.
    pub(super) async fn call<T, E>(
        self: &Arc<Self>,
        (op, asker): (Op, Asker),
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> Result<T, S3Error>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let _permit = match op.changes() {
            true => self.enter_to_write(asker).await?,
            false => self.enter(asker).await?,
        };
        self.ask(op, request).await
    }

    /// Bounds a look-up, with all its requests, retries and waits, by `s3.lookup_timeout`.
    pub(super) async fn look_up<T>(
        self: &Arc<Self>,
        look: impl Future<Output = Result<T, S3Error>>,
    ) -> Result<T, S3Error> {
        let began = Instant::now();
        let Ok(found) = tokio::time::timeout(self.config.lookup_timeout, look).await else {
            if self.health.last_heard() <= began {
                self.suspect(Suspicion::Silent(began));
            }
            let (used, all) = self.permits.figures();
            let text = if used < all {
                "s3.lookup_timeout is over"
            } else {
                ALL_TAKEN
            };
            return Err(self.fail(RemoteErrorKind::Timeout, text));
        };
        found
    }

    /// An answer that is not what it should be, counted.
    pub(super) fn fail(self: &Arc<Self>, kind: RemoteErrorKind, text: impl Into<String>) -> S3Error {
        let text = text.into();
        self.note(kind, &text, true);
        S3Error::new(kind, text)
    }

    /// Counts a failure, and probes if it says something of the whole server.
    pub(super) fn note(self: &Arc<Self>, kind: RemoteErrorKind, cause: &str, answered: bool) {
        self.counters.failure(kind);
        match self.health.failure(kind, cause, answered) {
            Verdict::Single => {}
            Verdict::Suspicious => self.suspect(Suspicion::Strange),
            Verdict::Down => self.probe_in_background(),
        }
    }
}

/// A change of which an attempt was not answered may have been done, whatever the last answer says.
fn in_doubt(mut failure: S3Error, op: Op, attempts: &Attempts) -> S3Error {
    let is_certain = |kind: RemoteErrorKind| !kind.leaves_doubt();
    if op.changes() && attempts.leave_doubt() && failure.remote_kind().is_some_and(is_certain) {
        failure.kind = S3ErrorKind::Remote(RemoteErrorKind::Timeout);
        failure
            .text
            .push_str("; an attempt before was not answered, and may have been done");
    }
    failure
}
