//! A range of one version of an entry, read part after part.
//!
//! The next part is asked for while the last bytes of this one arrive, so that its distance is not felt. A stream
//! that breaks is taken up again at its byte, from the same version. A reader of the whole body gives its last
//! bytes when they were judged.

use std::ops::Range;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;

use super::StreamedEntry;
use super::buffer::BUFFER_BYTES;
use crate::store::Result;
use crate::store::follow::resume::{Resumption, cut};
use crate::store::source::SourceStream;
use crate::store::spool::ChecksumBuilder;

/// The part after the one that is being read.
enum NextPart {
    Opening(BoxFuture<'static, Result<SourceStream>>),
    Open(Result<SourceStream>),
}

/// See the module.
pub(super) struct PartReader {
    entry: Arc<StreamedEntry>,
    at: u64,
    end: u64,
    /// The part that is being read, and where it ends.
    part: Option<(SourceStream, u64)>,
    /// The next part, from where this one ends.
    next_part: Option<NextPart>,
    sums: Option<ChecksumBuilder>,
    resumption: Resumption,
    /// Whether bytes have arrived since the last failure.
    progress: bool,
    /// The client stalled in this part: the rest of it is asked for in ranges that fit into the empty buffer,
    /// so that no connection ever waits for this client.
    parked: bool,
}

impl PartReader {
    pub(super) fn new(entry: Arc<StreamedEntry>, range: Range<u64>) -> Self {
        let whole = range == (0..entry.size);
        let part = (range.start == 0).then(|| entry.take_first()).flatten();
        Self {
            entry,
            at: range.start,
            end: range.end,
            part,
            next_part: None,
            sums: whole.then(ChecksumBuilder::default),
            resumption: Resumption::default(),
            progress: false,
            parked: false,
        }
    }

    /// Bytes that were not given yet.
    pub(super) fn remaining(&self) -> u64 {
        self.end - self.at
    }

    /// Whether a part is being read.
    pub(super) fn is_connected(&self) -> bool {
        self.part.is_some()
    }

    /// Whether the client stalled in the part that comes next.
    pub(super) fn is_parked(&self) -> bool {
        self.parked
    }

    /// Whether others wait for the connection.
    pub(super) fn is_contended(&self) -> bool {
        self.entry.source.is_contended()
    }

    /// Gives the connections back; the next byte is asked for when it is wanted.
    pub(super) fn park(&mut self) {
        (self.part, self.next_part) = (None, None);
        self.parked = true;
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// As [`crate::store::source::EntrySource::read`], when asking again cannot help.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.at < self.end {
            match self.step().await {
                Ok(Some(piece)) => {
                    self.progress = true;
                    return self.give(piece).map(Some);
                }
                Ok(None) => {}
                Err(error) => {
                    (self.part, self.next_part) = (None, None);
                    let progress = std::mem::take(&mut self.progress);
                    self.resumption.wait_after(error, progress).await?;
                }
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
                false => Err(cut()),
            };
        };
        let left = part_end
            .saturating_sub(self.at)
            .saturating_sub(piece.len() as u64);
        if left == 0 {
            self.part = None;
        } else if left <= self.part_size() / 4
            && self.next_part.is_none()
            && part_end < self.end
            && !self.parked
        {
            let range = self.part_at(part_end);
            self.next_part = Some(NextPart::Opening(self.entry.read(range)));
        }
        Ok(Some(piece))
    }

    async fn open_part(&mut self) -> Result<(SourceStream, u64)> {
        if self.at.is_multiple_of(self.part_size()) {
            self.parked = false;
        }
        let range = self.part_at(self.at);
        let end = range.end;
        let stream = match self.next_part.take() {
            Some(NextPart::Open(stream)) => stream?,
            Some(NextPart::Opening(opening)) => opening.await?,
            None => self.entry.read(range).await?,
        };
        Ok((stream, end))
    }

    /// The next piece of the part, while the next part is being opened.
    async fn piece(&mut self) -> Option<Result<Bytes>> {
        let (part, next_part) = (&mut self.part, &mut self.next_part);
        std::future::poll_fn(|cx| {
            if let Some(NextPart::Opening(opening)) = next_part
                && let Poll::Ready(stream) = opening.as_mut().poll(cx)
            {
                *next_part = Some(NextPart::Open(stream));
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
        // What was opened first may reach beyond a range that ends earlier.
        piece.truncate((self.end - self.at).try_into().unwrap_or(usize::MAX));
        self.at += piece.len() as u64;
        if let Some(sums) = &mut self.sums {
            sums.update(&piece);
        }
        if self.at == self.end
            && let Some(sums) = self.sums.take()
        {
            self.entry.judge.judge(&sums.finish())?;
        }
        Ok(piece)
    }

    /// The part that begins at `start`: to the next whole multiple of the length of a part.
    fn part_at(&self, start: u64) -> Range<u64> {
        let part = self.part_size();
        let end = (start - start % part).saturating_add(part).min(self.end);
        match self.parked {
            true => start..end.min(start + u64::from(BUFFER_BYTES)),
            false => start..end,
        }
    }

    fn part_size(&self) -> u64 {
        self.entry.source.plan().part_size.max(1)
    }
}
