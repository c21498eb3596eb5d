//! One chunk of a response body, as hyper holds it.

use std::io::IoSlice;
use std::sync::{Arc, OnceLock};

use bytes::{Buf, Bytes};

use super::send_queue::FileToken;
use crate::server::connections::RunningRequest;
use crate::store::FileRange;

/// The data of a frame: bytes, or a file that the stream sends itself.
#[derive(Debug)]
pub enum WireChunk {
    /// Ordinary bytes.
    Bytes(Bytes),
    /// Bytes that may wait inside of hyper for the client; the request is under way as long.
    Held(Bytes, RunningRequest),
    /// A file.
    File(FileChunk),
}

/// A file in place of bytes; see the module text of [`super`].
#[derive(Debug)]
pub struct FileChunk {
    token: Arc<FileToken>,
    rest: FileRange,
    /// Bytes at the front of `rest`, read only if something other than [`super::WireStream`] asks.
    copy: OnceLock<Bytes>,
}

impl FileChunk {
    /// How much a reader that does not know the token gets at once.
    const COPY_BYTES: u64 = 64 * 1024;

    pub(super) fn new(token: Arc<FileToken>, rest: FileRange) -> Self {
        Self {
            token,
            rest,
            copy: OnceLock::new(),
        }
    }

    /// The true bytes.
    ///
    /// # Panics
    /// If the file cannot be read: the task of the connection ends and cuts it, which is the only
    /// honest thing left after the header said how many bytes follow.
    fn copied(&self) -> &[u8] {
        self.copy.get_or_init(|| {
            let mut buffer = vec![0; self.rest.len().min(Self::COPY_BYTES) as usize];
            if let Err(error) = self.rest.read(&mut buffer) {
                panic!("an entry became unreadable while it was sent: {error}");
            }
            buffer.into()
        })
    }
}

impl Buf for WireChunk {
    fn remaining(&self) -> usize {
        match self {
            Self::Bytes(bytes) | Self::Held(bytes, _) => bytes.remaining(),
            // A file beyond the address space cannot be announced; 64-bit targets only.
            Self::File(file) => usize::try_from(file.rest.len()).unwrap_or(usize::MAX),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) | Self::Held(bytes, _) => bytes.chunk(),
            Self::File(file) if file.rest.is_empty() => &[],
            Self::File(file) => file.copied(),
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        match self {
            Self::Bytes(bytes) | Self::Held(bytes, _) => bytes.chunks_vectored(slices),
            Self::File(file) if file.rest.is_empty() || slices.is_empty() => 0,
            Self::File(file) => {
                slices[0] = IoSlice::new(file.token.slice());
                1
            }
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Bytes(bytes) | Self::Held(bytes, _) => bytes.advance(count),
            Self::File(file) => {
                file.rest.advance(count as u64);
                file.copy = OnceLock::new();
            }
        }
    }
}
