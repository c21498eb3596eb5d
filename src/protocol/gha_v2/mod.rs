//! The second generation of the Actions cache: Twirp, as JSON (`@actions/cache` from 4, BuildKit) and as
//! protobuf (sccache). Uploads and downloads go to [`super::blob`].
//!
//! The toolkit reads every answer as JSON and repeats a request for half a minute if it is none, so all
//! that lies below `/twirp/` is answered here. Calls of GitHub's other services are forwarded, where that is
//! configured.

mod calls;
mod error;
mod form;
mod messages;

use bytes::Bytes;
use http::{Method, Uri};
use prost::Message;
use serde::de::DeserializeOwned;

use super::Frontend;
use super::call::{Call, Reply};
use super::gha::MAX_CALL_BYTES;
use super::path::DecodedPath;
use error::{DIALECT, TwirpError};

pub(crate) use form::{MessageForm, read};
pub(crate) use messages::{CreateRequest, FinalizeRequest, FindRequest};

const ROOT: &[&str] = &["twirp"];
const SERVICE: &str = "github.actions.results.api.v1.CacheService";

/// How logs and metrics name the paths.
const CREATE: &str = "/twirp/CacheService/CreateCacheEntry";
const FINALIZE: &str = "/twirp/CacheService/FinalizeCacheEntryUpload";
const FIND: &str = "/twirp/CacheService/GetCacheEntryDownloadURL";
const OTHER: &str = "/twirp/*";

/// The front-end.
pub(super) fn frontend() -> Frontend {
    Frontend {
        name: "gha_v2",
        claims: |path| path.after_slashes(ROOT).is_some(),
        answer: |mut call| {
            Box::pin(async move {
                let outcome = handle(&mut call).await;
                call.finish(outcome, TwirpError::render)
            })
        },
        fault: || DIALECT.fault(),
    }
}

async fn handle(call: &mut Call) -> Result<Reply, TwirpError> {
    call.record.route = route(&call.parts.uri);
    match call.record.route {
        CREATE => calls::create(call).await,
        FINALIZE => calls::finalize(call).await,
        FIND => calls::find(call).await,
        _ => other(call).await,
    }
}

fn route(uri: &Uri) -> &'static str {
    let path = DecodedPath::of(uri);
    match path.after_slashes(&[ROOT[0], SERVICE]).flatten() {
        Some(b"CreateCacheEntry") => CREATE,
        Some(b"FinalizeCacheEntryUpload") => FINALIZE,
        Some(b"GetCacheEntryDownloadURL") => FIND,
        _ => OTHER,
    }
}

/// Another service, or a call that this one does not have.
async fn other(call: &mut Call) -> Result<Reply, TwirpError> {
    let caller = call.caller().await?;
    if is_foreign(&call.parts.uri)
        && let Some(reply) = call.forward_to_foreign(&caller).await?
    {
        return Ok(reply);
    }
    Err(TwirpError::BadRoute("there is no such service or method here"))
}

/// Whether another service of GitHub may have this path. Nothing that this service answers, or that some
/// program on the way could take for it, ever leaves.
fn is_foreign(uri: &Uri) -> bool {
    let path = DecodedPath::of(uri);
    let Some(Some(called)) = path.after_slashes(ROOT) else {
        return false;
    };
    let mut segments = called.split(|byte| matches!(byte, b'/' | b'\\'));
    !segments.any(|segment| {
        matches!(segment, b"" | b"." | b"..") || segment.eq_ignore_ascii_case(SERVICE.as_bytes())
    })
}

/// The message of a call.
struct CallMessage<T> {
    form: MessageForm,
    message: T,
    /// The same as it came, for another server.
    body: Bytes,
}

async fn read_message<T>(call: &mut Call) -> Result<CallMessage<T>, TwirpError>
where
    T: Message + Default + DeserializeOwned,
{
    if call.parts.method != Method::POST {
        return Err(TwirpError::BadRoute("the method must be POST"));
    }
    let form = MessageForm::of(&call.parts.headers).ok_or(TwirpError::BadRoute(
        "the Content-Type must be application/json or application/protobuf",
    ))?;
    let body = call.small_body(MAX_CALL_BYTES).await?;
    let message = read(form, &body).ok_or(TwirpError::Malformed)?;
    Ok(CallMessage { form, message, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_by_their_whole_names() {
        let of = |path: &str| route(&path.parse().expect("uri"));
        assert_eq!(of(&format!("/twirp/{SERVICE}/CreateCacheEntry")), CREATE);
        assert_eq!(
            of(&format!("//twirp/{SERVICE}/FinalizeCacheEntryUpload")),
            FINALIZE
        );
        assert_eq!(of(&format!("/twirp/{SERVICE}/GetCacheEntryDownloadURL?x")), FIND);
        for path in [
            "/twirp".to_owned(),
            format!("/twirp/{SERVICE}"),
            format!("/twirp/{SERVICE}/"),
            format!("/twirp/{SERVICE}/CreateCacheEntry/"),
            format!("/twirp/{SERVICE}/DeleteCacheEntry"),
            "/twirp/github.actions.results.api.v1.ArtifactService/CreateArtifact".to_owned(),
        ] {
            assert_eq!(of(&path), OTHER, "{path}");
        }
    }

    #[test]
    fn only_paths_of_other_services_leave() {
        let foreign = |path: &str| is_foreign(&path.parse().expect("uri"));
        for path in [
            "/twirp/github.actions.results.api.v1.ArtifactService/CreateArtifact",
            "//twirp/github.actions.results.api.v1.WorkflowStepUpdateService/WorkflowStepsUpdate?x",
            "/twirp/a/b/c",
        ] {
            assert!(foreign(path), "{path}");
        }
        for path in [
            "/twirp".to_owned(),
            "/twirp/".to_owned(),
            "/twirp/a/".to_owned(),
            "/twirp//a/b".to_owned(),
            "/twirp/../a/b".to_owned(),
            "/twirp/a/%2e%2e/b".to_owned(),
            "/twirp/a%5C..%5Cb".to_owned(),
            format!("/twirp/{SERVICE}"),
            format!("/twirp/{SERVICE}/DeleteCacheEntry"),
            format!("/twirp/{}/CreateCacheEntry", SERVICE.to_uppercase()),
            format!("/twirp/a/{SERVICE}/CreateCacheEntry"),
            format!("/twirp%2F{}/x", SERVICE.replace('.', "%2E")),
        ] {
            assert!(!foreign(&path), "{path}");
        }
    }
}
