//! Rights for the tokens of the documented issuers, and for odd ones.

use serde_json::json;

use super::*;
use crate::error::{Class, Classify as _};

fn github() -> Map<String, Json> {
    object(json!({
        "repository": "acme/app", "repository_id": "4242", "repository_owner_id": "77",
        "ref": "refs/heads/main", "head_ref": "", "base_ref": "", "event_name": "push",
        "number": 7, "list": ["a"], "null": null, "long": "x".repeat(1025),
    }))
}

fn object(json: Json) -> Map<String, Json> {
    json.as_object().unwrap().clone()
}

fn provider(
    namespaces: Vec<String>,
    scopes: Option<TokenScopes>,
    allow_if: Option<&str>,
    write_if: Option<&str>,
) -> ProviderConfig {
    ProviderConfig {
        scopes,
        allow_if: allow_if.map(str::to_owned),
        write_if: write_if.map(str::to_owned),
        ..ProviderConfig::new("https://issuer.test", namespaces)
    }
}

fn rules(namespaces: &[&str], allow_if: Option<&str>, write_if: Option<&str>) -> Rules {
    let texts: Vec<String> = namespaces.iter().map(ToString::to_string).collect();
    Rules::compile(&provider(texts, None, allow_if, write_if)).unwrap()
}

fn apply(rules: &Rules, claims: &Map<String, Json>) -> Result<Granted, RightsError> {
    rules.apply(&Arc::from("https://issuer.test"), claims)
}

#[track_caller]
fn check(namespaces: &[&str], expected: &[&str]) {
    let granted = apply(&rules(namespaces, None, None), &github()).unwrap();
    let paths: Vec<&str> = granted.scope.readable().map(|n| &**n.path()).collect();
    assert_eq!(paths, expected);
    assert!(granted.may_write);
}

#[track_caller]
fn check_refused(namespaces: &[&str], index: usize, public: &str) {
    let refused = apply(&rules(namespaces, None, None), &github()).unwrap_err();
    assert_eq!(refused.class(), Class::Forbidden);
    assert_eq!(
        refused.public(),
        format!("the token gives no namespace: {public}")
    );
    assert!(
        matches!(refused, RightsError::NoNamespace { index: found, .. } if found == index),
        "{refused}"
    );
}

#[test]
fn documented_forms_of_the_first_chacha() {
    check(
        &[
            r#""github/" + claims.repository + "/" + claims.ref"#,
            r#""github/" + claims.repository"#,
        ],
        &["github/acme/app/refs/heads/main", "github/acme/app"],
    );
}

#[test]
fn namespaces_keep_their_order_and_the_first_of_equal_ones() {
    check(
        &[
            "claims.ref",
            "claims.repository",
            "\"refs/heads/main\"",
            "claims.event_name",
        ],
        &["refs/heads/main", "acme/app", "push"],
    );
}

#[test]
fn a_missing_claim_refuses_in_the_first_expression() {
    check_refused(&["claims.ref_name"], 0, "the claim `ref_name` is missing");
    check_refused(&["claims.null"], 0, "the claim `null` is null");
    check_refused(&["nonempty(claims.base_ref)"], 0, "the claim `base_ref` is empty");
    let list = "the claim `list` is a list, which expressions cannot use";
    check_refused(&["claims.list"], 0, list);
}

#[test]
fn a_missing_claim_skips_a_later_expression() {
    let rules = rules(
        &[
            "claims.ref",
            "claims.none",
            "nonempty(claims.base_ref)",
            "claims.repository",
        ],
        None,
        None,
    );
    let granted = apply(&rules, &github()).unwrap();
    assert_eq!(granted.scope.readable().len(), 2);
    let skipped: Vec<(usize, String)> = granted.skipped.iter().map(|(i, e)| (*i, e.to_string())).collect();
    let expected = [
        (1, "the claim `none` is missing".to_owned()),
        (2, "the claim `base_ref` is empty".to_owned()),
    ];
    assert_eq!(skipped, expected);
}

#[test]
fn any_other_failure_refuses_everywhere() {
    check_refused(&["claims.base_ref"], 0, "the result is empty");
    check_refused(&["claims.ref", "claims.base_ref"], 1, "the result is empty");
    check_refused(&["claims.number"], 0, "the result is a number, not text");
    check_refused(
        &["claims.ref", "claims.number"],
        1,
        "the result is a number, not text",
    );
    check_refused(&["claims.long"], 0, "the result is longer than 1024 bytes");
    check_refused(
        &["claims.ref", "claims.long"],
        1,
        "the result is longer than 1024 bytes",
    );
    check_refused(&[r#""a" + claims.number"#], 0, "+ needs text, but got a number");
}

#[track_caller]
fn check_allowed(allow_if: &str, expected: Result<(), &str>) {
    let outcome = apply(&rules(&["claims.ref"], Some(allow_if), None), &github());
    let public = outcome
        .map(|_| ())
        .map_err(|refused| refused.public().into_owned());
    assert_eq!(public, expected.map_err(str::to_owned), "{allow_if}");
}

#[test]
fn allow_if_fails_closed() {
    check_allowed(r#"claims.repository_owner_id == "77""#, Ok(()));
    check_allowed(
        r#"claims.repository_owner_id == "78""#,
        Err("the token is not allowed here"),
    );
    let missing = "the token is not allowed here: the claim `none` is missing";
    check_allowed(r#"claims.none != "x""#, Err(missing));
    check_allowed("claims.ref", Err("the token is not allowed here"));
    check_allowed(
        "claims.number == claims.ref",
        Err("the token is not allowed here"),
    );
}

#[track_caller]
fn check_write(write_if: &str, expected: bool) {
    let granted = apply(&rules(&["claims.ref"], None, Some(write_if)), &github()).unwrap();
    assert_eq!(granted.may_write, expected, "{write_if}");
}

#[test]
fn write_if_fails_closed() {
    check_write(r#"claims.event_name != "pull_request_target""#, true);
    check_write(r#"claims.event_name == "pull_request_target""#, false);
    check_write(r#"claims.none != "x""#, false);
    check_write("claims.ref", false);
    check_write(r#"claims.number != "x""#, false);
}

#[test]
fn no_error_shows_a_value() {
    let secret = "s3cr3t-value";
    let claims = object(json!({ "a": secret, "b": "", "n": 1 }));
    for text in [
        "claims.a.b",
        "claims.a == claims.n",
        "split(claims.a, \"x\", 4)",
        "if(claims.a, \"\", \"\")",
        "replace(claims.a, claims.b, \"y\")",
        "startsWith(claims.a, claims.n)",
        "claims.a + claims.n",
        "claims.a && true",
        "join(claims.a, claims.b)",
        "split(claims.a, \"x\", claims.a)",
    ] {
        let expression = Expression::compile(text).unwrap();
        let text_error = expression.text(&claims).unwrap_err();
        let condition_error = expression.condition(&claims).unwrap_err();
        let shown = format!("{text_error} {text_error:?} {condition_error} {condition_error:?}");
        assert!(!shown.contains(secret), "{text}: {shown}");
    }
}

#[test]
fn two_issuers_with_equal_texts_are_two_namespaces() {
    let rules = rules(&["claims.ref"], None, None);
    let of = |issuer: &str| rules.apply(&Arc::from(issuer), &github()).unwrap().scope;
    assert_ne!(of("https://gitlab.com"), of("https://gitlab.acme.test"));
}

#[test]
fn wild_values_stay_apart() {
    let values = [
        "refs/heads/main",
        "refs/heads/Main",
        "refs/heads/main\0",
        "refs/heads/main\n",
        "refs%2Fheads%2Fmain",
        "..",
        "../..",
        ".",
        "%",
        "%25",
        "/",
        "//",
        "r\u{e9}f",
        "re\u{301}f",
        "\u{1f980}",
        "\u{202e}",
        "größe",
    ];
    let rules = rules(
        &[
            r#"join("repo", claims.ref)"#,
            r#"lower(trimPrefix(claims.ref, "r"))"#,
        ],
        None,
        None,
    );
    let mut seen = std::collections::HashSet::new();
    for value in values {
        let granted = apply(&rules, &object(json!({ "ref": value }))).unwrap();
        assert!(
            seen.insert(granted.scope.writable().path().to_string()),
            "{value:?}"
        );
    }
    let long = apply(&rules, &object(json!({ "ref": "ü".repeat(5 * 1024) }))).unwrap_err();
    assert_eq!(
        long.public(),
        "the token gives no namespace: the result is longer than 1024 bytes"
    );
}

proptest::proptest! {
    #[test]
    fn different_claims_give_different_namespaces(a in ("[%/25Fab]{1,3}", "[%/25Fab]{1,3}"), b in ("[%/25Fab]{1,3}", "[%/25Fab]{1,3}")) {
        let rules = rules(&["join(\"repo\", claims.id, claims.ref)"], None, None);
        let scope = |(id, name): &(String, String)| apply(&rules, &object(json!({ "id": id, "ref": name }))).unwrap().scope;
        proptest::prop_assert_eq!(a == b, scope(&a) == scope(&b));
    }
}

#[test]
fn all_compile_errors_are_reported() {
    let namespaces = [
        "claims.a ?? 'x'".to_owned(),
        "claims.ref".to_owned(),
        "true".to_owned(),
    ];
    let mut config = provider(namespaces.to_vec(), None, Some("\"x\""), Some("not claims.a"));
    (config.tenant, config.group) = (Some("true".into()), Some("claims.a ??".into()));
    config.protect_if = Some("7".into());
    let error = Rules::compile(&config).unwrap_err();
    let places: Vec<RulePlace> = error.problems().iter().map(|(place, _)| *place).collect();
    let expected = [
        RulePlace::Namespace(0),
        RulePlace::Namespace(2),
        RulePlace::AllowIf,
        RulePlace::WriteIf,
        RulePlace::Tenant,
        RulePlace::Group,
        RulePlace::ProtectIf,
    ];
    assert_eq!(places, expected);
    let text = error.to_string();
    assert!(
        text.contains("cache_key_exprs[2]: column 1: the result has to be text, but is always a boolean")
    );
    assert!(
        text.contains("write_if: column 1: `not` is not known: write !claims.a"),
        "{text}"
    );
}

#[test]
fn an_expression_for_a_tenant_without_a_value_refuses_with_the_name_of_the_claim_alone() {
    let refused = |change: fn(&mut ProviderConfig)| {
        let mut config = provider(vec!["claims.repository".into()], None, None, None);
        change(&mut config);
        let refused = apply(&Rules::compile(&config).unwrap(), &github()).unwrap_err();
        assert_eq!(refused.class(), Class::Forbidden);
        refused.public().into_owned()
    };
    let text = refused(|config| config.tenant = Some("claims.team".into()));
    assert_eq!(text, "the token gives no tenant: the claim `team` is missing");
    let text = refused(|config| config.group = Some("nonempty(claims.base_ref)".into()));
    assert_eq!(text, "the token gives no group: the claim `base_ref` is empty");
    let text = refused(|config| config.tenant = Some("claims.base_ref".into()));
    assert_eq!(text, "the token gives no tenant: the result is empty");
}

#[test]
fn at_least_one_namespace() {
    let error = Rules::compile(&provider(Vec::new(), None, None, None)).unwrap_err();
    assert_eq!(error.to_string(), "cache_key_exprs needs at least one expression");
}

fn with_ac(namespaces: &[&str], write_if: Option<&str>) -> Rules {
    let texts: Vec<String> = namespaces.iter().map(ToString::to_string).collect();
    Rules::compile(&provider(texts, Some(TokenScopes::Ac), None, write_if)).unwrap()
}

fn runtime(ac: &str) -> Map<String, Json> {
    let mut claims = github();
    claims.insert("ac".into(), ac.into());
    claims
}

#[test]
fn a_token_with_scopes_does_not_use_expressions() {
    let rules = with_ac(&["claims.none"], None);
    let granted = apply(
        &rules,
        &runtime(r#"[{"Scope":"refs/heads/main","Permission":3}]"#),
    )
    .unwrap();
    assert_eq!(granted.source, NamespaceSource::Ac);
    assert_eq!(granted.tenancy.tenancy.tenant.name(), "https://issuer.test#4242");
    assert!(granted.may_write);
    assert_eq!(&**granted.scope.writable().path(), "4242/refs%2Fheads%2Fmain");
    let granted = apply(&with_ac(&["claims.ref"], None), &github()).unwrap();
    assert_eq!(granted.source, NamespaceSource::Expressions);
    assert_eq!(&**granted.scope.writable().path(), "refs/heads/main");
}

#[test]
fn nothing_falls_back_from_bad_scopes_to_expressions() {
    let rules = with_ac(&["claims.ref"], None);
    for ac in ["", "[]", "null", r#"[{"Scope":"","Permission":3}]"#] {
        let refused = apply(&rules, &runtime(ac)).unwrap_err();
        assert!(matches!(refused, RightsError::NoScopes(_)), "{ac}: {refused}");
        assert_eq!(refused.class(), Class::Forbidden);
    }
    let mut claims = github();
    claims.insert("ac".into(), Json::Null);
    assert_eq!(
        apply(&rules, &claims),
        Err(RightsError::NoScopes(AcError::Malformed))
    );
}

#[test]
fn without_scopes_the_claim_is_like_any_other() {
    let granted = apply(&rules(&["claims.ac"], None, None), &runtime("[]")).unwrap();
    assert_eq!(&**granted.scope.writable().path(), "[]");
}

#[test]
fn without_expressions_a_token_needs_scopes() {
    let refused = apply(&with_ac(&[], None), &github()).unwrap_err();
    assert_eq!(
        refused.public(),
        "the token gives no namespace: the claim `ac` is missing"
    );
}

#[test]
fn write_if_takes_away_and_never_gives() {
    let check = |write_if, permission: u64, expected| {
        let ac = format!(r#"[{{"Scope":"a","Permission":{permission}}}]"#);
        let granted = apply(&with_ac(&[], Some(write_if)), &runtime(&ac)).unwrap();
        assert_eq!(granted.may_write, expected, "{write_if} {permission}");
    };
    check("true", 3, true);
    check("false", 3, false);
    check("claims.none", 3, false);
    check("true", 1, false);
    check("false", 1, false);
}

#[test]
fn warnings_name_their_place() {
    let rules = rules(
        &["claims.a + \"/\" + claims.b", "\"shared\""],
        None,
        Some("matches(claims.ref, \"main\")"),
    );
    let places: Vec<RulePlace> = rules.warnings().into_iter().map(|(place, _)| place).collect();
    assert_eq!(
        places,
        [
            RulePlace::Namespace(0),
            RulePlace::Namespace(1),
            RulePlace::WriteIf
        ]
    );
}
