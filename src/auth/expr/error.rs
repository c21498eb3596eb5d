//! The errors of expressions, at load and for one token.
//!
//! No error here holds the *value* of a claim: its text may reach a log or a client. Names of
//! claims come from the configuration and may be shown.

use std::fmt;

use super::super::identity::Namespace;
use super::value_kind::ValueKind;

/// Longest quotation of an expression inside of a message, in characters.
const MAX_SHOWN_CHARS: usize = 120;

/// An expression that cannot be used. Displays as one line: `column 7: what is wrong; what to write`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct CompileError {
    column: usize,
    message: String,
}

impl CompileError {
    pub(super) fn new(column: usize, message: impl Into<String>) -> Self {
        Self {
            column,
            message: one_line(&message.into()),
        }
    }

    /// For an expression whose result can never have the type that is needed.
    pub(in crate::auth) fn wrong_result(wanted: ValueKind, found: ValueKind) -> Self {
        Self::new(1, format!("the result has to be {wanted}, but is always {found}"))
    }

    /// For an expression without claims, which fails for every token alike.
    pub(in crate::auth) fn no_result(wanted: ValueKind, error: &EvalError) -> Self {
        let remedy = match wanted {
            ValueKind::Boolean => "write true or false, or compare a claim".to_owned(),
            ValueKind::Text | ValueKind::Number => {
                format!("a namespace is a text of 1 to {} bytes", Namespace::MAX_BYTES)
            }
        };
        Self::new(1, format!("no token gets a result: {error}; {remedy}"))
    }

    /// Where the error lies: the first character of the expression is column 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// The error and what to write instead, without the position.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Why a claim counts as missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimErrorKind {
    /// The token does not have it.
    Absent,
    /// The claim is JSON's `null`.
    Null,
    /// The claim is there, but `nonempty(...)` or `join(...)` met an empty text.
    Empty,
    /// `split(...)` asked for a part that the text does not have.
    NoSuchPart,
    /// The claim is there, but has a type without a value in this language. Holds the type's name.
    Unusable(&'static str),
}

impl ClaimErrorKind {
    /// Whether `default(...)` may step in. An unusable type does not: the claim is there, and to
    /// replace it could put two tenants into one namespace.
    pub(super) fn has_default(self) -> bool {
        !matches!(self, Self::Unusable(_))
    }
}

impl fmt::Display for ClaimErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("is missing"),
            Self::Null => f.write_str("is null"),
            Self::Empty => f.write_str("is empty"),
            Self::NoSuchPart => f.write_str("does not have the part that split() asks for"),
            Self::Unusable(found) => write!(f, "is {found}, which expressions cannot use"),
        }
    }
}

/// Why an expression has no usable result for one token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// A claim that the expression needs is missing, or counts as missing.
    #[error("the claim `{name}` {reason}")]
    MissingClaim {
        /// Its name; the segments of a nested claim are joined with `.`.
        name: String,
        /// Why it counts as missing.
        reason: ClaimErrorKind,
    },
    /// The result has to be text (`string(x)` makes text of a number or a boolean).
    #[error("the result is {found}, not text")]
    NotAString {
        /// The type of the result.
        found: ValueKind,
    },
    /// The result has to be a boolean.
    #[error("the result is {found}, not a boolean")]
    NotABoolean {
        /// The type of the result.
        found: ValueKind,
    },
    /// The result is the empty text.
    #[error("the result is empty")]
    Empty,
    /// The result or an intermediate text is too long.
    #[error("the result is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// An operator or a function cannot work with what it got.
    #[error("{0}")]
    Failed(String),
}

impl EvalError {
    /// Whether the cause is a missing claim: that skips a fallback instead of refusing the token.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::MissingClaim { .. })
    }
}

/// `text` without anything that could break a line or forge another, shortened.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_SHOWN_CHARS).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    one_line(&short)
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compile_errors_stay_on_one_line() {
        let error = CompileError::new(3, "a\nb\u{1b}[0m");
        assert_eq!(error.to_string(), "column 3: a b [0m");
    }

    #[test]
    fn quotations_are_short() {
        assert_eq!(shown("claims.ref"), "claims.ref");
        assert_eq!(shown(&"ü".repeat(200)).chars().count(), MAX_SHOWN_CHARS + 3);
    }
}
