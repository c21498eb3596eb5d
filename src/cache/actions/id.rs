//! Numbers that clients see.

use std::fmt;
use std::num::NonZeroU64;

use crate::cache::peers::ServerId;
use crate::store::{ETag, StoreKey};

/// Numbers are below this one, because JavaScript holds no larger ones exactly. 0 counts as a failure there.
const NUMBER_END: u64 = 1 << 53;

/// The lower bits of an upload's number are random. The bits above them are the number of its server.
const RANDOM_BITS: u32 = 53 - ServerId::BITS;

/// Names one upload. Not guessable, and worth nothing without the token or the ticket of its tenant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(NonZeroU64);

/// Names a committed entry for its client: the same on every server, for the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryId(NonZeroU64);

impl UploadId {
    /// `None` if no upload can have this number: 0, or 2^53 and above.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number)
            .filter(|number| number.get() < NUMBER_END)
            .map(Self)
    }

    /// A number for an upload on `server`; the lower bits of `random` make it unique.
    pub(super) fn at(server: ServerId, random: u64) -> Self {
        let number = u64::from(server.number()) << RANDOM_BITS | random & ((1 << RANDOM_BITS) - 1);
        // The number of a server is never 0.
        Self(NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN))
    }

    /// The server that has the upload; `None` for a number that no server gave out.
    pub(super) fn server(self) -> Option<ServerId> {
        ServerId::new((self.get() >> RANDOM_BITS) as u16)
    }

    /// The number, from 1 to 2^53 - 1.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// Hides the number: with a token of the tenant it gives access to the upload.
impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UploadId(..)")
    }
}

impl EntryId {
    /// The number of the entry with this key and these bytes.
    pub(super) fn of(key: &StoreKey, etag: &ETag) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(key.digest().as_bytes());
        hasher.update(etag.as_str().as_bytes());
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        Self(NonZeroU64::new(u64::from_le_bytes(bytes) % NUMBER_END).unwrap_or(NonZeroU64::MIN))
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
            let server = ServerId::new(server).expect("a server");
            for random in [0, 1, u64::MAX] {
                let id = UploadId::at(server, random);
                assert_eq!((UploadId::new(id.get()), id.server()), (Some(id), Some(server)));
            }
        }
        assert_eq!(
            UploadId::new((1 << 53) - 1).map(UploadId::get),
            Some((1 << 53) - 1)
        );
    }
}
