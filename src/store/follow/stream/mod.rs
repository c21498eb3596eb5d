//! The body of a large entry, streamed from its source to one reader.
//!
//! A task of the server reads the source ([`reader`]) and puts the bytes into a small buffer, from which the
//! client takes them ([`buffer`]). A client that does not read costs only itself: after [`STALL_TIMEOUT`] the
//! connection to the source is given back, and taken up again at its byte when the client goes on ([`pump`]).

mod buffer;
mod pump;
mod reader;

use std::fmt::{self, Debug};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use self::reader::PartReader;
use super::Judge;
use crate::store::source::{EntrySource, SourceOpen, SourceStream};
use crate::store::{Content, RemoteRange, RemoteSource, Result};
use crate::tasks::{self, Tasks};

/// For how long one connection to the source may wait for its client.
const STALL_TIMEOUT: Duration = Duration::from_secs(2);

/// The content of an entry that was just opened. What reads the source runs in `tasks`.
pub(crate) fn content(
    source: Arc<dyn EntrySource>,
    open: SourceOpen,
    judge: Judge,
    tasks: &Tasks,
) -> Content {
    let size = open.meta.size;
    let entry = Arc::new(StreamedEntry {
        source,
        size,
        version: open.version,
        judge,
        first: Mutex::new(Some((open.first, open.length))),
        tasks: tasks.clone(),
    });
    entry.close_unread();
    Content::Remote(RemoteRange::new(Arc::new(StreamedBody(entry)), 0..size))
}

#[derive(Debug)]
struct StreamedBody(Arc<StreamedEntry>);

impl RemoteSource for StreamedBody {
    fn open(&self, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        pump::start(PartReader::new(Arc::clone(&self.0), range), &self.0.tasks)
    }
}

/// One version of an entry, which may be read several times.
struct StreamedEntry {
    source: Arc<dyn EntrySource>,
    size: u64,
    version: Arc<str>,
    judge: Judge,
    /// What was opened with the description, for the first reader of the beginning, and its length.
    first: Mutex<Option<(SourceStream, u64)>>,
    tasks: Tasks,
}

impl StreamedEntry {
    fn take_first(&self) -> Option<(SourceStream, u64)> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn read(self: &Arc<Self>, range: Range<u64>) -> BoxFuture<'static, Result<SourceStream>> {
        let entry = Arc::clone(self);
        Box::pin(async move { entry.source.read(&entry.version, range).await })
    }

    /// A client that does not even begin to read does not keep the connection, either.
    fn close_unread(self: &Arc<Self>) {
        let (entry, stop) = (Arc::downgrade(self), self.tasks.stopping());
        drop(self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tasks::pause(STALL_TIMEOUT) => {}
            }
            drop(entry.upgrade().and_then(|entry| entry.take_first()));
        }));
    }
}

impl Debug for StreamedEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StreamedEntry").field(&self.source).finish()
    }
}
