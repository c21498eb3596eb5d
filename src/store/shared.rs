//! Small objects that the servers of one far tier share beside the entries: who they are, what they told
//! each other, the key that they sign with.
//!
//! A name is relative and made by us: visible ASCII without `..`. What is read is at most
//! [`MAX_BYTES`] long.

use std::fmt::Debug;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;

use super::Result;

/// The longest content in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// One name in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The whole name.
    pub name: String,
    /// When it was written last, by the clock of the far tier.
    pub written: Option<SystemTime>,
}

/// A place for small objects in a far tier.
#[async_trait]
pub trait Shared: Debug + Send + Sync + 'static {
    /// The longest name in bytes; at least 500.
    fn longest_name(&self) -> usize;

    /// The content of a name; `None` if there is none.
    ///
    /// # Errors
    /// [`super::Error::Remote`].
    async fn read(&self, name: &str) -> Result<Option<Bytes>>;

    /// Writes, whatever was there.
    ///
    /// # Errors
    /// [`super::Error::Remote`].
    async fn write(&self, name: &str, content: Bytes) -> Result<()>;

    /// Writes if there is nothing under this name; `false` if there is something. Of several callers one
    /// gets `true`.
    ///
    /// # Errors
    /// [`super::Error::Remote`].
    async fn create(&self, name: &str, content: Bytes) -> Result<bool>;

    /// Removes what is there, if anything.
    ///
    /// # Errors
    /// [`super::Error::Remote`].
    async fn remove(&self, name: &str) -> Result<()>;

    /// Names that begin with `prefix` and come after the name `after`, in the order of their
    /// bytes: at least 1,000 unless there are no more.
    ///
    /// # Errors
    /// [`super::Error::Remote`].
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>>;
}
