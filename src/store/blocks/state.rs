//! What an upload has, as its log says it; kept up to date while blocks arrive, made anew at a start.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::area::Area;
use super::block::{Block, Extent, Segment, Which};
use super::hint::{self, Unit};
use super::ranges::Ranges;
use super::{BlocksError, MOST_BLOCKS, MOST_RECORDS, Place};
use crate::store::Error;
use crate::store::budget::whole_blocks;
use crate::store::spool::{Checksums, FOLDER_BYTES};

/// Garbage that an upload may always have, in bytes; more only if its blocks are more.
const GARBAGE: u64 = 1 << 30;
/// The longest log, in bytes.
const MOST_LOG: u64 = 64 << 20;
/// A log up to this length takes short bodies, in bytes.
const SHORT_LOG: u64 = 1 << 20;

/// How far the upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// Blocks arrive.
    #[default]
    Open,
    /// The body is being put together. Nothing changes meanwhile.
    Sealed,
    /// It was put together once, and can be again. Nothing changes any more.
    Done,
    /// It is removed.
    Ended,
}

/// Who else has the data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Lent {
    #[default]
    No,
    /// A spool, or the tier that took it.
    Out,
    /// A spool that is about to remove its name of the file.
    Returning,
}

/// What gives the body.
#[derive(Debug, Default)]
enum Body {
    /// The ranges, if there are any.
    #[default]
    Undecided,
    Whole(Arc<Block>),
    List {
        blocks: Vec<Arc<Block>>,
        size: u64,
    },
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) lent: Lent,
    /// How often the body was being put together. Who began to write before the last time is too late.
    pub(super) epoch: u32,
    /// The data file has another name, which belongs to the tier: no byte of it may change.
    pub(super) frozen: bool,
    /// Work in the blocking pool that may write or free bytes.
    pub(super) hops: usize,
    /// Blocks on their way.
    pub(super) running: usize,
    pub(super) data: Area,
    pub(super) more: Area,
    /// Length of the log in bytes.
    pub(super) log: u64,
    /// Checksums of the data file once every block is at its place.
    pub(super) whole: Option<Checksums>,
    unit: Unit,
    records: u32,
    numbers: u32,
    body: Body,
    blocks: HashMap<Box<[u8]>, Arc<Block>>,
    block_bytes: u64,
    ranges: Ranges,
}

impl State {
    /// Nothing has come; the log has `log` bytes.
    pub(super) fn begun(log: u64) -> Self {
        Self {
            log,
            ..Self::default()
        }
    }

    /// Bytes that the upload takes on the volume; what is on its way is not among them.
    pub(super) fn cost(&self) -> u64 {
        self.data.cost() + self.more.cost() + whole_blocks(self.log) + FOLDER_BYTES
    }

    /// See [`super::Blocks::received`].
    pub(super) fn received(&self) -> u64 {
        match &self.body {
            Body::Whole(block) => block.extent.length,
            Body::List { size, .. } => *size,
            Body::Undecided => self.ranges.covered() + self.block_bytes,
        }
    }

    /// See [`super::Blocks::has_body`].
    pub(super) fn has_body(&self) -> bool {
        !matches!(self.body, Body::Undecided) || !self.ranges.is_empty()
    }

    /// Whether one more block may come.
    ///
    /// # Errors
    /// [`BlocksError::Ended`], [`BlocksError::TooManyBlocks`], [`Error::NoSpace`] for what was sent again too
    /// often.
    pub(super) fn admit(&self, place: &Place, length: u64) -> Result<(), BlocksError> {
        self.check_open()?;
        let known = match place {
            Place::Block(id) => self.blocks.contains_key(id),
            _ => true,
        };
        if !known && self.blocks.len() + self.running >= MOST_BLOCKS {
            return Err(BlocksError::TooManyBlocks { limit: MOST_BLOCKS });
        }
        self.check_records()?;
        let held = self.data.bytes() + self.more.bytes();
        let live = self.received().max(self.ranges.covered() + self.block_bytes);
        match held.saturating_sub(live) > live.max(GARBAGE) || self.log > MOST_LOG {
            true => Err(BlocksError::Store(Error::NoSpace {
                needed: length,
                reason: "too much of one upload was sent again and again",
            })),
            false => Ok(()),
        }
    }

    pub(super) fn check_open(&self) -> Result<(), BlocksError> {
        match self.phase {
            Phase::Open => Ok(()),
            _ => Err(BlocksError::Ended),
        }
    }

    /// The same for a writer that began in this epoch.
    pub(super) fn check_writer(&self, epoch: u32) -> Result<(), BlocksError> {
        self.check_open()?;
        match self.epoch == epoch {
            true => Ok(()),
            false => Err(BlocksError::Ended),
        }
    }

    /// Whether the log takes one more record.
    pub(super) fn check_records(&self) -> Result<(), BlocksError> {
        match (self.records as usize).saturating_add(self.running) > MOST_RECORDS {
            true => Err(BlocksError::TooManyBlocks { limit: MOST_RECORDS }),
            false => Ok(()),
        }
    }

    /// Whether a short body may stand in the log.
    pub(super) fn has_short_log(&self) -> bool {
        self.log <= SHORT_LOG
    }

    /// Where the bytes of one block go. They are its own until [`State::keep`] or [`Area::release`].
    /// `most`: no body is longer.
    pub(super) fn place(&mut self, place: &Place, length: u64, most: u64) -> Extent {
        let wish = match place {
            Place::Whole => Some(0),
            Place::At(offset) => Some(*offset),
            Place::Block(id) => self.wish(id, length),
        };
        let fits = |at: &u64| at.checked_add(length).is_some_and(|end| end <= most);
        if let Some(at) = wish.filter(fits).filter(|_| !self.frozen)
            && self.data.claim(at..at + length)
        {
            return Extent {
                file: Which::Data,
                at,
                length,
            };
        }
        let at = self.more.append(length, wish.unwrap_or(0));
        Extent {
            file: Which::More,
            at,
            length,
        }
    }

    fn wish(&mut self, id: &[u8], length: u64) -> Option<u64> {
        let former = self.blocks.get(id).map(|former| &former.extent);
        match (former, hint::index(id)) {
            // Taken, but what is sent again is then cut like it.
            (Some(former), _) if former.file == Which::Data => Some(former.at),
            (_, Some(index)) => self.unit.place(index, length),
            (_, None) => Some(self.data.end()),
        }
    }

    /// The area of a file that has one.
    pub(super) fn area(&mut self, file: Which) -> Option<&mut Area> {
        match file {
            Which::Log => None,
            Which::Data => Some(&mut self.data),
            Which::More => Some(&mut self.more),
        }
    }

    /// Whether the same bytes are at this place already.
    pub(super) fn has(&self, place: &Place, extent: &Extent, sums: &[u64]) -> bool {
        let former = match (place, &self.body) {
            (Place::Whole, Body::Whole(block)) => Some(block),
            (Place::Whole, _) => None,
            (Place::At(offset), _) => self.ranges.at(*offset),
            (Place::Block(id), _) => self.blocks.get(id),
        };
        former.is_some_and(|former| former.equals(extent, sums))
    }

    /// A block is complete, and its record is in the log, which now has `log` bytes. Answers the blocks that
    /// nothing needs any more.
    pub(super) fn keep(&mut self, place: Place, extent: Extent, sums: Box<[u64]>, log: u64) -> Vec<Block> {
        self.log = log;
        self.whole = None;
        self.records += 1;
        let number = self.numbers;
        self.numbers += 1;
        if let Some(area) = self.area(extent.file) {
            area.keep(&extent.range());
        }
        let block = Arc::new(Block { number, extent, sums });
        let lost = match place {
            Place::Whole => {
                let mut lost = self.decide(Body::Whole(block));
                lost.extend(self.blocks.drain().map(|(_, block)| block));
                self.block_bytes = 0;
                lost
            }
            Place::At(offset) => {
                let lost = self.ranges.insert(offset, &block);
                match lost.is_empty() && block.extent.length == 0 {
                    true => vec![block],
                    false => lost,
                }
            }
            Place::Block(id) => {
                self.block_bytes += block.extent.length;
                let former = self.blocks.insert(id, block);
                self.block_bytes -= former.as_ref().map_or(0, |former| former.extent.length);
                former.into_iter().collect()
            }
        };
        unneeded(lost)
    }

    /// The number of the last block that was kept.
    pub(super) fn last_number(&self) -> u32 {
        self.numbers.saturating_sub(1)
    }

    /// The numbers of the blocks with these ids, and the bytes of all.
    ///
    /// # Errors
    /// [`BlocksError::UnknownBlock`].
    pub(super) fn numbers(&self, ids: &[Box<[u8]>]) -> Result<(Vec<u32>, u64), BlocksError> {
        let mut size = 0;
        let mut number = |id| -> Result<u32, BlocksError> {
            let block: &Arc<Block> = self.blocks.get(id).ok_or(BlocksError::UnknownBlock)?;
            size += block.extent.length;
            Ok(block.number)
        };
        let numbers = ids.iter().map(&mut number).collect::<Result<_, _>>()?;
        Ok((numbers, size))
    }

    /// Whether the list of these blocks is the one that decides already.
    pub(super) fn is_arranged(&self, numbers: &[u32]) -> bool {
        match &self.body {
            Body::List { blocks, .. } => blocks.iter().map(|block| &block.number).eq(numbers),
            _ => false,
        }
    }

    /// A list of blocks is in the log, which now has `log` bytes. Answers what nothing needs any more; `None`
    /// if it names a block that is not there.
    pub(super) fn arrange(&mut self, numbers: &[u32], log: u64) -> Option<Vec<Block>> {
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
        let mut lost = self.decide(Body::List { blocks, size });
        lost.extend(dropped);
        Some(unneeded(lost))
    }

    fn decide(&mut self, body: Body) -> Vec<Arc<Block>> {
        let mut lost: Vec<_> = self.ranges.clear().collect();
        match std::mem::replace(&mut self.body, body) {
            Body::Undecided => {}
            Body::Whole(block) => lost.push(block),
            Body::List { blocks, .. } => lost.extend(blocks),
        }
        lost
    }

    /// The whole body of `size` bytes, in order.
    ///
    /// # Errors
    /// [`BlocksError::Size`], [`BlocksError::Hole`], [`BlocksError::Incomplete`].
    pub(super) fn plan(&self, size: u64) -> Result<Vec<Segment>, BlocksError> {
        let list = match &self.body {
            Body::Undecided if self.ranges.is_empty() && (size > 0 || !self.blocks.is_empty()) => {
                return Err(BlocksError::Incomplete);
            }
            Body::Undecided => return self.ranges.plan(size),
            Body::Whole(block) => std::slice::from_ref(block),
            Body::List { blocks, .. } => blocks,
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
    pub(super) fn live(&self) -> impl Iterator<Item = &Arc<Block>> {
        let decided = match &self.body {
            Body::Undecided => &[],
            Body::Whole(block) => std::slice::from_ref(block),
            Body::List { blocks, .. } => blocks.as_slice(),
        };
        let ranges = self.ranges.segments().map(|segment| &segment.block);
        decided.iter().chain(ranges).chain(self.blocks.values())
    }

    /// Blocks in the data file gave the others their places: so they do after a start.
    pub(super) fn learn(&mut self, place: &Place, extent: &Extent) {
        if let (Place::Block(id), Which::Data) = (place, extent.file)
            && let Some(index) = hint::index(id)
        {
            self.unit.place(index, extent.length);
        }
    }
}

/// The blocks of which these are the last handles.
fn unneeded(lost: Vec<Arc<Block>>) -> Vec<Block> {
    lost.into_iter().filter_map(Arc::into_inner).collect()
}
