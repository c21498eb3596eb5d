//! The remote tier of a configuration, whatever its kind.

use super::section::Section;
use super::{Config, DiskConfig, RedirectMode, S3Config, WhenDown, WriteMode};

/// The section of the remote tier: one variant for each kind.
#[derive(Debug, Clone, Copy)]
pub enum RemoteConfig<'c> {
    /// `s3`.
    S3(&'c S3Config),
}

/// How a remote tier and the disk work together. These keys have the same meaning in the section of every kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tiering {
    /// `write`: when a write is answered.
    pub write: WriteMode,
    /// `when_down`: what becomes of a write while the tier cannot be used.
    pub when_down: WhenDown,
    /// The same without a section `disk`: what waits must be where the operator wants it.
    pub when_down_alone: WhenDown,
    /// `queue_limit`: bytes that may wait for their upload. Default: half of what the disk may take.
    pub queue_limit: Option<u64>,
    /// `redirect`: whether clients read long entries that are not on the disk from the remote tier themselves.
    pub redirect: bool,
    /// `staging_dir` and `staging_limit`: the small disk in front of the tier without a section `disk`.
    pub staging: DiskConfig,
}

/// The sections of remote tiers: one for each kind.
const REMOTE_SECTIONS: &[&str] = &["s3"];

/// Whether a file has a section of a remote tier.
pub(super) fn has_section(root: &Section<'_>) -> bool {
    REMOTE_SECTIONS.iter().any(|name| root.field(name).is_some())
}

impl Config {
    /// The remote tier, if one is configured.
    pub fn remote(&self) -> Option<RemoteConfig<'_>> {
        self.s3.as_ref().map(RemoteConfig::S3)
    }
}

impl RemoteConfig<'_> {
    /// What tells the place of this tier's objects from that of others.
    pub fn place(self) -> String {
        match self {
            Self::S3(s3) => {
                let endpoint = s3.endpoint_url.as_ref().map_or("", |url| url.as_str());
                format!("s3\n{endpoint}\n{}\n{}", s3.bucket, s3.prefix)
            }
        }
    }

    /// How this tier works together with the disk.
    pub fn tiering(self) -> Tiering {
        match self {
            Self::S3(s3) => Tiering {
                write: s3.write,
                when_down: s3.when_down,
                when_down_alone: match s3.staging_dir {
                    Some(_) => s3.when_down,
                    None => WhenDown::Refuse,
                },
                queue_limit: s3.queue_limit,
                redirect: s3.redirect == RedirectMode::Large,
                staging: s3.staging(),
            },
        }
    }
}
