//! What metrics say of the bucket.

use super::stats::S3Stats;
use crate::store::{RemoteHealth, RemoteMetric};

/// All figures of the tier at one moment.
pub(super) fn of(stats: &S3Stats, health: RemoteHealth) -> Vec<RemoteMetric> {
    let failures = stats.failures.iter();
    let failures = failures.map(|(kind, count)| (kind.as_str(), *count)).collect();
    vec![
        RemoteMetric::gauge(
            "chacha_s3_up",
            "1 while the bucket can be used",
            (health == RemoteHealth::Up).into(),
        ),
        RemoteMetric::counter_by(
            "chacha_s3_requests",
            "Requests to S3, without retries",
            "operation",
            stats.requests.clone(),
        ),
        RemoteMetric::counter_by(
            "chacha_s3_failures",
            "Requests to S3 that failed, by fault",
            "fault",
            failures,
        ),
        RemoteMetric::counter(
            "chacha_s3_read_bytes",
            "Bytes of bodies read from S3",
            stats.bytes_in,
        ),
        RemoteMetric::counter(
            "chacha_s3_written_bytes",
            "Bytes of bodies sent to S3",
            stats.bytes_out,
        ),
        RemoteMetric::gauge(
            "chacha_s3_requests_running",
            "Requests to S3 under way",
            stats.permits_used as u64,
        ),
        RemoteMetric::gauge(
            "chacha_s3_requests_limit",
            "s3.max_concurrency",
            stats.permits as u64,
        ),
        RemoteMetric::counter(
            "chacha_s3_damaged",
            "Objects that were not what their name says",
            stats.damaged,
        ),
    ]
}
