//! How dear what a job writes is to its tenant, by the claims of its token.

use serde_json::{Map, Value as Json};

use crate::store::Rank;

/// Events of GitHub, Forgejo and Gitea that only those cause who may write to the repository. All others may be caused by
/// anybody, also those that run on the default branch.
const OWN_EVENTS: &[&str] = &[
    "push",
    "create",
    "delete",
    "schedule",
    "workflow_dispatch",
    "repository_dispatch",
    "merge_group",
    "release",
    "deployment",
    "registry_package",
    "page_build",
];

/// Sources of GitLab's pipelines that are no merge request.
const OWN_SOURCES: &[&str] = &[
    "push",
    "schedule",
    "web",
    "webide",
    "api",
    "trigger",
    "pipeline",
    "parent_pipeline",
    "chat",
    "external",
];

/// What the refs of pull and merge requests begin with.
const REQUEST_REFS: &[&str] = &["refs/pull/", "refs/merge-requests/", "refs/pull-requests/"];

/// `reference` is the ref of the token's scope; without scopes the claims say which it is.
///
/// A token that says nothing of an event is no request's: most issuers do not tell.
pub(super) fn by_claims(claims: &Map<String, Json>, reference: Option<&str>) -> Rank {
    let text = |name: &str| {
        let text = claims.get(name).and_then(Json::as_str);
        text.filter(|text| !text.is_empty())
    };
    let reference = reference.or_else(|| text("ref_path")).or_else(|| text("ref"));
    let is_request_ref = |reference: &str| REQUEST_REFS.iter().any(|begin| reference.starts_with(begin));
    let event = text("event_name").map(|event| OWN_EVENTS.contains(&event));
    let source = text("pipeline_source").map(|source| OWN_SOURCES.contains(&source));
    // Cirrus CI names the number of the pull request.
    let is_request = reference.is_some_and(is_request_ref) || claims.get("pr").is_some_and(is_number);
    match is_request || event == Some(false) || source == Some(false) {
        true => Rank::Other,
        false if claims.get("ref_protected").is_some_and(is_true) => Rank::Protected,
        false => Rank::Pushed,
    }
}

fn is_number(claim: &Json) -> bool {
    claim.is_u64() || claim.as_str().is_some_and(|text| text.parse::<u64>().is_ok())
}

fn is_true(claim: &Json) -> bool {
    claim.as_bool() == Some(true) || claim.as_str() == Some("true")
}
