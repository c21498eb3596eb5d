//! In whose name something is asked for.

/// Whose turn a request to a tier is: a tenant's, or this server's own. Tells tenants apart and nothing else of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Asker(u64);

impl Asker {
    /// What this server does for nobody in particular: heartbeats, the journal, look-ups after a start.
    pub const SERVER: Self = Self(0);

    /// The tenant that a digest with these first bytes stands for.
    pub(in crate::store) const fn of_digest(first: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(first))
    }

    /// Its number, to be kept for as long as tenants have the same names.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The asker whose number was kept.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}
