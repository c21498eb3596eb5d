//! Numbers that clients see.

use std::fmt;
use std::num::NonZeroU64;

use crate::cache::peers::ServerId;
use crate::store::{ETag, StoreKey};

/// The numbers end below this: JavaScript holds no larger ones exactly, and 0 counts as a failure.
const END: u64 = 1 << 53;

/// How many of the lower bits are random; above them is the number of the server that is its home.
const RANDOM: u32 = 53 - ServerId::BITS;

/// Names one upload. Not guessable, and worth nothing without the token or the ticket of its tenant.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UploadId(NonZeroU64);

/// Names a committed entry for its client: the same on every server, for the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryId(NonZeroU64);

impl UploadId {
    /// `None` if no upload can have this number: 0, or 2^53 and above.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number)
            .filter(|number| number.get() < END)
            .map(Self)
    }

    /// A number for an upload at `home`; the lower bits of `random` make it one of its own.
    pub(super) fn at(home: ServerId, random: u64) -> Self {
        let number = u64::from(home.number()) << RANDOM | random & ((1 << RANDOM) - 1);
        // The number of a server is never 0.
        Self(NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN))
    }

    /// The server where the upload is; `None` for a number that none of ours made.
    pub(super) fn home(self) -> Option<ServerId> {
        ServerId::new((self.get() >> RANDOM) as u16)
    }

    /// The number, from 1 to 2^53 - 1.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// Not the number: with a token of its tenant it is a key to an upload.
impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UploadId(..)")
    }
}

impl EntryId {
    /// The number of the entry with this key and these bytes.
    pub(super) fn of(key: &StoreKey, etag: &ETag) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(key.digest());
        hasher.update(etag.as_str().as_bytes());
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        Self(NonZeroU64::new(u64::from_le_bytes(bytes) % END).unwrap_or(NonZeroU64::MIN))
    }

    /// The number, from 1 to 2^53 - 1.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ones_that_javascript_holds() {
        assert!(UploadId::new(0).is_none());
        assert!(UploadId::new(1 << 53).is_none());
        for server in [1, 7, 4095] {
            let home = ServerId::new(server).expect("a server");
            for random in [0, 1, u64::MAX] {
                let id = UploadId::at(home, random);
                assert_eq!((UploadId::new(id.get()), id.home()), (Some(id), Some(home)));
            }
        }
        assert_eq!(
            UploadId::new((1 << 53) - 1).map(UploadId::get),
            Some((1 << 53) - 1)
        );
    }
}
