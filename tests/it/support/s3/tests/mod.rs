//! The server as a real client sees it.

mod faults;
mod multipart;
mod objects;
mod server;

use std::fmt::Debug;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;

use super::{Action, Asked, Gate, Kind, Listed, S3Server, Unfinished, Which};

const BUCKET: &str = S3Server::BUCKET;

/// Status and code of an answer that is an error; the code is empty where there is no body.
fn refused<T: Debug, E: ProvideErrorMetadata + Debug>(outcome: Result<T, SdkError<E>>) -> (u16, String) {
    let error = outcome.unwrap_err();
    let status = error.raw_response().map(|response| response.status().as_u16());
    let status = status.unwrap_or_else(|| panic!("no answer at all: {error:?}"));
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    (status, code.unwrap_or_default().to_owned())
}

fn answer(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// The connection broke before an answer came.
fn broken<T: Debug, E: Debug>(outcome: Result<T, SdkError<E>>) -> bool {
    matches!(
        outcome,
        Err(SdkError::DispatchFailure(_) | SdkError::ResponseError(_))
    )
}

async fn put(server: &S3Server, name: &str, bytes: impl Into<Bytes>) -> String {
    let body = ByteStream::from(bytes.into());
    let put = server.client().put_object().bucket(BUCKET).key(name).body(body);
    put.send().await.unwrap().e_tag.unwrap()
}

async fn get(server: &S3Server, name: &str) -> Result<Bytes, ByteStreamError> {
    let get = server.client().get_object().bucket(BUCKET).key(name);
    let body = get.send().await.unwrap().body;
    Ok(body.collect().await?.into_bytes())
}

async fn create(server: &S3Server, name: &str) -> String {
    let create = server.client().create_multipart_upload();
    let create = create.bucket(BUCKET).key(name).metadata("made", "in parts");
    create.send().await.unwrap().upload_id.unwrap()
}

async fn part(server: &S3Server, name: &str, id: &str, number: i32, bytes: Vec<u8>) -> CompletedPart {
    let part = server.client().upload_part().bucket(BUCKET).key(name);
    let part = part.upload_id(id).part_number(number).body(bytes.into());
    let etag = part.send().await.unwrap().e_tag.unwrap();
    CompletedPart::builder().part_number(number).e_tag(etag).build()
}
