//! The largest tenants as metrics, and all others as one.
//!
//! A tenant that leaves the largest ones goes on in `other`, so only what goes up and down anyway has that label. What
//! only grows is there for the largest ones alone: it neither goes down nor is counted for another one, and begins anew
//! with a tenant that held nothing for a while. All tenants together are counted without their label.

use std::sync::{Arc, LazyLock};

use super::tiers::Tiers;
use crate::cache::actions::Actions;
use crate::store::memory::MemoryAccount;
use crate::store::{EvictionCause, HeldFigures, LargeTenant, TenantFigures};
use crate::telemetry::metrics::{Metric, Metrics, metrics};
use crate::telemetry::refusals::{Refusal, Refusals};

/// Tenants that have metrics of their own.
const MAX_TENANTS: usize = 20;

/// The label of all others together. No tenant has it: theirs have twelve digits.
static OTHER: LazyLock<Arc<str>> = LazyLock::new(|| "other".into());
/// The label of what belongs to nobody who is known.
static UNKNOWN: LazyLock<Arc<str>> = LazyLock::new(|| "unknown".into());

fn label(large: &LargeTenant) -> &Arc<str> {
    large.tenant.as_ref().map_or(&UNKNOWN, |tenant| tenant.label())
}

/// What else knows of tenants.
#[derive(Debug)]
struct Sources {
    refusals: Arc<Refusals>,
    actions: Actions,
    memory: MemoryAccount,
}

/// Looks at all tenants whenever metrics are asked for.
pub(super) fn connect(metrics: &Metrics, tiers: &Tiers, actions: &Actions) {
    let disk = Arc::clone(&tiers.disk);
    let sources = Sources {
        refusals: Arc::clone(metrics.refusals()),
        actions: actions.clone(),
        memory: tiers.spools.memory().clone(),
    };
    metrics.add_metrics(move || tenant_metrics(&disk.tenants(MAX_TENANTS), &sources));
}

/// `figures` have at most [`MAX_TENANTS`].
fn tenant_metrics(figures: &TenantFigures, sources: &Sources) -> Vec<Metric> {
    let held = |read: fn(&HeldFigures) -> u64| -> Vec<_> {
        let largest = figures.largest.iter();
        let largest = largest.map(|large| (Arc::clone(label(large)), read(&large.held)));
        largest
            .chain([(Arc::clone(&OTHER), read(&figures.others))])
            .collect()
    };
    let shares = figures.largest.iter();
    let shares = shares
        .map(|large| (Arc::clone(label(large)), large.share))
        .collect();
    let mut all = metrics! {
        Gauge("chacha_tenants", figures.tenants): "Tenants that hold something on the disk",
        Gauge("chacha_shares_divided_bytes", figures.divided):
            "Bytes of the disk that groups of tenants divide",
        Gauge("chacha_shares_reserved_bytes", figures.reserved): "Bytes that rules reserve for tenants",
        TenantGauge("chacha_tenant_bytes", held(|held| held.bytes)):
            "Bytes that count in the share of a tenant, of the largest ones",
        TenantGauge("chacha_tenant_entries", held(|held| held.entries)): "Entries of a tenant on the disk",
        TenantGauge("chacha_tenant_reserved_bytes", held(|held| held.reserved)):
            "Bytes of a tenant's bodies that are on their way",
        TenantGauge("chacha_tenant_above_share", held(|held| held.above)):
            "1 if a tenant is above its share and gives room first; of the others, how many are",
        TenantGauge("chacha_tenant_share_bytes", shares): "Bytes that a tenant never has to give for others",
    };
    all.extend(memory_metrics(figures, &sources.memory));
    all.extend(upload_metrics(figures, &sources.actions));
    all.extend(counters(figures, &sources.refusals));
    all
}

fn memory_metrics(figures: &TenantFigures, memory: &MemoryAccount) -> Vec<Metric> {
    let mut rest = memory.stats().used;
    let held = |large: &LargeTenant| {
        let held = large
            .tenant
            .as_ref()
            .map_or(0, |tenant| memory.held_by(tenant.label()));
        rest = rest.saturating_sub(held);
        (Arc::clone(label(large)), held)
    };
    let mut all: Vec<_> = figures.largest.iter().map(held).collect();
    all.push((Arc::clone(&OTHER), rest));
    metrics! {
        TenantGauge("chacha_tenant_memory_bytes", all): "Bytes that requests of a tenant hold in memory",
    }
}

fn upload_metrics(figures: &TenantFigures, actions: &Actions) -> Vec<Metric> {
    let (mut uploads, mut bytes) = (Vec::new(), Vec::new());
    let mut rest = actions.uploads();
    for large in &figures.largest {
        let own = large
            .tenant
            .as_ref()
            .map(|tenant| actions.uploads_of(tenant))
            .unwrap_or_default();
        // Others may have ended meanwhile.
        rest = (rest.0.saturating_sub(own.0), rest.1.saturating_sub(own.1));
        uploads.push((Arc::clone(label(large)), own.0 as u64));
        bytes.push((Arc::clone(label(large)), own.1));
    }
    uploads.push((Arc::clone(&OTHER), rest.0 as u64));
    bytes.push((Arc::clone(&OTHER), rest.1));
    metrics! {
        TenantGauge("chacha_tenant_uploads", uploads): "Unfinished uploads of a tenant to the Actions cache",
        TenantGauge("chacha_tenant_upload_bytes", bytes): "Bytes that these uploads hold",
    }
}

/// Only what happened is printed.
fn counters(figures: &TenantFigures, refusals: &Refusals) -> Vec<Metric> {
    let (mut evictions, mut refused) = (Vec::new(), Vec::new());
    for large in &figures.largest {
        let label = label(large);
        for (cause, count) in EvictionCause::ALL
            .iter()
            .zip(large.evictions)
            .filter(|(_, count)| *count > 0)
        {
            evictions.push((Arc::clone(label), cause.as_str(), count.into()));
        }
        for (reason, count) in Refusal::ALL
            .iter()
            .zip(refusals.of(label))
            .filter(|(_, count)| *count > 0)
        {
            refused.push((Arc::clone(label), reason.as_str(), count));
        }
    }
    metrics! {
        TenantCounterBy("chacha_tenant_evictions", "cause", evictions):
            "Entries of a tenant that were evicted, of the largest tenants",
        TenantCounterBy("chacha_tenant_refusals", "reason", refused):
            "Requests of a tenant that were refused, of the largest tenants",
    }
}
