//! The sections `disk` and `s3`, and whether together they are a cache.

use super::field::Field;
use super::keypath::KeyPath;
use super::keys::DISK;
use super::reader::ConfigReader;
use super::s3::{self, Siblings};
use super::section::Section;
use super::{DiskConfig, Durability, S3Config, defaults};

/// Reads both tiers and reports when there is none.
pub(super) fn tiers(
    reader: &mut ConfigReader<'_>,
    root: &Section<'_>,
) -> (Option<DiskConfig>, Option<S3Config>) {
    let (disk_field, s3_field) = (root.field("disk"), root.field("s3"));
    if disk_field.is_none() && s3_field.is_none() {
        root.missing(
            reader,
            "disk",
            "disk:` with the keys `dir` and `limit`, or `s3:` with the key `bucket",
        );
    }
    let disk = disk_field
        .as_ref()
        .and_then(|field| disk(reader, field, s3_field.is_some()));
    let siblings = Siblings {
        disk: disk_field.is_some(),
        read: disk.as_ref(),
    };
    let s3 = s3_field.and_then(|field| s3::s3(reader, &field, siblings));
    (disk, s3)
}

fn disk(reader: &mut ConfigReader<'_>, field: &Field<'_>, s3: bool) -> Option<DiskConfig> {
    let section = Section::open(reader, field.path().clone(), field.value(), DISK)?;
    let dir = section.required(reader, "dir", "dir: /var/cache/chacha", Field::file_path);
    let limit = section.required(reader, "limit", "limit: 50GB", |field| {
        field.size(defaults::MIN_DISK_LIMIT)
    });
    let durability = section.optional(reader, "durability", durability);
    let memory = section.optional(reader, "memory", |field| field.size(1));
    let open_files = section.optional(reader, "open_files", |field| field.count(&defaults::COUNT_RANGE));
    let revalidate_after = section.optional(reader, "revalidate_after", |field| {
        field.duration(&defaults::REVALIDATE_RANGE)
    });
    if let Some(field) = section.field("revalidate_after").filter(|_| !s3) {
        reader.warn(
            field.path(),
            "is not used: without `s3` there is nothing to compare entries with; remove it",
        );
    }
    let default = DiskConfig::new(dir?, limit?);
    Some(DiskConfig {
        durability: durability.unwrap_or(default.durability),
        memory: memory.unwrap_or(default.memory),
        open_files,
        revalidate_after,
        ..default
    })
}

fn durability(field: &Field<'_>) -> Result<Durability, String> {
    field.word("is not a durability; write relaxed (a power loss may cost entries) or fsync (slower)")
}

/// Warns when a single entry may be larger than everything together.
pub(super) fn warn_of_entry_size(
    reader: &mut ConfigReader<'_>,
    disk: Option<&DiskConfig>,
    s3: Option<&S3Config>,
    max_entry_size: Option<u64>,
) {
    let limit = match (disk, s3) {
        (Some(disk), _) => Some(("disk.limit", disk.limit)),
        (None, Some(s3)) => Some(("s3.staging_limit", s3.staging_limit)),
        (None, None) => None,
    };
    if let (Some((name, limit)), Some(max)) = (limit, max_entry_size)
        && max > limit
    {
        reader.warn(
            &KeyPath::default().key("limits").key("max_entry_size"),
            format!("is larger than {name}, so the largest accepted entries cannot be stored; lower it"),
        );
    }
}
