//! What the next piece of a file has to wait for, besides the socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;

use crate::store::FileRange;
use crate::sys;

/// The front of a file that is being sent.
#[derive(Debug, Default)]
pub(super) struct Front(Option<Waiting>);

/// What a piece waits for.
enum Waiting {
    /// The blocking pool reads it: into the page cache if it is cold, or because it is torn.
    Read(JoinHandle<io::Result<()>>, Why),
    /// It has not arrived yet.
    Missing(BoxFuture<'static, io::Result<()>>),
}

/// Why a piece is read.
#[derive(Debug, Clone, Copy)]
enum Why {
    /// So that it can be sent.
    Cold,
    /// The file ends before its entry does: reading it tells the tier, which drops the entry.
    Torn,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read(_, why) => why.fmt(f),
            Self::Missing(_) => f.write_str("Missing"),
        }
    }
}

impl Front {
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
                Some(Waiting::Read(reading, why)) => {
                    let (read, why) = (ready!(Pin::new(reading).poll(cx)), *why);
                    self.0 = None;
                    read.map_err(io::Error::other)??;
                    return Poll::Ready(match why {
                        Why::Cold => Ok(length),
                        Why::Torn => Err(io::ErrorKind::UnexpectedEof.into()),
                    });
                }
                Some(Waiting::Missing(arrival)) => {
                    let arrived = ready!(arrival.as_mut().poll(cx));
                    self.0 = None;
                    arrived?;
                }
                None if length == 0 => self.0 = Some(Waiting::Missing(part.arrival())),
                None if part.is_hot(length) => return Poll::Ready(Ok(length)),
                None => self.read(part, length, Why::Cold),
            }
        }
    }

    /// The file ended where `length` bytes of `part` should be: somebody cut it. From now on this fails.
    pub(super) fn torn(&mut self, part: &FileRange, length: u64) {
        self.read(part, length, Why::Torn);
    }

    fn read(&mut self, part: &FileRange, length: u64, why: Why) {
        let part = part.clone();
        self.0 = Some(Waiting::Read(sys::run_blocking(move || part.warm(length)), why));
    }
}
