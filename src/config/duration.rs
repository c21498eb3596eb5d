//! Durations: `500ms`, `30s`, `5m`, `1h`, `7d`, or a plain number of seconds.
//!
//! Faults are predicates, as in [`super::size`].

use std::ops::RangeInclusive;
use std::time::Duration;

const DURATION_FORMS: &str =
    "write a whole number with a unit: 500ms, 30s, 5m, 1h or 7d (a plain number means seconds)";

/// Reads a duration; blanks around it are ignored.
pub(super) fn parse(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let text = text.trim();
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let millis_per_unit: u64 = match unit.trim_start() {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("is not a duration; {DURATION_FORMS}")),
    };
    if digits.is_empty() {
        return Err(format!("is not a duration; {DURATION_FORMS}"));
    }
    // Digits that do not fit into 64 bits are too long for every range.
    let number: u64 = digits.parse().unwrap_or(u64::MAX);
    in_range(
        Duration::from_millis(number.saturating_mul(millis_per_unit)),
        range,
    )
}

/// Checks a duration against the values that its key accepts.
pub(super) fn in_range(value: Duration, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    let side = if value < *range.start() { "short" } else { "long" };
    Err(format!(
        "is too {side}; write a duration from {} to {}",
        shown(*range.start()),
        shown(*range.end())
    ))
}

/// The shortest exact form with one unit.
fn shown(value: Duration) -> String {
    let seconds = value.as_secs();
    match seconds {
        _ if value.subsec_millis() != 0 => format!("{}ms", value.as_millis()),
        0 => "0s".to_owned(),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(3600);

    #[test]
    fn durations() {
        let check =
            |text, millis| assert_eq!(parse(text, &RANGE), Ok(Duration::from_millis(millis)), "{text}");
        check("500ms", 500);
        check("30s", 30_000);
        check("5m", 300_000);
        check("1h", 3_600_000);
        check("45", 45_000);
        check(" 30 s ", 30_000);
        let wide = Duration::ZERO..=Duration::from_secs(3650 * 86_400);
        assert_eq!(parse("7d", &wide), Ok(Duration::from_secs(7 * 86_400)));
    }

    #[test]
    fn refused_durations() {
        let check = |text, expected: &str| {
            let fault = parse(text, &RANGE).expect_err(text);
            assert!(fault.contains(expected), "{text}: {fault}");
        };
        check("", "is not a duration");
        check("s", "is not a duration");
        check("1.5h", "is not a duration");
        check("1h30m", "is not a duration");
        check("-5s", "is not a duration");
        check("5 days", "is not a duration");
        check("0", "too short; write a duration from 500ms to 1h");
        check("61m", "too long");
        check("99999999999999999999999h", "too long");
        check("18446744073709551615h", "too long");
    }

    #[test]
    fn bounds_are_shown_with_the_largest_exact_unit() {
        let check = |seconds, expected: &str| assert_eq!(shown(Duration::from_secs(seconds)), expected);
        check(0, "0s");
        check(90, "90s");
        check(300, "5m");
        check(7200, "2h");
    }
}
