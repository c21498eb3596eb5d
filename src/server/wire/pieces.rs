//! A file for HTTP/2, in pieces that grow with what the client takes.
//!
//! hyper takes a piece of every stream before it knows whether the client has room for it, and up to two of them wait for
//! the window of the client. A client decides how long. So the first pieces are short, and longer ones are counted as
//! memory of the tenant; without memory they stay short.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::{io, mem};

use bytes::Bytes;
use futures_util::Stream;

use crate::store::memory::{MemoryAccount, MemoryShare};
use crate::store::{Content, FileRange, Pieces};

/// Bytes of the first pieces, which are not counted.
const FIRST_BYTES: u64 = 4 * 1024;
/// How often the length doubles: with each piece that has left, up to 32 KiB.
const MAX_DOUBLINGS: u32 = 3;

/// See the module.
pub struct GrowingPieces {
    pieces: Pieces,
    memory: MemoryAccount,
    owner: Arc<str>,
    /// Pieces that the client has taken.
    taken: Arc<AtomicU32>,
    next: NextPiece,
}

/// The piece that is asked for.
enum NextPiece {
    None,
    /// With the memory that is counted for it.
    Reading(Option<MemoryShare>),
}

/// A piece on its way; counts as taken when it is dropped.
struct PieceOnItsWay {
    bytes: Bytes,
    taken: Arc<AtomicU32>,
    _memory: Option<MemoryShare>,
}

impl GrowingPieces {
    /// The bytes of `part`, counted for `owner`.
    pub fn new(part: FileRange, memory: MemoryAccount, owner: Arc<str>) -> Self {
        Self {
            pieces: Content::File(part).pieces(),
            memory,
            owner,
            taken: Arc::default(),
            next: NextPiece::None,
        }
    }

    fn ask(&mut self) {
        let length = FIRST_BYTES << self.taken.load(Relaxed).min(MAX_DOUBLINGS);
        let counted = (length > FIRST_BYTES).then(|| {
            let mut share = self.memory.share(&self.owner);
            share.hold(length).then_some(share)
        });
        let share = counted.flatten();
        let length = if share.is_some() { length } else { FIRST_BYTES };
        self.pieces.set_length(length);
        self.next = NextPiece::Reading(share);
    }
}

impl Stream for GrowingPieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if matches!(this.next, NextPiece::None) {
            this.ask();
        }
        let piece = ready!(Pin::new(&mut this.pieces).poll_next(cx));
        let NextPiece::Reading(_memory) = mem::replace(&mut this.next, NextPiece::None) else {
            return Poll::Ready(None);
        };
        let taken = Arc::clone(&this.taken);
        let on_its_way = |bytes| PieceOnItsWay {
            bytes,
            taken,
            _memory,
        };
        Poll::Ready(piece.map(|piece| Ok(Bytes::from_owner(on_its_way(piece?)))))
    }
}

impl AsRef<[u8]> for PieceOnItsWay {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for PieceOnItsWay {
    fn drop(&mut self) {
        self.taken.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::ops::Range;

    use futures_util::StreamExt;

    use super::*;
    use crate::store::EntryFile;

    const KIB: usize = 1024;

    #[derive(Debug)]
    struct PlainFile(File);

    impl EntryFile for PlainFile {
        fn file(&self) -> &File {
            &self.0
        }

        fn verified(&self, _: Range<u64>) -> bool {
            true
        }

        fn verify(&self, _: Range<u64>) -> io::Result<()> {
            Ok(())
        }
    }

    /// A stream of a file of this length, with so much memory to be counted.
    fn pieces(length: usize, memory: u64) -> (GrowingPieces, MemoryAccount) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; length]).unwrap();
        let account = MemoryAccount::new(memory);
        let part = FileRange::whole(Arc::new(PlainFile(file)), length as u64);
        (
            GrowingPieces::new(part, account.clone(), "tenant".into()),
            account,
        )
    }

    async fn lengths(mut pieces: GrowingPieces) -> Vec<usize> {
        let mut lengths = Vec::new();
        while let Some(piece) = pieces.next().await {
            lengths.push(piece.unwrap().len() / KIB);
        }
        lengths
    }

    #[tokio::test]
    async fn pieces_grow_as_they_are_taken_and_count_until_then() {
        let (pieces, account) = pieces(100 * KIB, 1 << 20);
        assert_eq!(lengths(pieces).await, [4, 8, 16, 32, 32, 8]);
        assert_eq!(account.stats().used, 0);
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_costs_short_pieces_only() {
        let (mut pieces, account) = pieces(100 * KIB, 1 << 20);
        let mut held = Vec::new();
        for _ in 0..5 {
            held.push(pieces.next().await.unwrap().unwrap());
        }
        assert!(held.iter().all(|piece| piece.len() == 4 * KIB));
        assert_eq!(account.stats().used, 0);
        held.truncate(3);
        held.push(pieces.next().await.unwrap().unwrap());
        assert_eq!((held[3].len(), account.stats().used), (16 * KIB, 16 * KIB as u64));
        drop(held);
        assert_eq!(account.stats().used, 0);
    }

    #[tokio::test]
    async fn without_memory_pieces_stay_short_and_whole() {
        let (pieces, _account) = pieces(22 * KIB, 0);
        assert_eq!(lengths(pieces).await, [4, 4, 4, 4, 4, 2]);
    }
}
