use super::*;
use serde_json::json;

const ISSUER: &str = "https://issuer.test";

fn object(json: Json) -> Map<String, Json> {
    json.as_object().unwrap().clone()
}

fn granted(
    rules: &TenancyRules,
    claims: Json,
    reference: Option<&str>,
) -> Result<GrantedTenancy, TenancyError> {
    let issuer: Arc<str> = ISSUER.into();
    let namespace = Namespace::new(Arc::clone(&issuer), "first").unwrap();
    rules.apply(&issuer, &object(claims), &namespace, reference)
}

fn by_default(claims: Json) -> GrantedTenancy {
    granted(&TenancyRules::default(), claims, None).unwrap()
}

fn compiled(text: &str) -> Option<Expression> {
    Some(Expression::compile(text).unwrap())
}

/// `value` and `group` as they stand behind the issuer.
#[track_caller]
fn check(claims: Json, value: &str, group: &str) {
    let found = by_default(claims.clone());
    let tenant = &found.tenancy.tenant;
    assert_eq!(tenant.name(), format!("{ISSUER}#{value}"), "{claims}");
    let expected = match group {
        "" => ISSUER.to_owned(),
        group => format!("{ISSUER}#{group}"),
    };
    assert_eq!(tenant.group(), expected, "{claims}");
    assert_eq!(found.source, TenantSource::Claims, "{claims}");
}

#[test]
fn the_tokens_of_known_issuers_name_their_project_and_its_owner() {
    check(
        json!({"repository": "acme/app", "repository_id": "42", "repository_owner": "acme", "repository_owner_id": "7"}),
        "42",
        "7",
    );
    check(
        json!({"project_id": "42", "project_path": "acme/app", "namespace_id": "7"}),
        "42",
        "7",
    );
    check(
        json!({"organization_id": "o", "pipeline_id": "p", "organization_slug": "acme"}),
        "o/p",
        "o",
    );
    check(
        json!({"oidc.circleci.com/project-id": "p", "oidc.circleci.com/vcs-ref": "refs/heads/main"}),
        "p",
        "",
    );
    check(
        json!({"repositoryUuid": "{a-b}", "workspaceUuid": "{w}"}),
        "%7Ba-b%7D",
        "%7Bw%7D",
    );
    let kubernetes =
        json!({"kubernetes.io": {"namespace": "ci", "serviceaccount": {"name": "runner", "uid": "u"}}});
    check(kubernetes, "ci/runner", "ci");
    check(
        json!({"owner": "acme", "repository": "acme/app", "platform": "github"}),
        "acme/app",
        "acme",
    );
    check(json!({"project_path": "acme/app"}), "acme/app", "");
}

#[test]
fn an_id_is_the_same_as_text_and_as_a_number() {
    let of = |id: Json| by_default(json!({"repository_id": id, "repository_owner_id": id})).tenancy;
    assert_eq!(of(json!(42)), of(json!("42")));
    assert_ne!(of(json!(42)), of(json!(43)));
    // What is no id is passed over, as if it were not there.
    for odd in [json!(""), json!(4.5), json!(true), json!(null), json!(["42"])] {
        let found = by_default(json!({"repository_id": odd, "repository": "acme/app"}));
        assert_eq!(found.tenancy.tenant.name(), format!("{ISSUER}#acme/app"), "{odd}");
    }
}

/// Half of a pair would make all pipelines of an organisation, or of all organisations, one tenant.
#[test]
fn half_of_a_pair_names_nobody() {
    for claims in [
        json!({"organization_id": "o"}),
        json!({"pipeline_id": "p"}),
        json!({"kubernetes.io": {"namespace": "ci"}}),
        json!({"kubernetes.io": "ci"}),
    ] {
        assert_eq!(
            by_default(claims.clone()).source,
            TenantSource::Namespace,
            "{claims}"
        );
    }
    let of = |org: &str, pipeline: &str| {
        by_default(json!({"organization_id": org, "pipeline_id": pipeline})).tenancy
    };
    assert_ne!(of("a/b", "c").tenant.name(), of("a", "b/c").tenant.name());
}

#[test]
fn without_a_project_the_first_namespace_is_the_tenant_and_the_issuer_the_group() {
    let found = by_default(json!({"sub": "someone"}));
    assert_eq!(found.source, TenantSource::Namespace);
    assert_eq!(found.tenancy.tenant.name(), format!("{ISSUER}#first"));
    assert_eq!(found.tenancy.tenant.group(), ISSUER);
}

#[test]
fn a_value_that_is_too_long_is_told_from_others_and_refused_to_nobody() {
    let of = |repository: String| {
        by_default(json!({"repository": repository, "owner": repository}))
            .tenancy
            .tenant
    };
    let (long, other) = (of("x".repeat(300)), of("x".repeat(301)));
    assert_ne!(long, other);
    assert_eq!(long, of("x".repeat(300)));
    let value = long.name().strip_prefix(&format!("{ISSUER}#")).unwrap();
    assert!(value.len() == 32 && value.bytes().all(|digit| digit.is_ascii_hexdigit()));
    assert_eq!(of("x".repeat(256)).name().len(), ISSUER.len() + 257);
}

#[test]
fn expressions_go_before_claims_and_take_numbers() {
    let rules = TenancyRules {
        tenant: compiled("claims.team"),
        group: compiled("\"all\""),
        ..TenancyRules::default()
    };
    let claims = |team: Json| json!({"team": team, "repository_id": "42", "repository_owner_id": "7"});
    for team in [json!(5), json!("5")] {
        let found = granted(&rules, claims(team), None).unwrap();
        assert_eq!(found.source, TenantSource::Expression);
        assert_eq!(found.tenancy.tenant.name(), format!("{ISSUER}#5"));
        assert_eq!(found.tenancy.tenant.group(), format!("{ISSUER}#all"));
    }
    assert!(matches!(
        granted(&rules, claims(json!(true)), None),
        Err(TenancyError::Tenant(_))
    ));
    assert!(matches!(
        granted(&rules, claims(json!("")), None),
        Err(TenancyError::Tenant(_))
    ));
    let long = granted(&rules, claims(json!("y".repeat(4000))), None).unwrap();
    assert_eq!(long.tenancy.tenant.name().len(), ISSUER.len() + 33);
    let rules = TenancyRules {
        group: compiled("claims.none"),
        ..TenancyRules::default()
    };
    let missing = granted(&rules, claims(json!("5")), None).unwrap_err();
    assert!(
        matches!(&missing, TenancyError::Group(error) if error.is_missing()),
        "{missing:?}"
    );
}

#[track_caller]
fn check_rank(claims: Json, expected: Rank) {
    assert_eq!(by_default(claims.clone()).tenancy.rank, expected, "{claims}");
}

#[test]
fn pushes_come_before_what_strangers_can_cause() {
    for event in ["push", "schedule", "workflow_dispatch", "release", "merge_group"] {
        check_rank(json!({"event_name": event, "ref": "refs/heads/x"}), Rank::Pushed);
    }
    for event in [
        "pull_request",
        "pull_request_target",
        "issue_comment",
        "workflow_run",
        "new_in_2030",
    ] {
        check_rank(
            json!({"event_name": event, "ref": "refs/heads/main"}),
            Rank::Other,
        );
    }
    for source in ["push", "schedule", "web", "api", "trigger"] {
        check_rank(
            json!({"pipeline_source": source, "ref_path": "refs/heads/x"}),
            Rank::Pushed,
        );
    }
    check_rank(
        json!({"pipeline_source": "merge_request_event", "ref": "x"}),
        Rank::Other,
    );
    // A child of a pipeline of a merge request.
    let child =
        json!({"pipeline_source": "parent_pipeline", "ref": "x", "ref_path": "refs/merge-requests/1/head"});
    check_rank(child, Rank::Other);
    check_rank(json!({"ref": "refs/pull/1/merge"}), Rank::Other);
    check_rank(
        json!({"owner": "acme", "branch": "main", "pr": "12"}),
        Rank::Other,
    );
    check_rank(json!({"build_branch": "main"}), Rank::Pushed);
    check_rank(json!({"event_name": "", "ref": "refs/heads/x"}), Rank::Pushed);
}

#[test]
fn a_protected_ref_raises_a_push_and_never_lowers_or_raises_anything_else() {
    for protected in [json!("true"), json!(true)] {
        check_rank(
            json!({"event_name": "push", "ref_protected": protected}),
            Rank::Protected,
        );
        check_rank(json!({"ref_protected": protected}), Rank::Protected);
        // On the default branch, which is protected, with what a stranger has sent.
        check_rank(
            json!({"event_name": "pull_request_target", "ref_protected": protected}),
            Rank::Other,
        );
    }
    for not in [json!("false"), json!(false), json!("True"), json!(1), json!(null)] {
        check_rank(json!({"event_name": "push", "ref_protected": not}), Rank::Pushed);
        check_rank(
            json!({"event_name": "pull_request", "ref_protected": not}),
            Rank::Other,
        );
    }
}

#[test]
fn the_ref_of_a_scope_says_what_a_runtime_token_is_of() {
    let rank = |reference| {
        granted(&TenancyRules::default(), json!({}), Some(reference))
            .unwrap()
            .tenancy
            .rank
    };
    assert_eq!(rank("refs/heads/main"), Rank::Pushed);
    assert_eq!(rank("refs/tags/v1"), Rank::Pushed);
    assert_eq!(rank("refs/pull/7/merge"), Rank::Other);
}

#[test]
fn protect_if_decides_alone_what_is_protected_and_its_failure_harms_nobody() {
    let rules = TenancyRules {
        protect_if: compiled("claims.ref == \"refs/heads/main\""),
        ..TenancyRules::default()
    };
    let rank = |claims| {
        let found = granted(&rules, claims, None).unwrap();
        (found.tenancy.rank, found.protect_error.is_some())
    };
    assert_eq!(rank(json!({"ref": "refs/heads/main"})), (Rank::Protected, false));
    let elsewhere = json!({"ref": "refs/heads/x", "ref_protected": "true"});
    assert_eq!(rank(elsewhere), (Rank::Pushed, false));
    assert_eq!(
        rank(json!({"event_name": "push", "ref_protected": "true"})),
        (Rank::Pushed, true)
    );
    assert_eq!(rank(json!({"event_name": "pull_request"})), (Rank::Other, true));
    assert_eq!(rank(json!({"ref": 7})), (Rank::Pushed, true));
}
