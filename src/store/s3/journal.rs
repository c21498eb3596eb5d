//! The journal in the bucket: an object for each record, whose name alone is the record wherever it is short
//! enough, so that one listing reads a thousand of them.
//!
//! ```text
//! <prefix>journal/<shelf>/<ULID>.<base64url of the record>   an empty object
//! <prefix>journal/<shelf>/<ULID>                             the record is the object
//! ```

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::S3;
use super::core::Core;
use super::fault::{Failure, Why};
use super::stats::Op;
use super::upload::encryption;
use crate::store::journal::{Journal, Note, Page, Ulid, parse_ulid};
use crate::store::{RemoteFault, Result};

/// Longest name in bytes; S3 takes 1,024.
const NAME: usize = 1000;
/// Longest record that is read, in bytes: far more than anybody writes.
const LONGEST: i64 = 64 * 1024;

#[async_trait]
impl Journal for S3 {
    async fn append(&self, shelf: &str, id: Ulid, record: &[u8]) -> Result<()> {
        let core = &self.core;
        let (name, body) = encode(&folder(core, shelf), id, record);
        let request = core
            .client
            .put_object()
            .bucket(core.bucket())
            .key(name)
            .set_server_side_encryption(encryption(&core.config))
            .set_ssekms_key_id(core.config.sse_kms_key_id.clone())
            .content_length(body.len() as i64)
            .body(ByteStream::from(body));
        // The futures of the SDK are large.
        let put = Box::pin(core.call(Op::Append, request.send())).await;
        put.map(drop)
            .map_err(|failure| failure.at("adding to the journal"))
    }

    async fn list(&self, shelf: &str, after: Option<Ulid>, page: Option<String>) -> Result<Page> {
        let core = &self.core;
        let folder = folder(core, shelf);
        let request = core
            .client
            .list_objects_v2()
            .bucket(core.bucket())
            .set_start_after(after.map(|id| format!("{folder}{id}~")))
            .set_continuation_token(page)
            .prefix(&folder);
        let listed = Box::pin(core.call(Op::List, request.send())).await;
        let listed = listed.map_err(|failure| failure.at("listing the journal"))?;
        let mut page = Page::default();
        for name in listed.contents().iter().filter_map(|object| object.key()) {
            match name.strip_prefix(&folder).and_then(decode) {
                Some(record) => page.records.push(record),
                None => page.foreign += 1,
            }
        }
        let more = listed.is_truncated == Some(true);
        page.next = listed.next_continuation_token.filter(|_| more);
        Ok(page)
    }

    async fn read(&self, shelf: &str, id: Ulid) -> Result<Option<Bytes>> {
        let name = format!("{}{id}", folder(&self.core, shelf));
        let read = read(&self.core, name).await;
        read.map_err(|failure| failure.at("reading the journal"))
    }
}

async fn read(core: &Arc<Core>, name: String) -> Result<Option<Bytes>, Failure> {
    let request = core.client.get_object().bucket(core.bucket()).key(name);
    // The body comes under the same permit.
    let _permit = core.enter().await?;
    let object = match core.ask(Op::Get, request.send()).await {
        Err(failure) if failure.why == Why::Missing => return Ok(None),
        other => other?,
    };
    if !object
        .content_length
        .is_some_and(|length| (0..=LONGEST).contains(&length))
    {
        return Ok(None);
    }
    let broken = |fault, text: &str| {
        core.failed(fault, text);
        Failure::new(fault, text)
    };
    match tokio::time::timeout(core.config.idle_timeout, object.body.collect()).await {
        Ok(Ok(body)) => Ok(Some(body.into_bytes())),
        Ok(Err(error)) => Err(broken(RemoteFault::Other, &error.to_string())),
        Err(_) => Err(broken(
            RemoteFault::Timeout,
            "a record of the journal did not come",
        )),
    }
}

fn folder(core: &Core, shelf: &str) -> String {
    format!("{}journal/{shelf}/", core.config.object_prefix())
}

/// The name of the object, and what is in it.
fn encode(folder: &str, id: Ulid, record: &[u8]) -> (String, Bytes) {
    let name = format!("{folder}{id}.{}", URL_SAFE_NO_PAD.encode(record));
    if name.len() <= NAME {
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
        let folder = format!("prefix/v1/journal/{}/", "a".repeat(64));
        for length in [0, 1, 2, 3, 200, 660, 670, 680, 5000] {
            let record: Vec<u8> = (0..length).map(|n| (n * 31 % 256) as u8).collect();
            let id = next_ulid();
            let (name, body) = encode(&folder, id, &record);
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
