//! The task that moves bytes from a source to the buffer of one client.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::STALL_TIMEOUT;
use super::buffer::{self, BufferWriter, ClientLeft, PIECE_BYTES};
use super::reader::PartReader;
use crate::store::{Error, Result};
use crate::tasks::Tasks;

/// Starts the task; it ends with the last byte, with its client, or with the server.
pub(super) fn start(reader: PartReader, tasks: &Tasks) -> BoxStream<'static, io::Result<Bytes>> {
    let (buffer, taken) = buffer::new(reader.remaining());
    drop(tasks.spawn(run(reader, buffer, tasks.stopping())));
    taken
}

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
    let room = match timeout(*patience, buffer.room_for(&piece)).await {
        Ok(room) => room?,
        Err(_stalled) => {
            reader.park();
            buffer.room_for(&piece).await?
        }
    };
    *patience = patience.saturating_sub(began.elapsed());
    buffer.put(piece, room);
    Ok(())
}
