//! Fair shares: who holds how much of the disk, and who has to give room.
//!
//! Shares are max-min fair on two levels: first among groups, then among the tenants of a group, each by its weight.
//! Nobody computes them to evict. Room comes from the group that is furthest above, its bytes divided by its weight,
//! and in it from the tenant that is; so the levels sink like water, and who holds less than its share is never reached.
//! What a reservation ([`guarantee`]) covers of a tenant does not count in that.
//!
//! - [`table::ShareTable`] is the pure structure: sums, and sets in which groups and tenants stand in order.
//! - [`victim`] chooses; [`fair`] computes a share, for messages, refusals and metrics; [`figures`] is what operators see.
//! - [`Shares`] is the table that the index and the account of the disk use together. Its lock is the innermost one: it
//!   is taken under those of both, and nothing that takes another lock of the store is called while it is held.
//!
//! A tenant has a number while it holds something or somebody holds a [`TenantHandle`] of it. Then the number is
//! given to another one.

mod bound;
mod cause;
mod fair;
mod figures;
mod guarantee;
mod handle;
mod holdings;
mod level;
mod orders;
mod seat;
mod shared;
mod table;
#[cfg(test)]
mod tests;
mod victim;

pub use cause::EvictionCause;
pub use figures::{HeldFigures, LargeTenant, TenantFigures};
pub(crate) use handle::TenantHandle;
pub(crate) use holdings::{NumberedTenancy, Place, ReservedBytes, TenantNumber};
pub(crate) use shared::Shares;
pub(crate) use table::ShareTable;
pub(crate) use victim::Victim;
