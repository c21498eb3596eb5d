//! Why connections without an accepted token are ended for others.

use crate::named::named_enum;

named_enum! {
    /// See the module.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(in crate::server) enum Reason {
        /// All places were taken.
        Full = "full",
        /// Their address had too many.
        Address = "address",
        /// Long heads took too much memory.
        Memory = "memory",
        /// There were too many of HTTP/2.
        Http2 = "http2",
        /// They had too many requests under way.
        Requests = "requests",
    }
}

/// Connections that were ended since the start, by the number of the reason.
pub(in crate::server) type GivenWay = [u64; Reason::ALL.len()];
