//! Conditional requests (RFC 9110, section 13).

use http::{HeaderMap, HeaderName, header};

use crate::error::Class;
use crate::protocol::http_error::HttpError;
use crate::store::{ETag, Precondition};

/// The tags of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    /// `*`: any current entry.
    Any,
    /// Each with a note whether it is weak.
    List(Vec<(ETag, bool)>),
    /// Something else. Matches nothing.
    Malformed,
}

/// What a read should answer, by the conditions of the request and the tag of the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The entry.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Whether a read has to be weighed at all: whether any header is there that [`read`] or a range needs.
/// One look at each name is cheaper than three look-ups in vain.
pub(crate) fn concern(headers: &HeaderMap) -> bool {
    let all = [header::IF_MATCH, header::IF_NONE_MATCH, header::RANGE];
    headers.keys().any(|name| all.contains(name))
}

/// Weighs `If-Match`, then `If-None-Match`, in the order of RFC 9110, section 13.2.2. Dates are
/// ignored: entries carry no `Last-Modified`.
pub(crate) fn read(headers: &HeaderMap, current: &ETag) -> Verdict {
    if let Some(tags) = tags(headers, &header::IF_MATCH)
        && !tags.contain(current, false)
    {
        return Verdict::Failed;
    }
    match tags(headers, &header::IF_NONE_MATCH) {
        Some(tags) if tags.contain(current, true) => Verdict::NotModified,
        _ => Verdict::Proceed,
    }
}

/// What must hold for a write or a delete.
///
/// # Errors
/// If the condition is malformed: a client that set one must not lose an entry because it was not understood.
pub(crate) fn change(headers: &HeaderMap) -> Result<Precondition, HttpError> {
    let malformed = |name| {
        HttpError::new(
            Class::Invalid,
            format!("{name} is neither * nor a list of entity tags"),
        )
    };
    if let Some(tags) = tags(headers, &header::IF_MATCH) {
        return match tags {
            Tags::Any => Ok(Precondition::Present),
            Tags::List(list) => {
                let strong = list.into_iter().filter(|(_, weak)| !weak);
                Ok(Precondition::Matches(strong.map(|(tag, _)| tag).collect()))
            }
            Tags::Malformed => Err(malformed("If-Match")),
        };
    }
    match tags(headers, &header::IF_NONE_MATCH) {
        Some(Tags::Any) => Ok(Precondition::Absent),
        Some(Tags::List(list)) => {
            let tags = list.into_iter().map(|(tag, _)| tag);
            Ok(Precondition::MatchesNone(tags.collect()))
        }
        Some(Tags::Malformed) => Err(malformed("If-None-Match")),
        None => Ok(Precondition::None),
    }
}

/// Whether a `Range` header counts: there is no `If-Range`, or it is the strong tag of the entry. A
/// date never matches, since entries carry none.
pub(crate) fn range_applies(headers: &HeaderMap, current: &ETag) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|value| {
        let value = value.to_str().unwrap_or_default().trim();
        let tag = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        tag == Some(current.as_str())
    })
}

impl Tags {
    /// A weak tag counts only where weak ones do.
    fn contain(&self, current: &ETag, weakly: bool) -> bool {
        match self {
            Self::Any => true,
            Self::List(list) => list.iter().any(|(tag, weak)| (weakly || !weak) && tag == current),
            Self::Malformed => false,
        }
    }
}

/// `None` if the header is absent.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Tags> {
    let mut list = Vec::new();
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    for value in values {
        let value = value.to_str().unwrap_or_default().trim();
        if value == "*" && headers.get_all(name).iter().nth(1).is_none() {
            return Some(Tags::Any);
        }
        if collect(value, &mut list).is_none() {
            return Some(Tags::Malformed);
        }
    }
    Some(if list.is_empty() {
        Tags::Malformed
    } else {
        Tags::List(list)
    })
}

/// Reads `"a", W/"b"`; a tag may hold commas, so the list cannot be split at them. `None` if it is something else.
fn collect(mut text: &str, list: &mut Vec<(ETag, bool)>) -> Option<()> {
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if text.is_empty() {
            return Some(());
        }
        let weak = text.starts_with("W/");
        let rest = text.strip_prefix("W/").unwrap_or(text).strip_prefix('"')?;
        let (tag, rest) = rest.split_once('"')?;
        list.push((ETag::new(tag), weak));
        text = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    fn check(pairs: &[(HeaderName, &'static str)], expected: Verdict) {
        assert_eq!(read(&headers(pairs), &ETag::new("x")), expected, "{pairs:?}");
    }

    #[test]
    fn reads_compare_weakly_for_none_match_and_strongly_for_match() {
        check(&[], Verdict::Proceed);
        check(&[(header::IF_NONE_MATCH, "\"x\"")], Verdict::NotModified);
        check(&[(header::IF_NONE_MATCH, "W/\"x\"")], Verdict::NotModified);
        check(
            &[(header::IF_NONE_MATCH, "\"a,b\" , W/\"c\",\"x\"")],
            Verdict::NotModified,
        );
        check(&[(header::IF_NONE_MATCH, "*")], Verdict::NotModified);
        check(&[(header::IF_NONE_MATCH, "\"y\"")], Verdict::Proceed);
        check(&[(header::IF_NONE_MATCH, "x")], Verdict::Proceed);
        check(&[(header::IF_MATCH, "\"x\"")], Verdict::Proceed);
        check(&[(header::IF_MATCH, "*")], Verdict::Proceed);
        check(&[(header::IF_MATCH, "W/\"x\"")], Verdict::Failed);
        check(
            &[(header::IF_MATCH, "\"y\""), (header::IF_NONE_MATCH, "\"x\"")],
            Verdict::Failed,
        );
    }

    #[test]
    fn changes_take_the_condition_of_the_request() {
        let expect = |pairs, expected| assert_eq!(change(&headers(pairs)).expect("well-formed"), expected);
        expect(&[], Precondition::None);
        expect(&[(header::IF_NONE_MATCH, "*")], Precondition::Absent);
        expect(&[(header::IF_MATCH, "*")], Precondition::Present);
        expect(
            &[(header::IF_MATCH, "W/\"a\", \"b\"")],
            Precondition::Matches(vec![ETag::new("b")]),
        );
        expect(
            &[(header::IF_NONE_MATCH, "\"b\"")],
            Precondition::MatchesNone(vec![ETag::new("b")]),
        );
    }

    #[test]
    fn a_condition_that_is_not_understood_never_lets_a_change_through() {
        for value in [
            "*, \"a\"",
            "\"a\", *",
            "W/*",
            "\"unterminated",
            "",
            "a",
            "\"a\" b",
            ",",
        ] {
            for name in [header::IF_MATCH, header::IF_NONE_MATCH] {
                let refused = change(&headers(&[(name, value)])).expect_err(value);
                assert_eq!(refused.class(), Class::Invalid, "{value}");
            }
        }
        let mut twice = headers(&[(header::IF_NONE_MATCH, "*")]);
        twice.append(header::IF_NONE_MATCH, HeaderValue::from_static("\"a\""));
        assert!(change(&twice).is_err());
        check(&[(header::IF_NONE_MATCH, "\"x\", *")], Verdict::Proceed);
        check(&[(header::IF_MATCH, "\"x\", *")], Verdict::Failed);
    }

    #[test]
    fn a_range_counts_only_for_the_version_that_the_client_holds() {
        let applies = |value| range_applies(&headers(&[(header::IF_RANGE, value)]), &ETag::new("x"));
        assert!(range_applies(&HeaderMap::new(), &ETag::new("x")));
        assert!(applies("\"x\""));
        assert!(!applies("W/\"x\""));
        assert!(!applies("\"y\""));
        assert!(!applies("Thu, 01 Jan 2026 00:00:00 GMT"));
    }
}
