//! Bytes in memory that count as long as anybody has them.

use bytes::Bytes;

use super::{MemoryShare, PIECE_BYTES};
use crate::store::Result;

/// A buffer that grows with what comes, and counts with what it takes.
#[derive(Debug)]
pub struct CountedBytes {
    bytes: Vec<u8>,
    share: MemoryShare,
}

impl CountedBytes {
    /// An empty buffer that grows by `share`.
    pub fn new(share: MemoryShare) -> Self {
        let bytes = Vec::new();
        Self { bytes, share }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`crate::store::Error::NoMemory`].
    pub fn extend(&mut self, bytes: &[u8]) -> Result<()> {
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            self.grow(needed)?;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn grow(&mut self, needed: usize) -> Result<()> {
        let held = self.bytes.capacity();
        let capacity = needed.max(held + held / 2).next_multiple_of(PIECE_BYTES as usize);
        self.share.hold_or_refuse(capacity as u64)?;
        self.bytes.reserve_exact(capacity - self.bytes.len());
        Ok(())
    }

    /// The bytes; they count until the last clone of them is dropped.
    pub fn into_bytes(self) -> Bytes {
        match self.is_empty() {
            true => Bytes::new(),
            false => Bytes::from_owner(self),
        }
    }

    /// The bytes, and what they count.
    pub fn into_parts(self) -> (Vec<u8>, MemoryShare) {
        (self.bytes, self.share)
    }
}

impl AsRef<[u8]> for CountedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryAccount;
    use super::*;

    #[test]
    fn bytes_count_until_the_last_clone_is_gone() {
        let account = MemoryAccount::new(1 << 20);
        let mut buffer = CountedBytes::new(account.share(&"a".into()));
        buffer.extend(b"some ").unwrap();
        buffer.extend(b"bytes").unwrap();
        assert_eq!(account.stats().used, PIECE_BYTES);
        let bytes = buffer.into_bytes();
        let part = bytes.slice(5..);
        drop(bytes);
        assert_eq!(account.stats().used, PIECE_BYTES);
        assert_eq!(&part[..], b"bytes");
        drop(part);
        assert_eq!(account.stats().used, 0);
    }

    #[test]
    fn a_buffer_takes_no_more_memory_than_it_counts_and_little_more_than_it_needs() {
        let account = MemoryAccount::new(4 << 20);
        let mut buffer = CountedBytes::new(account.share(&"a".into()));
        let mut taken = 0;
        while buffer.extend(&[7; 1000]).is_ok() {
            taken += 1000;
            let (used, capacity) = (account.stats().used as usize, buffer.bytes.capacity());
            assert!(capacity <= used, "{capacity} {used}");
            assert!(used <= taken * 3 / 2 + 2 * PIECE_BYTES as usize, "{used} {taken}");
        }
        assert_eq!(buffer.len(), taken);
        // Half, less a step.
        assert!(((1 << 20)..=(2 << 20)).contains(&taken), "{taken}");
        assert_eq!(account.stats().refused, 1);
    }

    #[test]
    fn an_empty_buffer_takes_nothing() {
        let account = MemoryAccount::new(0);
        let buffer = CountedBytes::new(account.share(&"a".into()));
        assert!(buffer.is_empty());
        assert!(buffer.into_bytes().is_empty());
    }
}
