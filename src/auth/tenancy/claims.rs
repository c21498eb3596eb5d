//! The claims that name a tenant or a group, of all known issuers. Ids before names, which others can take over.

use serde_json::{Map, Value as Json};

use super::super::expr::push_part;

type Claims = Map<String, Json>;

/// Of the claim that Kubernetes puts into the token of a service account.
const KUBERNETES: &str = "kubernetes.io";

/// All that are looked at here and in `rank`.
pub(in crate::auth) const NAMES: &[&str] = &[
    "repository_id",
    "project_id",
    "organization_id",
    "pipeline_id",
    "oidc.circleci.com/project-id",
    "repositoryUuid",
    KUBERNETES,
    "repository",
    "project_path",
    "repository_owner_id",
    "namespace_id",
    "workspaceUuid",
    "owner",
    "ref_path",
    "ref",
    "event_name",
    "pipeline_source",
    "pr",
    "ref_protected",
];

/// What a token is the job of.
pub(super) fn tenant(claims: &Claims) -> Option<String> {
    let one = |name: &str| claim_text(claims.get(name)?);
    one("repository_id")
        .or_else(|| one("project_id"))
        .or_else(|| pair(one("organization_id")?, one("pipeline_id")?))
        .or_else(|| one("oidc.circleci.com/project-id"))
        .or_else(|| one("repositoryUuid"))
        .or_else(|| service_account(claims))
        .or_else(|| one("repository"))
        .or_else(|| one("project_path"))
}

/// Who owns that.
pub(super) fn group(claims: &Claims) -> Option<String> {
    let one = |name: &str| claim_text(claims.get(name)?);
    one("repository_owner_id")
        .or_else(|| one("namespace_id"))
        .or_else(|| one("organization_id"))
        .or_else(|| one("workspaceUuid"))
        .or_else(|| claim_text(claims.get(KUBERNETES)?.get("namespace")?))
        .or_else(|| one("owner"))
}

/// A service account has a name in its namespace only.
fn service_account(claims: &Claims) -> Option<String> {
    let kubernetes = claims.get(KUBERNETES)?;
    let namespace = claim_text(kubernetes.get("namespace")?)?;
    pair(
        namespace,
        claim_text(kubernetes.get("serviceaccount")?.get("name")?)?,
    )
}

/// Both parts, told apart whatever they hold.
fn pair(first: String, second: String) -> Option<String> {
    let mut both = String::with_capacity(first.len() + second.len() + 1);
    push_part(&mut both, &first);
    push_part(&mut both, &second);
    Some(both)
}

/// Ids come as text and as numbers, of one issuer as well: both are the same.
pub(in crate::auth) fn claim_text(claim: &Json) -> Option<String> {
    match claim {
        Json::String(text) if !text.is_empty() => Some(text.clone()),
        Json::Number(number) if number.is_u64() || number.is_i64() => Some(number.to_string()),
        _ => None,
    }
}
