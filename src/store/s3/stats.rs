//! Counters of the tier.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::named::named_enum;
use crate::store::RemoteErrorKind;

named_enum! {
    /// The kinds of requests.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Op {
        Head = "head",
        Get = "get",
        Put = "put",
        Delete = "delete",
        CreateUpload = "create_upload",
        UploadPart = "upload_part",
        CompleteUpload = "complete_upload",
        AbortUpload = "abort_upload",
        ListUploads = "list_uploads",
        /// To the journal.
        Append = "append",
        /// Of the journal.
        List = "list",
        Probe = "probe",
    }
}

/// The bucket at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Stats {
    /// Requests since the start by operation, without the retries of the SDK.
    pub requests: Vec<(&'static str, u64)>,
    /// Requests and streams since the start that failed, by kind. A missing object is no failure.
    pub failures: Vec<(RemoteErrorKind, u64)>,
    /// Bytes of bodies read since the start.
    pub bytes_in: u64,
    /// Bytes of bodies sent since the start, without those sent again.
    pub bytes_out: u64,
    /// Requests and streams under way.
    pub permits_used: usize,
    /// How many there may be (`s3.max_concurrency`).
    pub permits: usize,
    /// Objects read since the start that are not the entry that their name says.
    pub damaged: u64,
}

/// What only grows.
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: [AtomicU64; Op::ALL.len()],
    failures: [AtomicU64; RemoteErrorKind::ALL.len()],
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    damaged: AtomicU64,
}

impl Counters {
    pub(super) fn request(&self, op: Op) {
        self.requests[op as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failure(&self, kind: RemoteErrorKind) {
        self.failures[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn came_in(&self, bytes: u64) {
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn went_out(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn was_damaged(&self) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, permits_used: usize, permits: usize) -> S3Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let requests = Op::ALL.iter().zip(&self.requests);
        let failures = RemoteErrorKind::ALL.iter().zip(&self.failures);
        S3Stats {
            requests: requests.map(|(op, count)| (op.as_str(), read(count))).collect(),
            failures: failures.map(|(kind, count)| (*kind, read(count))).collect(),
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
            permits_used,
            permits,
            damaged: read(&self.damaged),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_own_place() {
        for (nth, op) in Op::ALL.iter().enumerate() {
            assert_eq!(*op as usize, nth);
        }
    }
}
