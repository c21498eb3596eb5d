//! The closed sets that metrics and log lines are labelled with.

use crate::named::named_enum;

named_enum! {
    /// How a request ended. Closed, because it is a label.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub enum Outcome {
        /// The entry was found.
        Hit = "hit",
        /// No namespace of the caller has the entry.
        Miss = "miss",
        /// The client has the same version already, or asked for a state that is not there.
        Condition = "condition",
        /// The entry was stored.
        Stored = "stored",
        /// The entry was removed.
        Deleted = "deleted",
        /// A control call of a protocol.
        Control = "control",
        /// The client is to blame: credentials, rights, syntax, limits.
        Refused = "refused",
        /// We are to blame.
        #[default]
        Failed = "failed",
        /// The connection ended before the answer had left.
        Cut = "cut",
    }
}

named_enum! {
    /// The methods that are counted apart; a label must come from a closed set.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    #[expect(missing_docs, reason = "the names are those of RFC 9110")]
    pub enum MethodLabel {
        Get = "GET",
        Head = "HEAD",
        Put = "PUT",
        Post = "POST",
        Delete = "DELETE",
        Other = "other",
    }
}

impl MethodLabel {
    pub(super) fn of(method: &http::Method) -> Self {
        match *method {
            http::Method::GET => Self::Get,
            http::Method::HEAD => Self::Head,
            http::Method::PUT => Self::Put,
            http::Method::POST => Self::Post,
            http::Method::DELETE => Self::Delete,
            _ => Self::Other,
        }
    }
}
