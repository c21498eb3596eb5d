//! Where the bytes of a block go.

use super::UploadState;
use crate::store::blocks::BlockPlace;
use crate::store::blocks::block::{Extent, UploadFile};
use crate::store::blocks::hint;

impl UploadState {
    /// Where the bytes of one block go. They are its own until [`UploadState::keep`] or
    /// [`crate::store::blocks::file_usage::FileUsage::release`]. `most`: no body is longer.
    pub(in crate::store::blocks) fn place(&mut self, place: &BlockPlace, length: u64, most: u64) -> Extent {
        let wish = match place {
            BlockPlace::Whole => Some(0),
            BlockPlace::At(offset) => Some(*offset),
            BlockPlace::Block(id) => self.wish(id, length),
        };
        let fits = |at: &u64| at.checked_add(length).is_some_and(|end| end <= most);
        if let Some(at) = wish.filter(fits).filter(|_| !self.frozen)
            && self.data.claim(at..at + length)
        {
            return Extent {
                file: UploadFile::Data,
                at,
                length,
            };
        }
        let at = self.more.append(length, wish.unwrap_or(0));
        Extent {
            file: UploadFile::More,
            at,
            length,
        }
    }

    fn wish(&mut self, id: &[u8], length: u64) -> Option<u64> {
        let former = self.blocks.get(id).map(|former| &former.extent);
        match (former, hint::index(id)) {
            // Taken, but what is sent again is then cut like it.
            (Some(former), _) if former.file == UploadFile::Data => Some(former.at),
            (_, Some(index)) => self.unit.place(index, length),
            (_, None) => Some(self.data.end()),
        }
    }

    /// Blocks in the data file gave the others their places: so they do after a start.
    pub(in crate::store::blocks) fn learn(&mut self, place: &BlockPlace, extent: &Extent) {
        if let (BlockPlace::Block(id), UploadFile::Data) = (place, extent.file)
            && let Some(index) = hint::index(id)
        {
            self.unit.place(index, extent.length);
        }
    }
}
