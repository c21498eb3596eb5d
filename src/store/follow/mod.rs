//! Reading an entry from a [`crate::store::source::EntrySource`] for all its readers.
//!
//! - One fetch per entry, however many readers wait ([`Fills`]). A fetch belongs to the server: it goes on when its first
//!   reader leaves, and ends with the server.
//! - A small body is read and checked as a whole ([`read_whole`]).
//! - A larger body goes into a file that grows ([`GrowingFile`]) while several parts arrive at once
//!   ([`Transfer`]). Readers follow the file; the part that a reader waits for comes next ([`PartOrder`]).
//! - A body that finds no room on the disk is streamed to one reader ([`stream`]).
//!
//! A [`Judge`] says whether the bytes are those of the entry. No reader of a whole body gets its last byte
//! before that. What is fetched, where it is published, and under which lock is the caller's business.

mod fills;
mod growing;
mod judge;
mod part_order;
mod resume;
pub(crate) mod stream;
mod transfer;

pub(crate) use fills::{Fill, FillState, Fills};
pub(crate) use growing::GrowingFile;
pub(crate) use judge::{Judge, read_whole};
pub(crate) use transfer::{Transfer, TransferContext};

use self::part_order::PartOrder;
use super::{Error, RemoteErrorKind};

fn damaged(text: &'static str) -> Error {
    Error::remote("fetching an entry", RemoteErrorKind::Damaged, text)
}
