//! Entries that can be answered at once: small bodies in memory, larger ones as open files.
//!
//! Two budgets bound them, one in bytes and one in open files. A cell that was used since it was weighed last
//! gets a second chance; the entries themselves are not touched when they go cold.

mod cell;
mod set;

pub(super) use cell::{HotCell, OpenedEntry};
pub(super) use set::HotSet;
