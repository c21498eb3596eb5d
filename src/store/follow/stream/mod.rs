//! The body of a large entry, streamed from its source to one reader.
//!
//! A task of the server reads the source ([`reader`]) and puts the bytes into a small buffer, from which the
//! client takes them ([`buffer`]). A client that does not read costs only itself: after [`STALL_TIMEOUT`], or as soon
//! as others wait for it, the connection to the source is given back, and taken up again at its byte when the client
//! goes on.

mod buffer;
mod reader;

use std::fmt::{self, Debug};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use self::buffer::{BufferWriter, ClientLeft, PIECE_BYTES};
use self::reader::PartReader;
use super::Judge;
use crate::store::source::{EntrySource, SourceOpen, SourceStream};
use crate::store::{Content, Error, RemoteRange, RemoteSource, Result};
use crate::tasks::{self, Tasks};

/// For how long one connection to the source may wait for its client.
const STALL_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a stalled connection is looked at: whether others wait for it.
const STALL_TICK: Duration = Duration::from_millis(100);

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
        let (reader, tasks) = (PartReader::new(Arc::clone(&self.0), range), &self.0.tasks);
        let (buffer, taken) = buffer::new(reader.remaining());
        drop(tasks.spawn(run(reader, buffer, tasks.stopping())));
        taken
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
            let began = Instant::now();
            while began.elapsed() < STALL_TIMEOUT && !stop.is_cancelled() {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tasks::pause(STALL_TICK) => {}
                }
                if entry.upgrade().is_none_or(|entry| entry.source.is_contended()) {
                    break;
                }
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

/// The task that moves bytes from a source to the buffer of one client. It ends with the last byte, with its
/// client, or with the server.
async fn run(reader: PartReader, buffer: BufferWriter, stop: CancellationToken) {
    let outcome = tokio::select! {
        () = stop.cancelled() => Err(Error::Stopping),
        () = buffer.client_left() => Ok(()),
        outcome = pump(reader, &buffer) => outcome,
    };
    if let Err(error) = outcome {
        buffer.fail(error);
    }
}

async fn pump(mut reader: PartReader, buffer: &BufferWriter) -> Result<()> {
    let mut patience = STALL_TIMEOUT;
    loop {
        if !reader.is_connected() {
            patience = STALL_TIMEOUT;
            if reader.is_parked() && buffer.drained().await.is_err() {
                return Ok(());
            }
        }
        let Some(mut piece) = reader.next().await? else {
            return Ok(());
        };
        while !piece.is_empty() {
            let next = piece.split_to(piece.len().min(PIECE_BYTES));
            if give(next, &mut reader, buffer, &mut patience).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Puts a piece into the buffer. When the client has kept the connection waiting for too long, the reader gives
/// the connection back and the piece waits alone.
async fn give(
    piece: Bytes,
    reader: &mut PartReader,
    buffer: &BufferWriter,
    patience: &mut Duration,
) -> Result<(), ClientLeft> {
    let began = Instant::now();
    let room = loop {
        let left = patience.saturating_sub(began.elapsed());
        if let Ok(room) = timeout(left.min(STALL_TICK), buffer.room_for(&piece)).await {
            break room?;
        }
        if left <= STALL_TICK || reader.is_contended() {
            reader.park();
            break buffer.room_for(&piece).await?;
        }
    };
    *patience = patience.saturating_sub(began.elapsed());
    buffer.put(piece, room);
    Ok(())
}
