//! What a key set may hold.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha::auth::KeyTiming;
use serde_json::json;

use super::{World, on_demand};
use crate::support::issuer::Issuer;
use crate::support::signer::{Signer, encode};

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

/// A published number with zero octets in front, as `BigInteger.toByteArray` of Java writes it.
fn with_zeros(number: &serde_json::Value, zeros: usize) -> serde_json::Value {
    let bytes = URL_SAFE_NO_PAD.decode(number.as_str().unwrap()).unwrap();
    encode([vec![0; zeros], bytes].concat()).into()
}

#[tokio::test]
async fn zero_octets_in_front_of_the_numbers_of_a_key_do_not_matter() {
    for (modulus, exponent) in [(1, 0), (0, 1), (1, 5), (8, 0)] {
        let mut key = Signer::Rsa.jwk();
        key["n"] = with_zeros(&key["n"], modulus);
        key["e"] = with_zeros(&key["e"], exponent);
        publishing(vec![key]).await.accepts(|_| {}).await;
    }
}

#[tokio::test]
async fn coordinates_of_another_length_cost_their_own_key_only() {
    let mut long = Signer::P256.jwk();
    long["x"] = with_zeros(&long["x"], 1);
    let world = publishing(vec![long, Signer::Rsa.jwk()]).await;
    world.accepts(|_| {}).await;
    world.refuses("unknown key", |t| t.signed_by(Signer::P256)).await;
}

/// A key under an id that it shares with another.
fn named(signer: &Signer, id: &str) -> serde_json::Value {
    let mut key = signer.jwk();
    key["kid"] = id.into();
    key
}

#[tokio::test]
async fn several_keys_under_one_id_are_all_tried() {
    let mut wrong_use = named(&Signer::P256, "k");
    wrong_use["use"] = "enc".into();
    let world = publishing(vec![
        wrong_use,
        named(&Signer::Rsa, "k"),
        named(&Signer::OtherRsa, "k"),
        named(&Signer::P384, "k"),
    ])
    .await;
    for signer in [Signer::Rsa, Signer::OtherRsa] {
        world
            .accepts(|t| {
                t.signed_by(signer);
                t.header("kid", "k");
            })
            .await;
    }
    world
        .refuses("does not fit", |t| {
            t.signed_by(Signer::P256);
            t.header("kid", "k");
        })
        .await;
}

#[tokio::test]
async fn a_token_without_a_key_id_is_tried_with_all_that_fit() {
    let world = publishing(vec![
        Signer::Rsa.jwk(),
        Signer::OtherRsa.jwk(),
        Signer::P256.jwk(),
    ])
    .await;
    for signer in [Signer::Rsa, Signer::OtherRsa, Signer::P256] {
        world
            .accepts(|t| {
                t.signed_by(signer);
                t.header("kid", json!(null));
            })
            .await;
    }
    world
        .refuses("signature of the token is wrong", |t| {
            t.signer = Signer::Nobody;
            t.header("kid", json!(null));
        })
        .await;
}

#[tokio::test]
async fn too_many_keys_under_one_id_are_not_all_tried() {
    let decoy = |number: u8| json!({"kty": "RSA", "kid": "k", "n": encode([number; 256]), "e": "AQAB"});
    let mut keys: Vec<_> = (0..4).map(|number| decoy(0xf1 + 2 * number)).collect();
    keys.push(named(&Signer::Rsa, "k"));
    let world = publishing(keys.clone()).await;
    world.refuses("too many fit", |t| t.header("kid", "k")).await;
    keys.remove(0);
    publishing(keys).await.accepts(|t| t.header("kid", "k")).await;
}

#[tokio::test]
async fn new_material_under_an_old_id_or_without_one_is_fetched_on_demand() {
    for id in [json!("k"), json!(null)] {
        let publish = |signer: &Signer| {
            let mut key = signer.jwk();
            key["kid"] = id.clone();
            if id.is_null() {
                key.as_object_mut().unwrap().remove("kid");
            }
            key
        };
        let world = publishing(vec![publish(&Signer::Rsa)]).await;
        world.accepts(|t| t.header("kid", id.clone())).await;
        world.issuer.publish([publish(&Signer::OtherRsa)]);
        world
            .accepts(|t| {
                t.signed_by(Signer::OtherRsa);
                t.header("kid", id.clone());
            })
            .await;
        world.tasks.finish().await;
    }
}

#[tokio::test]
async fn forged_signatures_do_not_hammer_the_issuer() {
    let world = World::timed(Issuer::start().await, KeyTiming::default(), |_| {});
    world.accepts(|_| {}).await;
    for _ in 0..50 {
        world
            .refuses("signature of the token is wrong", |t| t.signer = Signer::OtherRsa)
            .await;
    }
    assert_eq!(world.issuer.requests().keys, 1);
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
