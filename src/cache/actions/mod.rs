//! The cache of GitHub Actions without its protocols: look-ups by prefix and time, immutable entries,
//! uploads that arrive in blocks.
//!
//! A save is a reservation ([`Actions::reserve`]), bytes in any order ([`Actions::stage`],
//! [`Actions::put_block_list`]) and a commit ([`Actions::commit`], [`Actions::finalize`]); only the commit makes an
//! entry, once, for ever. A restore is a look-up ([`Actions::find`]) and a read ([`Actions::read`]).
//! URLs carry tickets ([`Permission`]) instead of tokens.

pub mod catalog;
mod commit;
pub mod entry;
mod error;
mod find;
mod given_up;
mod id;
pub mod index;
pub mod ledger;
mod owner;
mod parts;
mod permit;
mod quota;
mod reserve;
mod stage;
mod upload;
mod upload_auth;
mod upload_note;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

pub use entry::{CacheKey, NameError, Version};
pub use error::{Error, Result};
pub use find::{FoundEntry, LookupQuery};
pub use given_up::GivenUp;
pub use id::{EntryId, UploadId};
pub use permit::{Permission, ReadPermit};
pub use stage::{BlockPlace, BlockWriter};
pub use upload_auth::UploadAuth;

use self::catalog::{Catalog, CatalogStats};
use self::given_up::GivenUpCounts;
use self::upload::ActionsUpload;
use self::upload_note::UploadNote;
use self::uploads::{UploadOwner, Uploads};
use super::KeyRing;
use super::load::TenantLoads;
use super::notes::{NoteLog, NoteStats};
use super::peers::Peers;
use crate::store::Store;
use crate::store::Tenant;
use crate::store::blocks::{BlockDir, Blocks};
use crate::store::locks::KeyLocks;
use crate::store::tiered::Tiered;
use crate::tasks::Tasks;

/// The settings of an operator.
#[derive(Debug, Clone, Copy)]
pub struct ActionsSettings {
    /// A URL for a download is good for this long.
    pub link_lifetime: Duration,
    /// An upload without traffic for this long is given up.
    pub upload_timeout: Duration,
    /// No upload takes longer, whatever traffic it has.
    pub upload_age: Duration,
    /// Uploads at once in one namespace.
    pub max_uploads: usize,
}

/// The parts of an Actions cache.
#[derive(Debug)]
pub struct ActionsParts {
    /// All tiers.
    pub store: Arc<dyn Store>,
    /// The folder of uploads, and the uploads of an earlier run.
    pub blocks: (BlockDir, Vec<Blocks>),
    /// The entries that were committed.
    pub catalog: Catalog,
    /// The keys of tickets.
    pub keys: KeyRing,
    /// The servers of the same bucket.
    pub peers: Peers,
    /// What they tell each other.
    pub notes: Option<NoteLog>,
    /// Where changes wait for the bucket.
    pub tiered: Option<Tiered>,
    /// What tenants have under way.
    pub loads: TenantLoads,
    /// The settings of the operator.
    pub settings: ActionsSettings,
}

/// The Actions cache. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Actions(Arc<ActionsShared>);

#[derive(Debug)]
struct ActionsShared {
    store: Arc<dyn Store>,
    blocks: BlockDir,
    uploads: Uploads,
    given_up: GivenUpCounts,
    catalog: Catalog,
    /// Locked for a key while a reservation or a commit changes its entry or its upload.
    changes: KeyLocks,
    keys: KeyRing,
    peers: Peers,
    notes: Option<NoteLog>,
    tiered: Option<Tiered>,
    loads: TenantLoads,
    settings: ActionsSettings,
    tasks: Tasks,
}

/// Figures of one moment, for metrics.
#[derive(Debug, Clone, Copy)]
pub struct ActionsStats {
    /// Figures of the catalog.
    pub catalog: CatalogStats,
    /// Uploads that are running.
    pub uploads: usize,
    /// Bytes that they hold.
    pub upload_bytes: u64,
    /// Uploads that were given up since the start, by the number of the reason.
    pub given_up: [u64; GivenUp::ALL.len()],
    /// Other servers of the same bucket.
    pub others: usize,
    /// Figures of the notes, with a bucket.
    pub notes: Option<NoteStats>,
}

impl Actions {
    /// Puts the parts together, and takes over the uploads of an earlier run.
    pub async fn open(parts: ActionsParts, tasks: &Tasks) -> Self {
        let (blocks, left) = parts.blocks;
        let this = Self(Arc::new(ActionsShared {
            store: parts.store,
            blocks,
            uploads: Uploads::default(),
            given_up: GivenUpCounts::default(),
            catalog: parts.catalog,
            changes: KeyLocks::default(),
            keys: parts.keys,
            peers: parts.peers,
            notes: parts.notes,
            tiered: parts.tiered,
            loads: parts.loads,
            settings: parts.settings,
            tasks: tasks.clone(),
        }));
        for blocks in left {
            this.resume(blocks).await;
        }
        drop(tasks.spawn(this.clone().give_up_idle()));
        this
    }

    /// Figures of this moment.
    pub fn stats(&self) -> ActionsStats {
        let (uploads, upload_bytes) = self.0.uploads.totals();
        ActionsStats {
            catalog: self.0.catalog.stats(),
            uploads,
            upload_bytes,
            given_up: self.0.given_up.all(),
            others: self.0.peers.others().len(),
            notes: self.0.notes.as_ref().map(NoteLog::stats),
        }
    }

    /// How many uploads are running, and how many bytes they hold.
    pub fn uploads(&self) -> (usize, u64) {
        self.0.uploads.totals()
    }

    /// The same for one tenant.
    pub fn uploads_of(&self, tenant: &Tenant) -> (usize, u64) {
        self.0.uploads.totals_of(&UploadOwner::Tenant(*tenant.digest()))
    }

    /// Whose an upload is, by its note.
    pub fn tenant_of(note: &[u8]) -> Option<Tenant> {
        Some(UploadNote::decode(note)?.tenancy?.tenant)
    }

    /// Takes over an upload of an earlier run. A crash may leave two for one key; the second one is removed.
    async fn resume(&self, blocks: Blocks) {
        let id = UploadId::new(blocks.id());
        match (id, UploadNote::decode(blocks.note())) {
            (Some(id), Some(note)) if self.0.uploads.of(&note.name).is_none() => {
                let ends = self.end_of_rights(note.expires);
                let upload = ActionsUpload::new(id, note, blocks, ends, self.0.settings.upload_age);
                self.0.uploads.insert(upload);
            }
            _ => blocks.remove().await,
        }
    }
}
