//! The one write primitive: a body on its way into a tier.
//!
//! [`SpoolDir::create`] reserves room before the first byte is read; [`SpoolWriter`] takes the bytes;
//! [`Spool`] is the whole body with its checksums, ready for [`crate::store::Store::put`]. Each
//! of them, dropped on the way, leaves nothing behind: the file goes, then the room.
//!
//! Small bodies never touch a file of their own: the tier writes them together with their trailer.

mod checksums;
mod dir;
mod temp;
mod writer;

use std::sync::Arc;

use bytes::Bytes;

pub(crate) use super::crc::crc;
pub(crate) use checksums::ChecksumBuilder;
pub use checksums::Checksums;
pub use dir::SpoolDir;
pub(crate) use dir::{FOLDER_BYTES, room_for};
pub(crate) use temp::{LinkOwner, Temp, fresh};
pub(crate) use writer::Growth;
pub use writer::SpoolWriter;

use super::budget::Reservation;
use super::{Content, FileRange, UploadedParts};

/// Bodies up to this many bytes stay in memory until they are put.
pub(crate) const MAX_MEMORY_SPOOL_BYTES: usize = 64 * 1024;

/// A whole body that waits to be put into a tier. Dropped without a put, it is removed.
#[derive(Debug)]
pub struct Spool {
    body: SpoolBody,
    sums: Checksums,
    room: Arc<Reservation>,
    parts: Option<UploadedParts>,
}

/// Where the bytes of a [`Spool`] are.
#[derive(Debug)]
pub(crate) enum SpoolBody {
    /// At most [`MAX_MEMORY_SPOOL_BYTES`] bytes, in order.
    Memory(Vec<Bytes>),
    /// A temporary file that begins with the body.
    File(Arc<Temp>),
}

impl Spool {
    /// A body that is whole already. `room` is all that it takes, with what belongs to it.
    pub(crate) fn new(body: SpoolBody, sums: Checksums, room: Arc<Reservation>) -> Self {
        Self {
            body,
            sums,
            room,
            parts: None,
        }
    }

    /// The same body; the remote tier has these parts of it.
    #[must_use]
    pub fn with_uploaded_parts(mut self, parts: UploadedParts) -> Self {
        self.parts = Some(parts);
        self
    }

    /// The parts that the remote tier has. Dropped, they are removed there.
    pub(crate) fn take_uploaded_parts(&mut self) -> Option<UploadedParts> {
        self.parts.take()
    }

    /// Length of the body in bytes.
    pub fn len(&self) -> u64 {
        self.sums.size()
    }

    /// Whether the body has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The checksums of the body, and its entity tag.
    pub fn checksums(&self) -> &Checksums {
        &self.sums
    }

    /// The bytes, as often as they are needed, for a tier that sends them elsewhere. They stay
    /// readable after the spool is put or dropped, as long as the content is held.
    pub fn content(&self) -> Content {
        match &self.body {
            SpoolBody::Memory(frames) => Content::Memory(joined(frames)),
            SpoolBody::File(temp) => Content::File(FileRange::whole(temp.entry_file(), self.len())),
        }
    }

    /// The room that is held for this body and everything that belongs to it.
    pub(crate) fn room(&self) -> &Arc<Reservation> {
        &self.room
    }

    /// Where the bytes are.
    pub(crate) fn body(&self) -> &SpoolBody {
        &self.body
    }
}

/// All frames in one buffer of exactly their size, which pins no larger one.
pub(crate) fn joined(frames: &[Bytes]) -> Bytes {
    frames.concat().into()
}
