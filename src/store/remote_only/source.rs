//! The body of a long entry, read from the far tier as it is sent.
//!
//! Parts are read in order; the next one is asked for while the last bytes of this one arrive, so that its
//! distance is not felt. A stream that breaks is taken up again at its byte, from the same version. Who
//! reads the whole body has its checksums held against the tag before the last bytes are given.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};

use crate::store::remote::{Remote, RemoteEntry, RemoteOpen, RemoteStream};
use crate::store::spool::Summer;
use crate::store::{Content, Error, RemoteFault, RemoteRange, RemoteSource, Result, StoreKey};
use crate::tasks::pause;

/// Attempts without a byte in between.
const IN_A_ROW: u32 = 3;
/// Attempts for one reader.
const IN_ALL: u32 = 32;
/// Before a further attempt; grows with each in a row.
const PAUSE: Duration = Duration::from_millis(100);

/// The content of an entry that was just opened.
pub(crate) fn content(remote: &Arc<dyn Remote>, key: &StoreKey, open: RemoteOpen) -> Content {
    let size = open.entry.meta.size;
    let far = Far(Arc::new(Object {
        remote: Arc::clone(remote),
        key: key.clone(),
        entry: open.entry,
        front: Mutex::new(Some((open.front, open.length))),
    }));
    Content::Remote(RemoteRange::new(Arc::new(far), 0..size))
}

pub(super) fn damaged() -> Error {
    Error::remote(
        "reading an object",
        RemoteFault::Damaged,
        "the bytes are not those of the description",
    )
}

#[derive(Debug)]
struct Far(Arc<Object>);

struct Object {
    remote: Arc<dyn Remote>,
    key: StoreKey,
    entry: RemoteEntry,
    /// What was opened with the description, for the first who reads from the beginning, and its length.
    front: Mutex<Option<(RemoteStream, u64)>>,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Object").field(&self.key).finish()
    }
}

impl Object {
    fn take_front(&self) -> Option<(RemoteStream, u64)> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn read(self: &Arc<Self>, range: Range<u64>) -> BoxFuture<'static, Result<RemoteStream>> {
        let object = Arc::clone(self);
        Box::pin(async move { object.remote.read(&object.key, &object.entry, range).await })
    }
}

impl RemoteSource for Far {
    fn open(&self, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        let reader = Reader::new(Arc::clone(&self.0), range);
        let pieces = stream::try_unfold(reader, |mut reader| async move {
            let piece = reader.next().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(piece.map(|piece| (piece, reader)))
        });
        pieces.boxed()
    }
}

/// A part that is asked for ahead of its turn.
enum Ahead {
    Opening(BoxFuture<'static, Result<RemoteStream>>),
    Open(Result<RemoteStream>),
}

struct Reader {
    object: Arc<Object>,
    at: u64,
    end: u64,
    /// The part that is being read, and where it ends.
    part: Option<(RemoteStream, u64)>,
    /// The next part, from where this one ends.
    ahead: Option<Ahead>,
    sums: Option<Summer>,
    failures: (u32, u32),
}

impl Reader {
    fn new(object: Arc<Object>, range: Range<u64>) -> Self {
        let whole = range.start == 0 && range.end == object.entry.meta.size;
        let part = (range.start == 0).then(|| object.take_front()).flatten();
        Self {
            object,
            at: range.start,
            end: range.end,
            part,
            ahead: None,
            sums: whole.then(Summer::default),
            failures: (0, 0),
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.at < self.end {
            match self.step().await {
                Ok(Some(piece)) => {
                    self.failures.0 = 0;
                    return self.give(piece).map(Some);
                }
                Ok(None) => {}
                Err(error) => self.forgive(error).await?,
            }
        }
        Ok(None)
    }

    /// The next piece, if the part has one still.
    async fn step(&mut self) -> Result<Option<Bytes>> {
        let Some((_, part_end)) = &self.part else {
            self.part = Some(self.open_part().await?);
            return Ok(None);
        };
        let part_end = *part_end;
        let piece = self.piece().await;
        let Some(piece) = piece.transpose()? else {
            self.part = None;
            return match self.at >= part_end {
                true => Ok(None),
                false => Err(early()),
            };
        };
        let left = part_end
            .saturating_sub(self.at)
            .saturating_sub(piece.len() as u64);
        if left == 0 {
            self.part = None;
        } else if left <= self.part_size() / 4 && self.ahead.is_none() && part_end < self.end {
            let range = self.part_at(part_end);
            self.ahead = Some(Ahead::Opening(self.object.read(range)));
        }
        Ok(Some(piece))
    }

    async fn open_part(&mut self) -> Result<(RemoteStream, u64)> {
        let range = self.part_at(self.at);
        let end = range.end;
        let stream = match self.ahead.take() {
            Some(Ahead::Open(stream)) => stream?,
            Some(Ahead::Opening(opening)) => opening.await?,
            None => self.object.read(range).await?,
        };
        Ok((stream, end))
    }

    /// The next piece of the part, while the next part is being opened.
    async fn piece(&mut self) -> Option<Result<Bytes>> {
        let (part, ahead) = (&mut self.part, &mut self.ahead);
        std::future::poll_fn(|cx| {
            if let Some(Ahead::Opening(opening)) = ahead
                && let Poll::Ready(stream) = opening.as_mut().poll(cx)
            {
                *ahead = Some(Ahead::Open(stream));
            }
            match part {
                Some((stream, _)) => stream.poll_next_unpin(cx),
                None => Poll::Ready(None),
            }
        })
        .await
    }

    /// Counts a piece; the last one of a whole body only if all of it is what it should be.
    fn give(&mut self, mut piece: Bytes) -> Result<Bytes> {
        // The front may reach beyond a range that ends earlier.
        piece.truncate((self.end - self.at).try_into().unwrap_or(usize::MAX));
        self.at += piece.len() as u64;
        if let Some(sums) = &mut self.sums {
            sums.update(&piece);
        }
        if self.at == self.end
            && let Some(sums) = self.sums.take()
            && sums.finish().etag() != self.object.entry.meta.etag
        {
            return Err(damaged());
        }
        Ok(piece)
    }

    /// Whether it is worth to go on after `error`.
    async fn forgive(&mut self, error: Error) -> Result<()> {
        self.part = None;
        self.ahead = None;
        let (in_a_row, in_all) = &mut self.failures;
        *in_a_row += 1;
        *in_all += 1;
        let fatal = matches!(
            error.remote_fault(),
            Some(RemoteFault::Changed | RemoteFault::Damaged | RemoteFault::Resting) | None
        );
        if fatal || *in_a_row > IN_A_ROW || *in_all > IN_ALL {
            return Err(error);
        }
        pause(PAUSE * *in_a_row).await;
        Ok(())
    }

    /// The part that begins at `start`: to the next whole multiple of the length of a part.
    fn part_at(&self, start: u64) -> Range<u64> {
        let part = self.part_size();
        start..(start - start % part).saturating_add(part).min(self.end)
    }

    fn part_size(&self) -> u64 {
        self.object.remote.plan().part_size.max(1)
    }
}

fn early() -> Error {
    Error::remote("reading an object", RemoteFault::Other, "the stream ended early")
}
