//! What the store was found not to do.
//!
//! The probe finds most of it, requests find the rest. What is not known counts as done as S3 does it. What is
//! lacking is named in the log when it is found, with what it costs, and reads and writes make do without it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::named::named_enum;

named_enum! {
    /// What a store may lack.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Lack {
        /// Strong ETags.
        Etags = "ETag",
        /// Ranges of reads.
        Ranges = "Range",
        /// `If-Match` of reads.
        ReadConditions = "If-Match on reads",
        /// `If-None-Match` and `If-Match` of writes.
        WriteConditions = "conditional writes",
        /// A document with a code beside 404.
        Codes = "error codes",
    }
}

impl Lack {
    /// What it costs, and the remedy.
    fn cost(self) -> &'static str {
        match self {
            Self::Etags => {
                "entries are told apart by their own mark; bodies that go in parts may be refused. Let the store, and \
                 what stands before it, send strong ETags"
            }
            Self::Ranges => {
                "long entries are read by one request each, and are misses where their description follows their \
                 body. Let the store, and what stands before it, answer ranges"
            }
            Self::ReadConditions => {
                "every answer is compared instead. Nothing needs to be done, unless a proxy before the store takes \
                 the condition away"
            }
            Self::WriteConditions => {
                "of two servers that write a new entry at the same moment both may be told that they were first. Run \
                 one server on this bucket, or take a store with conditional writes"
            }
            Self::Codes => {
                "a wrong s3.endpoint_url may look like a bucket without entries. Check it if everything is a miss"
            }
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Abilities {
    lacks: [AtomicBool; Lack::ALL.len()],
    ids: AtomicBool,
    known: AtomicBool,
}

impl Abilities {
    pub(super) fn lacks(&self, what: Lack) -> bool {
        self.lacks[what as usize].load(Ordering::Relaxed)
    }

    /// The store was found not to do it.
    pub(super) fn miss(&self, what: Lack) {
        if !self.lacks[what as usize].swap(true, Ordering::Relaxed) {
            let (lacking, cost) = (what.as_str(), what.cost());
            tracing::warn!(
                lacking,
                "the store of s3.bucket does not do all that S3 does: {cost}"
            );
        }
    }

    /// What the probe has found.
    pub(super) fn set(&self, what: Lack, lacking: bool) {
        match lacking {
            true => self.miss(what),
            false => self.lacks[what as usize].store(false, Ordering::Relaxed),
        }
    }

    /// The names of what the store was found not to do.
    pub(super) fn lacking(&self) -> Vec<&'static str> {
        let lacking = Lack::ALL.iter().filter(|what| self.lacks(**what));
        lacking.map(|what| what.as_str()).collect()
    }

    /// Whether the store was examined.
    pub(super) fn are_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    pub(super) fn set_known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Whether every answer of this store, also to what is not there, has had headers of S3's own.
    pub(super) fn sends_ids(&self) -> bool {
        self.ids.load(Ordering::Relaxed)
    }

    pub(super) fn set_ids(&self, sent: bool) {
        self.ids.store(sent, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lack_has_its_own_place_and_can_end() {
        for (nth, what) in Lack::ALL.iter().enumerate() {
            assert_eq!(*what as usize, nth);
            let abilities = Abilities::default();
            abilities.miss(*what);
            assert_eq!(abilities.lacking(), [what.as_str()]);
            abilities.set(*what, false);
            assert!(!abilities.lacks(*what));
        }
    }
}
