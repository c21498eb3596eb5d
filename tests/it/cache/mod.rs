//! Scope and name to entries.

mod catalog;
