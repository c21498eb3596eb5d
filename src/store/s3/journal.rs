//! The journal in the bucket: an object for each record, whose name alone is the record wherever it is short
//! enough, so that one listing reads a thousand of them.
//!
//! ```text
//! <prefix>journal/<shelf>/<ULID>.<base64url of the record>   an empty object
//! <prefix>journal/<shelf>/<ULID>                             the record is the object
//! ```

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::S3;
use super::stats::Op;
use crate::store::Result;
use crate::store::journal::{Journal, Note, Page, Ulid, parse_ulid};

#[async_trait]
impl Journal for S3 {
    async fn append(&self, shelf: &str, id: Ulid, record: &[u8]) -> Result<()> {
        let (name, body) = encode(&folder(shelf), id, record, self.core.longest_shared_name());
        let put = self.core.write_shared(Op::Append, &name, body, false).await;
        put.map_err(|failure| failure.at("adding to the journal"))
    }

    async fn list(&self, shelf: &str, after: Option<Ulid>, page: Option<String>) -> Result<Page> {
        let folder = folder(shelf);
        let after = page.or_else(|| after.map(|id| format!("{folder}{id}~")));
        let listed = self.core.list_shared(&folder, after.as_deref()).await;
        let listed = listed.map_err(|failure| failure.at("listing the journal"))?;
        let mut page = Page::default();
        for one in listed.names {
            match one.name.strip_prefix(&folder).and_then(decode) {
                Some(record) => page.records.push(record),
                None => page.foreign += 1,
            }
        }
        page.next = listed.next;
        Ok(page)
    }

    async fn read(&self, shelf: &str, id: Ulid) -> Result<Option<Bytes>> {
        let read = self.core.read_shared(&format!("{}{id}", folder(shelf))).await;
        read.map_err(|failure| failure.at("reading the journal"))
    }
}

fn folder(shelf: &str) -> String {
    format!("journal/{shelf}/")
}

/// The name of the object, and what is in it.
fn encode(folder: &str, id: Ulid, record: &[u8], longest: usize) -> (String, Bytes) {
    let name = format!("{folder}{id}.{}", URL_SAFE_NO_PAD.encode(record));
    if name.len() <= longest {
        return (name, Bytes::new());
    }
    (format!("{folder}{id}"), Bytes::copy_from_slice(record))
}

/// A name within its folder; `None` if it is not one of ours.
fn decode(name: &str) -> Option<(Ulid, Note)> {
    let Some((id, record)) = name.split_once('.') else {
        return Some((parse_ulid(name)?, Note::Apart));
    };
    let record = URL_SAFE_NO_PAD.decode(record).ok()?;
    Some((parse_ulid(id)?, Note::Here(record.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::next_ulid;

    #[test]
    fn names_are_read_as_they_were_written() {
        const NAME: usize = 1000;
        let folder = folder(&"a".repeat(64));
        for length in [0, 1, 2, 3, 200, 660, 670, 680, 5000] {
            let record: Vec<u8> = (0..length).map(|n| (n * 31 % 256) as u8).collect();
            let id = next_ulid();
            let (name, body) = encode(&folder, id, &record, NAME);
            assert!(name.len() <= NAME);
            let note = match body.is_empty() {
                true => Note::Here(record.clone().into()),
                false => Note::Apart,
            };
            assert!(body.is_empty() || body == record);
            assert_eq!(name.strip_prefix(&folder).and_then(decode), Some((id, note)));
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
