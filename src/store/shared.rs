//! Small objects that the servers of one remote tier share beside the entries: their names, their journal, the
//! key that they sign with.
//!
//! A name is relative and made by this server: visible ASCII without `..`. A content that is read is at most
//! [`MAX_OBJECT_BYTES`] long.

use std::fmt::Debug;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;

use super::Result;

/// The longest content in bytes.
pub const MAX_OBJECT_BYTES: usize = 64 * 1024;
/// [`SharedObjects::list`] asks for no further page once it has this many names.
const MIN_LISTED: usize = 1000;

/// One name in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// The whole name.
    pub name: String,
    /// When it was written last, by the clock of the remote tier.
    pub written: Option<SystemTime>,
}

/// A part of a list, in the order of the bytes of the names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectPage {
    /// The names and when they were written.
    pub objects: Vec<ListedObject>,
    /// The name after which the next page begins; `None` if this is the last page.
    pub next: Option<String>,
}

/// A place for small objects in a remote tier.
#[async_trait]
pub trait SharedObjects: Debug + Send + Sync + 'static {
    /// The longest name in bytes; at least 500.
    fn max_name_bytes(&self) -> usize;

    /// The content of a name; `None` if there is none.
    ///
    /// # Errors
    /// [`super::Error::Remote`].
    async fn get(&self, name: &str) -> Result<Option<Bytes>>;

    /// Writes, whatever was there.
    ///
    /// # Errors
    /// [`super::Error::Remote`].
    async fn put(&self, name: &str, content: Bytes) -> Result<()>;

    /// Writes a name that no server has written before; a tier may count such writes apart.
    ///
    /// # Errors
    /// [`super::Error::Remote`].
    async fn append(&self, name: &str, content: Bytes) -> Result<()> {
        self.put(name, content).await
    }

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

    /// Names that begin with `prefix` and come after the name `after`, in the order of their bytes: as many
    /// as the tier gives with one request.
    ///
    /// # Errors
    /// [`super::Error::Remote`].
    async fn list_page(&self, prefix: &str, after: Option<&str>) -> Result<ObjectPage>;

    /// The same, at least 1,000 names unless there are no more.
    ///
    /// # Errors
    /// [`super::Error::Remote`].
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ListedObject>> {
        let mut page = self.list_page(prefix, after).await?;
        let mut objects = page.objects;
        while let Some(after) = page.next.filter(|_| objects.len() < MIN_LISTED) {
            page = self.list_page(prefix, Some(&after)).await?;
            objects.append(&mut page.objects);
        }
        Ok(objects)
    }
}
