//! Tokens are remembered only as long as they are good.

use std::sync::Arc;

use serde_json::json;

use super::{World, read, refused};

#[tokio::test]
async fn the_second_request_is_answered_from_memory() {
    let world = World::start().await;
    let token = world.issuer.token(json!({}));
    let first = world.authenticate(&token).await.unwrap();
    let second = world.authenticate(&token).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    let stats = world.auth.stats();
    assert_eq!((read(&stats.verified), read(&stats.remembered)), (1, 1));
}

#[tokio::test]
async fn a_remembered_token_needs_no_issuer() {
    let world = World::start().await;
    let token = world.issuer.token(json!({}));
    world.authenticate(&token).await.unwrap();
    world.issuer.down();
    assert!(world.authenticate(&token).await.is_ok());
}

#[tokio::test]
async fn a_remembered_token_does_not_vouch_for_its_likes() {
    let world = World::start().await;
    let token = world.issuer.token(json!({"jti": "same"}));
    world.authenticate(&token).await.unwrap();
    world.accepts(|t| t.claim("jti", "same")).await;
    let (message, _) = token.rsplit_once('.').unwrap();
    refused(
        world.authenticate(&format!("{message}.AAAA")).await,
        "signature of the token is wrong",
    );
}

#[tokio::test]
async fn failures_are_judged_anew() {
    let world = World::start().await;
    let token = world.issuer.token_with(|t| t.header("kid", "late"));
    refused(world.authenticate(&token).await, "unknown key");
    let mut key = crate::support::signer::Signer::Rsa.jwk();
    key["kid"] = "late".into();
    world.issuer.publish([key]);
    assert!(world.authenticate(&token).await.is_ok());
    assert_eq!(read(&world.auth.stats().refused), 1);
}

#[tokio::test]
async fn clones_share_the_memory() {
    let world = World::start().await;
    let token = world.issuer.token(json!({}));
    world.authenticate(&token).await.unwrap();
    super::authenticate(&world.auth.clone(), &token).await.unwrap();
    assert_eq!(read(&world.auth.stats().remembered), 1);
}
