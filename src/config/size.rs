//! Sizes: `50GB` is 50 * 10^9 bytes, `50GiB` is 50 * 2^30.
//!
//! `bytesize` does the arithmetic. It also takes `50Gb`, zero and numbers that do not fit for
//! granted, so what it is given and what it gives is checked here.
//!
//! Faults are predicates ("is ambiguous; write ..."): the reader puts the value in front, or hides it.

use bytesize::ByteSize;

/// The largest accepted size in bytes, 8 EiB: what file systems and signed offsets can hold.
pub(super) const MAX_BYTES: u64 = 1 << 63;

const SIZE_FORMS: &str =
    "write a number with a unit, such as 50GB (50 * 10^9 bytes) or 50GiB (50 * 2^30 bytes)";

/// Why a text is no size that is accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SizeFault {
    /// It does not have the form of a size.
    Form,
    /// It has, but not one that is accepted.
    Value(String),
}

/// Reads a size with or without a unit; blanks around it are ignored.
pub(super) fn parse(text: &str, min: u64) -> Result<u64, String> {
    read(text, min).map_err(|fault| match fault {
        SizeFault::Form => format!("is not a size; {SIZE_FORMS}"),
        SizeFault::Value(fault) => fault,
    })
}

/// [`parse`] for what may have other forms as well.
pub(super) fn read(text: &str, min: u64) -> Result<u64, SizeFault> {
    let text = text.trim();
    if text.starts_with('-') {
        return in_range(0, min).map_err(SizeFault::Value);
    }
    let (number, unit) = split(text);
    if number.is_empty() || !unit.chars().all(|letter| letter.is_ascii_alphabetic()) {
        return Err(SizeFault::Form);
    }
    refuse_bits(number, unit)?;
    // Without a unit, `bytesize` refuses what does not fit instead of saturating.
    let unit = match unit {
        "" if number.contains('.') => return Err(SizeFault::Form),
        "" => "B",
        _ => unit,
    };
    let bytes = format!("{number}{unit}")
        .parse::<ByteSize>()
        .map_err(|_| SizeFault::Form)?;
    in_range(bytes.as_u64(), min).map_err(SizeFault::Value)
}

/// Checks a size that is known in bytes.
pub(super) fn in_range(bytes: u64, min: u64) -> Result<u64, String> {
    if bytes > MAX_BYTES {
        return Err("is too large; the largest accepted size is 8EiB (2^63 bytes)".to_owned());
    }
    if bytes < min {
        return Err(format!("is too small; write at least {}", shown(min)));
    }
    Ok(bytes)
}

fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

/// `Gb` means gigabits to network people and gigabytes to others. `gb` is left alone: a text without
/// a capital does not make that difference.
fn refuse_bits(number: &str, unit: &str) -> Result<(), SizeFault> {
    let ambiguous = unit.ends_with('b') && unit.chars().any(|letter| letter.is_ascii_uppercase());
    if !ambiguous {
        return Ok(());
    }
    let upper = unit.to_ascii_uppercase();
    let prefix = upper.trim_end_matches('B').trim_end_matches('I');
    let Some(power) = "KMGTPE".find(prefix).filter(|_| prefix.len() == 1) else {
        return Err(SizeFault::Form);
    };
    let (ten, two) = ((power + 1) * 3, (power + 1) * 10);
    let binary = format!("{number}{prefix}iB ({number} * 2^{two} bytes)");
    let forms = if upper.contains('I') {
        binary
    } else {
        format!("{number}{prefix}B ({number} * 10^{ten} bytes) or {binary}")
    };
    Err(SizeFault::Value(format!(
        "is ambiguous, because a small b after {prefix} may mean bits; write {forms}"
    )))
}

fn shown(bytes: u64) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let check = |text, expected: u64| assert_eq!(parse(text, 1), Ok(expected), "{text}");
        check("50GB", 50_000_000_000);
        check("50gb", 50_000_000_000);
        check("50 GB", 50_000_000_000);
        check("  50GB ", 50_000_000_000);
        check("50G", 50_000_000_000);
        check("50GiB", 50 << 30);
        check("50Gi", 50 << 30);
        check("50gib", 50 << 30);
        check("5kB", 5_000);
        check("0.5GB", 500_000_000);
        check("1.5KiB", 1536);
        check("1", 1);
        check("1b", 1);
        check("4096", 4096);
        check("8EiB", MAX_BYTES);
        check("9007199254740993", 9_007_199_254_740_993);
    }

    #[test]
    fn refused_sizes() {
        let check = |text, expected: &str| {
            let fault = parse(text, 1).expect_err(text);
            assert!(fault.contains(expected), "{text}: {fault}");
        };
        check("50Gb", "write 50GB (50 * 10^9 bytes) or 50GiB (50 * 2^30 bytes)");
        check("50Mb", "50MB (50 * 10^6 bytes)");
        check("50Gib", "write 50GiB (50 * 2^30 bytes)");
        check("50Xb", "is not a size");
        check("0", "at least 1 byte");
        check("0GB", "at least 1 byte");
        check("0.1B", "at least 1 byte");
        check("0.0001KB", "at least 1 byte");
        check("-5GB", "at least 1 byte");
        check("99999999999GB", "8EiB");
        check("99999999999999999999999", "8EiB");
        check("8.1EiB", "8EiB");
        check("9223372036854775809", "8EiB");
        check("", "is not a size");
        check("GB", "is not a size");
        check("5GB!", "is not a size");
        check("5 G B", "is not a size");
        check("5 parsec", "is not a size");
        check("1.2.3GB", "is not a size");
        check("50,5GB", "is not a size");
        check("50%", "is not a size");
        check("1.5", "is not a size");
    }

    #[test]
    fn a_higher_minimum_is_named() {
        assert_eq!(
            parse("1KiB", 1 << 20),
            Err("is too small; write at least 1MiB".to_owned())
        );
        assert_eq!(parse("1MiB", 1 << 20), Ok(1 << 20));
    }
}
