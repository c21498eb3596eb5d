//! Whether a server of S3 is there.
//!
//! A probe is one GET of a small object, with a range: the answer tells S3 from everything else that may sit at an
//! address, because the object is ours, or because S3 says that it is missing in words of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout};

use super::abilities::Lack;
use super::client;
use super::core::Core;
use super::error::{S3Error, S3ErrorKind};
use super::health::{self, MAX_PATIENCE, PROBE_INTERVAL, SUSPICION_TIME, Suspicion};
use super::object;
use crate::store::{RemoteErrorKind, RemoteHealth};
use crate::tasks::pause;

/// The object, below the prefix. No entry has a name like it.
pub(super) const NAME: &str = "probe";
pub(super) const BODY: &[u8] = b"Chacha asks for this to see what the store can do.\n";
/// The header that says whose it is.
pub(super) const HEADER: &str = "chacha-probe";
/// What a probe asks for.
const RANGE: &str = "bytes=7-10";
const RANGE_BYTES: i64 = 4;
/// How often silence is looked at.
const TICK: Duration = Duration::from_millis(250);
/// Probes at once while the server is down: each may wait for a connection that is dead.
const MAX_PROBES: usize = 10;

/// What the object told.
#[derive(Debug)]
pub(super) struct ProbeObject {
    pub(super) is_ranged: bool,
    pub(super) has_etag: bool,
}

impl Core {
    pub(super) fn get_object(&self, name: &str) -> GetObjectFluentBuilder {
        let name = self.shared_name(name);
        self.client.get_object().bucket(self.bucket()).key(name)
    }

    /// One request; `None`: the object is not there. An error, also [`RemoteErrorKind::NotS3`], unless a server of S3
    /// has answered.
    pub(super) async fn probe(self: &Arc<Self>, patience: Duration) -> Result<Option<ProbeObject>, S3Error> {
        let timeouts = client::for_probe(&self.config, patience);
        let request = self
            .get_object(NAME)
            .range(RANGE)
            .customize()
            .config_override(timeouts);
        let failure = match self.ask_as_probe(false, request.send()).await.0 {
            Ok(answer) => return ours(answer, self.config.idle_timeout).await.map(Some),
            Err(failure) => failure,
        };
        match failure.kind {
            S3ErrorKind::Missing => Ok(None),
            S3ErrorKind::Remote(RemoteErrorKind::Denied) if self.config.denied_is_missing => Ok(None),
            S3ErrorKind::Remote(RemoteErrorKind::NotS3) if self.abilities.lacks(Lack::Codes) => Ok(None),
            // A server that does not know ranges; or an object of others that is short.
            S3ErrorKind::Unsupported | S3ErrorKind::OutOfRange => {
                match self.ask_as_probe(false, self.get_object(NAME).send()).await.0 {
                    Ok(whole) => ours(whole, self.config.idle_timeout).await.map(Some),
                    Err(failure) if failure.kind == S3ErrorKind::Missing => Ok(None),
                    Err(failure) => Err(failure),
                }
            }
            _ => Err(failure),
        }
    }

    /// The server may be one that cannot be used: a probe decides.
    pub(super) fn suspect(self: &Arc<Self>, why: Suspicion) {
        if self.health.is_resting() || !self.health.begin_probe(why) {
            return;
        }
        let core = Arc::clone(self);
        drop(self.tasks.spawn(async move {
            let stopping = core.tasks.stopping();
            let down = tokio::select! {
                () = stopping.cancelled() => false,
                down = core.decide(why) => down,
            };
            let again = core.health.end_probe();
            if down {
                core.probe_in_background();
            } else if again {
                core.suspect(Suspicion::Strange);
            }
        }));
    }

    /// Probes once; `true` if that has opened the circuit.
    async fn decide(self: &Arc<Self>, why: Suspicion) -> bool {
        let began = Instant::now();
        let (mut since, mut silence) = match why {
            Suspicion::Silent(since) => (since, since.elapsed().min(2 * SUSPICION_TIME)),
            Suspicion::Strange => (began, Duration::ZERO),
        };
        let probe = self.probe(MAX_PATIENCE);
        tokio::pin!(probe);
        loop {
            let tick = Instant::now();
            tokio::select! {
                biased;
                outcome = &mut probe => {
                    if why == Suspicion::Strange && outcome.is_ok() {
                        // Answers without headers of S3's own are no sign, here.
                        self.abilities.set_ids(false);
                    }
                    return self.settle_probe(began, outcome);
                }
                () = pause(TICK) => {}
            }
            let heard = self.health.last_heard();
            if heard > since {
                (since, silence) = (heard, Duration::ZERO);
            }
            // A machine that was too busy to look has not heard silence.
            silence += tick.elapsed().min(2 * TICK);
            if silence >= self.health.patience() {
                let text = "nothing was answered for 5 s or longer";
                return self.health.open(RemoteErrorKind::Timeout, text);
            }
        }
    }

    /// What the outcome of a probe that was begun at `began` says; `true` if that has opened the circuit.
    fn settle_probe(self: &Arc<Self>, began: Instant, outcome: Result<Option<ProbeObject>, S3Error>) -> bool {
        let failure = match outcome {
            Ok(_) => {
                self.health.took(began.elapsed());
                self.health.usable();
                return false;
            }
            Err(failure) => failure,
        };
        let kind = failure.remote_kind().unwrap_or(RemoteErrorKind::Other);
        self.counters.failure(kind);
        if health::speaks_of_the_server(kind) || !failure.answered && kind != RemoteErrorKind::Timeout {
            return self.health.open(kind, &failure.text);
        }
        if failure.answered {
            // It concerns this object only, or asks for patience: the server works.
            self.health.took(began.elapsed());
            self.health.usable();
        }
        false
    }

    /// Probes until the server can be used.
    pub(super) fn probe_in_background(self: &Arc<Self>) {
        let core = Arc::clone(self);
        drop(self.tasks.spawn(async move {
            let stopping = core.tasks.stopping();
            tokio::select! {
                () = stopping.cancelled() => {}
                () = core.probe_until_up() => {}
            }
        }));
    }

    async fn probe_until_up(self: &Arc<Self>) {
        self.probe_while_down().await;
        if !self.abilities.are_known() {
            // The start could not.
            let _logged = self.examine(MAX_PATIENCE).await;
        }
    }

    async fn probe_while_down(self: &Arc<Self>) {
        let mut probes = FuturesUnordered::new();
        while matches!(self.health.now(), RemoteHealth::Down { .. }) {
            tokio::select! {
                Some((began, outcome)) = probes.next() => {
                    let _still_down = self.settle_probe(began, outcome);
                }
                () = pause(PROBE_INTERVAL) => {
                    if probes.len() < MAX_PROBES {
                        probes.push(async { (Instant::now(), self.probe(MAX_PATIENCE).await) });
                    }
                }
            }
        }
    }
}

/// Looks at what was answered to a GET of the object.
async fn ours(answer: GetObjectOutput, idle: Duration) -> Result<ProbeObject, S3Error> {
    let has_etag = answer.e_tag.as_deref().is_some_and(object::is_strong);
    let is_ranged = answer.content_range.is_some() && answer.content_length == Some(RANGE_BYTES);
    let is_short = answer
        .content_length
        .is_some_and(|length| length <= BODY.len() as i64);
    if !is_short || !is_marked(answer.metadata.as_ref()) {
        return Err(not_s3("it answers with something else than what is asked for"));
    }
    match timeout(idle, answer.body.collect()).await {
        Ok(Ok(_)) => Ok(ProbeObject { is_ranged, has_etag }),
        Ok(Err(error)) => Err(S3Error::new(RemoteErrorKind::Damaged, error.to_string())),
        Err(_) => Err(S3Error::new(
            RemoteErrorKind::Timeout,
            "the probe does not arrive",
        )),
    }
}

fn is_marked(headers: Option<&HashMap<String, String>>) -> bool {
    headers.is_some_and(|headers| headers.keys().any(|name| name.eq_ignore_ascii_case(HEADER)))
}

/// Something else answers.
pub(super) fn not_s3(text: &str) -> S3Error {
    S3Error::new(RemoteErrorKind::NotS3, text)
}
