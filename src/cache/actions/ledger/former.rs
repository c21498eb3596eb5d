//! The lines that 0.1.0 wrote.
//!
//! ```text
//! place      issuer, path, version: each its length 4 and its bytes
//! committed  number of the place 4, record 48, key
//! removed    number of the place 4, id 16, key
//! seen       digest of the namespace 32, cursor 16
//! ```

use super::format::{LedgerItem, LedgerLine, PlaceTable, place, removed};
use crate::cache::actions::entry::EntryRecord;
use crate::store::Digest;
use crate::store::journal::Ulid;

pub(super) const MAGIC: &[u8; 8] = b"chachaA1";
const PLACE_KIND: u8 = 1;
const COMMITTED_KIND: u8 = 2;
const REMOVED_KIND: u8 = 3;
const SEEN_KIND: u8 = 4;

/// Whether this is the content of a former line.
pub(super) fn is_former(content: &[u8]) -> bool {
    content
        .first()
        .is_some_and(|kind| (PLACE_KIND..=SEEN_KIND).contains(kind))
}

/// Reads the content of a former line; `None` if it is none.
pub(super) fn decode(places: &PlaceTable, content: &[u8]) -> Option<LedgerLine> {
    let (kind, rest) = content.split_first()?;
    let item = match *kind {
        PLACE_KIND => return decode_place(rest),
        COMMITTED_KIND => {
            let (number, rest) = rest.split_first_chunk()?;
            let (record, key) = rest.split_first_chunk()?;
            LedgerItem::Committed(places.entry(*number, EntryRecord::from_bytes(record), key)?)
        }
        REMOVED_KIND => {
            let (number, rest) = rest.split_first_chunk()?;
            let (id, key) = rest.split_first_chunk()?;
            let record = removed(Ulid(u128::from_le_bytes(*id)));
            LedgerItem::Removed(places.entry(*number, record, key)?)
        }
        SEEN_KIND => {
            let (namespace, rest) = rest.split_first_chunk()?;
            let cursor = Ulid(u128::from_le_bytes(*rest.as_array()?));
            LedgerItem::Seen(Digest::new(*namespace), cursor)
        }
        _ => return None,
    };
    Some(LedgerLine::LedgerItem(item))
}

fn decode_place(mut rest: &[u8]) -> Option<LedgerLine> {
    let mut text = || {
        let (length, more) = rest.split_first_chunk()?;
        let (text, more) = more.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        rest = more;
        std::str::from_utf8(text).ok()
    };
    let (issuer, path, version) = (text()?, text()?, text()?);
    rest.is_empty().then(|| place(issuer, path, version))?
}
