//! The numbers of the S3 tier and of both tiers together.

use super::{counter, gauge};
use crate::store::RemoteErrorKind;
use crate::store::s3::{S3Health, S3Stats};
use crate::store::tiered::TieredStats;
use crate::telemetry::metrics::{Metric, MetricKind, MetricValues};

fn counters(
    name: &'static str,
    help: &'static str,
    label: &'static str,
    values: Vec<(&'static str, u64)>,
) -> Metric {
    Metric {
        name,
        help,
        kind: MetricKind::Counter,
        values: MetricValues::By(label, values),
    }
}

pub(super) fn s3(stats: &S3Stats, health: &S3Health) -> Vec<Metric> {
    let failures = stats.failures.iter();
    let failures = failures.map(|(fault, count)| (label(*fault), *count)).collect();
    vec![
        gauge(
            "chacha_s3_up",
            "1 while the bucket can be used",
            (*health == S3Health::Up).into(),
        ),
        counters(
            "chacha_s3_requests",
            "Requests to S3, without retries",
            "operation",
            stats.requests.clone(),
        ),
        counters(
            "chacha_s3_failures",
            "Requests to S3 that failed, by fault",
            "fault",
            failures,
        ),
        counter(
            "chacha_s3_read_bytes",
            "Bytes of bodies read from S3",
            stats.bytes_in,
        ),
        counter(
            "chacha_s3_written_bytes",
            "Bytes of bodies sent to S3",
            stats.bytes_out,
        ),
        gauge(
            "chacha_s3_requests_running",
            "Requests to S3 under way",
            stats.permits_used as u64,
        ),
        gauge(
            "chacha_s3_requests_limit",
            "s3.max_concurrency",
            stats.permits as u64,
        ),
        counter(
            "chacha_s3_damaged",
            "Objects that were not what their name says",
            stats.damaged,
        ),
    ]
}

pub(super) fn tiered(stats: &TieredStats) -> Vec<Metric> {
    vec![
        gauge(
            "chacha_fills_running",
            "Entries that are being fetched from S3",
            stats.filling as u64,
        ),
        counter("chacha_fills", "Fetches from S3", stats.fills),
        counter(
            "chacha_fills_joined",
            "Reads that joined a fetch of somebody else",
            stats.joined,
        ),
        counter("chacha_fills_failed", "Fetches that failed", stats.failed_fills),
        counter(
            "chacha_fills_streamed",
            "Entries streamed from S3 because the disk had no room",
            stats.streamed,
        ),
        counter(
            "chacha_fills_bytes",
            "Bytes fetched from S3 for the disk",
            stats.fetched_bytes,
        ),
        counter(
            "chacha_revalidations",
            "Local copies compared with S3",
            stats.revalidated,
        ),
        counter(
            "chacha_revalidations_replaced",
            "Local copies that another server had replaced",
            stats.replaced,
        ),
        gauge(
            "chacha_upload_queue_entries",
            "Changes that S3 has not heard of",
            stats.queued as u64,
        ),
        gauge(
            "chacha_upload_queue_bytes",
            "Bytes that wait for their upload",
            stats.queued_bytes,
        ),
        gauge(
            "chacha_upload_queue_age_seconds",
            "How long the oldest change has been waiting",
            stats.queue_age.as_secs(),
        ),
        counter(
            "chacha_upload_queue_done",
            "Uploads from the queue",
            stats.uploads,
        ),
        counter(
            "chacha_upload_queue_failed",
            "Attempts of the queue that failed",
            stats.failed_uploads,
        ),
    ]
}

fn label(fault: RemoteErrorKind) -> &'static str {
    match fault {
        RemoteErrorKind::NoCredentials => "no_credentials",
        RemoteErrorKind::Expired => "expired",
        RemoteErrorKind::Denied => "denied",
        RemoteErrorKind::NoBucket => "no_bucket",
        RemoteErrorKind::WrongRegion => "wrong_region",
        RemoteErrorKind::ClockSkew => "clock_skew",
        RemoteErrorKind::Unreachable => "unreachable",
        RemoteErrorKind::Throttled => "throttled",
        RemoteErrorKind::Timeout => "timeout",
        RemoteErrorKind::Changed => "changed",
        RemoteErrorKind::Damaged => "damaged",
        RemoteErrorKind::Resting => "resting",
        RemoteErrorKind::Other => "other",
    }
}
