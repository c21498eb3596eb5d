//! Receiving a part of an upload of the Actions cache.

use super::receive::copy_body;
use crate::cache::actions::{BlockPlace, UploadId};
use crate::protocol::call::Call;
use crate::protocol::framing;
use crate::protocol::gha::GhaError;
use crate::protocol::http_error::HttpError;

/// Takes the body of a request into an upload, `length` bytes if the client says how many in another
/// way than by the framing. The caller of this function has checked that the client may.
///
/// As for [`super::receive()`], a body counts when it is complete, and in no other case.
///
/// # Errors
/// Why the part was not taken.
pub(crate) async fn put_block(
    call: &mut Call,
    id: UploadId,
    place: BlockPlace,
    length: Option<u64>,
) -> Result<(), GhaError> {
    let length = check(call, &place, length)?;
    let mut writer = call.app.actions().stage(id, place, length).await?;
    copy_body::<_, GhaError>(call, &mut writer).await?;
    call.record.tier = writer.finish().await?.as_str();
    Ok(())
}

/// Everything that can be refused before the body is touched, so before `100 Continue`. Gives the length
/// of the body, if that is known.
fn check(call: &Call, place: &BlockPlace, length: Option<u64>) -> Result<Option<u64>, GhaError> {
    framing::check(&call.parts.headers)?;
    let framed = call.body.length();
    if length.is_some() && framed.is_some() && length != framed {
        return Err(GhaError::invalid(
            "Content-Length and Content-Range differ in the number of bytes",
        ));
    }
    let length = length.or(framed);
    let offset = match place {
        BlockPlace::At(offset) => *offset,
        BlockPlace::Whole | BlockPlace::Block(_) => 0,
    };
    let limit = call.app.max_entry_size();
    match length.map(|length| offset.saturating_add(length)) {
        Some(end) if end > limit => Err(HttpError::too_large(end, limit).into()),
        _ => Ok(length),
    }
}
