//! Which parts of a body can be sent, which are, and whether they are what the body became.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use crate::store::blocks::block::Segment;
use crate::store::blocks::file_usage::Intervals;

/// So many parts have to be ready before the first one is sent: a shorter body is one request in the end.
const MIN_READY_PARTS: usize = 3;

/// What more bytes change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProgressChange {
    /// Nothing yet.
    None,
    /// It is worth to begin.
    Begin,
    /// There is more to be sent.
    More,
    /// Bytes were replaced that may have been sent.
    Void,
}

/// See the module.
///
/// Bytes of a block stay as they are for as long as the block belongs to the upload, and a block has a number
/// of its own. So a part is what it was when it was sent if the same blocks give its bytes in the end. Checksums
/// would not tell as much: equal bytes may have been gone for a moment.
#[derive(Debug)]
pub(super) struct PartProgress {
    /// Length of a part in bytes.
    part: u64,
    /// Bytes of the data file that were written, whether or not their blocks become complete and are at their
    /// places in the end.
    present: Intervals,
    /// The number of each complete block by its first byte in the data file.
    blocks: HashMap<u64, u32>,
    /// Parts that can be sent, counted from 0.
    ready: VecDeque<u64>,
    /// Parts that were sent or are under way.
    begun: Vec<u64>,
    sending: bool,
    closed: bool,
}

impl PartProgress {
    pub(super) fn new(part: u64) -> Self {
        Self {
            part: part.max(1),
            present: Intervals::default(),
            blocks: HashMap::new(),
            ready: VecDeque::new(),
            begun: Vec::new(),
            sending: false,
            closed: false,
        }
    }

    /// These bytes of a block in the data file were written. It need not be complete: a long block should not
    /// wait for its end. Should it break off, its bytes belong to no block of the body, or come again.
    pub(super) fn grow(&mut self, range: Range<u64>) -> ProgressChange {
        if self.closed || range.is_empty() {
            return ProgressChange::None;
        }
        if self.present.overlaps(&range) {
            self.close();
            return ProgressChange::Void;
        }
        self.present.insert(range.clone());
        let before = self.ready.len();
        for part in range.start / self.part..range.end.div_ceil(self.part) {
            if self.present.covers(&(part * self.part..(part + 1) * self.part)) {
                self.ready.push_back(part);
            }
        }
        match self.ready.len() > before {
            true if self.sending => ProgressChange::More,
            true if self.ready.len() >= MIN_READY_PARTS => {
                self.sending = true;
                ProgressChange::Begin
            }
            _ => ProgressChange::None,
        }
    }

    /// The block in the data file that begins at `at` is complete.
    pub(super) fn complete(&mut self, at: u64, number: u32) {
        if !self.closed {
            self.blocks.insert(at, number);
        }
    }

    /// Whether [`PartProgress::begin`] would answer a part.
    pub(super) fn is_ready(&self) -> bool {
        !self.closed && !self.ready.is_empty()
    }

    /// The next part to be sent.
    pub(super) fn begin(&mut self) -> Option<u64> {
        if self.closed {
            return None;
        }
        let part = self.ready.pop_front()?;
        self.begun.push(part);
        Some(part)
    }

    /// No further part is begun.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.ready = VecDeque::new();
    }

    /// Whether every part that was begun is part of the body with these segments.
    pub(super) fn fits(&self, body: &[Segment]) -> bool {
        let mut same = Intervals::default();
        let unchanged = |segment: &&Segment| {
            segment.is_in_place() && self.blocks.get(&segment.block.extent.at) == Some(&segment.block.number)
        };
        body.iter()
            .filter(unchanged)
            .for_each(|segment| same.insert(segment.start..segment.end()));
        let parts = self.begun.iter().map(|part| part * self.part);
        parts
            .into_iter()
            .all(|start| same.covers(&(start..start + self.part)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::blocks::block::{Block, Extent, UploadFile};

    impl PartProgress {
        /// A block that comes at once.
        fn add(&mut self, extent: &Extent, number: u32) -> ProgressChange {
            let change = self.grow(extent.range());
            self.complete(extent.at, number);
            change
        }
    }

    fn extent(file: UploadFile, at: u64, length: u64) -> Extent {
        Extent { file, at, length }
    }

    /// A whole block of the body.
    fn segment(start: u64, file: UploadFile, at: u64, length: u64, number: u32) -> Segment {
        let block = Block {
            number,
            extent: extent(file, at, length),
            sums: Box::default(),
        };
        Segment::whole(start, &Arc::new(block))
    }

    fn data(at: u64, length: u64, number: u32) -> Segment {
        segment(at, UploadFile::Data, at, length, number)
    }

    /// Blocks of 15 bytes and parts of 10 bytes: 9 blocks, all but the first two parts begun.
    fn sent() -> PartProgress {
        let mut progress = PartProgress::new(10);
        for nth in 2..9 {
            progress.add(&extent(UploadFile::Data, nth * 15, 15), nth as u32);
        }
        while progress.begin().is_some() {}
        progress
    }

    #[test]
    fn parts_are_ready_when_all_their_bytes_are_there_and_a_few_are_no_reason_to_begin() {
        let mut progress = PartProgress::new(10);
        let mut add = |at, length| progress.add(&extent(UploadFile::Data, at, length), at as u32);
        assert_eq!(add(0, 9), ProgressChange::None);
        assert_eq!(add(10, 19), ProgressChange::None);
        assert_eq!(add(9, 1), ProgressChange::None);
        assert_eq!(add(40, 0), ProgressChange::None);
        assert_eq!(add(29, 1), ProgressChange::Begin);
        assert_eq!(add(35, 10), ProgressChange::None);
        assert_eq!(add(30, 5), ProgressChange::More);
        let order: Vec<u64> = std::iter::from_fn(|| progress.begin()).collect();
        assert_eq!(order, [1, 0, 2, 3]);
        assert!(!progress.is_ready());
    }

    #[test]
    fn a_long_block_does_not_wait_for_its_end() {
        let mut progress = PartProgress::new(10);
        assert_eq!(progress.grow(0..25), ProgressChange::None);
        assert_eq!(progress.grow(25..31), ProgressChange::Begin);
        assert_eq!(progress.grow(31..39), ProgressChange::None);
        assert_eq!(progress.grow(39..40), ProgressChange::More);
        assert_eq!(std::iter::from_fn(|| progress.begin()).count(), 4);
        // Until it is complete, it is nothing of the body.
        let body = [data(0, 40, 7)];
        assert!(!progress.fits(&body));
        progress.complete(0, 7);
        assert!(progress.fits(&body));
    }

    #[test]
    fn a_block_that_broke_off_voids_what_was_sent_of_it() {
        let mut progress = PartProgress::new(10);
        assert_eq!(progress.grow(0..35), ProgressChange::Begin);
        while progress.begin().is_some() {}
        assert!(!progress.fits(&[segment(0, UploadFile::More, 0, 50, 3)]));
        assert_eq!(
            progress.grow(0..5),
            ProgressChange::Void,
            "it comes again at the same place"
        );
        assert!(!progress.is_ready());
    }

    #[test]
    fn a_place_that_is_taken_again_ends_it() {
        let mut progress = sent();
        assert_eq!(
            progress.add(&extent(UploadFile::Data, 44, 3), 20),
            ProgressChange::Void
        );
        assert_eq!(
            progress.add(&extent(UploadFile::Data, 500, 100), 21),
            ProgressChange::None
        );
        assert!(!progress.is_ready() && progress.begin().is_none());
    }

    #[test]
    fn nothing_is_begun_once_it_is_closed() {
        let mut progress = PartProgress::new(10);
        assert_eq!(
            progress.add(&extent(UploadFile::Data, 0, 40), 0),
            ProgressChange::Begin
        );
        assert!(progress.is_ready());
        progress.close();
        assert!(!progress.is_ready() && progress.begin().is_none());
        assert!(progress.fits(&[]));
    }

    #[test]
    fn parts_of_the_body_are_those_whose_blocks_are_the_same_and_in_place() {
        let progress = sent();
        let body: Vec<Segment> = (0..9).map(|nth| data(nth * 15, 15, nth as u32)).collect();
        assert!(progress.fits(&body));
        let mut unsent = body.clone();
        unsent[0] = segment(0, UploadFile::More, 0, 15, 30);
        unsent[1] = data(15, 15, 31);
        assert!(progress.fits(&unsent));
        let other = |nth: usize, segment| {
            let mut body = body.clone();
            body[nth] = segment;
            body
        };
        let number = other(4, data(60, 15, 30));
        let place = other(4, segment(60, UploadFile::Data, 75, 15, 5));
        let file = other(4, segment(60, UploadFile::More, 60, 15, 4));
        let part = other(4, body[4].part(60..74));
        for body in [number, place, file, part, body[..8].to_vec(), Vec::new()] {
            assert!(!progress.fits(&body));
        }
    }
}
