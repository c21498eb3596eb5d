//! Bodies that fit into memory: read and checked as a whole before anybody gets a byte.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::judge::{Judge, wrong_checksum};
use crate::store::Result;
use crate::store::source::{EntrySource, SourceOpen};
use crate::store::spool::Checksums;

/// How often a broken transfer is tried again.
const MAX_ATTEMPTS: usize = 3;

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
