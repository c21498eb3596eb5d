//! The numbers that other parts keep, as metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use super::conditions;
use super::connections::Connections;
use super::reload_record::ReloadRecord;
use super::tenant_samples;
use super::tiers::Tiers;
use crate::auth::{AuthStats, RevokedTokens};
use crate::cache::actions::{ActionsStats, GivenUp};
use crate::cache::bucket_rules::BucketRulesStats;
use crate::cache::notes::NoteStats;
use crate::protocol::app::App;
use crate::store::EvictionCause;
use crate::store::disk::{DiskHealth, DiskStats};
use crate::store::memory::MemoryStats;
use crate::store::tiered::TieredStats;
use crate::telemetry::metrics::{Metric, Metrics, metrics};
use crate::telemetry::refusals::{Refusal, Refusals};

/// Reads the numbers of the tiers and of the identity layer whenever metrics are asked for.
pub(super) fn connect(
    metrics: &Metrics,
    tiers: &Tiers,
    app: &App,
    connections: &Connections,
    (closing, reloads): (&CancellationToken, &ReloadRecord),
) {
    let (asked, closing) = ((app.clone(), tiers.clone()), closing.clone());
    metrics.add_metrics(move || {
        let seen = conditions::look(&asked.0, &asked.1, closing.is_cancelled());
        metrics! {
            Gauge("chacha_ready", seen.refusal.is_none().into()):
                "1 if requests should be sent here, as readiness says",
        }
    });
    let reloads = reloads.clone();
    metrics.add_metrics(move || {
        metrics! {
            Gauge("chacha_config_last_reload_success", reloads.was_good().into()):
                "1 if the last SIGHUP took the configuration over, or none came yet",
            Gauge("chacha_config_last_reload_success_timestamp_seconds", reloads.last_good()):
                "When the configuration was last taken over, at a start or by SIGHUP",
        }
    });
    let connections = connections.clone();
    metrics.add_metrics(move || connections.stats().metrics());
    tenant_samples::connect(metrics, tiers, app.actions());
    let refusals = Arc::clone(metrics.refusals());
    metrics.add_metrics(move || refusal_metrics(&refusals));
    let memory = tiers.spools.memory().clone();
    metrics.add_metrics(move || memory_metrics(&memory.stats()));
    let disk = Arc::clone(&tiers.disk);
    metrics.add_metrics(move || {
        let mut all = disk_metrics(&disk.stats(), &disk.health());
        all.extend(disk.volume_free().into_iter().flat_map(volume_metrics));
        all
    });
    if let Some(remote) = tiers.remote.clone() {
        metrics.add_metrics(move || remote.metrics());
    }
    if let Some(tiered) = tiers.tiered.clone() {
        metrics.add_metrics(move || tiered_metrics(&tiered.stats()));
    }
    if let Some(rules) = tiers.bucket_rules.clone() {
        metrics.add_metrics(move || bucket_rules_metrics(&rules.stats()));
    }
    let actions = app.actions().clone();
    metrics.add_metrics(move || actions_metrics(&actions.stats()));
    let app = app.clone();
    metrics.add_metrics(move || {
        let auth = app.auth();
        let mut all = auth_metrics(auth.stats(), auth.token_bytes());
        all.extend(revoked_metrics(auth.job_tokens().revoked()));
        all
    });
}

fn refusal_metrics(refusals: &Refusals) -> Vec<Metric> {
    let counts = Refusal::ALL.iter().zip(refusals.all());
    let counts = counts.map(|(reason, count)| (reason.as_str(), count)).collect();
    metrics! {
        CounterBy("chacha_refusals", "reason", counts):
            "Requests refused for what others need as well: room, memory, bounds of tenants",
    }
}

fn memory_metrics(stats: &MemoryStats) -> Vec<Metric> {
    metrics! {
        Gauge("chacha_memory_limit_bytes", stats.limit): "Bytes that requests may hold in memory",
        Gauge("chacha_memory_used_bytes", stats.used): "Bytes that requests hold in memory",
        Counter("chacha_memory_refused", stats.refused): "Requests refused for want of memory",
        Counter("chacha_memory_early_writes", stats.early_writes):
            "Batches of uploads that were written early for want of memory",
    }
}

/// Left out when the volume cannot be asked: 0 would be a full one.
fn volume_metrics(free: u64) -> Vec<Metric> {
    metrics! {
        Gauge("chacha_disk_volume_free_bytes", free): "Bytes of the volume of the disk tier that are free",
    }
}

fn disk_metrics(stats: &DiskStats, health: &DiskHealth) -> Vec<Metric> {
    metrics! {
        Gauge("chacha_disk_up", (*health == DiskHealth::Up).into()):
            "1 if the directory of the disk tier can be used",
        Gauge("chacha_disk_limit_bytes", stats.limit): "Configured limit of the disk tier",
        Gauge("chacha_disk_low_mark_bytes", stats.low_mark):
            "Down to here room is made when the limit is near; what the shares of tenants are parts of",
        Gauge("chacha_disk_used_bytes", stats.used): "Bytes that the disk tier takes",
        Gauge("chacha_disk_reserved_bytes", stats.reserved): "Bytes reserved for uploads that are running",
        Gauge("chacha_disk_held_bytes", stats.held): "Bytes of unlinked files that readers have open still",
        Gauge("chacha_disk_entries", stats.entries as u64): "Entries of the disk tier",
        Gauge("chacha_disk_pinned_bytes", stats.pinned):
            "Bytes of entries that wait for their upload and are not evicted",
        Gauge("chacha_disk_indexing", stats.indexing.into()):
            "1 while the disk tier is scanned after a start",
        Gauge("chacha_disk_open_files", stats.open_files as u64): "Entries kept open",
        Gauge("chacha_disk_stuck_files", stats.stuck_files as u64):
            "Files that could not be removed and are tried again",
        Gauge("chacha_disk_memory_bytes", stats.hot_bytes): "Bytes of small bodies kept in memory",
        Counter("chacha_disk_evictions", stats.evicted()): "Entries evicted",
        CounterBy("chacha_disk_evictions_by_cause", "cause", evictions(stats)):
            "Entries evicted, by why their tenants had to give room",
        Gauge("chacha_disk_unread_entries", stats.unread as u64):
            "Entries of which nobody has read yet whom they belong to",
        Counter("chacha_disk_evicted_bytes", stats.evicted_bytes): "Bytes evicted",
        Counter("chacha_disk_damaged", stats.corrupt): "Entries found damaged and removed",
    }
}

fn bucket_rules_metrics(stats: &BucketRulesStats) -> Vec<Metric> {
    metrics! {
        Gauge("chacha_bucket_rules_pending", stats.pending as u64):
            "Uses of entries that are noted and not in the bucket yet",
        Counter("chacha_bucket_rules_noted", stats.noted): "Uses of entries that were put into the bucket",
        Counter("chacha_bucket_rules_dropped", stats.dropped):
            "Uses that found no room: their entries count as used",
        Counter("chacha_bucket_rules_passes", stats.passes): "Passes over the tenants of the bucket",
        Counter("chacha_bucket_rules_failed_passes", stats.failed_passes):
            "Passes that were broken off because the bucket failed",
        Counter("chacha_bucket_rules_removed", stats.removed):
            "Entries that a rule of their tenant has removed from the bucket",
        Counter("chacha_bucket_rules_removed_bytes", stats.removed_bytes): "Bytes of these",
    }
}

fn evictions(stats: &DiskStats) -> Vec<(&'static str, u64)> {
    let causes = EvictionCause::ALL.iter().zip(stats.evictions);
    causes.map(|(cause, count)| (cause.as_str(), count)).collect()
}

/// What was fetched and compared, and the changes that the remote tier does not have yet.
fn tiered_metrics(stats: &TieredStats) -> Vec<Metric> {
    metrics! {
        Gauge("chacha_fills_running", stats.filling as u64): "Entries that are being fetched from S3",
        Counter("chacha_fills", stats.fills): "Fetches from S3",
        Counter("chacha_fills_joined", stats.joined): "Reads that joined a fetch of somebody else",
        Counter("chacha_fills_failed", stats.failed_fills): "Fetches that failed",
        Counter("chacha_fills_streamed", stats.streamed):
            "Entries streamed from S3 because the disk had no room",
        Counter("chacha_fills_bytes", stats.fetched_bytes): "Bytes fetched from S3 for the disk",
        Counter("chacha_revalidations", stats.revalidated): "Local copies compared with S3",
        Counter("chacha_revalidations_replaced", stats.replaced):
            "Local copies that another server had replaced",
        Gauge("chacha_upload_queue_entries", stats.queued as u64): "Changes that S3 has not heard of",
        Gauge("chacha_upload_queue_bytes", stats.queued_bytes): "Bytes that wait for their upload",
        Gauge("chacha_upload_queue_age_seconds", stats.queue_age.as_secs()):
            "How long the oldest change has been waiting",
        Counter("chacha_upload_queue_done", stats.uploads): "Uploads from the queue",
        Counter("chacha_upload_queue_failed", stats.failed_uploads): "Attempts of the queue that failed",
        Counter("chacha_upload_queue_conflicts", stats.conflicts):
            "Entries that waited and were dropped because another server had stored one first",
    }
}

fn actions_metrics(stats: &ActionsStats) -> Vec<Metric> {
    let catalog = &stats.catalog;
    let given_up = GivenUp::ALL.iter().zip(stats.given_up);
    let given_up = given_up.map(|(reason, count)| (reason.as_str(), count)).collect();
    let mut all = note_metrics(stats.notes.as_ref());
    all.extend(metrics! {
        Gauge("chacha_actions_entries", catalog.entries as u64):
            "Entries of the Actions cache that look-ups can find",
        Gauge("chacha_actions_namespaces", catalog.namespaces as u64): "Namespaces that have such entries",
        Gauge("chacha_actions_index_bytes", catalog.index_bytes):
            "Bytes of memory that these entries take, the ledger's part included",
        CounterBy("chacha_actions_index_dropped", "cause", catalog.dropped.to_vec()):
            "Entries that look-ups no longer find, by why they left the index",
        Gauge("chacha_actions_ledger_bytes", catalog.ledger_bytes):
            "Length of the file that brings the entries back after a restart",
        Gauge("chacha_actions_untold_entries", catalog.unsent as u64):
            "Entries that the other servers of the bucket were not told about yet",
        Gauge("chacha_actions_uploads", stats.uploads as u64): "Uploads that are running",
        Gauge("chacha_actions_upload_bytes", stats.upload_bytes): "Bytes that the running uploads hold",
        CounterBy("chacha_actions_given_up", "reason", given_up):
            "Uploads that ended before they were entries, without their clients' doing",
        Gauge("chacha_actions_other_servers", stats.others as u64):
            "Other servers of the same bucket that are there",
    });
    all
}

fn note_metrics(stats: Option<&NoteStats>) -> Vec<Metric> {
    let Some(stats) = stats else {
        return Vec::new();
    };
    metrics! {
        Gauge("chacha_notes_age_seconds", stats.age.as_secs()):
            "How long ago the notes of the other servers were read",
        Gauge("chacha_notes_unsent", stats.unsent as u64): "Notes that are not in the bucket yet",
        Counter("chacha_notes_dropped", stats.dropped):
            "Notes that found too many others waiting for the bucket",
    }
}

/// The age is left out until all was read once: 0 would be fresh.
fn revoked_metrics(revoked: &RevokedTokens) -> Vec<Metric> {
    let mut all = metrics! {
        Gauge("chacha_revoked_tokens", revoked.count() as u64): "Revoked chains of job tokens that would not have ended yet",
    };
    if let Some(age) = revoked.age() {
        all.extend(metrics! {
            Gauge("chacha_revoked_age_seconds", age.as_secs()): "How long ago all revoked job tokens were read",
        });
    }
    all
}

fn auth_metrics(stats: &AuthStats, token_bytes: u64) -> Vec<Metric> {
    let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
    metrics! {
        Counter("chacha_auth_verified", read(&stats.verified)): "Tokens verified",
        Counter("chacha_auth_remembered", read(&stats.remembered)): "Requests with a token verified before",
        Gauge("chacha_auth_token_bytes", token_bytes): "Bytes of memory that verified tokens take",
        Counter("chacha_auth_refused", read(&stats.refused)): "Requests refused for their token",
        Counter("chacha_auth_unavailable", read(&stats.unavailable)):
            "Requests whose issuer's keys were not known",
        Counter("chacha_auth_refreshes", read(&stats.refreshes_ok)): "Key sets fetched",
        Counter("chacha_auth_refresh_failures", read(&stats.refreshes_failed)):
            "Key sets that could not be fetched",
    }
}
