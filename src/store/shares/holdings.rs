//! What one tenant holds.

use crate::store::tenant::Rank;

/// A tenant as one run numbers it: dense, and another one's once it holds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TenantNumber(u32);

impl TenantNumber {
    /// Whoever cannot be told: writers of former versions, and files whose description nobody has read yet.
    pub(crate) const UNKNOWN: Self = Self(0);

    /// The tenant that has this number in this run.
    pub(crate) const fn new(number: u32) -> Self {
        Self(number)
    }

    /// For tables by number.
    pub(crate) const fn get(self) -> u32 {
        self.0
    }

    /// For lists by number.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Whom an entry belongs to, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NumberedTenancy {
    pub(crate) tenant: TenantNumber,
    pub(crate) rank: Rank,
}

impl NumberedTenancy {
    /// Nobody who is known.
    pub(crate) const UNKNOWN: Self = Self {
        tenant: TenantNumber::UNKNOWN,
        rank: Rank::Other,
    };
}

/// Bytes that a tenant has reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReservedBytes {
    pub(crate) tenant: TenantNumber,
    pub(crate) bytes: u64,
}

/// Entries and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

impl Sum {
    pub(super) fn add(&mut self, bytes: u64) {
        self.entries += 1;
        self.bytes += bytes;
    }

    pub(super) fn remove(&mut self, bytes: u64) {
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Holdings {
    /// Entries that may be evicted, by the number of their rank.
    pub(crate) ranks: [Sum; Rank::ALL.len()],
    /// Entries that may not.
    pub(crate) pinned: Sum,
    /// Bytes of bodies that are no entries yet, and bytes that such bodies wait for.
    pub(crate) reserved: u64,
}

impl Holdings {
    pub(crate) fn entries(&self) -> u64 {
        self.ranks.iter().map(|sum| sum.entries).sum::<u64>() + self.pinned.entries
    }

    /// Bytes of entries.
    pub(crate) fn entry_bytes(&self) -> u64 {
        self.ranks.iter().map(|sum| sum.bytes).sum::<u64>() + self.pinned.bytes
    }

    /// Everything that counts in the share.
    pub(crate) fn bytes(&self) -> u64 {
        self.entry_bytes().saturating_add(self.reserved)
    }

    pub(crate) fn is_evictable(&self) -> bool {
        self.ranks.iter().any(|sum| sum.entries > 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.reserved == 0 && self.entries() == 0
    }

    /// The sum in which an entry counts.
    pub(super) fn sum(&mut self, place: Place) -> &mut Sum {
        match place {
            Place::Rank(rank) => &mut self.ranks[usize::from(rank.number())],
            Place::Pinned => &mut self.pinned,
        }
    }
}

/// As what an entry counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It may be evicted, and has this rank.
    Rank(Rank),
    /// It may not.
    Pinned,
}
