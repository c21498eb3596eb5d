//! The sections `disk` and `s3`, and whether together they are a cache.

use std::path::PathBuf;

use serde_yaml::Value;

use super::keypath::KeyPath;
use super::keys::{DISK, S3};
use super::leaf::Leaf;
use super::reader::{Reader, Section};
use super::{DiskConfig, Durability, S3Config, defaults};

/// Reads both tiers and reports when there is none that can be used.
pub(super) fn tiers(reader: &mut Reader<'_>, root: &Section<'_>) -> (Option<DiskConfig>, Option<S3Config>) {
    let (disk_leaf, s3_leaf) = (root.leaf("disk"), root.leaf("s3"));
    match (&disk_leaf, &s3_leaf) {
        (None, None) => root.missing(reader, "disk", "disk:` with the keys `dir` and `limit"),
        (None, Some(s3)) => reader.error(
            s3.path(),
            "this version has no S3 tier yet, so it needs a disk: add `disk:` with the keys `dir` and `limit`",
        ),
        (Some(_), Some(s3)) => reader.warn(
            s3.path(),
            "this version has no S3 tier yet: serving from disk only; entries are not shared",
        ),
        (Some(_), None) => {}
    }
    let disk = disk_leaf.and_then(|leaf| disk(reader, &leaf));
    let s3 = s3_leaf.and_then(|leaf| s3(reader, &leaf));
    (disk, s3)
}

fn disk(reader: &mut Reader<'_>, leaf: &Leaf<'_>) -> Option<DiskConfig> {
    let section = Section::open(reader, leaf.path().clone(), leaf.value(), DISK)?;
    let dir = section.required(reader, "dir", "dir: /var/cache/chacha", directory);
    let limit = section.required(reader, "limit", "limit: 50GB", |leaf| {
        leaf.size(defaults::MIN_DISK_LIMIT)
    });
    let durability = section.optional(reader, "durability", durability);
    let memory = section.optional(reader, "memory", |leaf| leaf.size(1));
    let open_files = section.optional(reader, "open_files", |leaf| leaf.count(&defaults::COUNT_RANGE));
    let default = DiskConfig::new(dir?, limit?);
    Some(DiskConfig {
        durability: durability.unwrap_or(default.durability),
        memory: memory.unwrap_or(default.memory),
        open_files,
        ..default
    })
}

fn directory(leaf: &Leaf<'_>) -> Result<PathBuf, String> {
    let dir = leaf.text()?;
    if dir.starts_with('~') || dir.contains("${") || dir.starts_with('$') {
        return Err("is taken as it stands (~ and $NAME are not replaced); write the whole path".to_owned());
    }
    Ok(PathBuf::from(dir))
}

fn durability(leaf: &Leaf<'_>) -> Result<Durability, String> {
    serde_yaml::from_value(Value::from(leaf.text()?)).map_err(|_| {
        "is not a durability; write relaxed (a power loss may cost entries) or fsync (slower)".to_owned()
    })
}

fn s3(reader: &mut Reader<'_>, leaf: &Leaf<'_>) -> Option<S3Config> {
    let section = Section::open(reader, leaf.path().clone(), leaf.value(), S3)?;
    let bucket = section.required(reader, "bucket", "bucket: my-bucket", bucket)?;
    Some(S3Config::new(bucket))
}

fn bucket(leaf: &Leaf<'_>) -> Result<String, String> {
    let name = leaf.text()?;
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    if name.chars().all(legal) {
        Ok(name.to_owned())
    } else {
        Err("is not the name of a bucket; write the bare name, without s3:// and without a path".to_owned())
    }
}

/// Warns when a single entry may be larger than everything together.
pub(super) fn warn_of_entry_size(
    reader: &mut Reader<'_>,
    disk: Option<&DiskConfig>,
    max_entry_size: Option<u64>,
) {
    if let (Some(disk), Some(max)) = (disk, max_entry_size)
        && max > disk.limit
    {
        reader.warn(
            &KeyPath::default().key("limits").key("max_entry_size"),
            "is larger than disk.limit, so the largest accepted entries cannot be stored; lower it",
        );
    }
}
