//! The local tier: one immutable file per version of an entry, and an index of them in memory.
//!
//! - A commit writes a file, gives it a name that no other version ever has, and swaps a slot of the
//!   [`index`]. A commit therefore meets no delete on its path, and no eviction but
//!   that of its own tenant's entries at `max_entries`.
//! - A hit takes no lock of the index and makes no call to the operating system; what is hot is held open or in
//!   memory ([`hot`]). A cold entry costs one hop to the blocking pool.
//! - Bytes are checked before this process gives them for the first time, when they come from the disk again, and after a
//!   day ([`mod@file`]); damage is a miss.
//! - The bound on the volume is kept by [`super::budget`]; [`evict`] makes room off the request path.
//! - Whose entry goes is a matter of fair shares ([`crate::store::shares`]): the index keeps an order for each
//!   tenant and rank. What it finds without knowing whom it belongs to is read later ([`identify`]).
//! - A start reads a snapshot and answers at once; a scan in the background puts it right ([`recover`]).
//!
//! Invariants. No entry is visible before it is whole. Commits and deletes of one digest are ordered
//! by the lock of its shard folder ([`shards`]), which is taken before the lock of the index, never
//! after it. A deleted entry has no file when the answer is given. What `du` counts below the directory
//! never exceeds the limit by anything that is written here.
//!
//! A body held in memory is answered even if its file was removed from outside; it is noticed when the
//! body leaves memory. Files held open are looked at once a second.

mod boot;
mod check_turn;
mod core;
mod delete;
mod error;
mod evict;
mod expire;
mod file;
mod format;
mod get;
mod handles;
mod health;
mod hot;
mod identify;
mod index;
mod layout;
mod look;
mod open;
mod private;
#[doc(hidden)]
pub mod probe;
mod put;
mod records;
mod recover;
mod role;
mod rules;
mod shards;
mod slab;
mod snapshot;
mod tier;
mod tiering;
mod unlink_retry;

pub use error::DiskOpenError;
pub use health::{DiskFault, DiskHealth};
pub use open::open_files;
pub use records::{LeftRecord, Mark};
pub use role::DiskRole;
pub use tier::{Disk, DiskStats};
