//! What a key set may hold.

use std::time::Duration;

use chacha::auth::KeyTiming;
use serde_json::json;

use super::{World, on_demand};
use crate::support::issuer::Issuer;
use crate::support::signer::Signer;

async fn publishing(keys: Vec<serde_json::Value>) -> World {
    let issuer = Issuer::start().await;
    issuer.publish(keys);
    World::timed(issuer, on_demand(), |_| {})
}

#[tokio::test]
async fn a_key_for_encryption_is_not_used() {
    let mut key = Signer::Rsa.jwk();
    key["use"] = "enc".into();
    let world = publishing(vec![key]).await;
    world.refuses("unknown key", |_| {}).await;
    world
        .refuses("unknown key", |t| t.header("kid", json!(null)))
        .await;
}

#[tokio::test]
async fn key_ops_must_allow_to_verify() {
    let with = |operations: serde_json::Value| {
        let mut key = Signer::Rsa.jwk();
        key["key_ops"] = operations;
        vec![key]
    };
    for operations in [json!(["sign"]), json!([]), json!("verify"), json!(null)] {
        publishing(with(operations))
            .await
            .refuses("unknown key", |_| {})
            .await;
    }
    publishing(with(json!(["verify"]))).await.accepts(|_| {}).await;
}

#[tokio::test]
async fn junk_in_the_key_set_does_not_cost_the_good_keys() {
    let mut junk = vec![
        json!(null),
        json!(5),
        json!("x"),
        json!([]),
        json!({}),
        json!({"kty": "PQC", "kid": "rsa"}),
    ];
    junk.push(json!({"kty": "RSA", "kid": "rsa", "n": "!", "e": "AQAB"}));
    junk.push(json!({"kty": "EC", "crv": "P-521", "kid": "rsa", "x": "AA", "y": "AA"}));
    junk.push(json!({"kty": "RSA", "kid": "rsa"}));
    junk.push(Signer::Rsa.jwk());
    publishing(junk).await.accepts(|_| {}).await;
}

#[tokio::test]
async fn a_key_of_another_issuer_does_not_verify() {
    let (mine, other) = (Issuer::start().await, Issuer::start().await);
    other.publish([Signer::OtherRsa.jwk()]);
    let tasks = chacha::tasks::Tasks::new();
    let providers = vec![mine.provider(), other.provider()];
    let auth = chacha::auth::Authenticator::start_with(providers, &tasks, on_demand()).unwrap();
    let forged = mine.token_with(|t| t.signed_by(Signer::OtherRsa));
    super::refused(super::authenticate(&auth, &forged).await, "unknown key");
    let good = other.token_with(|t| t.signed_by(Signer::OtherRsa));
    assert_eq!(
        &*super::authenticate(&auth, &good).await.unwrap().issuer,
        other.url()
    );
    tasks.finish().await;
}

#[tokio::test]
async fn a_key_set_in_a_file_needs_no_issuer_and_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.json");
    let write = |keys: serde_json::Value| std::fs::write(&path, json!({ "keys": keys }).to_string()).unwrap();
    let issuer = Issuer::start().await;
    issuer.down();
    let timing = KeyTiming {
        file: Duration::from_millis(5),
        first_retry: Duration::from_millis(5),
        ..KeyTiming::default()
    };
    let world = World::timed(issuer, timing, |config| config.jwks_file = Some(path.clone()));
    super::unavailable(world.send(|_| {}).await);
    write(json!([Signer::Rsa.jwk()]));
    super::eventually("the file is found", || {
        world.auth.issuers().all(|(_, has_keys)| has_keys)
    })
    .await;
    let token = world.issuer.token(json!({}));
    assert!(world.authenticate(&token).await.is_ok());
    write(json!([Signer::OtherRsa.jwk(), {"kty": "oct", "k": "AA"}]));
    let refreshes = &world.auth.stats().refreshes_ok;
    super::eventually("the file is read again", || super::read(refreshes) == 2).await;
    super::refused(world.authenticate(&token).await, "unknown key");
    world.accepts(|t| t.signed_by(Signer::OtherRsa)).await;
    assert_eq!(world.issuer.requests(), Default::default());
}
