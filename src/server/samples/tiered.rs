//! The numbers of the disk and the remote tier together.

use super::{counter, gauge};
use crate::store::tiered::TieredStats;
use crate::telemetry::metrics::Metric;

pub(super) fn metrics(stats: &TieredStats) -> Vec<Metric> {
    let mut all = reads(stats);
    all.extend(queue(stats));
    all
}

/// What was fetched, and what was compared.
fn reads(stats: &TieredStats) -> Vec<Metric> {
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
    ]
}

/// The changes that the remote tier does not have yet.
fn queue(stats: &TieredStats) -> Vec<Metric> {
    vec![
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
