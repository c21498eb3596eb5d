//! The numbers that other parts keep, as metrics.

mod remote;

use std::sync::atomic::{AtomicU64, Ordering};

use super::tiers::Tiers;

use crate::auth::AuthCounters;
use crate::protocol::app::App;
use crate::store::disk::DiskStats;
use crate::telemetry::metrics::{Kind, Metrics, Sample, Values};

/// Reads the numbers of the tiers and of the identity layer whenever metrics are asked for.
pub(super) fn connect(metrics: &Metrics, tiers: &Tiers, app: &App) {
    if let Some(disk) = tiers.disk.clone() {
        metrics.add_samples(move || disk_samples(&disk.stats()));
    }
    if let Some(s3) = tiers.s3.clone() {
        metrics.add_samples(move || remote::s3(&s3.stats(), &s3.health()));
    }
    if let Some(tiered) = tiers.tiered.clone() {
        metrics.add_samples(move || remote::tiered(&tiered.stats()));
    }
    if tiers.s3.is_some() {
        let actions = app.actions().clone();
        metrics.add_samples(move || {
            vec![gauge(
                "chacha_gha_other_servers",
                "Other servers that show themselves in the bucket",
                actions.figures().others as u64,
            )]
        });
    }
    let app = app.clone();
    metrics.add_samples(move || auth_samples(app.auth().counters()));
}

fn gauge(name: &'static str, help: &'static str, value: u64) -> Sample {
    Sample {
        name,
        help,
        kind: Kind::Gauge,
        values: Values::One(value),
    }
}

fn counter(name: &'static str, help: &'static str, value: u64) -> Sample {
    Sample {
        name,
        help,
        kind: Kind::Counter,
        values: Values::One(value),
    }
}

fn disk_samples(stats: &DiskStats) -> Vec<Sample> {
    vec![
        gauge(
            "chacha_disk_limit_bytes",
            "Configured limit of the disk tier",
            stats.limit,
        ),
        gauge(
            "chacha_disk_used_bytes",
            "Bytes that the disk tier takes",
            stats.used,
        ),
        gauge(
            "chacha_disk_reserved_bytes",
            "Bytes reserved for uploads that are running",
            stats.reserved,
        ),
        gauge(
            "chacha_disk_entries",
            "Entries of the disk tier",
            stats.entries as u64,
        ),
        gauge(
            "chacha_disk_pinned_bytes",
            "Bytes of entries that wait for their upload and are not evicted",
            stats.pinned,
        ),
        gauge(
            "chacha_disk_indexing",
            "1 while the disk tier is scanned after a start",
            stats.indexing.into(),
        ),
        gauge(
            "chacha_disk_open_files",
            "Entries kept open",
            stats.open_files as u64,
        ),
        gauge(
            "chacha_disk_stuck_files",
            "Files that could not be removed and are tried again",
            stats.stuck_files as u64,
        ),
        gauge(
            "chacha_disk_memory_bytes",
            "Bytes of small bodies kept in memory",
            stats.hot_bytes,
        ),
        counter("chacha_disk_evictions", "Entries evicted", stats.evictions),
        counter("chacha_disk_evicted_bytes", "Bytes evicted", stats.evicted_bytes),
        counter(
            "chacha_disk_damaged",
            "Entries found damaged and removed",
            stats.corrupt,
        ),
    ]
}

fn auth_samples(counters: &AuthCounters) -> Vec<Sample> {
    let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
    vec![
        counter(
            "chacha_auth_verified",
            "Tokens verified",
            read(&counters.verified),
        ),
        counter(
            "chacha_auth_remembered",
            "Requests with a token verified before",
            read(&counters.remembered),
        ),
        counter(
            "chacha_auth_refused",
            "Requests refused for their token",
            read(&counters.refused),
        ),
        counter(
            "chacha_auth_unavailable",
            "Requests whose issuer's keys were not known",
            read(&counters.unavailable),
        ),
        counter(
            "chacha_auth_refreshes",
            "Key sets fetched",
            read(&counters.refreshes_ok),
        ),
        counter(
            "chacha_auth_refresh_failures",
            "Key sets that could not be fetched",
            read(&counters.refreshes_failed),
        ),
    ]
}
