//! Reading bytes wherever they are, a piece at a time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::Content;
use crate::sys;

/// See [`Content::pieces`]. Ends with an error when the bytes are damaged, or fewer than they should be.
pub struct Pieces {
    rest: Content,
    /// Bytes of a piece of a file.
    length: u64,
    reading: Option<tokio::task::JoinHandle<io::Result<Bytes>>>,
    arriving: Option<BoxFuture<'static, io::Result<()>>>,
    stream: Option<BoxStream<'static, io::Result<Bytes>>>,
}

impl Pieces {
    /// Length of a piece: large enough that a hop to the blocking pool is cheap beside the copy.
    const PIECE_BYTES: u64 = 256 * 1024;

    pub(super) fn new(rest: Content) -> Self {
        Self {
            rest,
            length: Self::PIECE_BYTES,
            reading: None,
            arriving: None,
            stream: None,
        }
    }

    /// Files in pieces of `length` bytes instead.
    #[must_use]
    pub fn of(mut self, length: u64) -> Self {
        self.length = length.max(1);
        self
    }

    /// The next piece of a file.
    fn poll_file(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if let Some(arriving) = &mut self.arriving {
                let arrived = ready!(arriving.as_mut().poll(cx));
                self.arriving = None;
                if let Err(error) = arrived {
                    return Poll::Ready(Some(Err(error)));
                }
            }
            if let Some(reading) = &mut self.reading {
                let piece = ready!(Pin::new(reading).poll(cx))
                    .unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
                self.reading = None;
                return Poll::Ready(Some(piece));
            }
            let Content::File(part) = &mut self.rest else {
                return Poll::Ready(None);
            };
            if part.is_empty() {
                return Poll::Ready(None);
            }
            let length = part.available().min(self.length);
            if length == 0 {
                self.arriving = Some(part.arrival());
                continue;
            }
            let piece = part.slice(0..length);
            part.advance(length);
            let mut buffer = vec![0; length as usize];
            if piece.is_hot(length) && piece.read_now(&mut buffer) == Some(buffer.len()) {
                return Poll::Ready(Some(Ok(buffer.into())));
            }
            self.reading = Some(sys::run_blocking(move || {
                piece.read(&mut buffer)?;
                Ok(buffer.into())
            }));
        }
    }
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        match &mut this.rest {
            Content::Memory(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Memory(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Content::File(_) => this.poll_file(cx),
            Content::Described(_) => Poll::Ready(Some(Err(io::ErrorKind::Unsupported.into()))),
            Content::Remote(part) => {
                let stream = this.stream.get_or_insert_with(|| part.open());
                stream.as_mut().poll_next(cx)
            }
        }
    }
}
