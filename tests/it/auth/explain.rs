//! The story of a token, for operators.

use chacha::auth::Credentials;
use serde_json::json;

use super::{World, read};
use crate::support::token::now;

async fn explain(world: &World, token: &str) -> chacha::auth::Explanation {
    let credentials = Credentials::from_header_values([token.as_bytes()].into_iter()).unwrap();
    world.auth.explain(&credentials).await
}

#[tokio::test]
async fn a_good_token_is_explained() {
    let world = World::with(|config| {
        config.cache_key_exprs = vec![
            "claims.repository".into(),
            "claims.base_ref".into(),
            "\"all\"".into(),
        ];
    })
    .await;
    let explanation = explain(&world, &world.issuer.token(json!({}))).await;
    assert_eq!(explanation.issuer.as_deref(), Some(world.issuer.url()));
    assert_eq!(explanation.key.as_str(), Some("rsa"));
    assert!(explanation.expires.unwrap() > now());
    let text = explanation.to_string();
    let rights = explanation.outcome.unwrap();
    assert_eq!(rights.key.as_deref(), Some("rsa"));
    assert_eq!(rights.skipped.len(), 1);
    assert_eq!(rights.skipped[0].0, 1);
    for line in [
        "accepted: may read and write",
        "namespace 1: \"acme/app\"",
        "namespace 2: \"all\"",
        "expression 2 skipped: ",
        &format!("tenant: {}#acme/app\n", world.issuer.url()),
        &format!("group: {}\n", world.issuer.url()),
        "rank: pushed\n",
        &format!("in logs and metrics: {}", rights.identity.tenancy.tenant.label()),
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert_eq!(
        read(&world.auth.stats().verified),
        0,
        "an explanation is not a request"
    );
}

/// Every branch would have a share of its own, and a flood of branches would be a flood of tenants.
#[tokio::test]
async fn a_tenant_that_is_only_a_namespace_is_explained() {
    let world = World::with(|config| {
        config.cache_key_exprs = vec!["claims.sub".into()];
        config.protect_if = Some("claims.none".into());
    })
    .await;
    let token = world.issuer.token(json!({"repository": null, "sub": "someone"}));
    let text = explain(&world, &token).await.to_string();
    for line in [
        "#someone\n",
        "fallback: the tenant is the first namespace",
        "protect_if failed: the claim `none`",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test]
async fn a_refusal_is_explained_exactly() {
    let world = World::start().await;
    let expired = explain(&world, &world.issuer.token(json!({"exp": 1000}))).await;
    assert_eq!(expired.expires, Some(1000));
    assert!(
        expired
            .to_string()
            .ends_with("(key \"rsa\") refused: the token has expired"),
        "{expired}"
    );
    let foreign = explain(
        &world,
        &world.issuer.token(json!({"iss": "https://a.example\u{1b}"})),
    )
    .await;
    assert_eq!(foreign.issuer.as_deref(), Some("https://a.example\\u{1b}"));
    assert!(
        foreign.to_string().contains("not a configured provider"),
        "{foreign}"
    );
    let damaged = explain(&world, "a.b.c").await;
    assert!(damaged.to_string().contains("not a JSON Web Token"), "{damaged}");
}
