//! Reading: descriptions, with the beginning of an object or without ([`open`]), and ranges of one version.

mod open;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::operation::get_object::GetObjectOutput;

use crate::store::remote::RemoteEntry;
use crate::store::s3::abilities::Lack;
use crate::store::s3::core::Core;
use crate::store::s3::error::{S3Error, S3ErrorKind};
use crate::store::s3::health::Suspicion;
use crate::store::s3::object::{self, ObjectForm};
use crate::store::s3::permits::Permit;
use crate::store::s3::stats::Op;
use crate::store::s3::stream::Body;
use crate::store::source::SourceStream;
use crate::store::trailer::{self, EntryError, TAIL_BYTES};
use crate::store::{Error, Meta, RemoteErrorKind, Result, StoreKey};
use crate::tasks::pause;

/// Some servers store body and description one after the other: what does not fit together is read
/// again so often, after a pause that grows.
const MAX_ATTEMPTS: u32 = 4;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(10);
/// From a store that does not know ranges, a range that begins further on is not read, in bytes: every one costs all
/// that is before it.
const MAX_SKIPPED_BYTES: u64 = 64 << 20;

/// Reads a description until it fits its object, or for the last time. `None`: there is no object.
async fn until_whole<T, F>(read: impl Fn() -> F, is_whole: fn(&T) -> bool) -> Result<Option<T>, S3Error>
where
    F: Future<Output = Result<Option<T>, S3Error>>,
{
    // The object was replaced between two requests.
    let is_changed = |failure: &S3Error| failure.remote_kind() == Some(RemoteErrorKind::Changed);
    for attempt in 0..MAX_ATTEMPTS - 1 {
        match read().await {
            Ok(Some(seen)) if !is_whole(&seen) => {}
            Err(failure) if is_changed(&failure) => {}
            other => return other,
        }
        pause(ATTEMPT_PAUSE * 3_u32.pow(attempt)).await;
    }
    read().await.map_err(|failure| match is_changed(&failure) {
        true => S3Error::new(RemoteErrorKind::Changed, "the object changed again and again"),
        false => failure,
    })
}

/// An object as it stands under the name of an entry.
#[derive(Debug)]
pub(in crate::store::s3) struct FoundObject {
    /// Tells this state of it from all others. See [`object::tag`].
    pub(in crate::store::s3) tag: String,
    /// Which upload made it.
    pub(in crate::store::s3) upload: Option<String>,
    /// The entry, or why it is none.
    pub(in crate::store::s3) entry: Result<RemoteEntry, EntryError>,
}

/// The outside of an object.
struct ObjectHead {
    tag: String,
    length: u64,
    headers: Option<HashMap<String, String>>,
    /// When it was stored, by our clock.
    modified: Option<SystemTime>,
}

impl Core {
    /// The entry that an object says it is; for an object with a trailer that takes another request.
    async fn entry_of(
        self: &Arc<Self>,
        key: &StoreKey,
        head: &ObjectHead,
        permit: &Arc<Permit>,
    ) -> Result<Result<RemoteEntry, EntryError>, S3Error> {
        let meta = match object::form_of(key, head.headers.as_ref()) {
            Err(flaw) => return Ok(Err(flaw)),
            Ok(ObjectForm::Inline(meta)) if meta.size != head.length => return Ok(Err(EntryError::Torn)),
            Ok(ObjectForm::Inline(meta)) => return Ok(Ok(entry(meta, head, true))),
            Ok(ObjectForm::Trailer) => self.read_trailer(key, head, permit).await?,
        };
        Ok(meta.map(|meta| entry(meta, head, false)))
    }

    async fn read_trailer(
        self: &Arc<Self>,
        key: &StoreKey,
        head: &ObjectHead,
        permit: &Arc<Permit>,
    ) -> Result<Result<Meta, EntryError>, S3Error> {
        let end = head.length;
        let mut start = end.saturating_sub(TAIL_BYTES);
        let mut tail = self.part(key, head, start..end, permit).await?;
        match trailer::begin(&tail, end) {
            Err(flaw) => return Ok(Err(flaw)),
            Ok(begin) if begin < start => {
                start = begin;
                tail = self.part(key, head, start..end, permit).await?;
            }
            Ok(_) => {}
        }
        Ok(trailer::parse(&tail, end, key).map(|described| described.meta))
    }

    /// A short range in memory, under a permit that is held already: a second one might never come.
    async fn part(
        self: &Arc<Self>,
        key: &StoreKey,
        head: &ObjectHead,
        range: Range<u64>,
        permit: &Arc<Permit>,
    ) -> Result<bytes::Bytes, S3Error> {
        if range.is_empty() {
            return Ok(bytes::Bytes::new());
        }
        let body = self.range(key, &head.tag, range, permit).await?;
        body.collect().await.map_err(of_stream)
    }

    /// A range of exactly one version.
    async fn range(
        self: &Arc<Self>,
        key: &StoreKey,
        tag: &str,
        range: Range<u64>,
        permit: &Arc<Permit>,
    ) -> Result<Body, S3Error> {
        let answer = self.get(key, object::condition(tag), Some(range.clone())).await;
        let answer = answer.map_err(|failure| match failure.kind {
            S3ErrorKind::Precondition | S3ErrorKind::Missing | S3ErrorKind::OutOfRange => {
                S3Error::new(RemoteErrorKind::Changed, failure.text)
            }
            _ => failure,
        })?;
        if object::tag(answer.e_tag.as_deref(), answer.metadata.as_ref()).as_deref() != Some(tag) {
            let text = "the answer is of another version";
            return Err(S3Error::new(RemoteErrorKind::Changed, text));
        }
        let given = parse_range(answer.content_range.as_deref());
        let length = length_of(answer.content_length)?;
        if given.is_some_and(|(given, _)| given == range) && length == range.end - range.start {
            return Ok(self.body(answer, length, permit));
        }
        // Without Content-Range the answer is the whole object.
        if answer.content_range.is_some() || length < range.end {
            return Err(self.fail(RemoteErrorKind::Damaged, "the answer has another range"));
        }
        if length > range.end - range.start {
            self.abilities.miss(Lack::Ranges);
        }
        if range.start > MAX_SKIPPED_BYTES {
            let text = "the store does not answer ranges, and the range is too far from the beginning";
            return Err(self.fail(RemoteErrorKind::Damaged, text));
        }
        let mut body = self.body(answer, length, permit);
        body.skipped = range.start;
        Ok(body)
    }

    /// Asks for an object, if it is the one of `etag`. What the store does not know of this request is left out: the
    /// caller looks at what the answer is.
    async fn get(
        self: &Arc<Self>,
        key: &StoreKey,
        etag: Option<String>,
        range: Option<Range<u64>>,
    ) -> Result<GetObjectOutput, S3Error> {
        let abilities = &self.abilities;
        let etag = etag.filter(|_| !abilities.lacks(Lack::ReadConditions));
        let range = range.filter(|_| !abilities.lacks(Lack::Ranges));
        let refused = match self.get_once(key, etag.clone(), range.clone()).await {
            Err(failure) if failure.kind == S3ErrorKind::Unsupported => failure,
            other => return other,
        };
        if etag.is_some() {
            match self.get_once(key, None, range.clone()).await {
                Err(failure) if failure.kind == S3ErrorKind::Unsupported => {}
                other => {
                    abilities.set(Lack::ReadConditions, other.is_ok());
                    return other;
                }
            }
        }
        if range.is_none() {
            return Err(refused);
        }
        let whole = self.get_once(key, None, None).await?;
        abilities.miss(Lack::Ranges);
        Ok(whole)
    }

    async fn get_once(
        self: &Arc<Self>,
        key: &StoreKey,
        etag: Option<String>,
        range: Option<Range<u64>>,
    ) -> Result<GetObjectOutput, S3Error> {
        let request = self
            .client
            .get_object()
            .bucket(self.bucket())
            .key(self.name(key))
            .set_if_match(etag)
            .set_range(range.map(|range| format!("bytes={}-{}", range.start, range.end - 1)));
        self.ask(Op::Get, request.send()).await
    }

    fn body(self: &Arc<Self>, answer: GetObjectOutput, length: u64, permit: &Arc<Permit>) -> Body {
        Body {
            core: Arc::clone(self),
            bytes: answer.body,
            begun: None,
            skipped: 0,
            length,
            _permit: Arc::clone(permit),
        }
    }

    /// See [`crate::store::source::EntrySource::read`].
    pub(in crate::store::s3) async fn read(
        self: &Arc<Self>,
        key: &StoreKey,
        version: &str,
        range: Range<u64>,
    ) -> Result<SourceStream, S3Error> {
        let (tag, _) = object::tag_of(version);
        let permit = Arc::new(self.enter(key.asker()).await?);
        let wanted = range.end - range.start;
        let body = self.range(key, tag, range, &permit).await?;
        Ok(body.stream(wanted))
    }

    /// What stands there is not the entry.
    pub(in crate::store::s3) fn flawed(self: &Arc<Self>, flaw: EntryError) -> S3Error {
        self.counters.damaged.inc();
        let text = match flaw {
            EntryError::Foreign => "the object holds something else than its name says",
            EntryError::Newer => {
                "a newer version of this program wrote the object, in a form that this one does not know"
            }
            EntryError::Torn => "the object has another length than its description says",
            EntryError::Description => "the description of the object is damaged",
            EntryError::Body | EntryError::Unreadable => "the body of the object is damaged",
        };
        if flaw == EntryError::Foreign {
            // A page has ETags, too.
            self.suspect(Suspicion::Strange);
        }
        self.fail(RemoteErrorKind::Damaged, text)
    }
}

fn entry(meta: Meta, head: &ObjectHead, inline: bool) -> RemoteEntry {
    RemoteEntry {
        meta: Arc::new(meta),
        version: object::version(&head.tag, inline),
        modified: head.modified,
    }
}

/// A success that tells nothing of an object.
fn untold(core: &Arc<Core>) -> S3Error {
    let text = "the answer has neither a strong ETag nor the headers that an entry was stored with";
    core.fail(RemoteErrorKind::NotS3, text)
}

fn of_stream(error: Error) -> S3Error {
    let kind = error.remote_error_kind().unwrap_or(RemoteErrorKind::Other);
    S3Error::new(kind, "a short range could not be read")
}

fn length_of(given: Option<i64>) -> Result<u64, S3Error> {
    let length = given.and_then(|length| u64::try_from(length).ok());
    length.ok_or_else(|| S3Error::new(RemoteErrorKind::Damaged, "the answer has no length"))
}

/// `bytes first-last/whole` as a range and the length of the whole.
fn parse_range(text: Option<&str>) -> Option<(Range<u64>, u64)> {
    let (range, whole) = text?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let whole = whole.parse().ok()?;
    (first <= last && last < whole).then(|| (first..last + 1, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_answers_are_read_strictly() {
        assert_eq!(parse_range(Some("bytes 0-4/10")), Some((0..5, 10)));
        assert_eq!(parse_range(Some("bytes 9-9/10")), Some((9..10, 10)));
        for bad in [
            "bytes 0-10/10",
            "bytes 5-4/10",
            "bytes 0-4/*",
            "0-4/10",
            "bytes */10",
            "bytes 0-18446744073709551615/10",
        ] {
            assert_eq!(parse_range(Some(bad)), None, "{bad}");
        }
        assert_eq!(parse_range(None), None);
    }
}
