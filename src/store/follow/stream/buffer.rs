//! Bytes of one stream that wait for their client.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::store::{Error, Result};

/// The most that waits.
pub(super) const BUFFER_BYTES: u32 = 256 * 1024;
/// The most that is put in at once.
pub(super) const PIECE_BYTES: usize = 64 * 1024;

/// A piece, and its room in the buffer.
type Waiting = (Bytes, OwnedSemaphorePermit);

/// The client does not take the bytes any more.
#[derive(Debug)]
pub(super) struct ClientLeft;

/// The end at which bytes are put in.
pub(super) struct BufferWriter {
    room: Arc<Semaphore>,
    // Not longer than there is room.
    pieces: UnboundedSender<Result<Waiting>>,
}

/// The end of the client.
struct BufferReader {
    room: Arc<Semaphore>,
    pieces: UnboundedReceiver<Result<Waiting>>,
    /// Bytes that the client has not taken yet.
    left: u64,
}

/// An empty buffer for a stream of `length` bytes, and what the client reads.
pub(super) fn new(length: u64) -> (BufferWriter, BoxStream<'static, io::Result<Bytes>>) {
    let room = Arc::new(Semaphore::new(BUFFER_BYTES as usize));
    let (sender, pieces) = mpsc::unbounded_channel();
    let writer = BufferWriter {
        room: Arc::clone(&room),
        pieces: sender,
    };
    let left = length;
    let reader = BufferReader { room, pieces, left };
    let taken = stream::unfold(reader, |mut reader| async move {
        let piece = reader.next().await?;
        Some((piece, reader))
    });
    (writer, taken.boxed())
}

impl BufferWriter {
    /// Waits for room for `piece`, which is not longer than [`PIECE_BYTES`].
    pub(super) async fn room_for(&self, piece: &Bytes) -> Result<OwnedSemaphorePermit, ClientLeft> {
        let room = Arc::clone(&self.room).acquire_many_owned(piece.len() as u32);
        room.await.map_err(|_| ClientLeft)
    }

    /// Waits until the client has taken everything.
    pub(super) async fn drained(&self) -> Result<(), ClientLeft> {
        let all = self.room.acquire_many(BUFFER_BYTES).await;
        all.map(drop).map_err(|_| ClientLeft)
    }

    pub(super) fn put(&self, piece: Bytes, room: OwnedSemaphorePermit) {
        // A client that has left is noticed when there is to be room.
        let _left = self.pieces.send(Ok((piece, room)));
    }

    /// The client gets `error` after what is in the buffer.
    pub(super) fn fail(&self, error: Error) {
        let _left = self.pieces.send(Err(error));
    }

    /// Resolves when the client has left.
    pub(super) async fn client_left(&self) {
        self.pieces.closed().await;
    }
}

impl BufferReader {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.left == 0 {
            return None;
        }
        let failed = match self.pieces.recv().await {
            Some(Ok((piece, _room))) => {
                self.left -= piece.len() as u64;
                return Some(Ok(piece));
            }
            Some(Err(error)) => error,
            None => Error::Stopping,
        };
        self.left = 0;
        Some(Err(io::Error::other(failed)))
    }
}

impl Drop for BufferReader {
    fn drop(&mut self) {
        self.room.close();
    }
}
