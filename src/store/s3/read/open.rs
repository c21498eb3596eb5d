//! The description of an object, alone or with the beginning of the body.

use std::sync::Arc;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use futures_util::{FutureExt, StreamExt, stream};

use super::{FoundObject, ObjectHead, length_of, no_etag, of_stream, parse_range, until_whole};
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
    /// The object of an entry, without its body.
    pub(in crate::store::s3) async fn describe(
        self: &Arc<Self>,
        key: &StoreKey,
    ) -> Result<Option<FoundObject>, S3Error> {
        until_whole(|| self.describe_once(key), |seen| seen.entry.is_ok()).await
    }

    async fn describe_once(self: &Arc<Self>, key: &StoreKey) -> Result<Option<FoundObject>, S3Error> {
        let request = self
            .client
            .head_object()
            .bucket(self.bucket())
            .key(self.name(key));
        let permit = Arc::new(self.enter().await?);
        let head = match self.ask(Op::Head, request.send()).await {
            Err(failure) if failure.kind == S3ErrorKind::Missing => return Ok(None),
            other => other?,
        };
        let head = ObjectHead {
            etag: head.e_tag.ok_or_else(no_etag)?,
            length: length_of(head.content_length)?,
            headers: head.metadata,
        };
        Ok(Some(FoundObject {
            upload: object::upload_of(head.headers.as_ref()),
            entry: self.entry_of(key, &head, &permit).await?,
            etag: head.etag,
        }))
    }

    /// See [`crate::store::source::EntrySource::open`].
    pub(in crate::store::s3) async fn open(
        self: &Arc<Self>,
        key: &StoreKey,
    ) -> Result<Option<SourceOpen>, S3Error> {
        let opened = until_whole(|| self.open_once(key), Result::is_ok).await?;
        opened.transpose().map_err(|flaw| self.flawed(flaw))
    }

    async fn open_once(
        self: &Arc<Self>,
        key: &StoreKey,
    ) -> Result<Option<Result<SourceOpen, EntryError>>, S3Error> {
        let permit = Arc::new(self.enter().await?);
        let Some(mut answer) = self.front(key).await? else {
            return Ok(None);
        };
        let length = length_of(answer.content_length)?;
        let head = ObjectHead {
            etag: answer.e_tag.take().ok_or_else(no_etag)?,
            length: self.whole_of(&answer, length)?,
            headers: answer.metadata.take(),
        };
        let body = self.body(answer, length, &permit);
        let form = object::form_of(key, head.headers.as_ref());
        if form == Ok(ObjectForm::Trailer) && head.length == length && length <= MAX_WHOLE_BYTES {
            return open_short(key, &head, body).await.map(Some);
        }
        let entry = self.entry_of(key, &head, &permit).await?;
        Ok(Some(entry.map(|entry| {
            let given = entry.meta.size.min(length).min(self.config.part_size);
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
        let request = || self.client.get_object().bucket(self.bucket()).key(self.name(key));
        let first = request().range(format!("bytes=0-{}", self.config.part_size - 1));
        let answer = match self.ask(Op::Get, first.send()).await {
            // An empty object has no first byte.
            Err(failure) if failure.kind == S3ErrorKind::OutOfRange => {
                self.ask(Op::Get, request().send()).await
            }
            other => other,
        };
        match answer {
            Ok(answer) => Ok(Some(answer)),
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
            version: object::version(&head.etag, false),
            first: stream::once(std::future::ready(Ok(bytes)).boxed()).boxed(),
            length,
        }
    }))
}
