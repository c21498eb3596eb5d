//! The section `s3`.

use super::credentials;
use super::field::Field;
use super::keys::S3;
use super::naming;
use super::section::Section;
use super::staging;
use super::weburl::{self, UrlRules};
use super::{DiskConfig, S3Config, ServerSideEncryption, WhenDown, WriteMode, defaults};

/// What is known of the section `disk` beside this one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Siblings<'d> {
    /// Whether it is written.
    pub(super) disk: bool,
    /// What it says, if it has no error.
    pub(super) read: Option<&'d DiskConfig>,
}

/// Reads the section. `None` when something required is missing or wrong; every fault is reported.
pub(super) fn s3(field: &Field<'_>, siblings: Siblings<'_>) -> Option<S3Config> {
    let section = &Section::open(field, S3)?;
    let bucket = section.required("bucket", "bucket: my-bucket", |field| {
        naming::bucket(field.text()?).map(str::to_owned)
    });
    let mut config = S3Config::new(bucket.clone().unwrap_or_default());
    server(section, &mut config);
    objects(section, &mut config);
    config.credentials = credentials::files(section);
    requests(section, &mut config);
    writes(section, &mut config, siblings);
    staging::staging(section, &mut config, siblings.disk);
    when_down(section, &mut config, siblings);
    queue(section, &mut config, siblings);
    bucket.map(|_| config)
}

/// Which server is asked, and how.
fn server(section: &Section<'_>, config: &mut S3Config) {
    let mut rules = UrlRules::default();
    section.set(&mut rules.insecure_http, "allow_insecure_http", Field::flag);
    let endpoint = section.optional("endpoint_url", |field| weburl::endpoint(field.text()?, rules));
    if let Some(url) = endpoint {
        *config = config.clone().at(url);
    }
    config.ca_file = section.optional("ca_file", Field::file_path);
    let aws = is_aws(section);
    config.region = section.optional("region", |field| {
        naming::region(field.text()?, aws).map(str::to_owned)
    });
    section.set(&mut config.force_path_style, "force_path_style", Field::flag);
    section.set(&mut config.checksums, "checksums", |field| {
        field.word(
            "is not accepted; write when_supported (always) or when_required (only where S3 demands it)",
        )
    });
}

/// Whether no other server is named, even one that could not be read.
fn is_aws(section: &Section<'_>) -> bool {
    section.field("endpoint_url").is_none()
}

/// What objects are called, and how they are stored.
fn objects(section: &Section<'_>, config: &mut S3Config) {
    section.set(&mut config.prefix, "prefix", |field| match field.value.as_str() {
        Some("") => Ok(String::new()),
        _ => naming::prefix(field.text()?),
    });
    config.storage_class = storage_class(section);
    config.server_side_encryption = section.optional("server_side_encryption", |field| {
        field.word("is not accepted; write AES256, aws:kms or aws:kms:dsse")
    });
    config.sse_kms_key_id = section.optional("sse_kms_key_id", key_id);
    if let Some(key) = section.field("sse_kms_key_id")
        && matches!(config.server_side_encryption, None | Some(ServerSideEncryption::Aes256))
        // An encryption that cannot be read has its own message.
        && (config.server_side_encryption.is_some() || section.field("server_side_encryption").is_none())
    {
        key.error(
            "only counts with keys of the key management service; add `server_side_encryption: aws:kms`, \
             or remove it",
        );
    }
}

fn storage_class(section: &Section<'_>) -> Option<String> {
    let field = section.field("storage_class")?;
    let aws = is_aws(section);
    let (class, warning) = field.read(|field| naming::storage_class(field.text()?, aws))?;
    if let Some(warning) = warning {
        field.warn(warning);
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
fn requests(section: &Section<'_>, config: &mut S3Config) {
    let connect = |field: &Field<'_>| field.duration(&defaults::S3_CONNECT_RANGE);
    let wait = |field: &Field<'_>| field.duration(&defaults::S3_WAIT_RANGE);
    let lookup = |field: &Field<'_>| field.duration(&defaults::S3_LOOKUP_RANGE);
    let write = |field: &Field<'_>| field.duration(&defaults::S3_WRITE_RANGE);
    let concurrency = |field: &Field<'_>| field.count(&defaults::S3_CONCURRENCY_RANGE);
    let parallel = |field: &Field<'_>| field.count(&defaults::S3_PARALLEL_RANGE);
    section.set(&mut config.denied_is_missing, "denied_is_missing", Field::flag);
    section.set(&mut config.connect_timeout, "connect_timeout", connect);
    section.set(&mut config.read_timeout, "read_timeout", wait);
    section.set(&mut config.idle_timeout, "idle_timeout", wait);
    section.set(&mut config.lookup_timeout, "lookup_timeout", lookup);
    section.set(&mut config.write_timeout, "write_timeout", write);
    section.set(&mut config.max_concurrency, "max_concurrency", concurrency);
    section.set(&mut config.parallel_parts, "parallel_parts", parallel);
    section.set(&mut config.part_size, "part_size", part_size);
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
fn writes(section: &Section<'_>, config: &mut S3Config, siblings: Siblings<'_>) {
    let write = section.field("write");
    let known = write.as_ref().map_or(Some(WriteMode::Through), |field| {
        field.read(|field| {
            field.word(
                "is not accepted; write through (answered when S3 has it) or back (when the disk has it)",
            )
        })
    });
    config.write = known.unwrap_or_default();
    if let Some(write) = &write
        && known == Some(WriteMode::Back)
        && !siblings.disk
    {
        write.error(
            "back needs a disk, where entries wait for their upload; add `disk:` with the keys `dir` and \
             `limit`, or write through",
        );
    }
    section.set(&mut config.redirect, "redirect", |field| {
        field.word("is not accepted; write never, or large (large entries that are not on the disk)")
    });
}

/// What becomes of writes while S3 cannot be used.
fn when_down(section: &Section<'_>, config: &mut S3Config, siblings: Siblings<'_>) {
    let Some(field) = section.field("when_down") else {
        return;
    };
    let word = field.read(|field| {
        field.word("is not accepted; write queue (the disk takes writes until S3 is back) or refuse")
    });
    config.when_down = word.unwrap_or_default();
    if word == Some(WhenDown::Queue) && !siblings.disk && section.field("staging_dir").is_none() {
        field.error(
            "queue needs a place that is kept, where entries wait for S3; add `disk:`, or set `staging_dir`, or write \
             refuse",
        );
    }
}

/// How much may wait.
fn queue(section: &Section<'_>, config: &mut S3Config, siblings: Siblings<'_>) {
    config.queue_limit = section.optional("queue_limit", |field| field.size(1));
    let Some(field) = section.field("queue_limit") else {
        return;
    };
    // A word that cannot be read has its own message.
    if config.write == WriteMode::Through
        && config.when_down == WhenDown::Refuse
        && section
            .field("write")
            .is_none_or(|field| field.value.as_str() == Some("through"))
    {
        field.error(
            "only counts with `write: back` or `when_down: queue`, because otherwise nothing waits; add one of them, or \
             remove it",
        );
    }
    if let (Some(limit), Some(disk)) = (config.queue_limit, siblings.read)
        && limit > disk.limit
    {
        field.error(format!(
            "{} is more than disk.limit, and what waits is on the disk; write at most that",
            field.shown()
        ));
    }
}
