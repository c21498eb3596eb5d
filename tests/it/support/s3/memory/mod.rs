//! S3 in memory, as strict as the real one. Everything is under one lock, so that a body and its metadata
//! always fit together.

mod api;
mod list;
mod multipart;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use bytes::Bytes;
use s3s::crypto::{Checksum, Md5};
use s3s::dto::{ETag, ETagCondition, Metadata};
use s3s::{S3Result, s3_error};

/// All buckets; a clone is the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(super) struct State {
    buckets: BTreeMap<String, Bucket>,
    /// How many uploads were ever begun.
    begun: u64,
    /// Parts may be shorter than S3 wants them.
    pub(super) short_parts: bool,
}

#[derive(Debug, Default)]
pub(super) struct Bucket {
    pub(super) objects: BTreeMap<String, Object>,
    /// By name of the object and by the upload's own name, as they are listed.
    pub(super) uploads: BTreeMap<(String, String), Upload>,
}

#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) bytes: Bytes,
    pub(super) etag: ETag,
    pub(super) metadata: Metadata,
    pub(super) modified: SystemTime,
}

#[derive(Debug)]
pub(super) struct Upload {
    pub(super) metadata: Metadata,
    pub(super) begun: SystemTime,
    short_parts: bool,
    pub(super) parts: BTreeMap<i32, Object>,
}

impl Memory {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn make_bucket(&self, name: &str) {
        self.lock().buckets.entry(name.to_owned()).or_default();
    }
}

impl State {
    pub(super) fn bucket(&mut self, name: &str) -> S3Result<&mut Bucket> {
        self.buckets.get_mut(name).ok_or_else(|| s3_error!(NoSuchBucket))
    }
}

impl Bucket {
    fn object(&self, key: &str) -> S3Result<&Object> {
        self.objects.get(key).ok_or_else(|| s3_error!(NoSuchKey))
    }

    /// Whether a write is allowed now.
    fn may_write(
        &self,
        key: &str,
        matches: Option<&ETagCondition>,
        none: Option<&ETagCondition>,
    ) -> S3Result<()> {
        let present = self.objects.get(key);
        match matches {
            Some(_) if present.is_none() => return Err(s3_error!(NoSuchKey)),
            Some(condition) if !present.is_some_and(|object| object.fits(condition)) => {
                return Err(s3_error!(PreconditionFailed));
            }
            _ => {}
        }
        match none {
            Some(ETagCondition::ETag(_)) => Err(s3_error!(NotImplemented)),
            Some(ETagCondition::Any) if present.is_some() => Err(s3_error!(PreconditionFailed)),
            _ => Ok(()),
        }
    }
}

impl Object {
    pub(super) fn new(bytes: Bytes, metadata: Metadata) -> Self {
        Self {
            etag: ETag::Strong(hex(&Md5::checksum(&bytes))),
            bytes,
            metadata,
            modified: SystemTime::now(),
        }
    }

    fn fits(&self, condition: &ETagCondition) -> bool {
        match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(etag) => self.etag.value() == etag.value(),
        }
    }

    /// The conditions of a read: 412, or 304.
    fn may_read(&self, matches: Option<&ETagCondition>, none: Option<&ETagCondition>) -> S3Result<()> {
        if matches.is_some_and(|condition| !self.fits(condition)) {
            return Err(s3_error!(PreconditionFailed));
        }
        if none.is_some_and(|condition| self.fits(condition)) {
            return Err(s3_error!(NotModified));
        }
        Ok(())
    }

    fn size(&self) -> i64 {
        i64::try_from(self.bytes.len()).unwrap()
    }
}

/// The metadata of a new object, which is short: 2 KB of names and values.
fn checked(metadata: Option<Metadata>) -> S3Result<Metadata> {
    let metadata = metadata.unwrap_or_default();
    let lengths = metadata.iter().map(|(name, value)| name.len() + value.len());
    match lengths.sum::<usize>() {
        0..=2048 => Ok(metadata),
        _ => Err(s3_error!(MetadataTooLarge)),
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
