//! The sections `disk` and `s3`, and whether together they are a cache.

use super::keypath::KeyPath;
use super::keys::DISK;
use super::leaf::Leaf;
use super::reader::{Reader, Section};
use super::s3::{self, Beside};
use super::{DiskConfig, Durability, S3Config, defaults};

/// Reads both tiers and reports when there is none.
pub(super) fn tiers(reader: &mut Reader<'_>, root: &Section<'_>) -> (Option<DiskConfig>, Option<S3Config>) {
    let (disk_leaf, s3_leaf) = (root.leaf("disk"), root.leaf("s3"));
    if disk_leaf.is_none() && s3_leaf.is_none() {
        root.missing(
            reader,
            "disk",
            "disk:` with the keys `dir` and `limit`, or `s3:` with the key `bucket",
        );
    }
    let disk = disk_leaf
        .as_ref()
        .and_then(|leaf| disk(reader, leaf, s3_leaf.is_some()));
    let beside = Beside {
        disk: disk_leaf.is_some(),
        read: disk.as_ref(),
    };
    let s3 = s3_leaf.and_then(|leaf| s3::s3(reader, &leaf, beside));
    (disk, s3)
}

fn disk(reader: &mut Reader<'_>, leaf: &Leaf<'_>, s3: bool) -> Option<DiskConfig> {
    let section = Section::open(reader, leaf.path().clone(), leaf.value(), DISK)?;
    let dir = section.required(reader, "dir", "dir: /var/cache/chacha", Leaf::file_path);
    let limit = section.required(reader, "limit", "limit: 50GB", |leaf| {
        leaf.size(defaults::MIN_DISK_LIMIT)
    });
    let durability = section.optional(reader, "durability", durability);
    let memory = section.optional(reader, "memory", |leaf| leaf.size(1));
    let open_files = section.optional(reader, "open_files", |leaf| leaf.count(&defaults::COUNT_RANGE));
    let revalidate_after = section.optional(reader, "revalidate_after", |leaf| {
        leaf.duration(&defaults::REVALIDATE_RANGE)
    });
    if let Some(leaf) = section.leaf("revalidate_after").filter(|_| !s3) {
        reader.warn(
            leaf.path(),
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

fn durability(leaf: &Leaf<'_>) -> Result<Durability, String> {
    leaf.word("is not a durability; write relaxed (a power loss may cost entries) or fsync (slower)")
}

/// Warns when a single entry may be larger than everything together.
pub(super) fn warn_of_entry_size(
    reader: &mut Reader<'_>,
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
