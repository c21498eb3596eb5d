//! Listings, page by page.

use s3s::dto::*;
use s3s::{S3Result, s3_error};

use super::Bucket;

/// The largest page.
const PAGE: i32 = 1000;

/// The first `most` of `all`, and whether there are more.
fn page<T>(all: impl Iterator<Item = T>, most: i32) -> (Vec<T>, bool) {
    let most = usize::try_from(most.clamp(0, PAGE)).unwrap();
    let mut found: Vec<T> = all.take(most + 1).collect();
    let more = found.len() > most && most > 0;
    found.truncate(most);
    (found, more)
}

pub(super) fn objects(bucket: &Bucket, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
    if input.delimiter.is_some() {
        return Err(s3_error!(NotImplemented));
    }
    let prefix = input.prefix.clone().unwrap_or_default();
    // A token is the last name of the page before, and stronger than where to start.
    let after = match &input.continuation_token {
        Some(token) => token
            .strip_prefix("after:")
            .ok_or_else(|| s3_error!(InvalidArgument))?,
        None => input.start_after.as_deref().unwrap_or_default(),
    };
    let fitting = bucket
        .objects
        .iter()
        .filter(|(key, _)| key.starts_with(&prefix) && (after.is_empty() || key.as_str() > after));
    let (found, more) = page(fitting, input.max_keys.unwrap_or(PAGE));
    let next = found
        .last()
        .filter(|_| more)
        .map(|(key, _)| format!("after:{key}"));
    let contents = found.iter().map(|(key, object)| Object {
        key: Some(key.to_string()),
        size: Some(object.size()),
        e_tag: Some(object.etag.clone()),
        last_modified: Some(object.modified.into()),
        ..Default::default()
    });
    Ok(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: input.prefix,
        max_keys: Some(input.max_keys.unwrap_or(PAGE)),
        key_count: Some(i32::try_from(found.len()).unwrap()),
        contents: Some(contents.collect()),
        is_truncated: Some(more),
        next_continuation_token: next,
        continuation_token: input.continuation_token,
        start_after: input.start_after,
        ..Default::default()
    })
}

pub(super) fn uploads(
    bucket: &Bucket,
    input: ListMultipartUploadsInput,
) -> S3Result<ListMultipartUploadsOutput> {
    if input.delimiter.is_some() {
        return Err(s3_error!(NotImplemented));
    }
    let prefix = input.prefix.clone().unwrap_or_default();
    let fitting = bucket.uploads.iter().filter(|((key, id), _)| {
        let fresh = match (&input.key_marker, &input.upload_id_marker) {
            (Some(marker), Some(last)) => key > marker || (key == marker && id > last),
            (Some(marker), None) => key > marker,
            (None, _) => true,
        };
        fresh && key.starts_with(&prefix)
    });
    let (found, more) = page(fitting, input.max_uploads.unwrap_or(PAGE));
    let last = found.last().filter(|_| more).map(|(name, _)| (*name).clone());
    let (next_key_marker, next_upload_id_marker) = last.unzip();
    let uploads = found.iter().map(|((key, id), upload)| MultipartUpload {
        key: Some(key.clone()),
        upload_id: Some(id.clone()),
        initiated: Some(upload.begun.into()),
        ..Default::default()
    });
    Ok(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        uploads: Some(uploads.collect()),
        is_truncated: Some(more),
        key_marker: input.key_marker,
        upload_id_marker: input.upload_id_marker,
        max_uploads: Some(input.max_uploads.unwrap_or(PAGE)),
        prefix: input.prefix,
        next_key_marker,
        next_upload_id_marker,
        ..Default::default()
    })
}

pub(super) fn parts(bucket: &mut Bucket, input: ListPartsInput) -> S3Result<ListPartsOutput> {
    let upload = bucket.upload(&input.key, &input.upload_id)?;
    let after = input.part_number_marker.unwrap_or_default();
    let fitting = upload.parts.range(after.saturating_add(1)..);
    let (found, more) = page(fitting, input.max_parts.unwrap_or(PAGE));
    let next_part_number_marker = found.last().filter(|_| more).map(|(number, _)| **number);
    let parts = found.iter().map(|(number, part)| Part {
        part_number: Some(**number),
        size: Some(part.size()),
        e_tag: Some(part.etag.clone()),
        last_modified: Some(part.modified.into()),
        ..Default::default()
    });
    Ok(ListPartsOutput {
        parts: Some(parts.collect()),
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        is_truncated: Some(more),
        max_parts: Some(input.max_parts.unwrap_or(PAGE)),
        part_number_marker: input.part_number_marker,
        next_part_number_marker,
        ..Default::default()
    })
}
