//! The names of the objects.

use std::time::SystemTime;

use crate::store::Digest;
use crate::store::journal::{millis, parse_ulid, ulid_at};

/// What the names of objects with rows begin with.
pub(super) const USES: &str = "uses/";
/// What the names of gaps begin with.
pub(super) const GAPS: &str = "use-gaps/";
/// What the names of pages end with.
const PAGE: &str = "-page";

/// A name for rows of a tenant that nobody else makes.
pub(super) fn rows(tenant: &Digest, now: SystemTime) -> String {
    format!("{USES}{tenant}/{}", ulid_at(millis(now)))
}

/// The same for a page.
pub(super) fn page(tenant: &Digest, now: SystemTime) -> String {
    rows(tenant, now) + PAGE
}

/// Whether a name of rows is that of a page.
pub(super) fn is_page(name: &str) -> bool {
    name.ends_with(PAGE)
}

/// Whose rows an object has; `None` if no version of this server made the name.
pub(super) fn tenant(name: &str) -> Option<Digest> {
    let (tenant, _) = name.strip_prefix(USES)?.split_once('/')?;
    Digest::from_hex(tenant)
}

/// A name for the gap that ends now.
pub(super) fn gap(now: SystemTime) -> String {
    format!("{GAPS}{}", ulid_at(millis(now)))
}

/// When a gap ended, in milliseconds since 1970.
pub(super) fn gap_end(name: &str) -> Option<u64> {
    Some(parse_ulid(name.strip_prefix(GAPS)?)?.timestamp_ms())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn names_say_what_they_were_made_of() {
        let (digest, now) = (Digest::of(b"tenant"), UNIX_EPOCH + Duration::from_millis(1234));
        for (name, page) in [(rows(&digest, now), false), (page(&digest, now), true)] {
            assert_eq!((tenant(&name), is_page(&name)), (Some(digest), page), "{name}");
        }
        assert_eq!(gap_end(&gap(now)), Some(1234));
        for bad in ["uses/x/y", "uses/", "use-gaps/x", ""] {
            assert_eq!((tenant(bad), gap_end(bad)), (None, None), "{bad}");
        }
    }
}
