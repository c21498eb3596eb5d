//! The key that the servers of a bucket have agreed on, as this server remembers it.
//!
//! A key that lies in the bucket can be replaced by whoever may write there, and whoever knows the key is believed
//! ([`super::peers`]). So a server takes the key of a bucket once, and keeps to it from then on.
//!
//! ```text
//! record of store::tagged, magic CKEY; field 1: the key; field 2: the digest of the place of the bucket
//! ```

use std::io;
use std::path::PathBuf;

use crate::auth::SigningKey;
use crate::store::tagged::{RecordKind, Tag, TaggedReader, TaggedWriter};
use crate::sys;

const KEY: Tag = Tag::new(1);
const PLACE: Tag = Tag::new(2);
const KIND: RecordKind = RecordKind {
    magic: *b"CKEY",
    version: 1,
    tags: &[KEY, PLACE],
};
/// Longest file that is read.
const MAX_BYTES: usize = 4096;

/// The file that keeps it, for the owner's eyes only. All methods block.
#[derive(Debug, Clone)]
pub struct AgreedKeyFile {
    path: PathBuf,
    place: blake3::Hash,
}

impl AgreedKeyFile {
    /// For the bucket at `place`: with another one, nothing was agreed on.
    pub fn new(path: PathBuf, place: &str) -> Self {
        Self {
            path,
            place: blake3::hash(place.as_bytes()),
        }
    }

    /// The key that was agreed on, if any was.
    pub fn load(&self) -> Option<SigningKey> {
        let bytes = sys::if_exists(std::fs::read(&self.path));
        let read = bytes.map(|bytes| bytes.as_deref().map(|bytes| self.read(bytes)));
        match read {
            Ok(None) => None,
            Ok(Some(Some(key))) => key,
            Ok(Some(None)) | Err(_) => {
                tracing::warn!(
                    "the file server/agreed-key cannot be read; the key that lies in the bucket is taken"
                );
                None
            }
        }
    }

    /// `None` if it is no record of a key, `Some(None)` if it is one of another bucket.
    fn read(&self, bytes: &[u8]) -> Option<Option<SigningKey>> {
        let record = TaggedReader::open(&KIND, bytes, MAX_BYTES).ok()?;
        let key = SigningKey::from_bytes(record.get(KEY)?)?;
        let is_of_here = record.get(PLACE)? == self.place.as_bytes();
        Some(is_of_here.then_some(key))
    }

    /// Keeps the key.
    pub fn save(&self, key: &SigningKey) -> io::Result<()> {
        let mut record = TaggedWriter::new(&KIND);
        record.field(KEY, key.as_bytes());
        record.field(PLACE, self.place.as_bytes());
        sys::replace_file(&self.path, &record.finish(), true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_for_the_bucket_where_it_was_agreed_on() {
        let dir = tempfile::tempdir().expect("folder");
        let file = |place| AgreedKeyFile::new(dir.path().join("agreed-key"), place);
        assert_eq!(file("here").load(), None);
        let key = SigningKey::generate().expect("a key");
        file("here").save(&key).expect("saved");
        assert_eq!(file("here").load(), Some(key));
        assert_eq!(file("elsewhere").load(), None);
        std::fs::write(dir.path().join("agreed-key"), b"damaged").expect("written");
        assert_eq!(file("here").load(), None);
    }
}
