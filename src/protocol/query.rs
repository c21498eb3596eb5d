//! The query of a request, for protocols whose parameters are names of entries and credentials.

use std::borrow::Cow;

use http::request::Parts;
use percent_encoding::percent_decode_str;

use super::http_error::HttpError;
use crate::error::Class;

/// The value of the first parameter with this name, percent-decoded exactly once. A plus is a plus: block ids
/// are base64.
pub(crate) fn parameter<'a>(parts: &'a Parts, name: &str) -> Result<Option<Cow<'a, str>>, HttpError> {
    raw(parts, name).map(decode).transpose()
}

/// The same where a plus is a blank, as in the query of a form: `url.Values` of Go writes keys so, and every
/// client that means a plus escapes it.
pub(crate) fn form_parameter<'a>(parts: &'a Parts, name: &str) -> Result<Option<Cow<'a, str>>, HttpError> {
    match raw(parts, name) {
        Some(value) if value.contains('+') => {
            let value = value.replace('+', "%20");
            decode(&value).map(|text| Some(Cow::Owned(text.into_owned())))
        }
        value => value.map(decode).transpose(),
    }
}

fn raw<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let query = parts.uri.query().unwrap_or_default();
    let mut pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let found = pairs.find(|(found, _)| percent_decode_str(found).eq(name.bytes()));
    found.map(|(_, value)| value)
}

fn decode(value: &str) -> Result<Cow<'_, str>, HttpError> {
    let value = percent_decode_str(value).decode_utf8();
    value.map_err(|_| {
        HttpError::new(
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
    fn in_a_form_a_plus_is_a_blank() {
        let parts = parts("keys=a+b%2Bc&version=v");
        assert_eq!(form_parameter(&parts, "keys").unwrap().as_deref(), Some("a b+c"));
        assert_eq!(form_parameter(&parts, "version").unwrap().as_deref(), Some("v"));
        assert_eq!(form_parameter(&parts, "none").unwrap(), None);
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert!(parameter(&parts("a=%ff"), "a").is_err());
    }
}
