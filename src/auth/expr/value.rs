//! Values and where they come from: the claims of one token.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use super::error::{ClaimErrorKind, EvalError, shown};
use super::value_kind::ValueKind;

/// Longest text at any point of an evaluation, in bytes. Far above what a token can carry, and low
/// enough that no chain of functions can fill the memory.
pub(super) const MAX_TEXT_BYTES: usize = 64 * 1024;

/// One value during an evaluation; text is borrowed from the token where it can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'c> {
    Text(Cow<'c, str>),
    Number(i64),
    Boolean(bool),
}

impl<'c> Value<'c> {
    pub(super) fn kind(&self) -> ValueKind {
        match self {
            Self::Text(_) => ValueKind::Text,
            Self::Number(_) => ValueKind::Number,
            Self::Boolean(_) => ValueKind::Boolean,
        }
    }

    /// A text that was made during the evaluation; at most [`MAX_TEXT_BYTES`].
    pub(super) fn text(text: impl Into<Cow<'c, str>>) -> Result<Self, EvalError> {
        let text = text.into();
        check_length(text.len())?;
        Ok(Self::Text(text))
    }

    pub(super) fn reborrow(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(Cow::Borrowed(text)),
            Self::Number(number) => Value::Number(*number),
            Self::Boolean(boolean) => Value::Boolean(*boolean),
        }
    }
}

/// Fails with [`EvalError::TooLong`] above [`MAX_TEXT_BYTES`]; call it before the text is built.
pub(super) fn check_length(bytes: usize) -> Result<(), EvalError> {
    if bytes > MAX_TEXT_BYTES {
        return Err(EvalError::TooLong {
            limit: MAX_TEXT_BYTES,
        });
    }
    Ok(())
}

/// The place of a claim: one name per level of nesting, each compared literally.
///
/// `claims.a.b` has two segments and `claim("a.b")` has one, so neither can stand for the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClaimPath(Box<[String]>);

impl ClaimPath {
    /// `None` without segments or with an empty one.
    pub(super) fn new(segments: Vec<String>) -> Option<Self> {
        let whole = !segments.is_empty() && segments.iter().all(|segment| !segment.is_empty());
        whole.then(|| Self(segments.into()))
    }

    /// The path of `a.b` as written behind `claims.`; `None` if it needs `claim(...)`.
    pub(super) fn dotted(name: &str) -> Option<Self> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
        let segments = name.bytes().all(is_plain).then(|| name.split('.'))?;
        Self::new(segments.map(str::to_owned).collect())
    }

    /// The name of the claim itself.
    pub(super) fn first(&self) -> &str {
        // Never empty.
        self.0.first().map_or("", String::as_str)
    }

    /// The name for messages.
    pub(super) fn name(&self) -> String {
        shown(&self.0.join("."))
    }

    /// The text that names this claim in an expression.
    pub(super) fn source(&self) -> String {
        let plain = |s: &String| s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if self.0.iter().all(plain) {
            return format!("claims.{}", self.0.join("."));
        }
        let quoted: Vec<String> = self.0.iter().map(|segment| quote(segment)).collect();
        format!("claim({})", quoted.join(", "))
    }

    /// The claim's value.
    ///
    /// # Errors
    /// [`EvalError::MissingClaim`] if it is not there or has a type without a value here.
    pub(super) fn value<'c>(&self, claims: &'c Map<String, Json>) -> Result<Value<'c>, EvalError> {
        let found = self.find(claims).and_then(scalar);
        found.map_err(|reason| EvalError::MissingClaim {
            name: self.name(),
            reason,
        })
    }

    fn find<'c>(&self, claims: &'c Map<String, Json>) -> Result<&'c Json, ClaimErrorKind> {
        let mut level = claims;
        let mut rest = self.0.iter();
        let last = rest.next_back().ok_or(ClaimErrorKind::Absent)?;
        for segment in rest {
            level = match level.get(segment).ok_or(ClaimErrorKind::Absent)? {
                Json::Object(object) => object,
                Json::Null => return Err(ClaimErrorKind::Null),
                _ => return Err(ClaimErrorKind::Unusable("not inside of an object")),
            };
        }
        level.get(last).ok_or(ClaimErrorKind::Absent)
    }
}

fn scalar(json: &Json) -> Result<Value<'_>, ClaimErrorKind> {
    match json {
        Json::String(text) => Ok(Value::Text(Cow::Borrowed(text))),
        Json::Bool(boolean) => Ok(Value::Boolean(*boolean)),
        Json::Number(number) => {
            let unusable = ClaimErrorKind::Unusable("not a whole number of 64 bits");
            number.as_i64().map(Value::Number).ok_or(unusable)
        }
        Json::Null => Err(ClaimErrorKind::Null),
        Json::Array(_) => Err(ClaimErrorKind::Unusable("a list")),
        Json::Object(_) => Err(ClaimErrorKind::Unusable("an object")),
    }
}

/// `text` as a literal of the language.
pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Map<String, Json> {
        let json = r#"{
            "text": "x", "yes": true, "int": 42, "big": 18446744073709551615, "float": 1.5,
            "null": null, "list": ["a"], "a.b": "flat", "a": {"b": "nested", "c": {"d": 1}},
            "kubernetes.io": {"namespace": "ci"}
        }"#;
        serde_json::from_str(json).unwrap()
    }

    #[track_caller]
    fn check(path: &[&str], expected: Result<Value<'_>, ClaimErrorKind>) {
        let path = ClaimPath::new(path.iter().map(ToString::to_string).collect()).unwrap();
        let expected = expected.map_err(|reason| EvalError::MissingClaim {
            name: path.name(),
            reason,
        });
        assert_eq!(path.value(&claims()), expected);
    }

    fn text(text: &str) -> Result<Value<'_>, ClaimErrorKind> {
        Ok(Value::Text(text.into()))
    }

    #[test]
    fn scalars_are_values() {
        check(&["text"], text("x"));
        check(&["yes"], Ok(Value::Boolean(true)));
        check(&["int"], Ok(Value::Number(42)));
    }

    #[test]
    fn other_types_are_missing_with_a_reason() {
        check(&["none"], Err(ClaimErrorKind::Absent));
        check(&["null"], Err(ClaimErrorKind::Null));
        check(
            &["big"],
            Err(ClaimErrorKind::Unusable("not a whole number of 64 bits")),
        );
        check(
            &["float"],
            Err(ClaimErrorKind::Unusable("not a whole number of 64 bits")),
        );
        check(&["list"], Err(ClaimErrorKind::Unusable("a list")));
        check(&["a"], Err(ClaimErrorKind::Unusable("an object")));
    }

    #[test]
    fn nested_and_flat_names_never_shadow_each_other() {
        check(&["a", "b"], text("nested"));
        check(&["a.b"], text("flat"));
        check(&["a", "c", "d"], Ok(Value::Number(1)));
        check(&["kubernetes.io", "namespace"], text("ci"));
        check(&["kubernetes", "io", "namespace"], Err(ClaimErrorKind::Absent));
        check(
            &["text", "b"],
            Err(ClaimErrorKind::Unusable("not inside of an object")),
        );
        check(&["null", "b"], Err(ClaimErrorKind::Null));
    }

    #[test]
    fn sources_name_the_same_claim() {
        let source = |segments: &[&str]| {
            let path = ClaimPath::new(segments.iter().map(ToString::to_string).collect());
            path.unwrap().source()
        };
        assert_eq!(source(&["a", "b"]), "claims.a.b");
        assert_eq!(source(&["a.b"]), r#"claim("a.b")"#);
        assert_eq!(source(&["a/b", "c\"d"]), r#"claim("a/b", "c\"d")"#);
    }

    #[test]
    fn dotted_names_need_whole_segments() {
        for name in ["", ".", "a.", ".a", "a..b", "a-b", "a/b", "ä"] {
            assert_eq!(ClaimPath::dotted(name), None, "{name}");
        }
    }
}
