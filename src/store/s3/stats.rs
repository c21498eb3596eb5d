//! Counters of the tier, and what metrics say of it.

use prometheus_client::metrics::counter::Counter;

use crate::named::named_enum;
use crate::store::RemoteErrorKind;
use crate::telemetry::metrics::{Metric, metrics};

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

impl Op {
    /// Whether it changes something in the bucket, which may have happened without an answer.
    pub(super) fn changes(self) -> bool {
        match self {
            Self::Head | Self::Get | Self::ListUploads | Self::List | Self::Probe => false,
            Self::Put
            | Self::Delete
            | Self::CreateUpload
            | Self::UploadPart
            | Self::CompleteUpload
            | Self::AbortUpload
            | Self::Append => true,
        }
    }

    /// Whether a success means that there is an object now.
    pub(super) fn stores(self) -> bool {
        matches!(self, Self::Put | Self::CompleteUpload | Self::Append)
    }
}

/// What only grows. See [`S3Stats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: [Counter; Op::ALL.len()],
    failures: [Counter; RemoteErrorKind::ALL.len()],
    pub(super) bytes_in: Counter,
    pub(super) bytes_out: Counter,
    pub(super) damaged: Counter,
}

impl Counters {
    pub(super) fn request(&self, op: Op) {
        self.requests[op as usize].inc();
    }

    pub(super) fn failure(&self, kind: RemoteErrorKind) {
        self.failures[kind as usize].inc();
    }

    pub(super) fn snapshot(
        &self,
        (permits_used, permits): (usize, usize),
        lacking: Vec<&'static str>,
    ) -> S3Stats {
        let requests = Op::ALL.iter().zip(&self.requests);
        let failures = RemoteErrorKind::ALL.iter().zip(&self.failures);
        S3Stats {
            requests: requests.map(|(op, count)| (op.as_str(), count.get())).collect(),
            failures: failures
                .map(|(kind, count)| (kind.as_str(), count.get()))
                .collect(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            permits_used,
            permits,
            damaged: self.damaged.get(),
            lacking,
        }
    }
}

/// The bucket at one moment; counters count from the start on.
#[derive(Debug)]
pub struct S3Stats {
    /// Requests by operation, without the retries of the SDK.
    pub requests: Vec<(&'static str, u64)>,
    /// Requests and streams that failed, by kind. A missing object is no failure.
    pub failures: Vec<(&'static str, u64)>,
    /// Bytes of bodies read.
    pub bytes_in: u64,
    /// Bytes of bodies sent, without those sent again.
    pub bytes_out: u64,
    /// Requests and streams under way.
    pub permits_used: usize,
    /// How many there may be (`s3.max_concurrency`).
    pub permits: usize,
    /// Objects read that are not the entry that their name says.
    pub damaged: u64,
    /// What the store was found not to do as S3 does it.
    pub lacking: Vec<&'static str>,
}

impl S3Stats {
    pub(super) fn metrics(self, is_up: bool) -> Vec<Metric> {
        metrics! {
            Gauge("chacha_s3_up", is_up.into()): "1 while the bucket can be used",
            CounterBy("chacha_s3_requests", "operation", self.requests): "Requests to S3, without retries",
            CounterBy("chacha_s3_failures", "fault", self.failures): "Requests to S3 that failed, by fault",
            Counter("chacha_s3_read_bytes", self.bytes_in): "Bytes of bodies read from S3",
            Counter("chacha_s3_written_bytes", self.bytes_out): "Bytes of bodies sent to S3",
            Gauge("chacha_s3_requests_running", self.permits_used as u64): "Requests to S3 under way",
            Gauge("chacha_s3_requests_limit", self.permits as u64): "s3.max_concurrency",
            Counter("chacha_s3_damaged", self.damaged): "Objects that were not what their name says",
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
