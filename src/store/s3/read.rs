//! Reading: descriptions, the beginning of an object, and ranges of one version.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use futures_util::{FutureExt, StreamExt, stream};

use super::core::{Core, Permit};
use super::fault::{Failure, Why};
use super::object::{self, Told};
use super::stats::Op;
use super::stream::Body;
use crate::store::remote::{RemoteEntry, RemoteOpen, RemoteStream};
use crate::store::trailer::{self, Flaw, TAIL};
use crate::store::{Error, Meta, RemoteFault, Result, StoreKey};
use crate::tasks::pause;

/// Objects with a trailer up to this length are read as a whole to find it, in bytes.
const WHOLE: u64 = 256 * 1024;
/// Some servers store body and description one after the other: what does not fit together is looked at
/// again so often, after a pause that grows.
const LOOKS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(10);

/// An object as it stands under the name of an entry.
#[derive(Debug)]
pub(super) struct Seen {
    /// The ETag of S3.
    pub(super) etag: String,
    /// Which upload made it.
    pub(super) upload: Option<String>,
    /// The entry, or why it is none.
    pub(super) entry: Result<RemoteEntry, Flaw>,
}

/// The outside of an object.
struct Outside {
    etag: String,
    length: u64,
    headers: Option<HashMap<String, String>>,
}

/// What may be different at the next look.
enum Look<T> {
    Settled(T),
    Again(T),
    /// The object was replaced between two requests.
    Changed,
}

impl Core {
    /// The object of an entry, without its body.
    pub(super) async fn look(self: &Arc<Self>, key: &StoreKey) -> Result<Option<Seen>, Failure> {
        let mut looks = 0;
        loop {
            looks += 1;
            match self.look_once(key).await? {
                Look::Settled(seen) => return Ok(seen),
                Look::Again(seen) if looks >= LOOKS => return Ok(seen),
                Look::Changed if looks >= LOOKS => return Err(restless()),
                Look::Again(_) | Look::Changed => pause(PAUSE * 3_u32.pow(looks - 1)).await,
            }
        }
    }

    async fn look_once(self: &Arc<Self>, key: &StoreKey) -> Result<Look<Option<Seen>>, Failure> {
        let request = self
            .client
            .head_object()
            .bucket(self.bucket())
            .key(self.name(key));
        let permit = Arc::new(self.enter().await?);
        let head = match self.ask(Op::Head, request.send()).await {
            Err(failure) if failure.why == Why::Missing => return Ok(Look::Settled(None)),
            other => other?,
        };
        let outside = Outside {
            etag: head.e_tag.ok_or_else(no_etag)?,
            length: length_of(head.content_length)?,
            headers: head.metadata,
        };
        let upload = object::upload_of(outside.headers.as_ref());
        let entry = match self.describe(key, &outside, &permit).await {
            Err(failure) if is_changed(&failure) => return Ok(Look::Changed),
            other => other?,
        };
        let seen = Seen {
            etag: outside.etag,
            upload,
            entry,
        };
        Ok(match seen.entry {
            Ok(_) => Look::Settled(Some(seen)),
            Err(_) => Look::Again(Some(seen)),
        })
    }

    /// The entry that an object says it is; for an object with a trailer that takes another request.
    async fn describe(
        self: &Arc<Self>,
        key: &StoreKey,
        outside: &Outside,
        permit: &Arc<Permit>,
    ) -> Result<Result<RemoteEntry, Flaw>, Failure> {
        let meta = match object::told(key, outside.headers.as_ref()) {
            Err(flaw) => return Ok(Err(flaw)),
            Ok(Told::Inline(meta)) if meta.size != outside.length => return Ok(Err(Flaw::Torn)),
            Ok(Told::Inline(meta)) => return Ok(Ok(entry(meta, &outside.etag, true))),
            Ok(Told::Trailer) => self.read_trailer(key, outside, permit).await?,
        };
        Ok(meta.map(|meta| entry(meta, &outside.etag, false)))
    }

    async fn read_trailer(
        self: &Arc<Self>,
        key: &StoreKey,
        outside: &Outside,
        permit: &Arc<Permit>,
    ) -> Result<Result<Meta, Flaw>, Failure> {
        let end = outside.length;
        let mut start = end.saturating_sub(TAIL);
        let mut tail = self.part(key, outside, start..end, permit).await?;
        match trailer::begin(&tail, end) {
            Err(flaw) => return Ok(Err(flaw)),
            Ok(begin) if begin < start => {
                start = begin;
                tail = self.part(key, outside, start..end, permit).await?;
            }
            Ok(_) => {}
        }
        Ok(trailer::parse(&tail, end, key).map(|described| described.meta))
    }

    /// A short range in memory, under a permit that is held already: a second one might never come.
    async fn part(
        self: &Arc<Self>,
        key: &StoreKey,
        outside: &Outside,
        range: Range<u64>,
        permit: &Arc<Permit>,
    ) -> Result<bytes::Bytes, Failure> {
        if range.is_empty() {
            return Ok(bytes::Bytes::new());
        }
        let body = self.range(key, &outside.etag, range, permit).await?;
        body.collect().await.map_err(of_stream)
    }

    /// A range of exactly one version.
    async fn range(
        self: &Arc<Self>,
        key: &StoreKey,
        etag: &str,
        range: Range<u64>,
        permit: &Arc<Permit>,
    ) -> Result<Body, Failure> {
        let request = self
            .client
            .get_object()
            .bucket(self.bucket())
            .key(self.name(key))
            .if_match(etag)
            .range(format!("bytes={}-{}", range.start, range.end - 1));
        let answer = match self.ask(Op::Get, request.send()).await {
            Err(failure) if matches!(failure.why, Why::Precondition | Why::Missing | Why::OutOfRange) => {
                return Err(Failure::new(RemoteFault::Changed, failure.text));
            }
            other => other?,
        };
        if answer.e_tag.as_deref() != Some(etag) {
            return Err(Failure::new(RemoteFault::Changed, "the answer has another ETag"));
        }
        let given = parse_range(answer.content_range.as_deref());
        let length = length_of(answer.content_length)?;
        let fits = given.is_some_and(|(given, _)| given == range) && length == range.end - range.start;
        // Without Content-Range the answer is the whole object.
        let whole = answer.content_range.is_none() && range.start == 0 && length >= range.end;
        if !fits && !whole {
            return Err(self.damaged("the answer has another range"));
        }
        Ok(self.body(answer, length, permit))
    }

    fn body(self: &Arc<Self>, answer: GetObjectOutput, length: u64, permit: &Arc<Permit>) -> Body {
        Body {
            core: Arc::clone(self),
            bytes: answer.body,
            length,
            _permit: Arc::clone(permit),
        }
    }

    /// See [`crate::store::remote::Remote::read`].
    pub(super) async fn read(
        self: &Arc<Self>,
        key: &StoreKey,
        entry: &RemoteEntry,
        range: Range<u64>,
    ) -> Result<RemoteStream, Failure> {
        let (etag, _) = object::etag_of(&entry.version);
        let permit = Arc::new(self.enter().await?);
        let wanted = range.end - range.start;
        let body = self.range(key, etag, range, &permit).await?;
        Ok(body.stream(wanted))
    }

    /// See [`crate::store::remote::Remote::open`].
    pub(super) async fn open(self: &Arc<Self>, key: &StoreKey) -> Result<Option<RemoteOpen>, Failure> {
        let mut looks = 0;
        loop {
            looks += 1;
            let flaw = match self.open_once(key).await? {
                Look::Settled(opened) => match opened {
                    None => return Ok(None),
                    Some(Ok(open)) => return Ok(Some(open)),
                    Some(Err(flaw)) => Some(flaw),
                },
                Look::Again(_) | Look::Changed => None,
            };
            if looks >= LOOKS {
                return Err(flaw.map_or_else(restless, |flaw| self.flawed(flaw)));
            }
            pause(PAUSE * 3_u32.pow(looks - 1)).await;
        }
    }

    async fn open_once(
        self: &Arc<Self>,
        key: &StoreKey,
    ) -> Result<Look<Option<Result<RemoteOpen, Flaw>>>, Failure> {
        let permit = Arc::new(self.enter().await?);
        let Some(mut answer) = self.front(key).await? else {
            return Ok(Look::Settled(None));
        };
        let length = length_of(answer.content_length)?;
        let whole = match parse_range(answer.content_range.as_deref()) {
            Some((range, whole)) if range == (0..length) => whole,
            None if answer.content_range.is_none() => length,
            _ => return Err(self.damaged("the answer has another range")),
        };
        let outside = Outside {
            etag: answer.e_tag.take().ok_or_else(no_etag)?,
            length: whole,
            headers: answer.metadata.take(),
        };
        let body = self.body(answer, length, &permit);
        let trailed = matches!(object::told(key, outside.headers.as_ref()), Ok(Told::Trailer));
        if trailed && whole == length && whole <= WHOLE {
            let opened = open_short(key, &outside, body).await?;
            return Ok(Look::Settled(Some(opened)));
        }
        let entry = match self.describe(key, &outside, &permit).await {
            Err(failure) if is_changed(&failure) => return Ok(Look::Changed),
            other => other?,
        };
        Ok(Look::Settled(Some(entry.map(|entry| {
            let given = entry.meta.size.min(length).min(self.config.part_size);
            RemoteOpen {
                front: body.stream(given),
                length: given,
                entry,
            }
        }))))
    }

    /// The first part of an object.
    async fn front(self: &Arc<Self>, key: &StoreKey) -> Result<Option<GetObjectOutput>, Failure> {
        let request = || self.client.get_object().bucket(self.bucket()).key(self.name(key));
        let first = request().range(format!("bytes=0-{}", self.config.part_size - 1));
        let answer = match self.ask(Op::Get, first.send()).await {
            // An empty object has no first byte.
            Err(failure) if failure.why == Why::OutOfRange => self.ask(Op::Get, request().send()).await,
            other => other,
        };
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.why == Why::Missing => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// What stands there is not the entry.
    pub(super) fn flawed(self: &Arc<Self>, flaw: Flaw) -> Failure {
        self.counters.was_damaged();
        self.damaged(match flaw {
            Flaw::Foreign => "the object holds something else than its name says",
            Flaw::Torn => "the object has another length than its description says",
            Flaw::Description => "the description of the object is damaged",
            Flaw::Body => "the body of the object is damaged",
        })
    }

    fn damaged(self: &Arc<Self>, text: &str) -> Failure {
        self.failed(RemoteFault::Damaged, text);
        Failure::new(RemoteFault::Damaged, text)
    }
}

/// An object with a trailer that is short enough to be held in memory.
async fn open_short(
    key: &StoreKey,
    outside: &Outside,
    body: Body,
) -> Result<Result<RemoteOpen, Flaw>, Failure> {
    let bytes = body.collect().await.map_err(of_stream)?;
    Ok(trailer::parse(&bytes, outside.length, key).map(|described| {
        let length = described.meta.size;
        let bytes = bytes.slice(..length as usize);
        RemoteOpen {
            entry: entry(described.meta, &outside.etag, false),
            front: stream::once(std::future::ready(Ok(bytes)).boxed()).boxed(),
            length,
        }
    }))
}

fn entry(meta: Meta, etag: &str, inline: bool) -> RemoteEntry {
    RemoteEntry {
        meta: Arc::new(meta),
        version: object::version(etag, inline),
    }
}

fn is_changed(failure: &Failure) -> bool {
    failure.fault() == Some(RemoteFault::Changed)
}

fn restless() -> Failure {
    Failure::new(RemoteFault::Changed, "the object changed again and again")
}

fn no_etag() -> Failure {
    Failure::new(RemoteFault::Damaged, "the answer has no ETag")
}

fn of_stream(error: Error) -> Failure {
    let fault = error.remote_fault().unwrap_or(RemoteFault::Other);
    Failure::new(fault, "a short range could not be read")
}

fn length_of(given: Option<i64>) -> Result<u64, Failure> {
    let length = given.and_then(|length| u64::try_from(length).ok());
    length.ok_or_else(|| Failure::new(RemoteFault::Damaged, "the answer has no length"))
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
