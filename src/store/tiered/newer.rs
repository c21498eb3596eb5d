//! Which of two changes of a key was the later one, when one of them is of another server.

use std::time::{Duration, SystemTime};

use crate::store::remote::RemoteEntry;

/// Times of the remote tier are told in whole seconds, and on the way.
const REMOTE_TIME_SLACK: Duration = Duration::from_secs(2);

/// Whether what the remote tier has was stored after `ours`, a moment of this server's clock.
///
/// Its writer's clock says so. Such a clock may be ahead: what the remote tier had before `ours` was not stored later. One
/// that is behind cannot be told from an upload that waited itself, so that one counts as the earlier one.
pub(super) fn is_newer(there: &RemoteEntry, ours: SystemTime) -> bool {
    let was_there = there.modified.is_some_and(|at| at + REMOTE_TIME_SLACK < ours);
    there.meta.origin.stored > ours && !was_there
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::store::{ETag, Meta, Metadata, Origin};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn there(stored: u64, modified: Option<u64>) -> RemoteEntry {
        let origin = Origin {
            issuer: "issuer".into(),
            subject: "job".into(),
            stored: at(stored),
            tenancy: None,
        };
        RemoteEntry {
            meta: Arc::new(Meta {
                size: 0,
                etag: ETag::new(""),
                origin,
                metadata: Metadata::default(),
            }),
            version: "".into(),
            modified: modified.map(at),
        }
    }

    #[test]
    fn a_writer_whose_clock_is_ahead_has_not_stored_later_what_was_there_before() {
        let ours = at(1000);
        assert!(is_newer(&there(1001, None), ours) && !is_newer(&there(999, None), ours));
        assert!(is_newer(&there(1001, Some(1001)), ours));
        assert!(!is_newer(&there(4600, Some(997)), ours));
        // It waited on another server.
        assert!(!is_newer(&there(999, Some(1010)), ours));
        // The remote tier's time is not told to the second.
        assert!(is_newer(&there(1001, Some(999)), ours));
    }
}
