//! Where the bytes of a block go. What the ids of known clients say about it is a guess that saves a copy of the
//! body; only the list of blocks decides.

use super::UploadState;
use crate::store::blocks::BlockPlace;
use crate::store::blocks::block::{Extent, UploadFile};

/// Length of the ids that `@azure/storage-blob` makes: 36 characters and 12 decimal digits.
const JAVASCRIPT_ID_BYTES: usize = 48;
/// Length of those of the Azure SDK for Go: 16 bytes, the index as 4 bytes, big endian, and zeros.
const GO_ID_BYTES: usize = 64;

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
        let (file, at) = match wish.filter(fits).filter(|_| !self.frozen) {
            Some(at) if self.data.claim(at..at + length) => (UploadFile::Data, at),
            _ => (UploadFile::More, self.more.append(length, wish.unwrap_or(0))),
        };
        Extent { file, at, length }
    }

    fn wish(&mut self, id: &[u8], length: u64) -> Option<u64> {
        let former = self.blocks.get(id).map(|former| &former.extent);
        match (former, index(id)) {
            // Taken, but what is sent again is then cut like it.
            (Some(former), _) if former.file == UploadFile::Data => Some(former.at),
            (_, Some(index)) => self.unit.place(index, length),
            (_, None) => Some(self.data.end()),
        }
    }

    /// Blocks in the data file gave the others their places: so they do after a start.
    pub(in crate::store::blocks) fn learn(&mut self, place: &BlockPlace, extent: &Extent) {
        if let (BlockPlace::Block(id), UploadFile::Data) = (place, extent.file)
            && let Some(index) = index(id)
        {
            self.unit.place(index, extent.length);
        }
    }
}

/// The index of a block among the blocks of its body.
fn index(id: &[u8]) -> Option<u64> {
    match id.len() {
        JAVASCRIPT_ID_BYTES => {
            let digits = std::str::from_utf8(&id[36..]).ok()?;
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().ok())?
        }
        GO_ID_BYTES => {
            let (index, zeros) = id[16..].split_first_chunk::<4>()?;
            let plain = zeros.iter().all(|byte| *byte == 0);
            plain.then(|| u32::from_be_bytes(*index).into())
        }
        _ => None,
    }
}

/// Which length of a block gives the others their place.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct UnitLength(Option<u64>);

impl UnitLength {
    /// Where the block with this index begins, if all before it are equally long. The first block tells how
    /// long they are; one that came ahead of it and is no whole MiB is likely to be the last, and tells nothing.
    pub(super) fn place(&mut self, index: u64, length: u64) -> Option<u64> {
        let telling = length > 0 && (index == 0 || length.is_multiple_of(1 << 20));
        if telling {
            self.0.get_or_insert(length);
        }
        self.0?.checked_mul(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_the_clients_are_known_and_others_are_not() {
        let javascript = |digits: &str| [&[b'a'; 36], digits.as_bytes()].concat();
        assert_eq!(index(&javascript("000000000000")), Some(0));
        assert_eq!(index(&javascript("000000049999")), Some(49_999));
        assert_eq!(index(&javascript("00000000+001")), None);
        let mut go = vec![7; 16];
        go.extend_from_slice(&259_u32.to_be_bytes());
        go.resize(64, 0);
        assert_eq!(index(&go), Some(259));
        go[63] = 1;
        assert_eq!(index(&go), None);
        assert_eq!(index(&[1; 16]), None);
        assert_eq!(index(b""), None);
    }

    #[test]
    fn a_short_block_that_overtook_the_first_one_is_no_measure() {
        let mut unit = UnitLength::default();
        assert_eq!(unit.place(2, 777), None);
        assert_eq!(unit.place(1, 4 << 20), Some(4 << 20));
        assert_eq!(unit.place(2, 777), Some(8 << 20));
        assert_eq!(unit.place(u64::MAX, 4 << 20), None);
        let mut unit = UnitLength::default();
        assert_eq!(unit.place(0, 777), Some(0));
        assert_eq!(unit.place(3, 777), Some(2331));
    }
}
