//! What a directory is for.
//!
//! The directory of the section `disk` must be empty or ours: files in it would be removed. The one where bodies
//! wait before a bucket without a disk may hold foreign files, which stay as they are, and what an older version
//! left there. Both are private ([`private`]).

use std::fs;
use std::io;
use std::path::Path;

use super::layout::TopName;
use super::private;
use crate::sys;

/// Which keys of the configuration speak of a directory, and how it is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskRole {
    /// The section `disk`.
    Tier,
    /// `s3.staging_dir`: a small disk before a bucket.
    Staging,
}

/// Bodies that older versions left in the staging directory. Nobody goes on with them.
const FORMER_BODIES: [&str; 2] = ["bodies", "uploads"];
/// Notes of older versions about uploads to the bucket. They are used on.
const FORMER_NOTES: &str = "parts";
/// Names that a fresh volume has, or that a start that was cut short may have left.
const HARMLESS: [&str; 3] = ["lost+found", "lock", "format"];

impl DiskRole {
    /// The key that names the directory.
    pub fn dir_key(self) -> &'static str {
        match self {
            Self::Tier => "disk.dir",
            Self::Staging => "s3.staging_dir",
        }
    }

    /// The key that limits it.
    pub fn limit_key(self) -> &'static str {
        match self {
            Self::Tier => "disk.limit",
            Self::Staging => "s3.staging_limit",
        }
    }

    /// Blocking: makes the directory if it is not there, and shuts other users out of it. Nothing in it is touched.
    pub(super) fn make(self, root: &Path) -> io::Result<()> {
        private::check_link(root)?;
        sys::create_private_dir(root)?;
        let is_ours = |name: &String| is_harmless(name) || is_former(name) || is_ours(name);
        let all_ours = names(root)?.iter().all(is_ours);
        if private::shut(root, all_ours)? {
            tracing::warn!(
                "{}: other users may write into {} and change the entries; chown it to the user of this server \
                 and chmod it to 0700",
                self.dir_key(),
                root.display()
            );
        }
        Ok(())
    }

    /// Blocking: a name in a directory that is not marked as ours, if there is one that forbids to use it.
    pub(super) fn foreign_name(self, root: &Path) -> io::Result<Option<String>> {
        let names = names(root)?;
        let foreign = names.into_iter().find(|name| match self {
            Self::Tier => !is_harmless(name),
            // What is foreign stays as it is, unless it stands where we would write.
            Self::Staging => !is_former(name) && is_ours(name),
        });
        Ok(foreign)
    }

    /// Blocking, under the lock: removes what an older version left in a directory that was never marked as ours.
    pub(super) fn remove_former(self, root: &Path) -> io::Result<()> {
        if self == Self::Tier {
            return Ok(());
        }
        for name in FORMER_BODIES {
            sys::if_exists(fs::remove_dir_all(root.join(name)))?;
        }
        Ok(())
    }
}

fn is_ours(name: &str) -> bool {
    TopName::ALL.iter().any(|ours| ours.as_str() == name)
}

fn is_harmless(name: &str) -> bool {
    HARMLESS.contains(&name) || name.starts_with('.')
}

fn is_former(name: &str) -> bool {
    FORMER_BODIES.contains(&name) || name == FORMER_NOTES
}

fn names(root: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(root)?
        .map(|file| Ok(file?.file_name().to_string_lossy().into_owned()))
        .collect()
}
