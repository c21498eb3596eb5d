//! Guessing what an author meant, and showing what was written.

use std::borrow::Cow;

use super::keys::{Key, ROOT, SECTIONS};

/// The longest part of a value that a message repeats, in characters.
const MAX_SHOWN_CHARS: usize = 80;

/// `text` in quotes, escaped, on one line and not longer than a message can bear. What stands in front
/// of the host of a URL is hidden: it is a password more often than not.
pub(super) fn quoted(text: &str) -> String {
    let text = without_user(text);
    let mut shown: String = text.chars().take(MAX_SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    format!("{shown:?}")
}

fn without_user(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return without_scheme_and_user(text);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => Cow::Owned(format!("{scheme}://***{}", &rest[at..])),
        None => Cow::Borrowed(text),
    }
}

/// `user:password@host` is what is left of a URL whose scheme was forgotten. Expressions, which may hold
/// the same signs, have quotes.
fn without_scheme_and_user(text: &str) -> Cow<'_, str> {
    let unlike_a_url = |letter: char| letter.is_whitespace() || "\"'()".contains(letter);
    match text.rfind('@') {
        Some(at) if text[..at].contains(':') && !text.contains(unlike_a_url) => {
            Cow::Owned(format!("***{}", &text[at..]))
        }
        _ => Cow::Borrowed(text),
    }
}

/// The name that `written` probably stands for, if one is near enough.
pub(super) fn nearest<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let written = written.to_lowercase().replace('-', "_");
    names
        .map(|name| (strsim::damerau_levenshtein(&written, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Where a key of exactly this name is known: the usual cause is a wrong indentation.
pub(super) fn home(written: &str) -> Option<String> {
    let knows = |keys: &[Key]| keys.iter().any(|key| key.name == written);
    if knows(ROOT) {
        return Some("the top of the file".to_owned());
    }
    let (section, _) = SECTIONS.iter().find(|(_, keys)| knows(keys))?;
    Some(format!("`{section}`"))
}

/// The names of the keys that a message may offer.
pub(super) fn offered(keys: &[Key]) -> impl Iterator<Item = &'static str> {
    keys.iter().filter(|key| !key.secret).map(|key| key.name)
}

/// `a, b, c` for messages.
pub(super) fn listed(keys: &[Key]) -> String {
    offered(keys).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::{DISK, PROVIDER};

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let check = |written, keys: &'static [Key], expected: Option<&str>| {
            assert_eq!(
                nearest(written, keys.iter().map(|key| key.name)),
                expected,
                "{written}"
            );
        };
        check("cache_key_expr", PROVIDER, Some("cache_key_exprs"));
        check("cache-key-exprs", PROVIDER, Some("cache_key_exprs"));
        check("URL", PROVIDER, Some("url"));
        check("audience", PROVIDER, Some("audiences"));
        check("lmit", DISK, Some("limit"));
        check("d", DISK, None);
        check("path", DISK, None);
    }

    #[test]
    fn values_are_shown_short_and_on_one_line() {
        assert_eq!(quoted("a\nb"), r#""a\nb""#);
        let long = quoted(&"é".repeat(200));
        assert_eq!(long, format!("\"{}...\"", "é".repeat(MAX_SHOWN_CHARS)));
    }

    #[test]
    fn passwords_in_urls_are_hidden() {
        let check = |text, expected: &str| assert_eq!(quoted(text), format!("\"{expected}\""));
        check("https://me:pass@host/a", "https://***@host/a");
        check("https://me:p@ss@host", "https://***@host");
        check("https://host/a@b", "https://host/a@b");
        check("me:pass@host", "***@host");
        check("me@host", "me@host");
        check("a:b@c d", "a:b@c d");
    }

    #[test]
    fn a_key_of_another_section_has_a_home() {
        assert_eq!(home("bucket").as_deref(), Some("`s3`"));
        assert_eq!(home("limits").as_deref(), Some("the top of the file"));
        assert_eq!(home("nothing"), None);
    }
}
