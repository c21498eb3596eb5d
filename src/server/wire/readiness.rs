//! What the next piece of a file has to wait for, besides the socket.

use std::io;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;

use crate::store::FileRange;
use crate::store::turns::file_turn;
use crate::sys;

/// Whether the next piece of the file that is being sent is there.
#[derive(Debug, Default)]
pub(super) struct Readiness(Option<PieceWait>);

/// What a piece waits for.
enum PieceWait {
    /// The blocking pool reads it: into the page cache if it is cold, or because it is torn.
    Read(BoxFuture<'static, io::Result<()>>, ReadReason),
    /// Its bytes have not arrived yet.
    Missing(BoxFuture<'static, io::Result<()>>),
}

/// Why a piece is read.
#[derive(Debug, Clone, Copy)]
enum ReadReason {
    /// So that it can be sent.
    Cold,
    /// The file ends before its entry does: reading it tells the tier, which drops the entry.
    Torn,
}

impl std::fmt::Debug for PieceWait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read(_, reason) => reason.fmt(f),
            Self::Missing(_) => f.write_str("Missing"),
        }
    }
}

impl Readiness {
    /// How many bytes of `part`, `most` at most, can be sent without waiting for anything but the socket; at least one.
    ///
    /// # Errors
    /// If the bytes cannot be read, are damaged, or will never be there.
    pub(super) fn poll_length(
        &mut self,
        cx: &mut Context<'_>,
        part: &FileRange,
        most: u64,
    ) -> Poll<io::Result<u64>> {
        loop {
            let length = part.available().min(most);
            match &mut self.0 {
                Some(PieceWait::Read(reading, reason)) => {
                    let (read, reason) = (ready!(reading.as_mut().poll(cx)), *reason);
                    self.0 = None;
                    read?;
                    return Poll::Ready(match reason {
                        ReadReason::Cold => Ok(length),
                        ReadReason::Torn => Err(io::ErrorKind::UnexpectedEof.into()),
                    });
                }
                Some(PieceWait::Missing(arrival)) => {
                    let arrived = ready!(arrival.as_mut().poll(cx));
                    self.0 = None;
                    arrived?;
                }
                None if length == 0 => self.0 = Some(PieceWait::Missing(part.arrival())),
                None if part.is_hot(length) => return Poll::Ready(Ok(length)),
                None => self.read(part, length, ReadReason::Cold),
            }
        }
    }

    /// The file ended where `length` bytes of `part` should be: it was cut from outside. From now on
    /// [`Readiness::poll_length`] fails.
    pub(super) fn torn(&mut self, part: &FileRange, length: u64) {
        self.read(part, length, ReadReason::Torn);
    }

    fn read(&mut self, part: &FileRange, length: u64, reason: ReadReason) {
        let part = part.clone();
        self.0 = Some(PieceWait::Read(Box::pin(warm(part, length)), reason));
    }
}

/// Reads in the blocking pool when it is its turn.
async fn warm(part: FileRange, length: u64) -> io::Result<()> {
    let turn = file_turn(part.asker()).await;
    let reading = sys::run_blocking(move || {
        let _turn = turn;
        part.warm(length)
    });
    reading.await.map_err(io::Error::other)?
}
