//! The three calls.

use axum::extract::Request;
use http::request::Parts;

use super::error::Fault;
use super::wire::{
    CreateRequest, CreateResponse, FinalizeRequest, FinalizeResponse, FindRequest, FindResponse,
};
use super::{Asked, CREATE, FINALIZE, FIND, Handled, NAME, asked, form};
use crate::auth::Identity;
use crate::cache::actions::{CacheKey, EntryId, Error, LookupQuery, UploadAuth, Version};
use crate::error::chain;
use crate::protocol::admit::{Admitted, admit, admit_late};
use crate::protocol::app::App;
use crate::protocol::elsewhere;
use crate::protocol::http_error::HttpError;
use crate::protocol::reply::Reply;
use crate::protocol::trouble::Trouble;
use crate::telemetry::access::{Outcome, RequestRecord};

/// The toolkit sends ten at most; the others do not check.
const MOST_KEYS: usize = 64;

/// `GetCacheEntryDownloadURL`. A miss is an answer, never an error.
pub(super) async fn find(app: &App, request: Request) -> Handled {
    let Admitted {
        caller,
        parts,
        body,
        mut record,
    } = admit(app, request, NAME, FIND)
        .await
        .map_err(|refused| denied("cache read denied: ", refused))?;
    let Asked { form, message, .. } = match asked::<FindRequest>(app, &parts, body, &mut record).await {
        Ok(asked) => asked,
        Err(fault) => return Err((fault, record)),
    };
    match look_up(app, &caller, &parts, &message, &mut record).await {
        Ok(found) => Ok(form::reply(form, &found, record)),
        Err(trouble) => Err((trouble.into(), record)),
    }
}

async fn look_up(
    app: &App,
    caller: &Identity,
    parts: &Parts,
    message: &FindRequest,
    record: &mut RequestRecord,
) -> Result<FindResponse, Trouble> {
    let found = match app.actions().find(caller, &wanted(message)?).await {
        Ok(found) => found,
        // A cache must not break a build: a tier that fails is a miss with a note for the operator.
        Err(Error::Store(error)) => {
            record.error = Some(chain(&error).into());
            None
        }
        Err(error) => return Err(error.into()),
    };
    let Some(found) = found else {
        record.outcome = Outcome::Miss;
        return Ok(FindResponse::default());
    };
    record.outcome = Outcome::Hit;
    record.namespace = Some(found.namespace.label().clone());
    Ok(FindResponse {
        ok: true,
        signed_download_url: app.links().blob(parts, &found.ticket),
        matched_key: found.key.as_str().to_owned(),
    })
}

/// BuildKit sends the primary key among the others again.
fn wanted(message: &FindRequest) -> Result<LookupQuery, Trouble> {
    let keys = std::iter::once(&message.key).chain(&message.restore_keys);
    let keys: Vec<&String> = keys.filter(|key| !key.is_empty()).collect();
    if keys.is_empty() {
        return Err(Trouble::invalid("the request names no key"));
    }
    if keys.len() > MOST_KEYS {
        return Err(Trouble::invalid("the request names more than 64 keys"));
    }
    let keys: Result<Vec<CacheKey>, _> = keys.into_iter().map(|key| CacheKey::new(key)).collect();
    Ok(LookupQuery {
        keys: keys?,
        version: Version::new(&message.version)?,
    })
}

/// `CreateCacheEntry`.
pub(super) async fn create(app: &App, request: Request) -> Handled {
    let Admitted {
        caller,
        parts,
        body,
        mut record,
    } = admit(app, request, NAME, CREATE)
        .await
        .map_err(|refused| denied("cache write denied: ", refused))?;
    let asked = match asked::<CreateRequest>(app, &parts, body, &mut record).await {
        Ok(asked) => asked,
        Err(fault) => return Err((fault, record)),
    };
    if let Some(reply) = create_elsewhere(app, &caller, &parts, &asked, &record).await {
        return Ok(reply);
    }
    let Asked { form, message, .. } = asked;
    let response = match reserve(app, &caller, &parts, &message).await {
        Ok(signed_upload_url) => {
            record.outcome = Outcome::Control;
            CreateResponse {
                ok: true,
                signed_upload_url,
                message: String::new(),
            }
        }
        Err(trouble) => CreateResponse {
            message: declined(trouble, &mut record).map_err(|fault| (fault, record.clone()))?,
            ..CreateResponse::default()
        },
    };
    Ok(form::reply(form, &response, record))
}

/// The answer of the server where this upload belongs, if it is another one that can be reached.
async fn create_elsewhere(
    app: &App,
    caller: &Identity,
    parts: &Parts,
    asked: &Asked<CreateRequest>,
    record: &RequestRecord,
) -> Option<Reply> {
    let (key, version) = names(&asked.message.key, &asked.message.version).ok()?;
    let url = elsewhere::home_of(app, parts, caller, &key, &version)?;
    elsewhere::call(app, &url, parts, &asked.body, record).await
}

async fn reserve(
    app: &App,
    caller: &Identity,
    parts: &Parts,
    message: &CreateRequest,
) -> Result<String, Trouble> {
    let (key, version) = names(&message.key, &message.version)?;
    let id = app.actions().reserve(caller, &key, &version, None).await?;
    Ok(app.links().blob(parts, &app.actions().upload_ticket(id)))
}

/// `FinalizeCacheEntryUpload`.
pub(super) async fn finalize(app: &App, request: Request) -> Handled {
    let Admitted {
        caller: auth,
        parts,
        body,
        mut record,
    } = admit_late(app, request, NAME, FINALIZE)
        .await
        .map_err(|refused| denied("cache write denied: ", refused))?;
    let asked = match asked::<FinalizeRequest>(app, &parts, body, &mut record).await {
        Ok(asked) => asked,
        Err(fault) => return Err((fault, record)),
    };
    if let Some(reply) = finalize_elsewhere(app, &auth, &parts, &asked, &record).await {
        return Ok(reply);
    }
    let Asked { form, message, .. } = asked;
    let response = match commit(app, &auth, &message).await {
        Ok(id) => {
            record.outcome = Outcome::Stored;
            FinalizeResponse {
                ok: true,
                // Below 2^53.
                entry_id: id.get() as i64,
                message: String::new(),
            }
        }
        Err(trouble) => FinalizeResponse {
            message: declined(trouble, &mut record).map_err(|fault| (fault, record.clone()))?,
            ..FinalizeResponse::default()
        },
    };
    Ok(form::reply(form, &response, record))
}

/// The call names no upload, so every server that may have it is asked until one does.
async fn finalize_elsewhere(
    app: &App,
    auth: &UploadAuth,
    parts: &Parts,
    asked: &Asked<FinalizeRequest>,
    record: &RequestRecord,
) -> Option<Reply> {
    let (key, version) = names(&asked.message.key, &asked.message.version).ok()?;
    elsewhere::find(app, (parts, &asked.body), auth, &key, &version, record).await
}

async fn commit(app: &App, auth: &UploadAuth, message: &FinalizeRequest) -> Result<EntryId, Trouble> {
    let (key, version) = names(&message.key, &message.version)?;
    let size = u64::try_from(message.size_bytes).map_err(|_| Trouble::invalid("the size is negative"))?;
    Ok(app.actions().finalize(auth, &key, &version, size).await?)
}

fn names(key: &str, version: &str) -> Result<(CacheKey, Version), Trouble> {
    Ok((CacheKey::new(key)?, Version::new(version)?))
}

/// The text of an answer that says no without being an error: for what the toolkit should only warn of,
/// and must not try again.
fn declined(trouble: Trouble, record: &mut RequestRecord) -> Result<String, Fault> {
    if !matches!(trouble, Trouble::Cache(Error::WriteDenied)) && !trouble.is_lasting() {
        return Err(trouble.into());
    }
    let failure = HttpError::from(trouble);
    failure.note(record);
    Ok(failure.public().to_owned())
}

/// In the words that let the toolkit go on with a plain warning.
fn denied(words: &str, (failure, record): (HttpError, RequestRecord)) -> (Fault, RequestRecord) {
    (failure.in_words(words).into(), record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{self, RemoteFault};

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
            let wanted = wanted(&message).ok()?;
            Some(
                wanted
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
            reason: "full",
        };
        for error in [Error::WriteDenied, full.into(), remote(RemoteFault::Denied)] {
            let mut record = RequestRecord::default();
            let text = declined(error.into(), &mut record).expect("an answer");
            assert!(!text.is_empty() && record.error.is_some());
        }
        for error in [Error::Exists, Error::Incomplete, remote(RemoteFault::Timeout)] {
            assert!(declined(error.into(), &mut RequestRecord::default()).is_err());
        }
    }
}
