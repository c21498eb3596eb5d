//! Receiving a part of an upload of the Actions cache.

use axum::body::Body;
use http::request::Parts;
use http_body::Body as _;

use super::receive::BodySink as Sink;
use crate::cache::actions::{Place, UploadId};
use crate::protocol::app::App;
use crate::protocol::http_error::HttpError;
use crate::protocol::incoming;
use crate::protocol::trouble::Trouble;
use crate::telemetry::access::Early;

/// What came of a write, and how many bytes of the body were taken.
pub(crate) struct Received<T, E> {
    /// Bytes of the body that arrived.
    pub(crate) bytes: u64,
    /// The stored entry, or why there is none.
    pub(crate) result: Result<T, E>,
}

/// Takes the body of a request into an upload, `length` bytes if the client says how many in another
/// way than by the framing. The caller of this function has checked that the client may.
///
/// As for [`super::receive()`], a body counts when it is complete, and in no other case.
pub(crate) async fn stage(
    app: &App,
    id: UploadId,
    place: Place,
    length: Option<u64>,
    parts: &Parts,
    mut body: Body,
) -> Received<(), Trouble> {
    let mut bytes = 0;
    let mut begun = false;
    let early = parts.extensions.get::<std::sync::Arc<Early>>();
    let taking = async {
        let length = check(app, &place, length, parts, &body)?;
        let mut writer = app.actions().stage(id, place, length).await?;
        begun = true;
        let early = early.map(|early| &**early);
        pour::<_, Trouble>(app, &mut writer, &mut body, &mut bytes, early).await?;
        Ok(writer.finish().await?)
    };
    let result = taking.await;
    match result {
        Ok(()) => {}
        Err(_) if begun => app.discard_begun(body),
        Err(_) => app.discard(parts, body),
    }
    Received { bytes, result }
}

/// Everything that can be refused before the body is touched, so before `100 Continue`. Gives the length
/// of the body, if that is known.
fn check(
    app: &App,
    place: &Place,
    length: Option<u64>,
    parts: &Parts,
    body: &Body,
) -> Result<Option<u64>, Trouble> {
    if !incoming::is_plain(&parts.headers) {
        return Err(incoming::unknown_coding().into());
    }
    let framed = body.size_hint().exact();
    if length.is_some() && framed.is_some() && length != framed {
        return Err(Trouble::invalid(
            "Content-Length and Content-Range differ in the number of bytes",
        ));
    }
    let length = length.or(framed);
    let offset = match place {
        Place::At(offset) => *offset,
        Place::Whole | Place::Block(_) => 0,
    };
    let limit = app.max_entry_size();
    match length.map(|length| offset.saturating_add(length)) {
        Some(end) if end > limit => Err(HttpError::too_large(end, limit).into()),
        _ => Ok(length),
    }
}

/// Reads a body to its end, as far as the limits of one request allow, and counts its bytes.
async fn pour<S, E>(
    app: &App,
    sink: &mut S,
    body: &mut Body,
    bytes: &mut u64,
    early: Option<&Early>,
) -> Result<(), E>
where
    S: Sink,
    E: From<HttpError> + From<S::Error>,
{
    let expected = body.size_hint().exact();
    let limit = app.max_entry_size();
    while let Some(data) = incoming::next(app, body).await? {
        *bytes += data.len() as u64;
        if let Some(early) = early {
            early.received(data.len() as u64);
        }
        if *bytes > limit {
            return Err(HttpError::too_large(*bytes, limit).into());
        }
        sink.write(data).await?;
    }
    if expected.is_some_and(|expected| expected != *bytes) {
        return Err(incoming::truncated().into());
    }
    Ok(())
}
