//! `job_tokens`, and the files of the keys that seal.

use std::path::PathBuf;
use std::time::Duration;

use super::field::Field;
use super::keys::JOB_TOKENS;
use super::remote;
use super::section::Section;
use super::{Config, JobTokensConfig, defaults};

/// Why a server makes no job tokens although they are not `off`, and what to do about it.
pub const NO_JOB_KEY: &str = "no job tokens are issued: with `s3` and without `signing_key_file` the key lies in the bucket, \
    and whoever reads the bucket could make tokens; give all servers the same file, or write `job_tokens: off`";

/// What these keys say.
pub(super) struct Sealing {
    pub(super) file: Option<PathBuf>,
    pub(super) former: Option<PathBuf>,
    pub(super) job_tokens: Option<JobTokensConfig>,
}

/// Reads them. `gha` is the file that the section of this name may still name.
pub(super) fn sealing(root: &Section<'_>, gha: Option<&PathBuf>) -> Sealing {
    let file = root.optional("signing_key_file", Field::file_path);
    let former = root.optional("signing_key_file_former", Field::file_path);
    let job_tokens = job_tokens(root);
    let in_bucket = remote::has_section(root) && root.field("signing_key_file").is_none() && gha.is_none();
    // Who has not asked for any is told, and not warned.
    if let Some(field) = root
        .field("job_tokens")
        .filter(|_| in_bucket && job_tokens.is_some())
    {
        field.warn(NO_JOB_KEY);
    }
    Sealing {
        file,
        former,
        job_tokens,
    }
}

/// `None` if it is `off`.
fn job_tokens(root: &Section<'_>) -> Option<JobTokensConfig> {
    let mut config = JobTokensConfig::default();
    let Some(field) = root.field("job_tokens") else {
        return Some(config);
    };
    if field.is_off() {
        return None;
    }
    let Some(section) = Section::open(&field, JOB_TOKENS) else {
        return Some(config);
    };
    let lifetime = |field: &Field<'_>| field.duration(&defaults::JOB_TOKEN_TTL_RANGE);
    section.set(&mut config.max_ttl, "max_ttl", lifetime);
    config.default_ttl = config.default_ttl.min(config.max_ttl);
    if let Some(field) = section.field("default_ttl") {
        default_ttl(&field, lifetime, &mut config);
    }
    Some(config)
}

fn default_ttl(
    field: &Field<'_>,
    lifetime: impl FnOnce(&Field<'_>) -> Result<Duration, String>,
    config: &mut JobTokensConfig,
) {
    match field.read(lifetime) {
        Some(ttl) if ttl > config.max_ttl => {
            field.error("is longer than max_ttl; lower it, or raise max_ttl");
        }
        Some(ttl) => config.default_ttl = ttl,
        None => {}
    }
}

impl Config {
    /// Whether no job tokens are made for [`NO_JOB_KEY`].
    pub fn lacks_job_key(&self) -> bool {
        self.job_tokens.is_some() && self.remote().is_some() && self.signing_key().is_none()
    }

    /// The file of the key that seals, and the key of the configuration that names it.
    pub fn signing_key(&self) -> Option<(&'static str, &PathBuf)> {
        let top = self
            .signing_key_file
            .as_ref()
            .map(|file| ("signing_key_file", file));
        let gha = self.gha.signing_key_file.as_ref();
        top.or(gha.map(|file| ("gha.signing_key_file", file)))
    }
}
