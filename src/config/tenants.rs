//! The list `tenants`: rules for those who share a fate.

mod doubts;
mod pattern;
mod rule;
mod share;
mod shares;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::field::Field;
use super::keys::TENANTS;
use super::remote;
use super::section::Section;
use super::{DiskConfig, ProviderConfig, S3Config, defaults, size};
use doubts::Beside;

pub use rule::TenantRule;
pub use share::Share;
pub use shares::{reservable, shares_fault};

const EXAMPLE: &str = "match: \"https://token.actions.githubusercontent.com#*\"";

/// Reads all rules; every fault is reported, and a rule with one is left out.
pub(super) fn tenants(
    root: &Section<'_>,
    (disk, s3): (Option<&DiskConfig>, Option<&S3Config>),
    providers: &[ProviderConfig],
) -> Vec<TenantRule> {
    let Some(list) = root.field("tenants") else {
        return Vec::new();
    };
    let entries = list.entries(EXAMPLE).unwrap_or_default();
    if entries.len() > defaults::MAX_TENANT_RULES {
        list.error(format!(
            "the list has {} rules; keep at most {}, a pattern stands for many tenants",
            entries.len(),
            defaults::MAX_TENANT_RULES
        ));
    }
    let beside = Beside {
        providers,
        has_remote: remote::has_section(root),
        limit: local_limit(disk, s3),
    };
    let rules: Vec<TenantRule> = entries.iter().filter_map(|entry| rule(entry, &beside)).collect();
    if let Some(limit) = beside.limit
        && let Some(fault) = shares_fault(&rules, limit)
    {
        list.error(fault);
    }
    rules
}

/// The limit of the local tier, of which a percentage is meant.
pub(super) fn local_limit(disk: Option<&DiskConfig>, s3: Option<&S3Config>) -> Option<u64> {
    let staging = || s3.map(|s3| s3.staging_limit);
    disk.map(|disk| disk.limit).or_else(staging)
}

fn rule(entry: &Field<'_>, beside: &Beside<'_>) -> Option<TenantRule> {
    let section = &Section::open(entry, TENANTS)?;
    let age = |field: &Field<'_>| field.duration(&defaults::ENTRY_AGE_RANGE);
    let count = |field: &Field<'_>| field.count(&defaults::TENANT_COUNT_RANGE);
    let share = |field: &Field<'_>| share::share(&field.scalar("size")?);
    let pattern = section.required("match", EXAMPLE, |field| pattern::check(field.text()?));
    let weight = section.optional("weight", |field| field.count(&defaults::WEIGHT_RANGE));
    let rule = TenantRule {
        pattern: String::new(),
        min_share: section.optional("min_share", share),
        weight: weight.and_then(|weight| u32::try_from(weight).ok()),
        max_bytes: section.optional("max_bytes", share),
        max_entries: section.optional("max_entries", count).map(|count| count as u64),
        max_age: section.optional("max_age", age),
        expire_after_unused: section
            .optional("expire_after_unused", |field| unused(field, beside.has_remote)),
        max_entry_size: section.optional("max_entry_size", |field| field.size(1)),
        max_uploads: section.optional("max_uploads", |field| field.count(&defaults::GHA_UPLOADS_RANGE)),
        write_rate: section.optional("write_rate", rate),
        requests_in_flight: section.optional("requests_in_flight", count),
    };
    // Only now: the faults of all keys are told at once.
    let rule = TenantRule {
        pattern: pattern?,
        ..rule
    };
    doubts::warn(section, &rule, beside);
    Some(rule)
}

/// In a bucket the last use of an entry is noted once a day.
fn unused(field: &Field<'_>, has_remote: bool) -> Result<Duration, String> {
    let time = field.duration(&defaults::ENTRY_AGE_RANGE)?;
    match has_remote && time < defaults::MIN_UNUSED_WITH_REMOTE {
        true => Err(
            "is too short: with `s3`, the last use of an entry is noted once a day; write at least 48h"
                .to_owned(),
        ),
        false => Ok(time),
    }
}

/// Bytes a second, as `10MB` or `10MB/s`.
fn rate(field: &Field<'_>) -> Result<u64, String> {
    let text = field.scalar("rate")?;
    let text = text.trim();
    size::parse(text.strip_suffix("/s").unwrap_or(text), 1)
}
