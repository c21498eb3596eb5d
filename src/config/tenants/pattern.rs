//! What `match` may hold. A pattern that can match no tenant is refused: it would be a guarantee for nobody.

use super::super::defaults;

/// The only sign that stands for others: any number of any characters.
const WILDCARD: char = '*';
/// Between issuer and value.
const SEPARATOR: char = '#';

/// Takes a pattern that can match.
///
/// # Errors
/// It is too long, or holds what the name of no tenant holds.
pub(super) fn check(pattern: &str) -> Result<String, String> {
    if pattern.len() > defaults::MAX_PATTERN_BYTES {
        return Err(format!(
            "is longer than {} bytes, as the name of no tenant is; shorten it",
            defaults::MAX_PATTERN_BYTES
        ));
    }
    let literal = |letter: char| letter.is_ascii_alphanumeric() || "-._~:/@%".contains(letter);
    if let Some(odd) = pattern
        .chars()
        .find(|letter| !literal(*letter) && ![WILDCARD, SEPARATOR].contains(letter))
    {
        return Err(format!(
            "holds {odd:?}, which the name of no tenant does; write names as `chacha explain` prints them, and * for any \
             characters"
        ));
    }
    if pattern.matches(SEPARATOR).count() > 1 {
        return Err(format!(
            "holds {SEPARATOR} twice, and it stands only between issuer and value; write %23 inside of a value"
        ));
    }
    let lower = |hex: &str| hex.bytes().take(2).any(|digit| digit.is_ascii_lowercase());
    if pattern.split('%').skip(1).any(lower) {
        return Err(
            "has small letters behind a %, and names have capitals there (%2F); write them so".to_owned(),
        );
    }
    Ok(pattern.to_owned())
}

/// Whether tenants of issuers that the pattern does not name may match. A lone `*` means everybody.
pub(super) fn leaves_issuer_open(pattern: &str) -> bool {
    match pattern.split_once(SEPARATOR) {
        Some((issuer, _)) => issuer.is_empty() || issuer.contains(WILDCARD),
        None => !pattern.chars().all(|letter| letter == WILDCARD),
    }
}

/// The issuer that the pattern names, as names have it; `None` if it leaves that open.
pub(super) fn issuer(pattern: &str) -> Option<&str> {
    let (issuer, _) = pattern.split_once(SEPARATOR)?;
    (!leaves_issuer_open(pattern)).then_some(issuer)
}

/// Whether it is a name that it stands for, and not many.
pub(super) fn is_one_name(pattern: &str) -> bool {
    !pattern.contains(WILDCARD)
}
