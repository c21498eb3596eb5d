//! The checksums of whole MiB of a body, made from those of parts of blocks.

use std::fs::File;
use std::io;

use crate::store::spool::{Checksums, crc};
use crate::sys;

/// Why blocks do not become a body.
#[derive(Debug)]
pub(super) enum SumError {
    /// The block that gives this byte of the body is not what arrived.
    Damaged {
        at: u64,
    },
    Io(io::Error),
}

impl From<io::Error> for SumError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Whether an error of a read says that the bytes are lost: another attempt gives the same.
pub(super) fn is_lost(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof];
    kinds.contains(&error.kind()) || sys::is_unreadable(error)
}

pub(super) fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a block is not what arrived")
}

/// Puts the checksums of parts together to those of whole MiB.
pub(super) struct JoinedSums<'a> {
    file: &'a File,
    sums: Vec<u64>,
    /// Length and checksum of the parts of the MiB that is not whole yet.
    parts: Vec<(u64, u64)>,
    length: u64,
}

impl<'a> JoinedSums<'a> {
    pub(super) fn new(file: &'a File) -> Self {
        Self {
            file,
            sums: Vec::new(),
            parts: Vec::new(),
            length: 0,
        }
    }

    /// A part never goes beyond a whole MiB.
    pub(super) fn push(&mut self, length: u64, sum: u64) -> Result<(), SumError> {
        self.parts.push((length, sum));
        self.length += length;
        match self.length < Checksums::BLOCK_BYTES {
            true => Ok(()),
            false => self.end_block(),
        }
    }

    fn end_block(&mut self) -> Result<(), SumError> {
        let sum = match self.parts.as_slice() {
            [] => return Ok(()),
            [(_, sum)] => *sum,
            parts => {
                let mut bytes = vec![0; self.length as usize];
                let start = self.sums.len() as u64 * Checksums::BLOCK_BYTES;
                sys::read_exact_at(self.file, &mut bytes, start)?;
                let (mut rest, mut at) = (bytes.as_slice(), start);
                for (length, sum) in parts {
                    let (part, behind) = rest.split_at(*length as usize);
                    if crc(part) != *sum {
                        return Err(SumError::Damaged { at });
                    }
                    rest = behind;
                    at += length;
                }
                crc(&bytes)
            }
        };
        self.sums.push(sum);
        self.parts.clear();
        self.length = 0;
        Ok(())
    }

    pub(super) fn finish(mut self, size: u64) -> Result<Checksums, SumError> {
        self.end_block()?;
        Ok(Checksums::from_parts(size, self.sums.into()).ok_or_else(damaged)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::block::{Extent, UploadFile};
    use super::*;
    use crate::store::spool::ChecksumBuilder;

    #[test]
    fn parts_are_cut_where_the_file_has_whole_mib_and_are_summed_so() {
        const MIB: usize = 1 << 20;
        let bytes: Vec<u8> = (0..3 * MIB).map(|n| (n % 249) as u8).collect();
        for (at, length) in [(0, 0), (0, MIB), (1, MIB), (MIB - 1, MIB + 2), (7, 2 * MIB + 9)] {
            let extent = Extent {
                file: UploadFile::Data,
                at: at as u64,
                length: length as u64,
            };
            let mut sums = ChecksumBuilder::from_offset(extent.phase());
            bytes[at..at + length]
                .chunks(70_001)
                .for_each(|chunk| sums.update(chunk));
            let mut end = 0;
            let expected: Vec<u64> = extent
                .parts()
                .map(|part| {
                    assert_eq!(part.start, end);
                    end = part.end;
                    crc(&bytes[at + part.start as usize..at + part.end as usize])
                })
                .collect();
            assert_eq!(end as usize, length);
            assert_eq!(*sums.sums(), *expected);
        }
    }

    #[test]
    fn a_part_that_is_not_what_arrived_is_found_where_parts_are_joined() {
        let file = tempfile::tempfile().expect("a file");
        let bytes = vec![7; 3000];
        sys::write_all_vectored_at(&file, &[&bytes], 0).expect("written");
        let mut sums = JoinedSums::new(&file);
        sums.push(1000, crc(&bytes[..1000])).expect("a part");
        sums.push(2000, crc(b"another")).expect("not looked at yet");
        let joined = sums.finish(3000);
        assert!(
            matches!(joined, Err(SumError::Damaged { at: 1000 })),
            "{joined:?}"
        );
    }
}
