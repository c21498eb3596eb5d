//! What the start finds out about the store: the object of the probe is written if it is not there, and what reads and
//! writes rely on is tried.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::config::Builder;
use bytes::Bytes;
use tokio::time::Instant;

use super::abilities::Lack;
use super::client;
use super::core::Core;
use super::error::{S3Error, S3ErrorKind};
use super::health::{self, MAX_PATIENCE};
use super::probe::{BODY, HEADER, NAME, ProbeObject, not_s3};
use super::upload::encryption;
use crate::store::RemoteErrorKind;

/// The name of an object that is never there.
const MISSING: &str = "probe-missing";

impl Core {
    /// Finds out what is there and what it can do. Says so to the health, and to [`super::abilities`]. Waits for the
    /// first answer for `patience`.
    pub(super) async fn examine(self: &Arc<Self>, patience: Duration) -> Result<(), S3Error> {
        let began = Instant::now();
        let outcome = self.examine_now(patience).await;
        let Err(failure) = &outcome else {
            self.health.usable();
            return outcome;
        };
        let kind = failure.remote_kind().unwrap_or(RemoteErrorKind::Other);
        self.counters.failure(kind);
        let is_silent = kind == RemoteErrorKind::Timeout
            && began.elapsed() >= self.health.patience()
            && self.health.last_heard() < began;
        // Nobody needs to find it out once more.
        if (is_silent || health::speaks_of_the_server(kind)) && self.health.open(kind, &failure.text) {
            self.probe_in_background();
        }
        outcome
    }

    async fn examine_now(self: &Arc<Self>, patience: Duration) -> Result<(), S3Error> {
        let first = match self.probe(patience).await {
            Ok(Some(object)) => return self.learn(object).await,
            Err(failure) if failure.remote_kind() != Some(RemoteErrorKind::NotS3) => return Err(failure),
            other => other,
        };
        // Missing, or not to be told from missing by the answer alone: what was written can be read from a store.
        if let Err(refused) = self.write_probe(false).await {
            // At least reads work.
            let kind = refused.remote_kind().unwrap_or(RemoteErrorKind::Other);
            return first.map(|_missing| self.note(kind, &refused.text, true));
        }
        match self.probe(MAX_PATIENCE).await? {
            Some(object) => self.learn(object).await,
            None => Err(not_s3("what was written is not there")),
        }
    }

    /// Notes what the store can do, which has given us our object.
    async fn learn(self: &Arc<Self>, object: ProbeObject) -> Result<(), S3Error> {
        let abilities = &self.abilities;
        abilities.set(Lack::Etags, !object.has_etag);
        abilities.set(Lack::Ranges, !object.is_ranged);
        self.learn_of_missing().await;
        let request = self.get_object(NAME).if_match("\"0\"").customize();
        let request = request.config_override(self.patiently()).send();
        let read = self.ask_as_probe(false, request).await.0.map(drop);
        if let Some(lacking) = lacks_condition(&read) {
            abilities.set(Lack::ReadConditions, lacking);
        }
        if let Some(lacking) = lacks_condition(&self.write_probe(true).await) {
            abilities.set(Lack::WriteConditions, lacking);
        }
        abilities.set_known();
        Ok(())
    }

    /// How the store says that there is no object.
    async fn learn_of_missing(self: &Arc<Self>) {
        let request = self.get_object(MISSING).customize();
        let request = request.config_override(self.patiently());
        let (answer, _) = self.ask_as_probe(false, request.send()).await;
        match answer.map_err(|failure| failure.kind) {
            Err(S3ErrorKind::Missing) => self.abilities.set(Lack::Codes, false),
            Err(S3ErrorKind::Remote(RemoteErrorKind::NotS3)) => self.abilities.miss(Lack::Codes),
            _ => {}
        }
        let name = self.shared_name(MISSING);
        let request = self
            .client
            .head_object()
            .bucket(self.bucket())
            .key(name)
            .customize();
        let request = request.config_override(self.patiently());
        let (answer, attempts) = self.ask_as_probe(true, request.send()).await;
        let is_missing = answer.is_err_and(|failure| failure.kind == S3ErrorKind::Missing);
        self.abilities.set_ids(is_missing && attempts.has_ids());
    }

    /// A store that is slow has answered already: it is waited for.
    fn patiently(&self) -> Builder {
        client::for_write(&self.config, 0)
    }

    async fn write_probe(self: &Arc<Self>, if_absent: bool) -> Result<(), S3Error> {
        let request = self
            .client
            .put_object()
            .bucket(self.bucket())
            .key(self.shared_name(NAME))
            .metadata(HEADER, "1")
            .set_if_none_match(if_absent.then(|| "*".to_owned()))
            .set_server_side_encryption(encryption(&self.config))
            .set_ssekms_key_id(self.config.sse_kms_key_id.clone())
            .content_length(BODY.len() as i64)
            .body(Bytes::from_static(BODY).into())
            .customize()
            .config_override(self.patiently());
        self.ask_as_probe(false, request.send()).await.0.map(drop)
    }
}

/// Whether the answer to a condition that does not hold shows that conditions are not understood; `None` if it shows
/// nothing.
fn lacks_condition(answer: &Result<(), S3Error>) -> Option<bool> {
    match answer {
        Ok(()) => Some(true),
        Err(failure) => match failure.kind {
            S3ErrorKind::Precondition | S3ErrorKind::Conflict => Some(false),
            S3ErrorKind::Unsupported => Some(true),
            _ => None,
        },
    }
}
