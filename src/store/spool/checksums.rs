//! Checksums of a body: CRC-64/NVME of every MiB, and the entity tag made from them.
//!
//! CRC is the cheapest check against damaged bytes, and a part of a large body can be checked alone.
//! The tag is no proof against forgery, and need not be one: only writers of a namespace make tags.

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};

use crate::store::ETag;
use crate::store::crc::crc;

/// The size of a body and the CRC-64/NVME of every MiB of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksums {
    size: u64,
    blocks: Box<[u64]>,
}

impl Checksums {
    /// Length of a checked block in bytes; the last one of a body may be shorter.
    pub const BLOCK_BYTES: u64 = 1 << 20;

    /// The checksums of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        let mut summer = ChecksumBuilder::default();
        summer.update(bytes);
        summer.finish()
    }

    /// Takes stored checksums; `None` if their number does not fit to `size`.
    pub(crate) fn from_parts(size: u64, blocks: Box<[u64]>) -> Option<Self> {
        (size.div_ceil(Self::BLOCK_BYTES) == blocks.len() as u64).then_some(Self { size, blocks })
    }

    /// Length of the body in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// One CRC-64/NVME per MiB, in order.
    pub fn blocks(&self) -> &[u64] {
        &self.blocks
    }

    /// Whether `bytes` are the block with the number `block`.
    pub(crate) fn fits(&self, block: usize, bytes: &[u8]) -> bool {
        self.blocks.get(block) == Some(&crc(bytes))
    }

    /// The entity tag: the first 16 bytes of BLAKE3 over size and CRCs (8 bytes each, little
    /// endian), as 32 hex digits.
    pub fn etag(&self) -> ETag {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.size.to_le_bytes());
        for block in &self.blocks {
            hasher.update(&block.to_le_bytes());
        }
        let hex = hasher.finalize().to_hex();
        ETag::new(&hex[..32])
    }
}

/// Makes the checksums of bytes that arrive in pieces: of a body, or of a part of one.
#[derive(Debug)]
pub(crate) struct ChecksumBuilder {
    /// Offset in the file, as far as the next cut depends on it.
    at: u64,
    sums: Vec<u64>,
    open: Digest,
    pending: bool,
}

impl Default for ChecksumBuilder {
    fn default() -> Self {
        Self::from_offset(0)
    }
}

impl ChecksumBuilder {
    /// For bytes from `at` of a file on: they are cut where it has whole blocks.
    pub(crate) fn from_offset(at: u64) -> Self {
        Self {
            at,
            sums: Vec::new(),
            open: Digest::new(CrcAlgorithm::Crc64Nvme),
            pending: false,
        }
    }

    /// Adds the next bytes.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let left = Checksums::BLOCK_BYTES - self.at % Checksums::BLOCK_BYTES;
            // At most a MiB.
            let (part, rest) = bytes.split_at(bytes.len().min(left as usize));
            self.open.update(part);
            self.at += part.len() as u64;
            self.pending = !self.at.is_multiple_of(Checksums::BLOCK_BYTES);
            if !self.pending {
                self.sums.push(self.open.finalize_reset());
            }
            bytes = rest;
        }
    }

    /// Adds the bytes of all frames.
    pub(crate) fn update_all(&mut self, frames: &[Bytes]) {
        frames.iter().for_each(|frame| self.update(frame));
    }

    /// One checksum of each cut part so far.
    pub(crate) fn sums(&self) -> Box<[u64]> {
        let last = self.pending.then(|| self.open.finalize());
        self.sums.iter().copied().chain(last).collect()
    }

    /// The checksums of a whole body.
    pub(crate) fn finish(self) -> Checksums {
        Checksums {
            size: self.at,
            blocks: self.sums(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(length: usize, pieces: usize) {
        let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        let mut summer = ChecksumBuilder::default();
        for piece in bytes.chunks(length.div_ceil(pieces).max(1)) {
            summer.update(piece);
        }
        let sums = summer.finish();
        assert_eq!(sums, Checksums::of(&bytes));
        let blocks: Vec<u64> = bytes.chunks(1 << 20).map(crc).collect();
        assert_eq!(sums.blocks(), blocks);
        assert_eq!(sums.size(), length as u64);
    }

    #[test]
    fn pieces_do_not_matter() {
        for length in [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (2 << 20) + 17] {
            check(length, 1);
            check(length, 7);
        }
    }

    #[test]
    fn the_algorithm_is_the_one_of_the_specification() {
        // The check value of CRC-64/NVME: stored entries depend on it.
        assert_eq!(crc(b"123456789"), 0xae8b_1486_0a79_9888);
    }

    #[test]
    fn tags_never_change_between_versions() {
        assert_eq!(Checksums::of(b"").etag().as_str().len(), 32);
        assert_ne!(Checksums::of(b"").etag(), Checksums::of(b"\0").etag());
        assert_eq!(Checksums::of(b"abc").etag(), Checksums::of(b"abc").etag());
    }
}
