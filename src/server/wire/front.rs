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
    /// It is cold: the blocking pool reads it into the page cache.
    Cold(JoinHandle<io::Result<()>>),
    /// The file ends before its entry does: reading it tells the tier, which drops the entry.
    Torn(JoinHandle<io::Result<()>>),
    /// It has not arrived yet.
    Missing(BoxFuture<'static, io::Result<()>>),
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cold(_) => "Cold",
            Self::Torn(_) => "Torn",
            Self::Missing(_) => "Missing",
        })
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
                Some(Waiting::Cold(reading)) => {
                    let warmed = ready!(Pin::new(reading).poll(cx));
                    self.0 = None;
                    warmed.map_err(io::Error::other)??;
                    return Poll::Ready(Ok(length));
                }
                Some(Waiting::Torn(reading)) => {
                    let read = ready!(Pin::new(reading).poll(cx));
                    self.0 = None;
                    read.map_err(io::Error::other)??;
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Some(Waiting::Missing(arrival)) => {
                    let arrived = ready!(arrival.as_mut().poll(cx));
                    self.0 = None;
                    arrived?;
                }
                None if length == 0 => self.0 = Some(Waiting::Missing(part.arrival())),
                None if part.is_hot(length) => return Poll::Ready(Ok(length)),
                None => self.0 = Some(Waiting::Cold(read(part, length))),
            }
        }
    }

    /// The file ended where `length` bytes of `part` should be: somebody cut it. From now on this fails.
    pub(super) fn torn(&mut self, part: &FileRange, length: u64) {
        self.0 = Some(Waiting::Torn(read(part, length)));
    }
}

fn read(part: &FileRange, length: u64) -> JoinHandle<io::Result<()>> {
    let part = part.clone();
    sys::run_blocking(move || part.warm(length))
}
