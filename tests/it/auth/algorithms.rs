//! Confused, downgraded and foreign algorithms.

use chacha::config::Algorithm;
use serde_json::json;

use super::World;
use crate::support::issuer::Issuer;
use crate::support::signer::{Signer, encode, public_rsa_as_secrets};
use crate::support::token::{AUDIENCE, Draft, now};

const NOT_ACCEPTED: &str = "algorithm of the token is not accepted";

#[tokio::test]
async fn alg_none_is_refused_with_and_without_a_signature() {
    let world = World::start().await;
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        world
            .refuses(NOT_ACCEPTED, |t| {
                t.signer = Signer::Nobody;
                t.header("alg", alg);
            })
            .await;
        world.refuses(NOT_ACCEPTED, |t| t.header("alg", alg)).await;
    }
}

#[tokio::test]
async fn hs256_keyed_with_the_public_rsa_key_is_refused() {
    let world = World::start().await;
    for secret in public_rsa_as_secrets() {
        for kid in [json!("rsa"), json!(null)] {
            world
                .refuses(NOT_ACCEPTED, |t| {
                    t.signed_by(Signer::Hmac(secret.clone()));
                    t.header("kid", kid);
                })
                .await;
        }
    }
}

#[tokio::test]
async fn an_rs256_header_over_an_hmac_signature_is_refused() {
    let world = World::start().await;
    for secret in public_rsa_as_secrets() {
        world
            .refuses("signature of the token is wrong", |t| {
                t.signer = Signer::Hmac(secret);
            })
            .await;
    }
}

#[tokio::test]
async fn an_oct_key_in_the_key_set_is_never_used() {
    let issuer = Issuer::start().await;
    let secret = Signer::Hmac(b"0123456789abcdef0123456789abcdef".to_vec());
    let mut marked = secret.jwk();
    marked["alg"] = "RS256".into();
    marked["kid"] = "marked".into();
    issuer.publish([secret.jwk(), marked, Signer::Rsa.jwk()]);
    let world = World::timed(issuer, super::on_demand(), |_| {});
    world.accepts(|_| {}).await;
    world.refuses(NOT_ACCEPTED, |t| t.signed_by(secret.clone())).await;
    for kid in ["hmac", "marked"] {
        world
            .refuses("unknown key", |t| {
                t.signer = secret.clone();
                t.header("kid", kid);
            })
            .await;
    }
}

#[tokio::test]
async fn an_es256_header_with_the_id_of_an_rsa_key_is_refused() {
    let world = World::start().await;
    world
        .refuses("does not fit", |t| {
            t.signed_by(Signer::P256);
            t.header("kid", "rsa");
        })
        .await;
}

#[tokio::test]
async fn ps256_with_a_key_that_is_marked_rs256_is_refused() {
    let issuer = Issuer::start().await;
    let mut marked = Signer::Rsa.jwk();
    marked["alg"] = "RS256".into();
    issuer.publish([marked]);
    let world = World::timed(issuer, super::on_demand(), |config| {
        config.algorithms.push(Algorithm::PS256);
    });
    world.accepts(|_| {}).await;
    world.refuses("does not fit", |t| t.header("alg", "PS256")).await;
}

#[tokio::test]
async fn an_algorithm_outside_of_the_list_is_refused_although_the_key_fits() {
    let world = World::start().await;
    for alg in [
        "RS384", "RS512", "PS256", "PS384", "PS512", "rs256", "HS512", "ES512", "ES256K",
    ] {
        world.refuses(NOT_ACCEPTED, |t| t.header("alg", alg)).await;
    }
}

#[tokio::test]
async fn every_algorithm_that_can_be_configured_works_beside_the_others() {
    let issuer = Issuer::start().await;
    issuer.publish([Signer::Rsa, Signer::P256, Signer::P384, Signer::Ed25519].map(|signer| signer.jwk()));
    let world = World::timed(issuer, super::on_demand(), |config| {
        config.algorithms = Algorithm::ALL.to_vec();
    });
    for alg in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        world.accepts(|t| t.header("alg", alg)).await;
    }
    for signer in [Signer::P256, Signer::P384, Signer::Ed25519] {
        world.accepts(|t| t.signed_by(signer)).await;
    }
    world
        .refuses("does not fit", |t| {
            t.signed_by(Signer::P384);
            t.header("kid", "p256");
        })
        .await;
}

/// An issuer with one Ed25519 key that is published with this `alg`.
async fn ed25519(alg: Option<&str>) -> World {
    let issuer = Issuer::start().await;
    let mut key = Signer::Ed25519.jwk();
    if let Some(alg) = alg {
        key["alg"] = alg.into();
    }
    issuer.publish([key, Signer::P256.jwk()]);
    World::timed(issuer, super::on_demand(), |config| {
        config.algorithms = vec![Algorithm::EdDSA];
    })
}

/// Changes a token into one of that key, under the newer name.
fn newer_name(token: &mut Draft) {
    token.signed_by(Signer::Ed25519);
    token.header("alg", "Ed25519");
}

#[tokio::test]
async fn ed25519_is_known_by_both_of_its_names() {
    for published in [None, Some("EdDSA"), Some("Ed25519")] {
        let world = ed25519(published).await;
        world.accepts(newer_name).await;
        world.accepts(|t| t.signed_by(Signer::Ed25519)).await;
        world.tasks.finish().await;
    }
    let other = ed25519(Some("ES256")).await;
    other.refuses("does not fit", newer_name).await;
}

#[tokio::test]
async fn the_newer_name_of_ed25519_is_checked_like_any_other() {
    let world = ed25519(Some("Ed25519")).await;
    world
        .refuses("signature of the token is wrong", |t| {
            newer_name(t);
            t.signer = Signer::Nobody;
        })
        .await;
    world
        .refuses("does not fit", |t| {
            newer_name(t);
            t.header("kid", "p256");
        })
        .await;
    for (text, claim, value) in [
        ("expired", "exp", json!(now() - 60)),
        ("claim `exp`", "exp", json!(null)),
        ("claim `exp`", "exp", json!([now() + 300])),
        ("not valid yet", "nbf", json!(now() + 90)),
        ("in the future", "iat", json!(now() + 90)),
        ("another audience", "aud", json!("https://other.example")),
        ("another audience", "aud", json!([])),
        ("claim `aud`", "aud", json!(null)),
        ("claim `aud`", "aud", json!([AUDIENCE, 5])),
    ] {
        world
            .refuses(text, |t| {
                newer_name(t);
                t.claim(claim, value);
            })
            .await;
    }
    let rsa_only = World::start().await;
    rsa_only.refuses(NOT_ACCEPTED, newer_name).await;
}

#[tokio::test]
async fn a_weak_rsa_key_is_not_used() {
    let issuer = Issuer::start().await;
    let weak = json!({"kty": "RSA", "kid": "weak", "n": encode([0xc1; 128]), "e": "AQAB"});
    issuer.publish([weak]);
    let world = World::timed(issuer, super::on_demand(), |_| {});
    world.refuses("unknown key", |t| t.header("kid", "weak")).await;
    world
        .refuses("unknown key", |t| t.header("kid", json!(null)))
        .await;
}
