//! The second generation of the Actions cache: Twirp, as JSON (`@actions/cache` from 4, BuildKit) and as
//! protobuf (sccache). Uploads and downloads go to [`super::blob`].
//!
//! The toolkit reads every answer as JSON and repeats a request for half a minute if it is none, so all
//! that lies below `/twirp/` is answered here.

mod calls;
mod error;
mod form;
mod wire;

use axum::body::Body;
use axum::extract::Request;
use http::request::Parts;
use http::{Method, Uri};
use prost::Message;
use serde::de::DeserializeOwned;

use super::Frontend;
use super::admit::{Admitted, admit};
use super::app::App;
use super::incoming;
use super::path::DecodedPath;
use super::reply::Reply;
use crate::telemetry::access::Report;
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
type Handled = Result<Reply, (Fault, Report)>;

/// The front-end.
pub(super) fn frontend() -> Frontend {
    Frontend {
        name: NAME,
        claims: |path| path.after_slashes(ROOT).is_some(),
        answer: |app, request| Box::pin(answer(app, request)),
        fault: error::fault,
    }
}

async fn answer(app: App, request: Request) -> Reply {
    let handled = match method(request.uri()) {
        Some(CREATE) => calls::create(&app, request).await,
        Some(FINALIZE) => calls::finalize(&app, request).await,
        Some(FIND) => calls::find(&app, request).await,
        _ => refuse(&app, request).await,
    };
    handled.unwrap_or_else(|(fault, report)| error::respond(fault, report))
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
        parts, body, report, ..
    } = admit(app, request, NAME, OTHER)
        .await
        .map_err(|(failure, report)| (failure.into(), report))?;
    app.discard(&parts, body);
    Err((Fault::BadRoute("there is no such service or method here"), report))
}

/// The form of a call and what it asks for.
async fn asked<T: Message + Default + DeserializeOwned>(
    app: &App,
    parts: &Parts,
    body: Body,
    report: &mut Report,
) -> Result<(Form, T), Fault> {
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
    report.received = body.len() as u64;
    Ok((form, read(form, &body).ok_or(Fault::Malformed)?))
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
}
