//! The cache of GitHub Actions without its protocols: look-ups by prefix and time, immutable entries,
//! uploads that arrive in blocks.

pub mod catalog;
mod error;
pub mod index;
pub mod ledger;
mod name;

pub use error::{Error, Result};
pub use name::{CacheKey, NameError, Version};
