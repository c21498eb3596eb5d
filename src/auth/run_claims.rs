//! Which run of which job a token belongs to, by the claims of all known issuers.

use serde_json::{Map, Value};

use super::tenancy::claim_text;

type Claims = Map<String, Value>;

/// The claims that are read here, and those that say for what the job runs.
pub(super) const NAMES: &[&str] = &[
    "run_id",
    "run_attempt",
    "check_run_id",
    "build_id",
    "pipeline_id",
    "job_id",
    "oidc.circleci.com/workflow-id",
    "oidc.circleci.com/job-id",
    "pipelineUuid",
    "stepUuid",
    "kubernetes.io",
    "ref",
    "ref_path",
    "event_name",
    "pipeline_source",
    "sha",
];

/// The run: what all jobs of one start of a pipeline share. The pipeline of Buildkite is no run, but has builds.
pub(super) fn run(claims: &Claims) -> Option<String> {
    let names = [
        "run_id",
        "build_id",
        "pipeline_id",
        "oidc.circleci.com/workflow-id",
        "pipelineUuid",
    ];
    first(claims, &names)
}

/// The job in its run.
pub(super) fn job(claims: &Claims) -> Option<String> {
    let names = ["check_run_id", "job_id", "oidc.circleci.com/job-id", "stepUuid"];
    first(claims, &names).or_else(|| claim_text(claims.get("kubernetes.io")?.get("pod")?.get("uid")?))
}

fn first(claims: &Claims, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| claim_text(claims.get(*name)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn runs_and_jobs_of_known_issuers_are_found() {
        let check = |claims: Value, expected: (Option<&str>, Option<&str>)| {
            let claims = claims.as_object().unwrap();
            let found = (run(claims), job(claims));
            assert_eq!((found.0.as_deref(), found.1.as_deref()), expected, "{claims:?}");
        };
        check(
            json!({"run_id": "7", "run_attempt": "2", "check_run_id": "9"}),
            (Some("7"), Some("9")),
        );
        check(json!({"pipeline_id": 7, "job_id": 9}), (Some("7"), Some("9")));
        check(
            json!({"pipeline_id": "p", "build_id": "b", "job_id": "j"}),
            (Some("b"), Some("j")),
        );
        check(json!({"kubernetes.io": {"pod": {"uid": "u"}}}), (None, Some("u")));
        check(json!({"run_id": ""}), (None, None));
    }
}
