//! Reading bytes wherever they are, a piece at a time.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::time::Instant;

use super::{Content, FileRange, MIN_READ_BYTES, MIN_READ_TIME_SECONDS, SlowReader};
use crate::store::turns::file_turn;
use crate::sys;

/// See [`Content::pieces`]. Ends with an error when the bytes are damaged, or fewer than they should be.
pub struct Pieces {
    rest: PiecesRest,
    /// Bytes of a piece of a file.
    length: u64,
    reading: Option<BoxFuture<'static, io::Result<Bytes>>>,
    arriving: Option<BoxFuture<'static, io::Result<()>>>,
    stream: Option<BoxStream<'static, io::Result<Bytes>>>,
}

/// What is left to be read.
enum PiecesRest {
    /// A part of a file, which can be taken away from a reader that hardly reads.
    File(Arc<FileReader>),
    Other(Content),
}

/// See [`SlowReader`].
#[derive(Debug)]
struct FileReader {
    state: Mutex<FileReaderState>,
}

#[derive(Debug)]
struct FileReaderState {
    /// `None` once it was ended.
    rest: Option<FileRange>,
    /// When it was looked at, and how many bytes were left then.
    looked: Option<(Instant, u64)>,
}

impl FileReader {
    fn new(rest: FileRange) -> Arc<Self> {
        let this = Arc::new(Self {
            state: Mutex::new(FileReaderState {
                rest: Some(rest.clone()),
                looked: None,
            }),
        });
        if let Some(holder) = rest.holder() {
            let reader: Weak<Self> = Arc::downgrade(&this);
            holder.add_reader(reader);
        }
        this
    }

    fn state(&self) -> MutexGuard<'_, FileReaderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SlowReader for FileReader {
    fn end_if_slow(&self) {
        let mut state = self.state();
        let left = state.rest.as_ref().map(FileRange::len);
        // Who has all its pieces does not read the file any more.
        let Some(left) = left.filter(|left| *left > 0) else {
            return;
        };
        let (since, before) = *state.looked.get_or_insert_with(|| (Instant::now(), left));
        if since.elapsed() < Duration::from_secs(MIN_READ_TIME_SECONDS.into()) {
            return;
        }
        state.looked = None;
        if before - left < MIN_READ_BYTES {
            state.rest = None;
        }
    }
}

impl Pieces {
    /// Length of a piece: large enough that a hop to the blocking pool is cheap beside the copy.
    const PIECE_BYTES: u64 = 256 * 1024;

    pub(super) fn new(rest: Content) -> Self {
        let rest = match rest {
            Content::File(part) => PiecesRest::File(FileReader::new(part)),
            other => PiecesRest::Other(other),
        };
        Self {
            rest,
            length: Self::PIECE_BYTES,
            reading: None,
            arriving: None,
            stream: None,
        }
    }

    /// Files in pieces of `length` bytes from now on, in place of the usual length.
    pub fn set_length(&mut self, length: u64) {
        self.length = length.max(1);
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
                let piece = ready!(reading.as_mut().poll(cx));
                self.reading = None;
                return Poll::Ready(Some(piece));
            }
            let PiecesRest::File(reader) = &self.rest else {
                return Poll::Ready(None);
            };
            let mut state = reader.state();
            let Some(part) = &mut state.rest else {
                let ended = "a slow reader of a file whose room others need";
                return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, ended))));
            };
            if part.is_empty() {
                return Poll::Ready(None);
            }
            let length = part.available().min(self.length);
            if length == 0 {
                let arriving = part.arrival();
                drop(state);
                self.arriving = Some(arriving);
                continue;
            }
            let piece = part.slice(0..length);
            part.advance(length);
            drop(state);
            let mut buffer = vec![0; length as usize];
            if piece.is_hot(length) && piece.read_now(&mut buffer) == Some(buffer.len()) {
                return Poll::Ready(Some(Ok(buffer.into())));
            }
            self.reading = Some(Box::pin(read_cold(piece, buffer)));
        }
    }
}

/// Reads a piece in the blocking pool when it is its turn.
async fn read_cold(piece: FileRange, mut buffer: Vec<u8>) -> io::Result<Bytes> {
    let turn = file_turn(piece.asker()).await;
    let reading = sys::run_blocking(move || {
        let _turn = turn;
        piece.read(&mut buffer)?;
        Ok(buffer.into())
    });
    reading
        .await
        .unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let rest = match &mut this.rest {
            PiecesRest::File(_) => return this.poll_file(cx),
            PiecesRest::Other(rest) => rest,
        };
        match rest {
            Content::Memory(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Memory(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Content::File(_) | Content::Described(_) => {
                Poll::Ready(Some(Err(io::ErrorKind::Unsupported.into())))
            }
            Content::Remote(part) => {
                let stream = this.stream.get_or_insert_with(|| part.open());
                stream.as_mut().poll_next(cx)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::ops::Range;

    use futures_util::{StreamExt, poll};

    use super::*;
    use crate::store::EntryFile;
    use crate::store::turns::{Asker, MAX_FILE_TURNS};

    /// Cold, whoever looks.
    #[derive(Debug)]
    struct ColdFile(File);

    impl EntryFile for ColdFile {
        fn file(&self) -> &File {
            &self.0
        }

        fn verified(&self, _range: Range<u64>) -> bool {
            false
        }

        fn verify(&self, _range: Range<u64>) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_cold_read_does_not_wait_behind_all_reads_of_another_tenant() {
        let (flood, quiet) = (Asker::from_number(1), Asker::from_number(2));
        let file = tempfile::tempfile().expect("temporary file");
        sys::write_all_vectored_at(&file, &[b"bytes"], 0).expect("written");
        let mut held = Vec::new();
        while held.len() < MAX_FILE_TURNS {
            held.push(file_turn(flood).await);
        }
        let mut waiting: Vec<_> = (0..1000).map(|_| Box::pin(file_turn(flood))).collect();
        for wait in &mut waiting {
            assert!(poll!(wait).is_pending());
        }
        let content = Content::File(FileRange::whole(Arc::new(ColdFile(file)), 5));
        let mut pieces = content.asked_by(quiet).pieces();
        assert!(poll!(pieces.next()).is_pending());
        drop(held.pop());
        let piece = pieces.next().await.expect("a piece").expect("read");
        assert_eq!(piece, "bytes");
    }
}
