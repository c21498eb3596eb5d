//! The second generation of the Actions cache: Twirp, as JSON (`@actions/cache` from 4, BuildKit) and as
//! protobuf (sccache). Uploads and downloads go to [`super::blob`].
//!
//! The toolkit reads every answer as JSON and repeats a request for half a minute if it is none, so all
//! that lies below `/twirp/` is answered here. Calls of GitHub's other services are forwarded, where that is
//! configured.

mod calls;
mod error;
mod form;
mod wire;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Uri};
use prost::Message;
use serde::de::DeserializeOwned;

use super::Frontend;
use super::admit::{Admitted, admit};
use super::app::App;
use super::path::DecodedPath;
use super::reply::Reply;
use super::{elsewhere, incoming};
use crate::telemetry::access::RequestRecord;
use error::Fault;

pub(crate) use form::{Form, read};
pub(crate) use wire::{CreateRequest, FinalizeRequest, FindRequest};

const NAME: &str = "gha_v2";
const ROOT: &[&str] = &["twirp"];
const SERVICE: &str = "github.actions.results.api.v1.CacheService";

/// How logs and metrics name the paths.
const CREATE: &str = "/twirp/CacheService/CreateCacheEntry";
const FINALIZE: &str = "/twirp/CacheService/FinalizeCacheEntryUpload";
const FIND: &str = "/twirp/CacheService/GetCacheEntryDownloadURL";
const OTHER: &str = "/twirp/*";

/// Longest body of a call, in bytes.
const MOST_BYTES: usize = 64 * 1024;

/// An answer, or why there is none but an error.
type Handled = Result<Reply, (Fault, RequestRecord)>;

/// The front-end.
pub(super) fn frontend() -> Frontend {
    Frontend {
        name: NAME,
        claims: |path| path.after_slashes(ROOT).is_some(),
        answer: |call| super::call::unported::answer(call, answer),
        fault: || super::call::unported::split(error::fault(Default::default())).0,
    }
}

async fn answer(app: App, request: Request) -> Reply {
    let handled = match method(request.uri()) {
        Some(CREATE) => calls::create(&app, request).await,
        Some(FINALIZE) => calls::finalize(&app, request).await,
        Some(FIND) => calls::find(&app, request).await,
        _ => refuse(&app, request).await,
    };
    handled.unwrap_or_else(|(fault, record)| error::respond(fault, record))
}

/// The name of the route of a call that this service has.
fn method(uri: &Uri) -> Option<&'static str> {
    let path = DecodedPath::of(uri);
    let called = path.after_slashes(&[ROOT[0], SERVICE])??;
    match called {
        b"CreateCacheEntry" => Some(CREATE),
        b"FinalizeCacheEntryUpload" => Some(FINALIZE),
        b"GetCacheEntryDownloadURL" => Some(FIND),
        _ => None,
    }
}

/// Another service, or a call that this one does not have.
async fn refuse(app: &App, request: Request) -> Handled {
    let Admitted {
        parts, body, record, ..
    } = admit(app, request, NAME, OTHER)
        .await
        .map_err(|(failure, record)| (failure.into(), record))?;
    if let Some(url) = elsewhere::foreign(app, &parts).filter(|_| is_foreign(&parts.uri)) {
        let forwarded = elsewhere::forward(app, &url, parts, body, record).await;
        return forwarded.map_err(|(failure, record)| (failure.into(), record));
    }
    app.discard(&parts, body);
    Err((Fault::BadRoute("there is no such service or method here"), record))
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

/// A call as it was read.
struct Asked<T> {
    form: Form,
    message: T,
    /// The same as it came, for another server.
    body: Bytes,
}

/// The form of a call and what it asks for.
async fn asked<T: Message + Default + DeserializeOwned>(
    app: &App,
    parts: &Parts,
    body: Body,
    record: &mut RequestRecord,
) -> Result<Asked<T>, Fault> {
    let form = match (&parts.method, Form::of(&parts.headers)) {
        (&Method::POST, Some(form)) => form,
        (&Method::POST, None) => {
            app.discard(parts, body);
            return Err(Fault::BadRoute(
                "the Content-Type must be application/json or application/protobuf",
            ));
        }
        _ => {
            app.discard(parts, body);
            return Err(Fault::BadRoute("the method must be POST"));
        }
    };
    let body = incoming::small(app, parts, body, MOST_BYTES).await?;
    record.received = body.len() as u64;
    let message = read(form, &body).ok_or(Fault::Malformed)?;
    Ok(Asked { form, message, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_by_their_whole_names() {
        let of = |path: &str| method(&path.parse().expect("uri"));
        assert_eq!(of(&format!("/twirp/{SERVICE}/CreateCacheEntry")), Some(CREATE));
        assert_eq!(
            of(&format!("//twirp/{SERVICE}/FinalizeCacheEntryUpload")),
            Some(FINALIZE)
        );
        assert_eq!(
            of(&format!("/twirp/{SERVICE}/GetCacheEntryDownloadURL?x")),
            Some(FIND)
        );
        for path in [
            "/twirp".to_owned(),
            format!("/twirp/{SERVICE}"),
            format!("/twirp/{SERVICE}/"),
            format!("/twirp/{SERVICE}/CreateCacheEntry/"),
            format!("/twirp/{SERVICE}/DeleteCacheEntry"),
            "/twirp/github.actions.results.api.v1.ArtifactService/CreateArtifact".to_owned(),
        ] {
            assert_eq!(of(&path), None, "{path}");
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
