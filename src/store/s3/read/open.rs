//! The description of an object, alone or with the beginning of the body.

use std::sync::Arc;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use futures_util::{FutureExt, StreamExt, stream};

use super::{FoundObject, ObjectHead, length_of, of_stream, parse_range, until_whole, untold};
use crate::store::s3::abilities::Lack;
use crate::store::s3::client;
use crate::store::s3::core::Core;
use crate::store::s3::error::{S3Error, S3ErrorKind};
use crate::store::s3::object::{self, ObjectForm};
use crate::store::s3::stats::Op;
use crate::store::s3::stream::Body;
use crate::store::source::SourceOpen;
use crate::store::trailer::{self, EntryError};
use crate::store::{RemoteErrorKind, Result, StoreKey};

/// Objects with a trailer up to this length are read as a whole to find it, in bytes.
const MAX_WHOLE_BYTES: u64 = 256 * 1024;

impl Core {
    /// The object of an entry, without its body, for a reader.
    pub(in crate::store::s3) async fn describe(
        self: &Arc<Self>,
        key: &StoreKey,
    ) -> Result<Option<FoundObject>, S3Error> {
        until_whole(|| self.describe_once(key, false), |seen| seen.entry.is_ok()).await
    }

    /// The same for a writer, who waits for it as for everything else of the write.
    pub(in crate::store::s3) async fn describe_to_write(
        self: &Arc<Self>,
        key: &StoreKey,
    ) -> Result<Option<FoundObject>, S3Error> {
        until_whole(|| self.describe_once(key, true), |seen| seen.entry.is_ok()).await
    }

    async fn describe_once(
        self: &Arc<Self>,
        key: &StoreKey,
        to_write: bool,
    ) -> Result<Option<FoundObject>, S3Error> {
        let request = self
            .client
            .head_object()
            .bucket(self.bucket())
            .key(self.name(key));
        let (permit, answer) = match to_write {
            true => {
                let permit = self.enter_to_write(key.asker()).await?;
                let request = request
                    .customize()
                    .config_override(client::for_write(&self.config, 0));
                (permit, self.ask(Op::Head, request.send()).await)
            }
            false => {
                let permit = self.enter(key.asker()).await?;
                (permit, self.ask(Op::Head, request.send()).await)
            }
        };
        let permit = Arc::new(permit);
        let head = match answer {
            Err(failure) if failure.kind == S3ErrorKind::Missing => return Ok(None),
            other => other?,
        };
        let tag = object::tag(head.e_tag.as_deref(), head.metadata.as_ref());
        let tag = tag.ok_or_else(|| untold(self))?;
        let modified = head.last_modified.filter(|_| !object::is_of_parts(&tag));
        let head = ObjectHead {
            tag,
            length: length_of(head.content_length)?,
            headers: head.metadata,
            modified: modified.and_then(|modified| self.clock.by_ours(&modified)),
        };
        Ok(Some(FoundObject {
            upload: object::upload_of(head.headers.as_ref()),
            entry: self.entry_of(key, &head, &permit).await?,
            tag: head.tag,
        }))
    }

    /// See [`crate::store::source::EntrySource::open`].
    pub(in crate::store::s3) async fn open(
        self: &Arc<Self>,
        key: &StoreKey,
    ) -> Result<Option<SourceOpen>, S3Error> {
        let opened = match until_whole(|| self.open_once(key), Result::is_ok).await {
            // The connection broke before the first byte.
            Err(failure) if failure.remote_kind() == Some(RemoteErrorKind::Other) => {
                until_whole(|| self.open_once(key), Result::is_ok).await?
            }
            other => other?,
        };
        opened.transpose().map_err(|flaw| self.flawed(flaw))
    }

    async fn open_once(
        self: &Arc<Self>,
        key: &StoreKey,
    ) -> Result<Option<Result<SourceOpen, EntryError>>, S3Error> {
        let permit = Arc::new(self.enter(key.asker()).await?);
        let Some(mut answer) = self.front(key).await? else {
            return Ok(None);
        };
        let length = length_of(answer.content_length)?;
        let tag = object::tag(answer.e_tag.as_deref(), answer.metadata.as_ref());
        let head = ObjectHead {
            tag: tag.ok_or_else(|| untold(self))?,
            length: self.whole_of(&answer, length)?,
            headers: answer.metadata.take(),
            modified: None,
        };
        let mut body = self.body(answer, length, &permit);
        body.begin().await.map_err(of_stream)?;
        let form = object::form_of(key, head.headers.as_ref());
        if form == Ok(ObjectForm::Trailer) && head.length == length && length <= MAX_WHOLE_BYTES {
            return open_short(key, &head, body).await.map(Some);
        }
        let entry = self.entry_of(key, &head, &permit).await?;
        Ok(Some(entry.map(|entry| {
            // All of it from a store that does not know ranges.
            let given = entry.meta.size.min(length);
            SourceOpen {
                meta: entry.meta,
                version: entry.version,
                first: body.stream(given),
                length: given,
            }
        })))
    }

    /// The length of the object of which `length` bytes from the beginning on were given.
    fn whole_of(self: &Arc<Self>, answer: &GetObjectOutput, length: u64) -> Result<u64, S3Error> {
        let range = answer.content_range.as_deref();
        match (range, parse_range(range)) {
            (None, _) => Ok(length),
            (_, Some((range, whole))) if range == (0..length) => Ok(whole),
            _ => Err(self.fail(RemoteErrorKind::Damaged, "the answer has another range")),
        }
    }

    /// The first part of an object.
    async fn front(self: &Arc<Self>, key: &StoreKey) -> Result<Option<GetObjectOutput>, S3Error> {
        let part = self.config.part_size;
        let answer = match self.get(key, None, Some(0..part)).await {
            // An empty object has no first byte.
            Err(failure) if failure.kind == S3ErrorKind::OutOfRange => {
                let whole = self.get(key, None, None).await;
                if matches!(&whole, Ok(answer) if answer.content_length.is_some_and(|length| length > 0)) {
                    self.abilities.miss(Lack::Ranges);
                }
                whole
            }
            other => other,
        };
        match answer {
            Ok(answer) => {
                let is_whole = answer.content_range.is_none();
                if is_whole && answer.content_length.is_some_and(|length| length > part as i64) {
                    self.abilities.miss(Lack::Ranges);
                }
                Ok(Some(answer))
            }
            Err(failure) if failure.kind == S3ErrorKind::Missing => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// An object with a trailer that is short enough to be held in memory.
async fn open_short(
    key: &StoreKey,
    head: &ObjectHead,
    body: Body,
) -> Result<Result<SourceOpen, EntryError>, S3Error> {
    let bytes = body.collect().await.map_err(of_stream)?;
    Ok(trailer::parse(&bytes, head.length, key).map(|described| {
        let length = described.meta.size;
        let bytes = bytes.slice(..length as usize);
        SourceOpen {
            meta: Arc::new(described.meta),
            version: object::version(&head.tag, false),
            first: stream::once(std::future::ready(Ok(bytes)).boxed()).boxed(),
            length,
        }
    }))
}
