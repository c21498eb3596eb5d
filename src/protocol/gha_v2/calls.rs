//! The three calls.

use super::error::TwirpError;
use super::messages::{
    CreateRequest, CreateResponse, FinalizeRequest, FinalizeResponse, FindRequest, FindResponse,
};
use super::{CallMessage, form, read_message};
use crate::cache::actions::{CacheKey, EntryId, Error, LookupQuery, UploadAuth, UploadId, Version};
use crate::protocol::app::App;
use crate::protocol::call::{Call, Reply};
use crate::protocol::gha::{self, ErrorCase, GhaError};
use crate::protocol::http_error::HttpError;
use crate::telemetry::access::{Outcome, RequestRecord};

/// `GetCacheEntryDownloadURL`. A miss is an answer, never an error.
pub(super) async fn find(call: &mut Call) -> Result<Reply, TwirpError> {
    let caller = gha::reader(call).await?;
    let CallMessage { form, message, .. } = read_message::<FindRequest>(call).await?;
    let found = gha::find(call, &caller, &lookup_query(&message)?).await?;
    let response = found.map_or_else(FindResponse::default, |found| FindResponse {
        ok: true,
        signed_download_url: call.app.links().blob(&call.parts, &found.ticket),
        matched_key: found.key.as_str().to_owned(),
    });
    Ok(form::reply(form, &response))
}

/// BuildKit sends the primary key among the others again.
fn lookup_query(message: &FindRequest) -> Result<LookupQuery, GhaError> {
    let keys = std::iter::once(&message.key).chain(&message.restore_keys);
    let keys = gha::cache_keys(
        keys.map(String::as_str),
        "the request names no key",
        "the request names more than 64 keys",
    )?;
    Ok(LookupQuery {
        keys,
        version: Version::new(&message.version)?,
    })
}

/// `CreateCacheEntry`.
pub(super) async fn create(call: &mut Call) -> Result<Reply, TwirpError> {
    let caller = gha::writer(call).await?;
    let CallMessage { form, message, body } = read_message::<CreateRequest>(call).await?;
    let (key, version) = names(&message.key, &message.version)?;
    if let Some(reply) = call.ask_owner_of(&caller, (&key, &version), &body).await {
        return Ok(reply);
    }
    let reserved = call.app.actions().reserve(&caller, &key, &version, None).await;
    let response = match reserved {
        Ok(id) => created(call, id),
        Err(error) => CreateResponse {
            message: declined(error.into(), &mut call.record)?,
            ..CreateResponse::default()
        },
    };
    Ok(form::reply(form, &response))
}

fn created(call: &mut Call, id: UploadId) -> CreateResponse {
    call.record.outcome = Outcome::Control;
    let ticket = call.app.actions().upload_ticket(id);
    CreateResponse {
        ok: true,
        signed_upload_url: call.app.links().blob(&call.parts, &ticket),
        message: String::new(),
    }
}

/// `FinalizeCacheEntryUpload`. The call names no upload, so every server that may have it is asked until one
/// does.
pub(super) async fn finalize(call: &mut Call) -> Result<Reply, TwirpError> {
    let auth = gha::upload_auth(call).await?;
    let CallMessage { form, message, body } = read_message::<FinalizeRequest>(call).await?;
    let (key, version) = names(&message.key, &message.version)?;
    if let Some(reply) = call.ask_candidates(&auth, (&key, &version), &body).await {
        return Ok(reply);
    }
    let response = match commit(&call.app, &auth, (&key, &version), message.size_bytes).await {
        Ok(id) => finalized(call, id),
        Err(error) => FinalizeResponse {
            message: declined(error, &mut call.record)?,
            ..FinalizeResponse::default()
        },
    };
    Ok(form::reply(form, &response))
}

async fn commit(
    app: &App,
    auth: &UploadAuth,
    (key, version): (&CacheKey, &Version),
    size: i64,
) -> Result<EntryId, GhaError> {
    let size = u64::try_from(size).map_err(|_| GhaError::invalid("the size is negative"))?;
    gha::check_size(app, size)?;
    Ok(app.actions().finalize(auth, key, version, size).await?)
}

fn finalized(call: &mut Call, id: EntryId) -> FinalizeResponse {
    call.record.outcome = Outcome::Stored;
    FinalizeResponse {
        ok: true,
        // Below 2^53.
        entry_id: id.get() as i64,
        message: String::new(),
    }
}

fn names(key: &str, version: &str) -> Result<(CacheKey, Version), GhaError> {
    Ok((CacheKey::new(key)?, Version::new(version)?))
}

/// The text of an answer that declines a call without being an error: the toolkit then warns, and does not try
/// again.
///
/// # Errors
/// The error is one that the toolkit may try again, or should fail for.
fn declined(error: GhaError, record: &mut RequestRecord) -> Result<String, TwirpError> {
    let is_denied = matches!(error, GhaError::Cache(Error::WriteDenied));
    if !is_denied && !matches!(error.case(), ErrorCase::Lasting) {
        return Err(error.into());
    }
    let error = HttpError::from(error);
    error.note(record);
    Ok(error.public().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{self, RemoteErrorKind};

    fn message(key: &str, restore_keys: &[&str]) -> FindRequest {
        FindRequest {
            key: key.into(),
            restore_keys: restore_keys.iter().map(|key| (*key).into()).collect(),
            version: "v".into(),
        }
    }

    #[test]
    fn empty_keys_are_skipped_and_the_order_stays() {
        let keys = |message| {
            let query = lookup_query(&message).ok()?;
            Some(
                query
                    .keys
                    .iter()
                    .map(|key| key.as_str().to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(keys(message("a", &["a", "", "b"])).unwrap(), ["a", "a", "b"]);
        assert_eq!(keys(message("", &["b"])).unwrap(), ["b"]);
        assert_eq!(keys(message("", &[""])), None);
        assert_eq!(keys(message("a,b", &[])), None);
        assert_eq!(keys(message("a", &["b"; 63])).map(|keys| keys.len()), Some(64));
        assert_eq!(keys(message("a", &["b"; 64])), None);
    }

    #[test]
    fn what_lasts_is_no_error_that_would_be_tried_again() {
        let remote = |fault| Error::Store(store::Error::remote("put", fault, "x"));
        let full = store::Error::NoSpace {
            needed: 1,
            reason: "full".into(),
        };
        for error in [Error::WriteDenied, full.into(), remote(RemoteErrorKind::Denied)] {
            let mut record = RequestRecord::default();
            let text = declined(error.into(), &mut record).expect("an answer");
            assert!(!text.is_empty() && record.error.is_some());
        }
        for error in [Error::Exists, Error::Incomplete, remote(RemoteErrorKind::Timeout)] {
            assert!(declined(error.into(), &mut RequestRecord::default()).is_err());
        }
    }
}
