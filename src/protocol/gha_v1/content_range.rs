//! `Content-Range` of a chunk (RFC 9110, section 14.4).

use http::{HeaderMap, header};

use crate::protocol::gha::GhaError;

/// Which bytes of the archive a request holds; never none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContentSpan {
    /// Offset of the first byte.
    pub(crate) start: u64,
    /// How many there are.
    pub(crate) length: u64,
}

impl ContentSpan {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, GhaError> {
        let mut values = headers.get_all(header::CONTENT_RANGE).iter();
        let value = values.next().and_then(|value| value.to_str().ok());
        value
            .filter(|_| values.next().is_none())
            .and_then(Self::parse)
            .ok_or(GhaError::invalid(
                "a chunk needs one header Content-Range: bytes first-last/*",
            ))
    }

    /// Parses `bytes first-last/*`, both inclusive; a total in the place of `*` must lie beyond them.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let (unit, rest) = value.trim().split_once(' ')?;
        let (span, total) = rest.trim().split_once('/')?;
        let (first, last) = span.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let fits = total == "*" || number(total)? > last;
        if !unit.eq_ignore_ascii_case("bytes") || !fits {
            return None;
        }
        let length = last.checked_sub(first)?.checked_add(1)?;
        Some(Self { start: first, length })
    }
}

/// Digits only: `str::parse` alone would accept a sign.
fn number(digits: &str) -> Option<u64> {
    digits
        .parse()
        .ok()
        .filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn both_ends_are_inclusive() {
        let check = |value: &str, start, length| {
            assert_eq!(
                ContentSpan::parse(value),
                Some(ContentSpan { start, length }),
                "{value}"
            );
        };
        check("bytes 0-0/*", 0, 1);
        check("bytes 0-33554431/*", 0, 32 << 20);
        check("bytes 33554432-33554440/*", 32 << 20, 9);
        check("Bytes 5-9/10", 5, 5);
        check(" bytes 0-18446744073709551614/* ", 0, u64::MAX);
    }

    #[test]
    fn everything_else_is_refused() {
        for value in [
            "",
            "bytes",
            "bytes */10",
            "bytes 0-9",
            "bytes 9-0/*",
            "bytes 0-9/9",
            "bytes 0-9/x",
            "bytes -9/*",
            "bytes 0-/*",
            "bytes +0-9/*",
            "bytes=0-9/*",
            "items 0-9/*",
            "bytes 0-18446744073709551615/*",
            "bytes 0-99999999999999999999/*",
        ] {
            assert_eq!(ContentSpan::parse(value), None, "{value}");
        }
    }

    #[test]
    fn there_is_exactly_one() {
        let mut headers = HeaderMap::new();
        assert!(ContentSpan::of(&headers).is_err());
        headers.append("content-range", HeaderValue::from_static("bytes 0-9/*"));
        assert!(ContentSpan::of(&headers).is_ok());
        headers.append("content-range", HeaderValue::from_static("bytes 0-9/*"));
        assert!(ContentSpan::of(&headers).is_err());
    }
}
