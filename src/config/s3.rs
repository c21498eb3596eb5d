//! The section `s3`.

use super::credentials;
use super::field::Field;
use super::keys::S3;
use super::naming;
use super::reader::ConfigReader;
use super::section::Section;
use super::weburl::{self, UrlRules};
use super::{DiskConfig, S3Config, S3Write, ServerSideEncryption, defaults};

/// What is known of the section `disk` beside this one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Siblings<'d> {
    /// Whether it is written.
    pub(super) disk: bool,
    /// What it says, if it has no error.
    pub(super) read: Option<&'d DiskConfig>,
}

/// Reads the section. `None` when something required is missing or wrong; every fault is reported.
pub(super) fn s3(
    reader: &mut ConfigReader<'_>,
    field: &Field<'_>,
    siblings: Siblings<'_>,
) -> Option<S3Config> {
    let section = Section::open(reader, field.path().clone(), field.value(), S3)?;
    let section = &section;
    let bucket = section.required(reader, "bucket", "bucket: my-bucket", |field| {
        naming::bucket(field.text()?).map(str::to_owned)
    });
    let mut config = S3Config::new(bucket.clone().unwrap_or_default());
    server(reader, section, &mut config);
    objects(reader, section, &mut config);
    config.credentials = credentials::files(reader, section);
    requests(reader, section, &mut config);
    writes(reader, section, &mut config, siblings);
    staging(reader, section, &mut config, siblings);
    bucket.map(|_| config)
}

/// Takes over what was read; what is absent keeps its default.
fn set<T>(target: &mut T, read: Option<T>) {
    if let Some(read) = read {
        *target = read;
    }
}

/// Which server is asked, and how.
fn server(reader: &mut ConfigReader<'_>, section: &Section<'_>, config: &mut S3Config) {
    let insecure_http = section.optional(reader, "allow_insecure_http", Field::flag);
    let rules = UrlRules {
        insecure_http: insecure_http.unwrap_or(false),
        ..UrlRules::default()
    };
    let endpoint = section.optional(reader, "endpoint_url", |field| {
        weburl::endpoint(field.text()?, rules)
    });
    if let Some(url) = endpoint {
        *config = config.clone().at(url);
    }
    let aws = is_aws(section);
    config.region = section.optional(reader, "region", |field| {
        naming::region(field.text()?, aws).map(str::to_owned)
    });
    let path_style = section.optional(reader, "force_path_style", Field::flag);
    set(&mut config.force_path_style, path_style);
    let checksums = section.optional(reader, "checksums", |field| {
        field.word(
            "is not accepted; write when_supported (always) or when_required (only where S3 demands it)",
        )
    });
    set(&mut config.checksums, checksums);
}

/// Whether no other server is named, even one that could not be read.
fn is_aws(section: &Section<'_>) -> bool {
    section.field("endpoint_url").is_none()
}

/// What objects are called, and how they are stored.
fn objects(reader: &mut ConfigReader<'_>, section: &Section<'_>, config: &mut S3Config) {
    let prefix = section.optional(reader, "prefix", |field| match field.value().as_str() {
        Some("") => Ok(String::new()),
        _ => naming::prefix(field.text()?),
    });
    set(&mut config.prefix, prefix);
    config.storage_class = storage_class(reader, section);
    config.server_side_encryption = section.optional(reader, "server_side_encryption", |field| {
        field.word("is not accepted; write AES256, aws:kms or aws:kms:dsse")
    });
    config.sse_kms_key_id = section.optional(reader, "sse_kms_key_id", key_id);
    if let Some(key) = section.field("sse_kms_key_id")
        && matches!(config.server_side_encryption, None | Some(ServerSideEncryption::Aes256))
        // An encryption that cannot be read has its own message.
        && (config.server_side_encryption.is_some() || section.field("server_side_encryption").is_none())
    {
        reader.error(
            key.path(),
            "only counts with keys of the key management service; add `server_side_encryption: aws:kms`, \
             or remove it",
        );
    }
}

fn storage_class(reader: &mut ConfigReader<'_>, section: &Section<'_>) -> Option<String> {
    let field = section.field("storage_class")?;
    let aws = is_aws(section);
    let (class, warning) = field.read(reader, |field| naming::storage_class(field.text()?, aws))?;
    if let Some(warning) = warning {
        reader.warn(field.path(), warning);
    }
    Some(class.to_owned())
}

/// An id, an alias or an ARN; it becomes the value of a header.
fn key_id(field: &Field<'_>) -> Result<String, String> {
    let id = field.text()?;
    if id.len() > 2048 || !id.chars().all(|letter| letter.is_ascii_graphic()) {
        return Err("is not the name of a key; write its id, its alias or its ARN".to_owned());
    }
    Ok(id.to_owned())
}

/// How many requests there are, of which size, and how long they may take.
fn requests(reader: &mut ConfigReader<'_>, section: &Section<'_>, config: &mut S3Config) {
    let denied_is_missing = section.optional(reader, "denied_is_missing", Field::flag);
    set(&mut config.denied_is_missing, denied_is_missing);
    for (name, range, target) in [
        (
            "connect_timeout",
            defaults::S3_CONNECT_RANGE,
            &mut config.connect_timeout,
        ),
        ("read_timeout", defaults::S3_WAIT_RANGE, &mut config.read_timeout),
        ("idle_timeout", defaults::S3_WAIT_RANGE, &mut config.idle_timeout),
    ] {
        set(
            target,
            section.optional(reader, name, |field| field.duration(&range)),
        );
    }
    for (name, range, target) in [
        (
            "max_concurrency",
            defaults::S3_CONCURRENCY_RANGE,
            &mut config.max_concurrency,
        ),
        (
            "parallel_parts",
            defaults::S3_PARALLEL_RANGE,
            &mut config.parallel_parts,
        ),
    ] {
        set(
            target,
            section.optional(reader, name, |field| field.count(&range)),
        );
    }
    set(
        &mut config.part_size,
        section.optional(reader, "part_size", part_size),
    );
}

fn part_size(field: &Field<'_>) -> Result<u64, String> {
    let range = defaults::S3_PART_RANGE;
    let bytes = field.size(1)?;
    if range.contains(&bytes) && bytes.is_multiple_of(1 << 20) {
        return Ok(bytes);
    }
    let bytes = bytes.clamp(*range.start(), *range.end());
    Err(format!(
        "is not accepted; write a multiple of 1MiB from 5MiB to 1GiB, such as {}MiB",
        bytes.div_ceil(1 << 20)
    ))
}

/// When a write is answered, and where reads may be sent.
fn writes(
    reader: &mut ConfigReader<'_>,
    section: &Section<'_>,
    config: &mut S3Config,
    siblings: Siblings<'_>,
) {
    let write = section.field("write");
    let known = write.as_ref().map_or(Some(S3Write::Through), |field| {
        field.read(reader, |field| {
            field.word(
                "is not accepted; write through (answered when S3 has it) or back (when the disk has it)",
            )
        })
    });
    set(&mut config.write, known);
    if let Some(write) = &write
        && known == Some(S3Write::Back)
        && !siblings.disk
    {
        reader.error(
            write.path(),
            "back needs a disk, where entries wait for their upload; add `disk:` with the keys `dir` and \
             `limit`, or write through",
        );
    }
    config.queue_limit = section.optional(reader, "queue_limit", |field| field.size(1));
    if let Some(field) = section.field("queue_limit") {
        check_queue(reader, &field, config.queue_limit, known, siblings);
    }
    let redirect = section.optional(reader, "redirect", |field| {
        field.word("is not accepted; write never, or large (large entries that are not on the disk)")
    });
    set(&mut config.redirect, redirect);
}

fn check_queue(
    reader: &mut ConfigReader<'_>,
    field: &Field<'_>,
    limit: Option<u64>,
    write: Option<S3Write>,
    siblings: Siblings<'_>,
) {
    if write == Some(S3Write::Through) {
        reader.error(
            field.path(),
            "only counts with `write: back`, because otherwise nothing waits; add that, or remove it",
        );
    }
    if let (Some(limit), Some(disk)) = (limit, siblings.read)
        && limit > disk.limit
    {
        reader.error(
            field.path(),
            format!(
                "{} is more than disk.limit, and what waits is on the disk; write at most that",
                field.shown()
            ),
        );
    }
}

impl S3Config {
    /// The small disk before a bucket without a section `disk`: `staging_dir` and `staging_limit`; all else is
    /// default.
    pub fn staging(&self) -> DiskConfig {
        let default = || std::env::temp_dir().join(STAGING_FOLDER);
        let dir = self.staging_dir.clone().unwrap_or_else(default);
        DiskConfig::new(dir, self.staging_limit)
    }
}

/// The default of `staging_dir`, in the folder for temporary files.
const STAGING_FOLDER: &str = "chacha-staging";

/// The small disk before the bucket, if there is no section `disk`.
fn staging(
    reader: &mut ConfigReader<'_>,
    section: &Section<'_>,
    config: &mut S3Config,
    siblings: Siblings<'_>,
) {
    config.staging_dir = section.optional(reader, "staging_dir", Field::file_path);
    let limit = section.optional(reader, "staging_limit", |field| {
        field.size(defaults::MIN_DISK_LIMIT)
    });
    set(&mut config.staging_limit, limit);
    if !siblings.disk {
        return;
    }
    for name in ["staging_dir", "staging_limit"] {
        if let Some(field) = section.field(name) {
            reader.warn(
                field.path(),
                "is not used: with `disk`, bodies wait there; remove it",
            );
        }
    }
}
