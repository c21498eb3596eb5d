//! The numbers that other parts keep, as metrics.

mod tiered;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::tiers::Tiers;

use crate::auth::AuthStats;
use crate::cache::actions::ActionsStats;
use crate::protocol::app::App;
use crate::store::disk::DiskStats;
use crate::store::{MetricValue, RemoteMetric};
use crate::telemetry::metrics::{Metric, MetricKind, MetricValues, Metrics};

/// Reads the numbers of the tiers and of the identity layer whenever metrics are asked for.
pub(super) fn connect(metrics: &Metrics, tiers: &Tiers, app: &App) {
    let disk = Arc::clone(&tiers.disk);
    metrics.add_metrics(move || disk_samples(&disk.stats()));
    if let Some(remote) = tiers.remote.clone() {
        metrics.add_metrics(move || remote.metrics().into_iter().map(remote_metric).collect());
    }
    if let Some(tiered) = tiers.tiered.clone() {
        metrics.add_metrics(move || tiered::metrics(&tiered.stats()));
    }
    let actions = app.actions().clone();
    metrics.add_metrics(move || actions_samples(&actions.stats()));
    let app = app.clone();
    metrics.add_metrics(move || auth_samples(app.auth().stats()));
}

fn gauge(name: &'static str, help: &'static str, value: u64) -> Metric {
    Metric {
        name,
        help,
        kind: MetricKind::Gauge,
        values: MetricValues::One(value),
    }
}

fn counter(name: &'static str, help: &'static str, value: u64) -> Metric {
    Metric {
        name,
        help,
        kind: MetricKind::Counter,
        values: MetricValues::One(value),
    }
}

/// A figure of a remote tier.
fn remote_metric(metric: RemoteMetric) -> Metric {
    let (kind, values) = match metric.value {
        MetricValue::Gauge(value) => (MetricKind::Gauge, MetricValues::One(value)),
        MetricValue::Counter(value) => (MetricKind::Counter, MetricValues::One(value)),
        MetricValue::CounterBy(label, values) => (MetricKind::Counter, MetricValues::By(label, values)),
    };
    Metric {
        name: metric.name,
        help: metric.help,
        kind,
        values,
    }
}

fn actions_samples(stats: &ActionsStats) -> Vec<Metric> {
    let catalog = &stats.catalog;
    vec![
        gauge(
            "chacha_actions_entries",
            "Entries of the Actions cache that look-ups can find",
            catalog.entries as u64,
        ),
        gauge(
            "chacha_actions_namespaces",
            "Namespaces that have such entries",
            catalog.namespaces as u64,
        ),
        gauge(
            "chacha_actions_ledger_bytes",
            "Length of the file that brings the entries back after a restart",
            catalog.ledger_bytes,
        ),
        gauge(
            "chacha_actions_untold_entries",
            "Entries that the other servers of the bucket were not told about yet",
            catalog.unsent as u64,
        ),
        gauge(
            "chacha_actions_uploads",
            "Uploads that are running",
            stats.uploads as u64,
        ),
        gauge(
            "chacha_actions_upload_bytes",
            "Bytes that the running uploads hold",
            stats.upload_bytes,
        ),
        gauge(
            "chacha_actions_other_servers",
            "Other servers of the same bucket that are there",
            stats.others as u64,
        ),
    ]
}

fn disk_samples(stats: &DiskStats) -> Vec<Metric> {
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

fn auth_samples(stats: &AuthStats) -> Vec<Metric> {
    let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
    vec![
        counter("chacha_auth_verified", "Tokens verified", read(&stats.verified)),
        counter(
            "chacha_auth_remembered",
            "Requests with a token verified before",
            read(&stats.remembered),
        ),
        counter(
            "chacha_auth_refused",
            "Requests refused for their token",
            read(&stats.refused),
        ),
        counter(
            "chacha_auth_unavailable",
            "Requests whose issuer's keys were not known",
            read(&stats.unavailable),
        ),
        counter(
            "chacha_auth_refreshes",
            "Key sets fetched",
            read(&stats.refreshes_ok),
        ),
        counter(
            "chacha_auth_refresh_failures",
            "Key sets that could not be fetched",
            read(&stats.refreshes_failed),
        ),
    ]
}
