//! Byte ranges of the `Range` request header (RFC 9110, section 14.1.2).

use std::ops::Range;

/// One syntactically valid byte range, not yet held against a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// `first-last`, both inclusive; no last position means "to the end".
    From {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte, inclusive.
        last: Option<u64>,
    },
    /// `-length`: the last `length` bytes.
    Suffix(u64),
}

/// What a `Range` header asks of an entry of a known size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// No range, or one that RFC 9110 lets a server ignore: the whole entry.
    Whole,
    /// These bytes, never empty.
    Part(Range<u64>),
    /// A valid range that holds no byte of the entry.
    Unsatisfiable,
}

impl ByteRange {
    /// Parses the value of a `Range` header. `None` for another unit, several ranges and every
    /// error of syntax: RFC 9110 section 14.2 lets the server ignore those.
    pub fn parse(value: &str) -> Option<Self> {
        let (unit, set) = value.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = set.trim().split_once('-')?;
        match (position(first), position(last)) {
            _ if first.is_empty() => position(last).map(Self::Suffix),
            (Some(first), None) if last.is_empty() => Some(Self::From { first, last: None }),
            (Some(first), Some(last)) if first <= last => Some(Self::From {
                first,
                last: Some(last),
            }),
            _ => None,
        }
    }

    /// The bytes that this range means in an entry of `size` bytes.
    pub fn resolve(self, size: u64) -> Resolved {
        let part = match self {
            Self::From { first, last } => first..last.map_or(size, |last| size.min(last.saturating_add(1))),
            Self::Suffix(length) => size.saturating_sub(length)..size,
        };
        if part.start < part.end {
            Resolved::Part(part)
        } else {
            Resolved::Unsatisfiable
        }
    }
}

/// Digits only: `str::parse` alone would accept a sign. A number beyond 64 bits is the largest one.
fn position(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, size: u64, expected: Resolved) {
        let resolved = ByteRange::parse(value).map_or(Resolved::Whole, |range| range.resolve(size));
        assert_eq!(resolved, expected, "{value} of {size}");
    }

    #[test]
    fn parts_are_cut_at_the_end_of_the_entry() {
        check("bytes=0-0", 10, Resolved::Part(0..1));
        check("bytes=2-5", 10, Resolved::Part(2..6));
        check("bytes=2-", 10, Resolved::Part(2..10));
        check("bytes=2-99999999999999999999999", 10, Resolved::Part(2..10));
        check("Bytes= 2-18446744073709551615 ", 10, Resolved::Part(2..10));
        check("bytes=-3", 10, Resolved::Part(7..10));
        check("bytes=-30", 10, Resolved::Part(0..10));
    }

    #[test]
    fn ranges_without_a_byte_of_the_entry_are_unsatisfiable() {
        check("bytes=10-", 10, Resolved::Unsatisfiable);
        check("bytes=-0", 10, Resolved::Unsatisfiable);
        check("bytes=0-", 0, Resolved::Unsatisfiable);
        check("bytes=-1", 0, Resolved::Unsatisfiable);
    }

    #[test]
    fn other_units_lists_and_bad_syntax_are_ignored() {
        for value in [
            "items=0-1",
            "bytes=0-1,3-4",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=-",
            "bytes=",
            "bytes",
            "bytes=+1-2",
            "bytes=1-+2",
            "bytes=--1",
            "bytes=0x1-2",
            "",
        ] {
            check(value, 10, Resolved::Whole);
        }
    }
}
