//! A condition: what readiness and the log say of this moment.

/// One thing that is not as it should be, or not yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    /// Stays the same while it lasts: a tier, or an issuer.
    pub(super) subject: String,
    /// What is wrong, and the remedy where there is one.
    pub(super) text: String,
    /// Whether it is logged; what passes by itself is not.
    pub(super) is_fault: bool,
}
