//! The operations, in terms of [`super::State`].

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use s3s::dto::*;
use s3s::{Body, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::{Memory, Object, checked, list};
use crate::support::s3::Quirk;

/// Reads a whole body, which has to be as long as was said.
async fn receive(body: Option<StreamingBlob>, length: Option<i64>) -> S3Result<Bytes> {
    let length = length.ok_or_else(|| s3_error!(MissingContentLength))?;
    let mut bytes = BytesMut::new();
    if let Some(mut body) = body {
        while let Some(piece) = body
            .try_next()
            .await
            .map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, error))?
        {
            bytes.extend_from_slice(&piece);
        }
    }
    match i64::try_from(bytes.len()) {
        Ok(got) if got == length => Ok(bytes.freeze()),
        _ => Err(s3_error!(IncompleteBody)),
    }
}

/// The part of `object` that was asked for, and the header that says so.
fn part(object: &Object, range: Option<s3s::dto::Range>) -> S3Result<(Range<usize>, Option<String>)> {
    let length = object.bytes.len();
    let Some(range) = range else {
        return Ok((0..length, None));
    };
    if length == 0 {
        return Err(s3_error!(InvalidRange));
    }
    let range = range.check(length as u64)?;
    let header = format!("bytes {}-{}/{length}", range.start, range.end - 1);
    let start = usize::try_from(range.start).unwrap();
    Ok((start..usize::try_from(range.end).unwrap(), Some(header)))
}

#[async_trait::async_trait]
impl S3 for Memory {
    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let quirk = req.extensions.get::<Quirk>().copied();
        let mut input = req.input;
        match quirk {
            Some(Quirk::IgnoreRange) => input.range = None,
            Some(Quirk::IgnoreIfMatch) => input.if_match = None,
            _ => {}
        }
        let object = self.lock().bucket(&input.bucket)?.object(&input.key)?.clone();
        object.may_read(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let (range, content_range) = part(&object, input.range)?;
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".into()),
            content_length: Some(i64::try_from(range.len()).unwrap()),
            content_range,
            body: Some(Body::from(object.bytes.slice(range)).into()),
            e_tag: Some(object.etag),
            last_modified: Some(object.modified.into()),
            metadata: Some(object.metadata),
            ..Default::default()
        }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = req.input;
        let object = self.lock().bucket(&input.bucket)?.object(&input.key)?.clone();
        object.may_read(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let (range, content_range) = part(&object, input.range)?;
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".into()),
            content_length: Some(i64::try_from(range.len()).unwrap()),
            content_range,
            e_tag: Some(object.etag),
            last_modified: Some(object.modified.into()),
            metadata: Some(object.metadata),
            ..Default::default()
        }))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let quirk = req.extensions.get::<Quirk>().copied();
        let mut input = req.input;
        if quirk == Some(Quirk::IgnoreWriteConditions) {
            (input.if_match, input.if_none_match) = (None, None);
        }
        let metadata = checked(input.metadata)?;
        let object = Object::new(receive(input.body, input.content_length).await?, metadata);
        let e_tag = Some(object.etag.clone());
        let mut state = self.lock();
        let bucket = state.bucket(&input.bucket)?;
        bucket.may_write(&input.key, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        bucket.objects.insert(input.key, object);
        Ok(S3Response::new(PutObjectOutput {
            e_tag,
            ..Default::default()
        }))
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = req.input;
        let mut state = self.lock();
        let bucket = state.bucket(&input.bucket)?;
        // As documented: what is not there is deleted already, whatever the condition.
        if bucket.objects.contains_key(&input.key) {
            bucket.may_write(&input.key, input.if_match.as_ref(), None)?;
        }
        bucket.objects.remove(&input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let mut state = self.lock();
        let bucket = state.bucket(&req.input.bucket)?;
        let quiet = req.input.delete.quiet == Some(true);
        let mut deleted = Vec::new();
        for object in req.input.delete.objects {
            bucket.objects.remove(&object.key);
            deleted.push(DeletedObject {
                key: Some(object.key),
                ..Default::default()
            });
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!quiet).then_some(deleted),
            ..Default::default()
        }))
    }

    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        self.make_bucket(&req.input.bucket);
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.lock().bucket(&req.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let mut state = self.lock();
        list::objects(state.bucket(&req.input.bucket)?, req.input).map(S3Response::new)
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let mut state = self.lock();
        list::uploads(state.bucket(&req.input.bucket)?, req.input).map(S3Response::new)
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let mut state = self.lock();
        list::parts(state.bucket(&req.input.bucket)?, req.input).map(S3Response::new)
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.lock().create(req.input).map(S3Response::new)
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let mut input = req.input;
        let bytes = receive(input.body.take(), input.content_length).await?;
        let mut state = self.lock();
        let bucket = state.bucket(&input.bucket)?;
        bucket.add_part(&input, bytes).map(S3Response::new)
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let mut state = self.lock();
        let bucket = state.bucket(&req.input.bucket)?;
        if req.extensions.get() == Some(&Quirk::EndUpload) {
            let name = (req.input.key, req.input.upload_id);
            bucket.uploads.remove(&name);
            return Err(s3_error!(ConditionalRequestConflict));
        }
        bucket.complete(req.input).map(S3Response::new)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = req.input;
        let mut state = self.lock();
        let bucket = state.bucket(&input.bucket)?;
        match bucket.uploads.remove(&(input.key, input.upload_id)) {
            Some(_) => Ok(S3Response::new(AbortMultipartUploadOutput::default())),
            None => Err(s3_error!(NoSuchUpload)),
        }
    }
}
