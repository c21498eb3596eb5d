//! The names of the objects of a journal. Wherever it is short enough, the name alone is the record, so that one
//! listing reads a thousand of them.
//!
//! ```text
//! journal/<shelf>/<ULID>.<base64url of the record>   an empty object
//! journal/<shelf>/<ULID>                             the record is the object
//! ```

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::JournalRecord;
use super::ulid::{Ulid, parse_ulid};

/// What the names of all records of a shelf begin with.
pub(super) fn folder(shelf: &str) -> String {
    format!("journal/{shelf}/")
}

/// The name of the object of a record, and its content.
pub(super) fn encode(folder: &str, id: Ulid, record: &[u8], max_name_bytes: usize) -> (String, Bytes) {
    let name = format!("{folder}{id}.{}", URL_SAFE_NO_PAD.encode(record));
    if name.len() <= max_name_bytes {
        return (name, Bytes::new());
    }
    (long_name(folder, id), Bytes::copy_from_slice(record))
}

/// The name of an object that has the record as its content.
pub(super) fn long_name(folder: &str, id: Ulid) -> String {
    format!("{folder}{id}")
}

/// What a listing has to begin after, so that it has only records with names greater than `id`.
pub(super) fn after(folder: &str, id: Ulid) -> String {
    format!("{folder}{id}~")
}

/// Reads a name within its folder; `None` if no version of this server made it.
pub(super) fn decode(name: &str) -> Option<(Ulid, JournalRecord)> {
    let Some((id, record)) = name.split_once('.') else {
        return Some((parse_ulid(name)?, JournalRecord::Apart));
    };
    let record = URL_SAFE_NO_PAD.decode(record).ok()?;
    Some((parse_ulid(id)?, JournalRecord::Here(record.into())))
}

#[cfg(test)]
mod tests {
    use super::super::next_ulid;
    use super::*;

    #[test]
    fn names_are_read_as_they_were_written() {
        const MAX_NAME_BYTES: usize = 1000;
        let folder = folder(&"a".repeat(64));
        for length in [0, 1, 2, 3, 200, 660, 670, 680, 5000] {
            let record: Vec<u8> = (0..length).map(|n| (n * 31 % 256) as u8).collect();
            let id = next_ulid();
            let (name, body) = encode(&folder, id, &record, MAX_NAME_BYTES);
            assert!(name.len() <= MAX_NAME_BYTES);
            let expected = match body.is_empty() {
                true => JournalRecord::Here(record.clone().into()),
                false => JournalRecord::Apart,
            };
            assert!(body.is_empty() || body == record);
            assert_eq!(name.strip_prefix(&folder).and_then(decode), Some((id, expected)));
        }
    }

    #[test]
    fn names_of_others_are_refused() {
        let id = next_ulid().to_string();
        assert!(decode(&id).is_some() && decode(&format!("{id}.AAAA")).is_some());
        for bad in [
            "",
            ".",
            "x",
            ".AAAA",
            &id[1..],
            &format!("{id}.A=A"),
            &format!("{id}.A.A"),
            &format!("{id}/"),
            &id.to_lowercase(),
        ] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
