//! A file that grows while it is read.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use super::PartOrder;
use crate::store::batch::total_length;
use crate::store::content::FileHolder;
use crate::store::spool::{Checksums, Growth};
use crate::store::{Content, EntryFile, Error, FileRange, Spool};
use crate::sys;

/// The body of an entry that is being fetched in parts. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct GrowingFile(Arc<GrowingState>);

#[derive(Debug)]
struct GrowingState {
    growth: Growth,
    size: u64,
    part_size: u64,
    progress: Box<[PartProgress]>,
    parts: PartOrder,
    complete: AtomicBool,
    failed: OnceLock<String>,
}

/// One part.
#[derive(Debug, Default)]
struct PartProgress {
    /// Bytes at its beginning that have arrived.
    arrived: AtomicU64,
    news: Notify,
}

impl GrowingFile {
    /// A body of `size` bytes, at least one, in parts of `part_size`.
    pub(crate) fn new(growth: Growth, size: u64, part_size: u64) -> Self {
        let count = size.div_ceil(part_size) as usize;
        Self(Arc::new(GrowingState {
            growth,
            size,
            part_size,
            progress: (0..count).map(|_| PartProgress::default()).collect(),
            parts: PartOrder::new(count),
            complete: AtomicBool::new(false),
            failed: OnceLock::new(),
        }))
    }

    /// The whole body, for readers.
    pub(crate) fn content(&self) -> Content {
        Content::File(FileRange::whole(Arc::new(self.clone()), self.0.size))
    }

    pub(super) fn size(&self) -> u64 {
        self.0.size
    }

    pub(super) fn parts(&self) -> &PartOrder {
        &self.0.parts
    }

    pub(super) fn count(&self) -> usize {
        self.0.progress.len()
    }

    /// Where a part lies in the body.
    pub(super) fn range(&self, part: usize) -> Range<u64> {
        let start = part as u64 * self.0.part_size;
        start..(start + self.0.part_size).min(self.0.size)
    }

    /// Blocking: writes the next bytes of a part and tells its readers.
    pub(super) fn write(&self, part: usize, frames: &[Bytes], offset: u64) -> io::Result<()> {
        self.0.growth.write(frames, offset)?;
        let length = total_length(frames);
        let progress = &self.0.progress[part];
        progress.arrived.fetch_add(length, Ordering::Release);
        progress.news.notify_waiters();
        Ok(())
    }

    /// Every byte is there and checked.
    pub(super) fn complete(&self) {
        self.0.complete.store(true, Ordering::Release);
        self.wake();
    }

    /// What is missing will never come.
    pub(super) fn fail(&self, error: &Error) {
        let _first = self.0.failed.set(error.to_string());
        self.wake();
    }

    /// The body, for the disk.
    pub(super) fn finish(&self, sums: Checksums) -> Spool {
        self.0.growth.finish(sums)
    }

    fn wake(&self) {
        for progress in &self.0.progress {
            progress.news.notify_waiters();
        }
    }
}

impl GrowingState {
    /// How many bytes from `offset` on are there, by one look at the parts.
    fn arrived(&self, offset: u64, whole: bool) -> u64 {
        if self.complete.load(Ordering::Acquire) {
            return self.size.saturating_sub(offset);
        }
        let mut end = offset;
        while end < self.size {
            let part = end / self.part_size;
            let start = part * self.part_size;
            let there = start + self.progress[part as usize].arrived.load(Ordering::Acquire);
            end = end.max(there);
            if there < (start + self.part_size).min(self.size) {
                break;
            }
        }
        // Not before all is checked: a damaged body never arrives whole.
        let limit = if whole { self.size - 1 } else { self.size };
        end.min(limit).saturating_sub(offset)
    }
}

impl EntryFile for GrowingFile {
    fn file(&self) -> &File {
        self.0.growth.file()
    }

    fn verified(&self, range: Range<u64>) -> bool {
        range.end.saturating_sub(range.start) <= self.0.arrived(range.start, false)
    }

    fn verify(&self, range: Range<u64>) -> io::Result<()> {
        if !self.verified(range.clone()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        sys::read_through(self.0.growth.file(), range)
    }

    fn holder(&self) -> Option<&dyn FileHolder> {
        Some(&**self.0.growth.file().hold())
    }

    fn is_growing(&self) -> bool {
        !self.0.complete.load(Ordering::Acquire)
    }

    fn arrived(&self, offset: u64, whole: bool) -> u64 {
        self.0.arrived(offset, whole)
    }

    fn arrival(&self, offset: u64, whole: bool) -> BoxFuture<'static, io::Result<()>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let part = (offset / inner.part_size) as usize;
            let Some(progress) = inner.progress.get(part) else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            inner.parts.want(part);
            loop {
                let mut news = std::pin::pin!(progress.news.notified());
                // Before looking, so that nothing is missed in between.
                news.as_mut().enable();
                if inner.arrived(offset, whole) > 0 {
                    return Ok(());
                }
                if let Some(reason) = inner.failed.get() {
                    return Err(io::Error::other(reason.clone()));
                }
                news.await;
            }
        })
    }
}
