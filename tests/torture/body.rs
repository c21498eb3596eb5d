//! Bodies that say of every piece of themselves which write they belong to, and where in it they stand.
//!
//! A body is a row of cells of 32 bytes: the number of the write, the number of the cell, and a checksum of both.

use std::ops::Range;

use crate::rng::mix;

const CELL_BYTES: usize = 32;

/// The smallest body, besides the empty one, that can be told from all others.
pub(crate) const MIN_BYTES: u64 = 8;

/// Whose bytes these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// All of them belong to this write.
    Write(u64),
    /// Too few to say.
    Unsure,
    /// They belong to no write, or to several; says where that begins.
    Torn(String),
}

fn cell(id: u64, index: u64) -> [u8; CELL_BYTES] {
    let mut cell = [0; CELL_BYTES];
    let low = mix(id.wrapping_mul(31) ^ mix(index));
    for (place, number) in cell.chunks_exact_mut(8).zip([id, index, low, mix(low)]) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    cell
}

/// A piece of the body of a write.
pub(crate) fn piece(id: u64, range: Range<u64>) -> Vec<u8> {
    let cells = CELL_BYTES as u64;
    let mut bytes = Vec::with_capacity((range.end - range.start) as usize + CELL_BYTES);
    let first = range.start / cells;
    for index in first..range.end.div_ceil(cells) {
        bytes.extend_from_slice(&cell(id, index));
    }
    bytes.drain(..(range.start - first * cells) as usize);
    bytes.truncate((range.end - range.start) as usize);
    bytes
}

/// Where `bytes`, which begin at `offset`, first differ from the body of a write.
pub(crate) fn first_difference(id: u64, offset: u64, bytes: &[u8]) -> Option<u64> {
    let expected = piece(id, offset..offset + bytes.len() as u64);
    let differs = bytes.iter().zip(&expected).position(|(one, other)| one != other);
    differs.map(|at| offset + at as u64)
}

/// Says whose bytes these are, which begin at `offset` of a body.
pub(crate) fn identify(offset: u64, bytes: &[u8]) -> Found {
    let cells = CELL_BYTES as u64;
    let start = (offset.next_multiple_of(cells) - offset) as usize;
    let Some(head) = bytes.get(start..start + 8) else {
        return Found::Unsure;
    };
    let id = u64::from_le_bytes(head.try_into().unwrap());
    match first_difference(id, offset, bytes) {
        None => Found::Write(id),
        Some(at) => {
            let wrong = &bytes[(at - offset) as usize..];
            let zeros = wrong.iter().take_while(|byte| **byte == 0).count();
            Found::Torn(format!(
                "write {id} up to byte {at} of {}..{}; then {zeros} zeros",
                offset,
                offset + bytes.len() as u64
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_says_whose_it_is() {
        let whole = piece(7, 0..1000);
        for (from, to) in [(0, 1000), (1, 999), (31, 72), (64, 104), (992, 1000)] {
            let part = piece(7, from..to);
            assert_eq!(part, whole[from as usize..to as usize]);
            assert_eq!(identify(from, &part), Found::Write(7), "{from}..{to}");
        }
        assert_eq!(identify(0, &whole[..8]), Found::Write(7));
        assert_eq!(identify(1, &whole[1..30]), Found::Unsure);
        assert_eq!(identify(0, b""), Found::Unsure);
    }

    #[test]
    fn a_piece_at_another_place_or_of_two_writes_is_torn() {
        let mut bytes = piece(7, 0..1000);
        assert!(matches!(identify(32, &bytes), Found::Torn(_)));
        bytes[500..].copy_from_slice(&piece(8, 500..1000));
        assert!(matches!(identify(0, &bytes), Found::Torn(_)));
        let mut zeroed = piece(7, 0..1000);
        zeroed[980] = 0;
        assert!(matches!(identify(0, &zeroed), Found::Torn(_)));
    }
}
