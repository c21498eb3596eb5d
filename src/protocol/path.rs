//! The path of a request, percent-decoded exactly once.

use std::borrow::Cow;

use http::Uri;
use percent_encoding::percent_decode_str;

/// The decoded path, only to choose a front-end; each front-end reads its own names strictly.
pub(crate) struct DecodedPath<'a>(Cow<'a, [u8]>);

impl<'a> DecodedPath<'a> {
    pub(crate) fn of(uri: &'a Uri) -> Self {
        let path = uri.path();
        Self(match path.contains('%') {
            true => percent_decode_str(path).into(),
            // Nearly always; the decoder would look at it byte by byte.
            false => path.as_bytes().into(),
        })
    }

    /// What follows the segments of `prefix`: `Some(None)` if the path ends with them.
    pub(crate) fn after(&self, prefix: &[&str]) -> Option<Option<&[u8]>> {
        follow(self.0.strip_prefix(b"/").unwrap_or(&self.0), prefix)
    }

    /// The same for protocols whose clients put a path behind a base URL with or without a slash at its
    /// end: the path may begin with several.
    pub(crate) fn after_slashes(&self, prefix: &[&str]) -> Option<Option<&[u8]>> {
        let slashes = self.0.iter().take_while(|byte| **byte == b'/').count();
        follow(&self.0[slashes..], prefix)
    }

    /// Whether the path begins with the segments of `prefix`.
    pub(crate) fn is_below(&self, prefix: &[&str]) -> bool {
        self.after(prefix).is_some()
    }

    /// Whether exactly one segment follows `prefix`.
    pub(crate) fn is_child_of(&self, prefix: &[&str]) -> bool {
        matches!(self.after(prefix), Some(Some(name)) if !name.is_empty() && !name.contains(&b'/'))
    }
}

fn follow<'a>(path: &'a [u8], prefix: &[&str]) -> Option<Option<&'a [u8]>> {
    let mut rest = Some(path);
    for wanted in prefix {
        let tail = rest?.strip_prefix(wanted.as_bytes())?;
        rest = match tail.split_first() {
            None => None,
            Some((b'/', tail)) => Some(tail),
            Some(_) => return None,
        };
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, prefix: &[&str], expected: bool) {
        let uri: Uri = path.parse().expect("uri");
        assert_eq!(DecodedPath::of(&uri).is_below(prefix), expected, "{path}");
    }

    #[test]
    fn prefixes_are_whole_decoded_segments() {
        check("/twirp/x", &["twirp"], true);
        check("/twirp", &["twirp"], true);
        check("/twirpy/x", &["twirp"], false);
        check("/%74wirp/x", &["twirp"], true);
        check("/%2574wirp/x", &["twirp"], false);
        check("/v1%2Fcache/x", &["v1", "cache"], true);
        check("/v1//cache/x", &["v1", "cache"], false);
        check("//v1/cache/x", &["v1", "cache"], false);
        check("/anything", &[], true);
    }

    #[test]
    fn slashes_in_front_may_be_left_out() {
        let after = |path: &str| {
            let uri: Uri = path.parse().expect("uri");
            let path = DecodedPath::of(&uri);
            path.after_slashes(&["a", "b"])
                .map(|rest| rest.map(<[u8]>::to_vec))
        };
        assert_eq!(after("/a/b/c"), Some(Some(b"c".to_vec())));
        assert_eq!(after("//a/b/c/d"), Some(Some(b"c/d".to_vec())));
        assert_eq!(after("//a/b"), Some(None));
        assert_eq!(after("/a//b"), None);
        assert_eq!(after("/x/a/b"), None);
    }

    #[test]
    fn a_child_is_one_segment() {
        let child = |path: &str| DecodedPath::of(&path.parse().expect("uri")).is_child_of(&["v1", "cache"]);
        assert!(child("/v1/cache/123"));
        assert!(!child("/v1/cache"));
        assert!(!child("/v1/cache/"));
        assert!(!child("/v1/cache/1/2"));
        assert!(!child("/v1/cache/1%2F2"));
        assert!(!child("/v1/cachex"));
    }
}
