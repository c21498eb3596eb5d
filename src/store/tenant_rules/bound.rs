//! The rules that bound what a tenant has under way, and what it holds.

use crate::named::named_enum;

named_enum! {
    /// Those of what it has under way. The names are those of the keys in the configuration.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum TenantBound {
        /// Bytes written in a second.
        WriteRate = "write_rate",
        /// Requests at once.
        RequestsInFlight = "requests_in_flight",
        /// Unfinished uploads of the Actions cache.
        MaxUploads = "max_uploads",
    }
}

named_enum! {
    /// Those of what it holds in one tier.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum HeldBound {
        /// Bytes.
        MaxBytes = "max_bytes",
        /// Entries.
        MaxEntries = "max_entries",
    }
}
