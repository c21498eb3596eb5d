//! Objects in parts.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use s3s::crypto::{Checksum, Md5};
use s3s::dto::*;
use s3s::{S3Result, s3_error};

use super::{Bucket, Object, State, Upload, checked, hex};

/// The least that a part has, unless it is the last one.
const SMALLEST: usize = 5 << 20;

impl State {
    pub(super) fn create(
        &mut self,
        input: CreateMultipartUploadInput,
    ) -> S3Result<CreateMultipartUploadOutput> {
        self.begun += 1;
        // Names in the order of their beginning, as listings want them.
        let id = format!("upload-{:08}", self.begun);
        let upload = Upload {
            metadata: checked(input.metadata)?,
            begun: SystemTime::now(),
            short_parts: self.short_parts,
            parts: BTreeMap::new(),
        };
        let bucket = self.bucket(&input.bucket)?;
        bucket.uploads.insert((input.key.clone(), id.clone()), upload);
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            ..Default::default()
        })
    }
}

impl Bucket {
    pub(super) fn upload(&mut self, key: &str, id: &str) -> S3Result<&mut Upload> {
        let name = (key.to_owned(), id.to_owned());
        self.uploads.get_mut(&name).ok_or_else(|| s3_error!(NoSuchUpload))
    }

    pub(super) fn add_part(&mut self, input: &UploadPartInput, bytes: Bytes) -> S3Result<UploadPartOutput> {
        if !(1..=10_000).contains(&input.part_number) {
            return Err(s3_error!(InvalidArgument));
        }
        let part = Object::new(bytes, Metadata::default());
        let e_tag = Some(part.etag.clone());
        self.upload(&input.key, &input.upload_id)?
            .parts
            .insert(input.part_number, part);
        Ok(UploadPartOutput {
            e_tag,
            ..Default::default()
        })
    }

    pub(super) fn complete(
        &mut self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let named = input.multipart_upload.and_then(|upload| upload.parts);
        let object = self
            .upload(&input.key, &input.upload_id)?
            .join(&named.unwrap_or_default())?;
        self.may_write(&input.key, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        self.uploads.remove(&(input.key.clone(), input.upload_id));
        let e_tag = Some(object.etag.clone());
        self.objects.insert(input.key.clone(), object);
        Ok(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag,
            ..Default::default()
        })
    }
}

impl Upload {
    /// The object that the named parts make.
    fn join(&self, named: &[CompletedPart]) -> S3Result<Object> {
        let number = |part: &CompletedPart| part.part_number.unwrap_or_default();
        if named.is_empty() {
            return Err(s3_error!(MalformedXML));
        }
        if !named.is_sorted_by(|one, two| number(one) < number(two)) {
            return Err(s3_error!(InvalidPartOrder));
        }
        let mut bytes = BytesMut::new();
        let mut digests = Vec::new();
        for (nth, name) in named.iter().enumerate() {
            let part = self.parts.get(&number(name));
            let part = part.ok_or_else(|| s3_error!(InvalidPart))?;
            if name.e_tag.as_ref().map(ETag::value) != Some(part.etag.value()) {
                return Err(s3_error!(InvalidPart));
            }
            if part.bytes.len() < SMALLEST && !self.short_parts && nth + 1 < named.len() {
                return Err(s3_error!(EntityTooSmall));
            }
            bytes.extend_from_slice(&part.bytes);
            digests.extend_from_slice(&Md5::checksum(&part.bytes));
        }
        let etag = format!("{}-{}", hex(&Md5::checksum(&digests)), named.len());
        Ok(Object {
            bytes: bytes.freeze(),
            etag: ETag::Strong(etag),
            metadata: self.metadata.clone(),
            modified: SystemTime::now(),
        })
    }
}
