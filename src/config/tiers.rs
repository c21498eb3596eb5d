//! The sections `disk` and `s3`, and whether together they are a cache.

use super::field::Field;
use super::keys::DISK;
use super::remote;
use super::s3::{self, Siblings};
use super::section::Section;
use super::{DiskConfig, S3Config, defaults};

/// Reads both tiers and reports when there is none.
pub(super) fn tiers(root: &Section<'_>) -> (Option<DiskConfig>, Option<S3Config>) {
    let (disk_field, s3_field) = (root.field("disk"), root.field("s3"));
    let has_remote = remote::has_section(root);
    if disk_field.is_none() && !has_remote {
        let example = "disk:` with the keys `dir` and `limit`, or `s3:` with the key `bucket";
        root.missing("disk", example);
    }
    let disk = disk_field.as_ref().and_then(|field| disk(field, has_remote));
    let siblings = Siblings {
        disk: disk_field.is_some(),
        read: disk.as_ref(),
    };
    let s3 = s3_field.and_then(|field| s3::s3(&field, siblings));
    (disk, s3)
}

fn disk(field: &Field<'_>, has_remote: bool) -> Option<DiskConfig> {
    let section = Section::open(field, DISK)?;
    let least = |field: &Field<'_>| field.size(defaults::MIN_DISK_LIMIT);
    let revalidate = |field: &Field<'_>| field.duration(&defaults::REVALIDATE_RANGE);
    let dir = section.required("dir", "dir: /var/cache/chacha", Field::file_path);
    let limit = section.required("limit", "limit: 50GB", least);
    let mut config = DiskConfig::new(dir.clone().unwrap_or_default(), limit.unwrap_or_default());
    section.set(&mut config.min_free, "min_free", |field| field.size(0));
    section.set(&mut config.durability, "durability", |field| {
        field.word("is not a durability; write relaxed (a power loss may cost entries) or fsync (slower)")
    });
    section.set(&mut config.memory, "memory", |field| field.size(1));
    config.open_files = section.optional("open_files", |field| field.count(&defaults::COUNT_RANGE));
    config.revalidate_after = section.optional("revalidate_after", revalidate);
    if let Some(field) = section.field("revalidate_after").filter(|_| !has_remote) {
        field.warn("is not used: without `s3` there is nothing to compare entries with; remove it");
    }
    dir.and(limit).map(|_| config)
}
