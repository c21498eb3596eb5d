//! Names of files and folders.
//!
//! ```text
//! entries/<h>/<hh>/<61 hex>.<16 hex>   one version of an entry: digest, generation
//! tmp/                                 bodies under construction; emptied at start
//! uploads/                             bodies that arrive in blocks; kept over a restart
//! marks/                               a record for each key whose tiers may differ
//! parts/                               what another tier was sent in part
//! actions/ledger                       what the Actions cache has; its own module says how
//! server/                              the number of this server and the key of its URLs
//! boot                                 whether the machine lost its power
//! index                                snapshot of the index: a log of what changed
//! lock                                 held by the running server; holds its pid
//! format                               version of this layout
//! ```

use std::path::{Path, PathBuf};

use crate::named::named_enum;
use crate::store::Digest;

/// Shard folders: 16 folders of 256 each.
pub(super) const SHARD_COUNT: usize = 4096;

named_enum! {
    /// What stands at the top of the directory, besides lock and format.
    #[derive(Debug, Clone, Copy)]
    pub(super) enum TopName {
        Entries = "entries",
        Tmp = "tmp",
        Uploads = "uploads",
        Marks = "marks",
        Parts = "parts",
        Actions = "actions",
        Server = "server",
        Boot = "boot",
        Index = "index",
    }
}

/// The paths below one directory.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, name: TopName) -> PathBuf {
        self.root.join(name.as_str())
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(super) fn format(&self) -> PathBuf {
        self.root.join("format")
    }

    /// The folder above a shard.
    pub(super) fn parent(&self, shard: usize) -> PathBuf {
        self.root.join(format!("entries/{:x}", shard >> 8))
    }

    pub(super) fn shard(&self, shard: usize) -> PathBuf {
        self.root
            .join(format!("entries/{:x}/{:02x}", shard >> 8, shard & 0xff))
    }

    /// The file of one version of an entry.
    pub(super) fn entry(&self, digest: &Digest, generation: u64) -> PathBuf {
        let hex = digest.to_string();
        let name = format!(
            "entries/{}/{}/{}.{generation:016x}",
            &hex[..1],
            &hex[1..3],
            &hex[3..]
        );
        self.root.join(name)
    }
}

/// The shard folder that holds an entry: the first three hex digits.
pub(super) fn shard_of(digest: &Digest) -> usize {
    let [first, second, ..] = digest.as_bytes();
    (usize::from(*first) << 4) | usize::from(second >> 4)
}

/// Digest and generation from the name of a file in a shard; `None` if it is not a name of ours.
pub(super) fn parse(shard: usize, name: &str) -> Option<(Digest, u64)> {
    let (rest, generation) = name.split_once('.')?;
    if rest.len() != 61 || generation.len() != 16 || !name.is_ascii() {
        return None;
    }
    let digest = Digest::from_hex(&format!("{shard:03x}{rest}"))?;
    let generation = strict_hex(generation)?;
    (generation != 0).then_some((digest, generation))
}

/// Lower-case digits only: one entry has one name.
fn strict_hex(text: &str) -> Option<u64> {
    let known = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.bytes()
        .all(known)
        .then(|| u64::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_what_they_are_made_of() {
        let layout = Layout::new("/cache".into());
        for seed in 0..64_u8 {
            let bytes = std::array::from_fn(|n| seed.wrapping_mul(37).wrapping_add((n * 11) as u8));
            let digest = Digest::new(bytes);
            let path = layout.entry(&digest, 1 + u64::from(seed));
            let shard = shard_of(&digest);
            assert_eq!(path.parent(), Some(layout.shard(shard).as_path()));
            assert_eq!(layout.shard(shard).parent(), Some(layout.parent(shard).as_path()));
            let name = path.file_name().and_then(|name| name.to_str()).expect("name");
            assert_eq!(parse(shard, name), Some((digest, 1 + u64::from(seed))));
        }
    }

    #[test]
    fn strange_names_are_refused() {
        let good = format!("{}.{:016x}", "a".repeat(61), 7);
        assert!(parse(0, &good).is_some());
        for bad in [
            String::new(),
            "x".into(),
            good.to_uppercase(),
            good.replace('.', "-"),
            format!("{good}0"),
            format!("{}.{:016x}", "a".repeat(61), 0),
            format!("{}.+{:015x}", "a".repeat(61), 7),
            format!("{}é.{:016x}", "a".repeat(59), 7),
        ] {
            assert_eq!(parse(0, &bad), None, "{bad}");
        }
    }
}
