//! Whether a body is the one that was promised.

use std::fmt::{self, Debug};
use std::sync::Arc;

use super::damaged;
use crate::store::spool::Checksums;
use crate::store::{ETag, Error, Result};

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

pub(super) fn wrong_checksum() -> Error {
    damaged("the body does not have the checksum that was stored with it")
}
