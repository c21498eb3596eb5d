//! Large objects: parts that are sent in parallel, then put together.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_s3::operation::upload_part::UploadPartOutput;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::WriteCondition;
use super::body::ObjectBody;
use crate::store::RemoteErrorKind;
use crate::store::s3::client;
use crate::store::s3::core::Core;
use crate::store::s3::error::{S3Error, S3ErrorKind};
use crate::store::s3::stats::Op;
use crate::store::turns::Asker;
use crate::tasks::pause;

/// The most parts that S3 takes.
pub(super) const MAX_PARTS: u64 = 10_000;
/// Parts are whole MiB.
const PART_UNIT_BYTES: u64 = 1 << 20;
/// Between two attempts to abort an upload, and how many there are.
pub(in crate::store::s3) const ABORT_INTERVAL: Duration = Duration::from_secs(30);
const MAX_ABORTS: usize = 20;
/// How long a stop waits for the name of an upload that is being begun.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// S3 refuses shorter parts, except for the last one, in bytes.
const MIN_PART_BYTES: u64 = 5 << 20;

/// Length of the parts of an object of `length` bytes: as configured, or longer if they would be too many.
pub(super) fn part_length(length: u64, configured: u64) -> u64 {
    let needed = length.div_ceil(MAX_PARTS).div_ceil(PART_UNIT_BYTES) * PART_UNIT_BYTES;
    needed.max(configured).max(MIN_PART_BYTES)
}

/// The ranges of the parts, in order.
fn ranges(length: u64, part: u64) -> impl Iterator<Item = (i32, Range<u64>)> {
    let count = length.div_ceil(part).min(MAX_PARTS);
    (0..count).map(move |nth| {
        let start = nth * part;
        // At most 10,000.
        (nth as i32 + 1, start..(start + part).min(length))
    })
}

/// A multipart upload. Dropped before it is put together, it is aborted in the background.
pub(super) struct MultipartUpload {
    core: Arc<Core>,
    name: String,
    id: String,
    asker: Asker,
    /// What S3 has, by number.
    done: Mutex<BTreeMap<i32, CompletedPart>>,
    finished: bool,
}

impl MultipartUpload {
    /// Begins an upload of the object with this name with this user metadata, and notes it. All of it goes in the turn
    /// of the asker.
    pub(super) async fn begin(
        core: &Arc<Core>,
        object: (&str, Asker),
        headers: HashMap<String, String>,
    ) -> Result<Self, S3Error> {
        let parts = Self::create(core, object, headers).await?;
        if let Some(notes) = &core.notes {
            notes.note(&parts.name, &parts.id).await;
        }
        Ok(parts)
    }

    /// Sends all parts of an object that S3 does not have yet; `length` is that of each, in bytes.
    pub(super) async fn send_rest(&self, source: &ObjectBody, length: u64) -> Result<(), S3Error> {
        let missing: Vec<_> = {
            let done = self.done();
            let all = ranges(source.len(), length);
            all.filter(|(number, _)| !done.contains_key(number)).collect()
        };
        let sending = missing
            .into_iter()
            .map(|(number, range)| self.send_one(source, number, range));
        stream::iter(sending)
            .buffer_unordered(self.core.config.parallel_parts)
            .try_collect()
            .await
    }

    fn done(&self) -> MutexGuard<'_, BTreeMap<i32, CompletedPart>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs in a task of its own: when the caller is dropped meanwhile, the answer is still read, and the upload that
    /// it names is aborted.
    async fn create(
        core: &Arc<Core>,
        (name, asker): (&str, Asker),
        headers: HashMap<String, String>,
    ) -> Result<Self, S3Error> {
        let config = &core.config;
        let request = core
            .client
            .create_multipart_upload()
            .bucket(core.bucket())
            .key(name)
            .set_metadata(Some(headers))
            .set_storage_class(super::storage_class(config))
            .set_server_side_encryption(super::encryption(config))
            .set_ssekms_key_id(config.sse_kms_key_id.clone())
            .customize()
            .config_override(client::for_write(config, 0));
        let (core, name) = (Arc::clone(core), name.to_owned());
        let tasks = core.tasks.clone();
        let begun = tasks.spawn(async move {
            let answer = tokio::select! {
                answer = core.call((Op::CreateUpload, asker), request.send()) => answer?,
                () = given_up(&core) => return Err(stopping()),
            };
            let id = answer.upload_id.ok_or_else(|| {
                S3Error::new(RemoteErrorKind::Damaged, "the answer has no name of the upload")
            })?;
            Ok(Self {
                core,
                name,
                id,
                asker,
                done: Mutex::default(),
                finished: false,
            })
        });
        begun.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// Sends `range` of the source as the part with this number.
    pub(super) async fn send_one(
        &self,
        source: &ObjectBody,
        number: i32,
        range: Range<u64>,
    ) -> Result<(), S3Error> {
        let length = range.end - range.start;
        let permit = self.core.enter_to_send(self.asker).await?;
        let request = self
            .core
            .client
            .upload_part()
            .bucket(self.core.bucket())
            .key(&self.name)
            .upload_id(&self.id)
            .part_number(number)
            .content_length(length as i64)
            .body(source.request(range))
            .customize()
            .config_override(client::for_write(&self.core.config, length));
        let answer = self.core.ask(Op::UploadPart, request.send()).await?;
        drop(permit);
        self.core.counters.bytes_out.inc_by(length);
        let part = completed(&self.core, number, answer)?;
        self.done().insert(number, part);
        Ok(())
    }

    /// Puts the object together if `rule` holds. Answers the ETag of S3, if the answer has one.
    pub(super) async fn complete(&self, rule: &WriteCondition) -> Result<Option<String>, S3Error> {
        let whole = CompletedMultipartUpload::builder()
            .set_parts(Some(self.done().values().cloned().collect()))
            .build();
        let request = self
            .core
            .client
            .complete_multipart_upload()
            .bucket(self.core.bucket())
            .key(&self.name)
            .upload_id(&self.id)
            .multipart_upload(whole)
            .set_if_match(rule.if_match())
            .set_if_none_match(rule.if_none_match())
            .customize()
            .config_override(client::for_assembly(&self.core.config));
        let step = (Op::CompleteUpload, self.asker);
        let answer = self.core.call(step, request.send()).await?;
        Ok(answer.e_tag)
    }

    /// Nothing is left to abort.
    pub(super) fn finish(mut self) {
        self.finished = true;
        if let Some(notes) = &self.core.notes {
            notes.forget(&self.id);
        }
    }
}

/// Resolves some time after the server began to stop: a bucket that does not answer must not keep it.
async fn given_up(core: &Core) {
    core.tasks.stopping().cancelled().await;
    pause(STOP_TIMEOUT).await;
}

fn stopping() -> S3Error {
    S3Error::new(RemoteErrorKind::Other, "the server is shutting down")
}

/// A part as the last request names it. An upload that was begun with checksums wants those of its parts
/// back.
fn completed(core: &Arc<Core>, number: i32, answer: UploadPartOutput) -> Result<CompletedPart, S3Error> {
    let no_etag = || {
        let text =
            "the answer to a part of an upload has no ETag: the store takes no body that goes in parts";
        core.fail(RemoteErrorKind::Damaged, text)
    };
    Ok(CompletedPart::builder()
        .part_number(number)
        .e_tag(answer.e_tag.ok_or_else(no_etag)?)
        .set_checksum_crc32(answer.checksum_crc32)
        .set_checksum_crc32_c(answer.checksum_crc32_c)
        .set_checksum_crc64_nvme(answer.checksum_crc64_nvme)
        .set_checksum_sha1(answer.checksum_sha1)
        .set_checksum_sha256(answer.checksum_sha256)
        .build())
}

impl Drop for MultipartUpload {
    fn drop(&mut self) {
        if self.finished || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let (core, asker) = (Arc::clone(&self.core), self.asker);
        let (name, id) = (std::mem::take(&mut self.name), std::mem::take(&mut self.id));
        let tasks = self.core.tasks.clone();
        drop(tasks.spawn(async move { abort(&core, asker, (&name, &id)).await }));
    }
}

/// Aborts an upload; tries for a while, or until the server stops: its note is found at the next start.
async fn abort(core: &Arc<Core>, asker: Asker, upload: (&str, &str)) {
    let stopping = core.tasks.stopping();
    for _ in 0..MAX_ABORTS {
        let settled = tokio::select! {
            settled = settle(core, asker, upload) => settled,
            () = given_up(core) => return,
        };
        if settled {
            return;
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = pause(ABORT_INTERVAL) => {}
        }
    }
}

/// Aborts an upload, given by name of the object and id, and forgets its note; `false` if that is worth another attempt.
pub(in crate::store::s3) async fn settle(core: &Arc<Core>, asker: Asker, upload: (&str, &str)) -> bool {
    let (name, id) = upload;
    match abort_once(core, asker, upload).await {
        Ok(()) => {}
        // Another attempt would get the same answer.
        Err(failure) if failure.remote_kind() == Some(RemoteErrorKind::Denied) => {
            tracing::info!(
                object = name,
                cause = failure.text,
                "cannot abort a multipart upload"
            );
        }
        Err(_) => return false,
    }
    if let Some(notes) = &core.notes {
        notes.forget(id);
    }
    true
}

/// Aborts an upload; one that is gone already is no failure.
pub(in crate::store::s3) async fn abort_once(
    core: &Arc<Core>,
    asker: Asker,
    (name, id): (&str, &str),
) -> Result<(), S3Error> {
    let request = core
        .client
        .abort_multipart_upload()
        .bucket(core.bucket())
        .key(name)
        .upload_id(id)
        .customize()
        .config_override(client::for_write(&core.config, 0));
    match core.call((Op::AbortUpload, asker), request.send()).await {
        Ok(_) => Ok(()),
        Err(failure) if matches!(failure.kind, S3ErrorKind::NoUpload | S3ErrorKind::Missing) => Ok(()),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn parts_grow_before_they_are_too_many() {
        assert_eq!(part_length(20 * MIB, 5 * MIB), 5 * MIB);
        assert_eq!(part_length(50_000 * MIB, 5 * MIB), 5 * MIB);
        assert_eq!(part_length(50_000 * MIB + 1, 5 * MIB), 6 * MIB);
        for length in [8 * MIB + 1, 50_000 * MIB + 1, 5 << 40] {
            let part = part_length(length, 8 * MIB);
            assert!(length.div_ceil(part) <= MAX_PARTS && part <= 5 << 30);
            assert!(part.is_multiple_of(MIB));
        }
    }

    #[test]
    fn ranges_cover_everything_once() {
        for length in [1, 5 * MIB, 5 * MIB + 1, 23 * MIB - 1] {
            let mut at = 0;
            for (nth, (number, range)) in ranges(length, 5 * MIB).enumerate() {
                assert_eq!((number, range.start), (nth as i32 + 1, at));
                at = range.end;
            }
            assert_eq!(at, length);
        }
    }
}
