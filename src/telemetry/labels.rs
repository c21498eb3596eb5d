//! The closed sets that metrics and log lines are labelled with.

/// How a request ended. Closed, because it is a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Outcome {
    /// The entry was found.
    Hit,
    /// No namespace of the caller has the entry.
    Miss,
    /// The client has the same version already, or asked for a state that is not there.
    Condition,
    /// The entry was stored.
    Stored,
    /// The entry was removed.
    Deleted,
    /// A control call of a protocol.
    Control,
    /// The client is to blame: credentials, rights, syntax, limits.
    Refused,
    /// We are to blame.
    #[default]
    Failed,
    /// The connection ended before the answer had left.
    Cut,
}

impl Outcome {
    /// Every outcome, in the order of their discriminants.
    pub const ALL: [Self; 9] = [
        Self::Hit,
        Self::Miss,
        Self::Condition,
        Self::Stored,
        Self::Deleted,
        Self::Control,
        Self::Refused,
        Self::Failed,
        Self::Cut,
    ];

    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Condition => "condition",
            Self::Stored => "stored",
            Self::Deleted => "deleted",
            Self::Control => "control",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Cut => "cut",
        }
    }
}

/// The methods that are counted apart; a label must come from a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of RFC 9110")]
pub enum MethodLabel {
    Get,
    Head,
    Put,
    Post,
    Delete,
    Other,
}

impl MethodLabel {
    /// Every label, in the order of their discriminants.
    pub const ALL: [Self; 6] = [
        Self::Get,
        Self::Head,
        Self::Put,
        Self::Post,
        Self::Delete,
        Self::Other,
    ];

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

    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Other => "other",
        }
    }
}
