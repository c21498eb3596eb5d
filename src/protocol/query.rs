//! The query of a request, for protocols whose parameters are names of entries and credentials.

use std::borrow::Cow;

use http::request::Parts;
use percent_encoding::percent_decode_str;

use super::plain::Failure;
use crate::error::Class;

/// The value of the first parameter with this name, percent-decoded exactly once.
///
/// Unlike in the query of a form, a plus is a plus: block ids are base64, and clients that write a blank
/// as a plus do not put blanks into keys.
///
/// # Errors
/// The value is not text.
pub(crate) fn parameter<'a>(parts: &'a Parts, name: &str) -> Result<Option<Cow<'a, str>>, Failure> {
    let query = parts.uri.query().unwrap_or_default();
    let mut pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let found = pairs.find(|(found, _)| percent_decode_str(found).eq(name.bytes()));
    let Some((_, value)) = found else {
        return Ok(None);
    };
    let value = percent_decode_str(value).decode_utf8();
    value.map(Some).map_err(|_| {
        Failure::new(
            Class::Invalid,
            "a parameter of the query is not percent-encoded UTF-8",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(query: &str) -> Parts {
        let request = http::Request::get(format!("/x?{query}")).body(()).unwrap();
        request.into_parts().0
    }

    fn check(query: &str, name: &str, expected: Option<&str>) {
        let parts = parts(query);
        assert_eq!(
            parameter(&parts, name).unwrap().as_deref(),
            expected,
            "{name} of {query}"
        );
    }

    #[test]
    fn values_are_decoded_exactly_once_and_a_plus_stays() {
        check("a=1&b=2", "b", Some("2"));
        check(
            "comp=block&blockid=AA%2B/+%3D%3D&se=1",
            "blockid",
            Some("AA+/+=="),
        );
        check("keys=a%2Cb%252Cc&version=v", "keys", Some("a,b%2Cc"));
        check(
            "keys=sccache/.sccache_check",
            "keys",
            Some("sccache/.sccache_check"),
        );
        check("keys=%C3%A4%20b", "keys", Some("ä b"));
        check("%6beys=a", "keys", Some("a"));
        check("a&b=", "a", Some(""));
        check("a=1&a=2", "a", Some("1"));
        check("aa=1", "a", None);
        check("", "a", None);
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert!(parameter(&parts("a=%ff"), "a").is_err());
    }
}
