//! The first generation of the Actions cache: REST below `/_apis/artifactcache/`.
//!
//! `@actions/cache` up to 3, and every later one on a server that is not github.com (GitHub Enterprise
//! Server, Gitea, Forgejo, act), BuildKit and sccache when told so. Downloads go to [`super::blob`].

mod content_range;
mod error;
mod lookup;
mod messages;
mod upload;

use http::{Method, Uri};

use super::Frontend;
use super::call::{Call, Reply};
use super::path::DecodedPath;
use crate::cache::actions::UploadId;
use error::{DIALECT, RestError};

pub(crate) use content_range::ContentSpan;

const ROOT: &[&str] = &["_apis", "artifactcache"];

/// How logs and metrics name the paths.
const CACHE: &str = "/_apis/artifactcache/cache";
const CACHES: &str = "/_apis/artifactcache/caches";
const UPLOAD: &str = "/_apis/artifactcache/caches/{id}";
const OTHER: &str = "/_apis/artifactcache/*";

/// The front-end.
pub(super) fn frontend() -> Frontend {
    Frontend {
        name: "gha_v1",
        claims: |path| path.after_slashes(ROOT).is_some(),
        answer: |mut call| {
            Box::pin(async move {
                let outcome = handle(&mut call).await;
                call.finish(outcome, RestError::render)
            })
        },
        fault: || DIALECT.fault(),
    }
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Cache,
    Caches,
    /// `None`: a number that no upload can have.
    Upload(Option<UploadId>),
    Other,
}

impl Route {
    /// Slashes at the end, and doubled ones where a client joined its base URL, change nothing.
    fn of(uri: &Uri) -> Self {
        let path = DecodedPath::of(uri);
        let rest = path.after_slashes(ROOT).flatten().unwrap_or_default();
        let rest = std::str::from_utf8(rest).unwrap_or_default();
        let rest = rest.trim_matches('/');
        match rest.split_once('/') {
            None if rest == "cache" => Self::Cache,
            None if rest == "caches" => Self::Caches,
            Some(("caches", id)) if !id.contains('/') => Self::Upload(upload_id(id)),
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cache => CACHE,
            Self::Caches => CACHES,
            Self::Upload(_) => UPLOAD,
            Self::Other => OTHER,
        }
    }

    /// The value of `Allow`; `None` if there is nothing at this path.
    fn methods(self) -> Option<&'static str> {
        match self {
            Self::Cache => Some("GET"),
            Self::Caches => Some("GET, POST"),
            Self::Upload(_) => Some("PATCH, POST"),
            Self::Other => None,
        }
    }
}

/// Digits only: `str::parse` alone would accept a sign.
fn upload_id(text: &str) -> Option<UploadId> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    UploadId::new(text.parse().ok().filter(|_| digits)?)
}

async fn handle(call: &mut Call) -> Result<Reply, RestError> {
    let route = Route::of(&call.parts.uri);
    call.record.route = route.name();
    match (route, &call.parts.method) {
        (Route::Cache, &Method::GET) => lookup::find(call).await,
        (Route::Caches, &Method::GET) => lookup::list(call).await,
        (Route::Caches, &Method::POST) => upload::reserve(call).await,
        (Route::Upload(id), &Method::PATCH) => Box::pin(upload::put_chunk(call, id)).await,
        (Route::Upload(id), &Method::POST) => upload::commit(call, id).await,
        _ => {
            call.caller().await?;
            Err(route.methods().map_or(RestError::NoRoute, RestError::NoMethod))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Route) {
        let uri: Uri = path.parse().expect("uri");
        assert_eq!(Route::of(&uri), expected, "{path}");
    }

    #[test]
    fn slashes_where_urls_were_joined_change_nothing() {
        for path in [
            "/_apis/artifactcache/cache?keys=a",
            "//_apis/artifactcache/cache",
            "///_apis/artifactcache/cache/",
            "/%5fapis/artifactcache/cache//",
        ] {
            check(path, Route::Cache);
        }
        check("/_apis/artifactcache/caches", Route::Caches);
        check("//_apis/artifactcache/caches/", Route::Caches);
    }

    #[test]
    fn uploads_are_positive_numbers_of_javascript() {
        let upload = |number| Route::Upload(UploadId::new(number));
        check("/_apis/artifactcache/caches/1", upload(1));
        check(
            "/_apis/artifactcache/caches/9007199254740991/",
            upload((1 << 53) - 1),
        );
        for id in ["0", "-1", "+1", "x", "9007199254740992", "99999999999999999999"] {
            check(&format!("/_apis/artifactcache/caches/{id}"), Route::Upload(None));
        }
    }

    #[test]
    fn everything_else_is_nothing() {
        for path in [
            "/_apis/artifactcache",
            "/_apis/artifactcache/",
            "/_apis/artifactcache/cachex",
            "/_apis/artifactcache/caches/1/2",
            "/_apis/artifactcache/cache/1",
            "/_apis/artifactcache/Caches",
        ] {
            check(path, Route::Other);
        }
    }
}
