//! Whether a body is the one that was promised. One that fits into memory is judged before anybody gets a byte.

use std::fmt::{self, Debug};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::damaged;
use crate::store::source::{EntrySource, SourceOpen};
use crate::store::spool::Checksums;
use crate::store::{ETag, Error, Result};

/// How often a broken transfer is tried again.
const MAX_ATTEMPTS: usize = 3;

type Verdict = dyn Fn(&Checksums) -> Result<()> + Send + Sync;

/// Decides by the checksums of a whole body whether its last byte may be given away. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Judge(Arc<Verdict>);

impl Judge {
    /// A judge with any rule.
    pub(crate) fn new(verdict: impl Fn(&Checksums) -> Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(verdict))
    }

    /// The body must have the tag that was stored with it.
    pub(crate) fn by_tag(etag: &ETag) -> Self {
        let expected = etag.clone();
        Self::new(move |sums| match sums.etag() == expected {
            true => Ok(()),
            false => Err(wrong_checksum()),
        })
    }

    /// # Errors
    /// What the rule says, mostly [`crate::store::RemoteErrorKind::Damaged`].
    pub(crate) fn judge(&self, sums: &Checksums) -> Result<()> {
        (self.0)(sums)
    }
}

impl Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judge")
    }
}

fn wrong_checksum() -> Error {
    damaged("the body does not have the checksum that was stored with it")
}

/// All bytes of a small body.
///
/// # Errors
/// As [`EntrySource::read`], and what `judge` says.
pub(crate) async fn read_whole(source: &dyn EntrySource, open: SourceOpen, judge: &Judge) -> Result<Bytes> {
    let size = open.meta.size;
    let mut bytes = BytesMut::with_capacity(size as usize);
    let mut stream = open.first;
    let mut attempts = 1;
    loop {
        match stream.next().await {
            Some(Ok(more)) => bytes.extend_from_slice(&more),
            None if bytes.len() as u64 >= size => break,
            Some(Err(error)) if attempts >= MAX_ATTEMPTS => return Err(error),
            Some(Err(_)) | None => {
                attempts += 1;
                let rest = bytes.len() as u64..size;
                stream = source.read(&open.version, rest).await?;
            }
        }
    }
    let bytes = bytes.freeze();
    if bytes.len() as u64 != size {
        return Err(wrong_checksum());
    }
    judge.judge(&Checksums::of(&bytes))?;
    Ok(bytes)
}
