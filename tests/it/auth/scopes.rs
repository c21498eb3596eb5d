//! `scopes: ac`: GitHub's runtime token under the provider that verifies its ID tokens.

use chacha::auth::{Credentials, Error, Identity};
use chacha::config::{ProviderConfig, TokenScopes};
use chacha::error::{Class, Classify as _};
use serde_json::{Value, json};

use super::World;
use crate::support::token::Draft;

/// Both kinds of tokens share a namespace.
const SAME: &str = "join(claims.repository_id, claims.ref)";

fn both_kinds(config: &mut ProviderConfig) {
    config.scopes = Some(TokenScopes::Ac);
    config.cache_key_exprs = vec![SAME.into()];
}

/// A runtime token: no `repository`, no `ref`.
fn runtime(scopes: &[(&str, u64)]) -> impl FnOnce(&mut Draft) {
    let entries = scopes.iter();
    let entries: Value = entries
        .map(|(scope, permission)| json!({"Scope": scope, "Permission": permission}))
        .collect();
    with_ac(json!(entries.to_string()))
}

fn with_ac(ac: Value) -> impl FnOnce(&mut Draft) {
    move |draft| draft.claims(json!({"ac": ac, "repository_id": "42", "repository": null, "ref": null}))
}

fn readable(identity: &Identity) -> Vec<&str> {
    let readable = identity.scope.readable();
    readable.map(|namespace| &**namespace.path()).collect()
}

fn writable(identity: &Identity) -> Option<&str> {
    let writable = identity.scope.writable();
    identity.may_write.then(|| &**writable.path())
}

async fn forbidden(world: &World, change: impl FnOnce(&mut Draft), text: &str) {
    let error = world.send(change).await.unwrap_err();
    assert_eq!(error.class(), Class::Forbidden, "{error}");
    assert!(matches!(error, Error::Forbidden { .. }) && !error.is_invalid_token());
    assert_eq!(error.public(), format!("the token gives no namespace: {text}"));
}

const MAIN: &str = "42/refs%2Fheads%2Fmain";
const PULL: &str = "42/refs%2Fpull%2F7%2Fmerge";

#[tokio::test]
async fn a_pull_request_writes_its_own_scope_and_reads_the_base() {
    let world = World::with(both_kinds).await;
    for scopes in [
        [("refs/pull/7/merge", 3), ("refs/heads/main", 1)],
        [("refs/heads/main", 1), ("refs/pull/7/merge", 3)],
    ] {
        let caller = world.accepts(runtime(&scopes)).await;
        assert_eq!(writable(&caller), Some(PULL));
        assert_eq!(readable(&caller), [PULL, MAIN]);
    }
}

#[tokio::test]
async fn a_token_without_a_writable_scope_is_read_only() {
    let world = World::with(both_kinds).await;
    let scopes = [("refs/pull/7/merge", 1), ("refs/heads/main", 1)];
    let caller = world.accepts(runtime(&scopes)).await;
    assert_eq!(writable(&caller), None);
    assert_eq!(readable(&caller), [PULL, MAIN]);
}

#[tokio::test]
async fn a_scope_that_may_only_be_written_is_not_read() {
    let world = World::with(both_kinds).await;
    let caller = world
        .accepts(runtime(&[("refs/pull/7/merge", 2), ("refs/heads/main", 1)]))
        .await;
    assert_eq!((writable(&caller), readable(&caller)), (Some(PULL), vec![MAIN]));
    let caller = world.accepts(runtime(&[("refs/pull/7/merge", 2)])).await;
    assert_eq!((writable(&caller), readable(&caller)), (Some(PULL), vec![]));
}

#[tokio::test]
async fn the_first_of_several_writable_scopes_is_written() {
    let world = World::with(both_kinds).await;
    let scopes = [
        ("refs/heads/dev", 1),
        ("refs/heads/main", 3),
        ("refs/pull/7/merge", 7),
    ];
    let caller = world.accepts(runtime(&scopes)).await;
    assert_eq!(writable(&caller), Some(MAIN));
    assert_eq!(readable(&caller), [MAIN, PULL, "42/refs%2Fheads%2Fdev"]);
}

#[tokio::test]
async fn id_tokens_of_the_same_provider_use_the_expressions() {
    let world = World::with(both_kinds).await;
    let by_expression = world.accepts(|t| t.claim("repository_id", "42")).await;
    let by_scope = world.accepts(runtime(&[("refs/heads/main", 3)])).await;
    assert_eq!(by_expression.scope, by_scope.scope);
    let number = world
        .accepts(|t| {
            runtime(&[("refs/heads/main", 3)])(t);
            t.claim("repository_id", 42);
        })
        .await;
    assert_eq!(number.scope, by_scope.scope);
}

#[tokio::test]
async fn without_expressions_only_tokens_with_scopes_are_let_in() {
    let world = World::with(|config| {
        both_kinds(config);
        config.cache_key_exprs.clear();
    })
    .await;
    assert!(world.send(runtime(&[("refs/heads/main", 3)])).await.is_ok());
    forbidden(&world, |_| {}, "the claim `ac` is missing").await;
}

#[tokio::test]
async fn malformed_scopes_are_refused_and_never_replaced_by_expressions() {
    let world = World::with(|config| {
        both_kinds(config);
        config.cache_key_exprs = vec!["claims.sub".into()];
    })
    .await;
    let secret = "s3cr3t";
    for ac in [
        json!(secret),
        json!([secret]),
        json!({"Scope": secret, "Permission": 3}),
        json!(7),
        json!(format!(r#"[{{"Scope":"{secret}","Permission":"3"}}]"#)),
        json!(format!(r#"[{{"Scope":["{secret}"],"Permission":3}}]"#)),
    ] {
        forbidden(
            &world,
            with_ac(ac),
            "the claim `ac` is not a list of scopes with permissions",
        )
        .await;
    }
    forbidden(&world, with_ac(json!("[]")), "the claim `ac` names no scope").await;
    forbidden(&world, runtime(&[("", 3)]), "the claim `ac` names an empty scope").await;
    forbidden(
        &world,
        runtime(&vec![("x", 1); 65]),
        "the claim `ac` names more than 64 scopes",
    )
    .await;
    let long = "x".repeat(1025);
    forbidden(
        &world,
        runtime(&[(&long, 1)]),
        "the claim `ac` names a scope that is too long",
    )
    .await;
}

#[tokio::test]
async fn scopes_without_a_repository_belong_to_nobody() {
    let world = World::with(both_kinds).await;
    let without = |id: Value| {
        move |t: &mut Draft| {
            runtime(&[("refs/heads/main", 3)])(t);
            t.claim("repository_id", id);
        }
    };
    forbidden(
        &world,
        without(json!(null)),
        "the claim `repository_id` is missing",
    )
    .await;
    forbidden(
        &world,
        without(json!("")),
        "the claim `repository_id` is not an id",
    )
    .await;
}

#[tokio::test]
async fn conditions_count_for_both_kinds() {
    let world = World::with(|config| {
        both_kinds(config);
        config.allow_if = Some(r#"claims.repository_id == "42""#.into());
        config.write_if = Some(r#"default("event_name", "push") == "push""#.into());
    })
    .await;
    let main = || runtime(&[("refs/heads/main", 3)]);
    assert!(world.accepts(main()).await.may_write);
    let other_event = |t: &mut Draft| {
        main()(t);
        t.claim("event_name", "issue_comment");
    };
    let caller = world.accepts(other_event).await;
    assert_eq!((writable(&caller), readable(&caller)), (None, vec![MAIN]));
    let reader = world.accepts(runtime(&[("refs/heads/main", 1)])).await;
    assert!(!reader.may_write, "write_if gives nothing");
    let stranger = |t: &mut Draft| {
        main()(t);
        t.claim("repository_id", "43");
    };
    let error = world.send(stranger).await.unwrap_err();
    assert_eq!(error.public(), "the token is not allowed here");
}

#[tokio::test]
async fn the_claim_means_nothing_to_a_provider_without_scopes() {
    let world = World::start().await;
    let caller = world.accepts(|t| t.claim("ac", "[]")).await;
    assert_eq!(
        (writable(&caller), readable(&caller)),
        (Some("acme/app"), vec!["acme/app"])
    );
}

#[tokio::test]
async fn scopes_are_explained() {
    let world = World::with(both_kinds).await;
    let explain = async |scopes: &[(&str, u64)]| {
        let token = world.issuer.token_with(runtime(scopes));
        let credentials = Credentials::from_header_values([token.as_bytes()].into_iter()).unwrap();
        let text = world.auth.explain(&credentials).await.to_string();
        let (_, rights) = text.split_once("accepted: ").expect("accepted");
        rights.to_owned()
    };
    let from = "scopes: from the claim `ac`";
    assert_eq!(
        explain(&[("a", 3), ("b", 1)]).await,
        format!("may read and write\n{from}\nnamespace 1: \"42/a\"\nnamespace 2: \"42/b\"")
    );
    assert_eq!(
        explain(&[("a", 1)]).await,
        format!("may read, but not write: read-only\n{from}\nnamespace 1: \"42/a\"")
    );
    assert_eq!(
        explain(&[("a", 2), ("b", 1)]).await,
        format!("may read and write\n{from}\nnamespace 1: \"42/b\"\nwritten, but not read: \"42/a\"")
    );
    assert_eq!(
        explain(&[("a", 2)]).await,
        format!("may write, but may not read\n{from}\nwritten, but not read: \"42/a\"")
    );
    assert_eq!(
        explain(&[("a", 0)]).await,
        format!("may not read, and may not write\n{from}")
    );
}
