//! What a caller can do about an error, independent of any protocol.
//!
//! Every layer has its own enum with its source; each implements [`Classify`], and each protocol
//! front-end maps [`Class`] exhaustively to its own wire format. No HTTP here.

use std::borrow::Cow;

/// What the party that caused or met the error can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The request itself is malformed; sending it again cannot help.
    Invalid,
    /// A write without the length of its body.
    LengthRequired,
    /// The request is meant for another server.
    Misdirected,
    /// The name of the entry is longer than any tier can hold.
    NameTooLong,
    /// Who is asking is not known: credentials are missing, damaged or expired.
    Unauthenticated,
    /// The caller is known, but may not do this.
    Forbidden,
    /// Another state than the one that the caller asked for (`If-Match`, `If-None-Match: *`).
    PreconditionFailed,
    /// The entry is larger than a configured limit.
    TooLarge,
    /// The requested range lies outside of the entry.
    RangeNotSatisfiable,
    /// The client stopped sending before the body was whole.
    Truncated,
    /// The client did not send for too long.
    Timeout,
    /// No tier has room for the entry.
    NoSpace,
    /// The tenant has too much under way; the same request may succeed later.
    TooMany,
    /// A part that is needed cannot be reached now; the same request may succeed later.
    Unavailable,
    /// A fault of ours or of the machine.
    Internal,
}

/// An error that knows what its reader can do about it, and what a client may be told.
pub trait Classify: std::error::Error + Send + Sync + 'static {
    /// What the caller can do about it.
    fn class(&self) -> Class;

    /// The text for the client. Never holds a token, the value of a claim, a namespace or a path.
    fn public(&self) -> Cow<'static, str>;
}

/// An error and its causes in one line, for the operator. A cause whose text stands there already is not
/// repeated.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}
