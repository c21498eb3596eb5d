//! The index alone, for `benches/store.rs`, and its snapshot, for `fuzz/`. Not a part of the interface.

use std::io::Cursor;
use std::sync::Arc;

use super::hot::HotCell;
use super::index::{FileRecord, Index, LookUp};
use super::snapshot::format::{BatchReader, framed};
use super::snapshot::former::{self, FormerReader};
use crate::store::budget::BLOCK_BYTES;
use crate::store::shares::{NumberedTenancy, Shares, TenantHandle};
use crate::store::spool::crc;
use crate::store::{Digest, Rank, Tenant};

/// An index without a disk.
#[derive(Debug)]
pub struct IndexProbe {
    index: Index,
    shares: Arc<Shares>,
    tenants: Vec<TenantHandle>,
    next: u64,
}

impl IndexProbe {
    /// An index of `entries` entries of `tenants` tenants in a tenth as many groups, which hold all that is divided.
    pub fn with_entries(entries: u64, tenants: u64) -> Self {
        let shares = Arc::new(Shares::new(entries * BLOCK_BYTES));
        let tenant = |nth: u64| {
            let group = (nth / 10).to_string();
            TenantHandle::new(
                &shares,
                Tenant::new("https://issuer", &nth.to_string(), Some(&group)).as_ref(),
            )
        };
        let mut this = Self {
            index: Index::new(0, 0, Arc::clone(&shares)),
            tenants: (0..tenants).map(tenant).collect(),
            shares,
            next: 0,
        };
        (0..entries).for_each(|_| this.insert());
        this
    }

    /// Adds an entry of the next tenant.
    pub fn insert(&mut self) {
        self.next += 1;
        let tenant = self.tenants[(self.next % self.tenants.len() as u64) as usize].number();
        let new = FileRecord {
            digest: digest(self.next),
            generation: self.next,
            stamp: self.next,
            blocks: 1,
            belongs: Some(NumberedTenancy {
                tenant,
                rank: Rank::Pushed,
            }),
        };
        let _full = self.index.commit(new, None, HotCell::empty());
    }

    /// Evicts the oldest entry of whoever has to give room.
    pub fn evict(&mut self) {
        for (victim, _) in self.index.evict(1, 1, |shares| shares.victim(None)) {
            self.index.retired(victim.generation);
        }
        self.index.cooled.cells.clear();
    }

    /// Looks up one of the entries, and uses it.
    pub fn hit(&self, nth: u64) -> bool {
        match self.index.look_up(&digest(nth)) {
            LookUp::Found(hit) => {
                hit.cell.touch(self.next);
                true
            }
            LookUp::Absent | LookUp::Cold => false,
        }
    }

    /// A tenant comes to hold more for a moment, and somebody asks who gives room.
    pub fn choose(&self, nth: usize) -> bool {
        let number = self.tenants[nth % self.tenants.len()].number();
        let mut shares = self.shares.table();
        shares.reserve(number, BLOCK_BYTES);
        let victim = shares.victim(None);
        shares.release(number, BLOCK_BYTES);
        victim.is_some()
    }

    /// Asks for the share of one of the tenants.
    pub fn share(&self, nth: usize) -> u64 {
        let number = self.tenants[nth % self.tenants.len()].number();
        self.shares.table().share(number)
    }
}

/// Reads the content of a snapshot, of this version and of a former one; answers how many rows it has.
pub fn read_snapshot(bytes: &[u8]) -> usize {
    let (mut batches, mut rows) = (BatchReader::new(bytes), 0);
    while let Ok(Some(batch)) = batches.next() {
        rows += batch.rows();
    }
    if let Ok(Some(mut former)) = FormerReader::open(Cursor::new(bytes)) {
        while let Ok(Some(batch)) = former.next() {
            rows += batch.rows();
        }
    }
    rows
}

/// Snapshots, of this version and of the former one, of which everything but heads and checksums comes from `bytes`.
pub fn sealed_snapshots(bytes: &[u8]) -> [Vec<u8>; 2] {
    let mut record = [b"CHIx\x01", bytes].concat();
    let sum = crc(&record);
    record.extend_from_slice(&sum.to_le_bytes());
    let mut former = [former::MAGIC.as_slice(), bytes].concat();
    let sum = crc(former.get(16..).unwrap_or_default());
    former.extend_from_slice(&sum.to_le_bytes());
    [framed(&record), former]
}

pub(super) fn digest(nth: u64) -> Digest {
    Digest::of(&nth.to_le_bytes())
}
