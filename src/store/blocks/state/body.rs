//! Which complete blocks an upload has, and which of them give the body.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::UploadState;
use crate::store::blocks::block::{Block, Extent, Segment};
use crate::store::blocks::{BlockPlace, BlocksError};

/// What gives the body.
#[derive(Debug, Default)]
pub(super) enum DecidedBody {
    /// The ranges, if there are any.
    #[default]
    Undecided,
    Whole(Arc<Block>),
    List {
        blocks: Vec<Arc<Block>>,
        size: u64,
    },
}

impl UploadState {
    /// See [`crate::store::blocks::Blocks::received`].
    pub(in crate::store::blocks) fn received(&self) -> u64 {
        match &self.body {
            DecidedBody::Whole(block) => block.extent.length,
            DecidedBody::List { size, .. } => *size,
            DecidedBody::Undecided => self.ranges.covered() + self.block_bytes,
        }
    }

    /// See [`crate::store::blocks::Blocks::has_body`].
    pub(in crate::store::blocks) fn has_body(&self) -> bool {
        !matches!(self.body, DecidedBody::Undecided) || !self.ranges.is_empty()
    }

    /// Whether the same bytes are at this place already.
    pub(in crate::store::blocks) fn has(&self, place: &BlockPlace, extent: &Extent, sums: &[u64]) -> bool {
        let former = match (place, &self.body) {
            (BlockPlace::Whole, DecidedBody::Whole(block)) => Some(block),
            (BlockPlace::Whole, _) => None,
            (BlockPlace::At(offset), _) => self.ranges.at(*offset),
            (BlockPlace::Block(id), _) => self.blocks.get(id),
        };
        // Bytes that came again are known to be sound, and those of an earlier run are not.
        former.is_some_and(|former| self.is_sound(former) && former.equals(extent, sums))
    }

    /// All blocks so far are from an earlier run.
    pub(in crate::store::blocks) fn end_recovery(&mut self) {
        self.recovered = self.numbers;
    }

    /// Whether this process has seen the bytes of the block arrive.
    pub(in crate::store::blocks) fn is_sound(&self, block: &Block) -> bool {
        block.number >= self.recovered && !self.lost.contains(&block.number)
    }

    /// The bytes of this block are not what arrived.
    pub(in crate::store::blocks) fn lose(&mut self, block: &Block) {
        self.lost.insert(block.number);
    }

    /// A block is complete, and its record is in the log, which now has `log` bytes. Answers the blocks that
    /// nothing needs any more.
    pub(in crate::store::blocks) fn keep(
        &mut self,
        place: BlockPlace,
        extent: Extent,
        sums: Box<[u64]>,
        log: u64,
    ) -> Vec<Block> {
        self.log = log;
        self.whole = None;
        self.records += 1;
        let number = self.numbers;
        self.numbers += 1;
        if let Some(usage) = self.usage(extent.file) {
            usage.keep(&extent.range());
        }
        let block = Arc::new(Block { number, extent, sums });
        let lost = match place {
            BlockPlace::Whole => {
                let mut lost = self.decide(DecidedBody::Whole(block));
                lost.extend(self.blocks.drain().map(|(_, block)| block));
                self.block_bytes = 0;
                lost
            }
            BlockPlace::At(offset) => {
                let lost = self.ranges.insert(offset, &block);
                match lost.is_empty() && block.extent.length == 0 {
                    true => vec![block],
                    false => lost,
                }
            }
            BlockPlace::Block(id) => {
                self.block_bytes += block.extent.length;
                let former = self.blocks.insert(id, block);
                self.block_bytes -= former.as_ref().map_or(0, |former| former.extent.length);
                former.into_iter().collect()
            }
        };
        unneeded(lost)
    }

    /// The number of the last block that was kept.
    pub(in crate::store::blocks) fn last_number(&self) -> u32 {
        self.numbers.saturating_sub(1)
    }

    /// The numbers of the blocks with these ids, and the bytes of all.
    ///
    /// # Errors
    /// [`BlocksError::UnknownBlock`].
    pub(in crate::store::blocks) fn numbers(
        &self,
        ids: &[Box<[u8]>],
    ) -> Result<(Vec<u32>, u64), BlocksError> {
        let mut size = 0;
        let mut number = |id| -> Result<u32, BlocksError> {
            let there = self.blocks.get(id);
            let there = there.filter(|block| !self.lost.contains(&block.number));
            let block: &Arc<Block> = there.ok_or(BlocksError::UnknownBlock)?;
            size += block.extent.length;
            Ok(block.number)
        };
        let numbers = ids.iter().map(&mut number).collect::<Result<_, _>>()?;
        Ok((numbers, size))
    }

    /// Whether the list of these blocks is the one that decides already.
    pub(in crate::store::blocks) fn is_block_list(&self, numbers: &[u32]) -> bool {
        match &self.body {
            DecidedBody::List { blocks, .. } => blocks.iter().map(|block| &block.number).eq(numbers),
            _ => false,
        }
    }

    /// A list of blocks is in the log, which now has `log` bytes. Answers what nothing needs any more; `None`
    /// if it names a block that is not there.
    pub(in crate::store::blocks) fn put_block_list(
        &mut self,
        numbers: &[u32],
        log: u64,
    ) -> Option<Vec<Block>> {
        let known: HashMap<u32, &Arc<Block>> =
            self.blocks.values().map(|block| (block.number, block)).collect();
        let list = numbers
            .iter()
            .map(|number| known.get(number).map(|block| Arc::clone(block)));
        let blocks = list.collect::<Option<Vec<_>>>()?;
        self.log = log;
        self.whole = None;
        self.records += 1;
        let named: HashSet<u32> = numbers.iter().copied().collect();
        let dropped = self.blocks.extract_if(|_, block| !named.contains(&block.number));
        let dropped: Vec<_> = dropped.map(|(_, block)| block).collect();
        self.block_bytes -= dropped.iter().map(|block| block.extent.length).sum::<u64>();
        let size = blocks.iter().map(|block| block.extent.length).sum();
        let mut lost = self.decide(DecidedBody::List { blocks, size });
        lost.extend(dropped);
        Some(unneeded(lost))
    }

    fn decide(&mut self, body: DecidedBody) -> Vec<Arc<Block>> {
        let mut lost: Vec<_> = self.ranges.clear().collect();
        match std::mem::replace(&mut self.body, body) {
            DecidedBody::Undecided => {}
            DecidedBody::Whole(block) => lost.push(block),
            DecidedBody::List { blocks, .. } => lost.extend(blocks),
        }
        lost
    }

    /// The whole body of `size` bytes, in order.
    ///
    /// # Errors
    /// [`BlocksError::Size`], [`BlocksError::Hole`], [`BlocksError::Incomplete`].
    pub(in crate::store::blocks) fn plan(&self, size: u64) -> Result<Vec<Segment>, BlocksError> {
        let segments = self.segments(size)?;
        let is_lost = |segment: &&Segment| self.lost.contains(&segment.block.number);
        match segments.iter().find(is_lost) {
            Some(lost) => Err(BlocksError::Hole { at: lost.start }),
            None => Ok(segments),
        }
    }

    fn segments(&self, size: u64) -> Result<Vec<Segment>, BlocksError> {
        let list = match &self.body {
            DecidedBody::Undecided if self.ranges.is_empty() && (size > 0 || !self.blocks.is_empty()) => {
                return Err(BlocksError::Incomplete);
            }
            DecidedBody::Undecided => return self.ranges.plan(size),
            DecidedBody::Whole(block) => std::slice::from_ref(block),
            DecidedBody::List { blocks, .. } => blocks,
        };
        let received = self.received();
        if received != size {
            return Err(BlocksError::Size {
                declared: size,
                received,
            });
        }
        let mut at = 0;
        let segments = list.iter().map(|block| {
            let segment = Segment::whole(at, block);
            at += segment.length;
            segment
        });
        Ok(segments.filter(|segment| segment.length > 0).collect())
    }

    /// Every block that something needs.
    pub(in crate::store::blocks) fn live(&self) -> impl Iterator<Item = &Arc<Block>> {
        let decided = match &self.body {
            DecidedBody::Undecided => &[],
            DecidedBody::Whole(block) => std::slice::from_ref(block),
            DecidedBody::List { blocks, .. } => blocks.as_slice(),
        };
        let ranges = self.ranges.segments().map(|segment| &segment.block);
        decided.iter().chain(ranges).chain(self.blocks.values())
    }
}

/// The blocks of which these are the last handles.
fn unneeded(lost: Vec<Arc<Block>>) -> Vec<Block> {
    lost.into_iter().filter_map(Arc::into_inner).collect()
}
