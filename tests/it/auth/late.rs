//! Tokens that have expired while an upload was running.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha::auth::{Authenticator, Credentials, Error, TokenDigest};
use serde_json::json;

use super::{World, on_demand};
use crate::support::signer::Signer;
use crate::support::token::{Draft, now};

/// How the request is judged, and who it may be nevertheless.
async fn judge(world: &World, value: &str) -> Result<TokenDigest, (Error, Option<TokenDigest>)> {
    let credentials = Credentials::from_header_values([value.as_bytes()].into_iter()).unwrap();
    match world.auth.authenticate(&credentials).await {
        Ok(identity) => Ok(identity.token),
        Err(error) => {
            let late = world.auth.late(&credentials, &error);
            Err((error, late))
        }
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn basic(token: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("any:{token}")))
}

#[tokio::test]
async fn a_token_has_one_name_in_every_header() {
    let world = World::start().await;
    let token = world.issuer.token(json!({}));
    let named = judge(&world, &bearer(&token)).await.unwrap();
    assert_eq!(judge(&world, &basic(&token)).await.unwrap(), named);
    assert_eq!(judge(&world, &token).await.unwrap(), named);
    assert_eq!(judge(&world, &bearer(&token)).await.unwrap(), named, "remembered");
    let other = world.issuer.token(json!({}));
    assert_ne!(judge(&world, &bearer(&other)).await.unwrap(), named);
}

/// Two judges with other patience stand for two moments.
#[tokio::test]
async fn a_token_keeps_its_name_when_it_expires() {
    let world = World::start().await;
    let mut patient = world.issuer.provider();
    patient.leeway = Duration::from_secs(300);
    let before = Authenticator::start_with(vec![patient], &world.tasks, on_demand()).unwrap();
    let token = world.issuer.token(json!({"exp": now() - 100}));
    let identity = super::authenticate(&before, &token).await.unwrap();
    for value in [bearer(&token), basic(&token)] {
        let (error, late) = judge(&world, &value).await.unwrap_err();
        assert!(error.is_expired(), "{error}");
        assert_eq!(late, Some(identity.token));
    }
}

#[tokio::test]
async fn a_token_that_is_too_old_is_late_as_well() {
    let world = World::with(|config| config.max_age = Some(Duration::from_secs(60))).await;
    let old = world.issuer.token(json!({"iat": now() - 1000}));
    let (error, late) = judge(&world, &bearer(&old)).await.unwrap_err();
    assert!(error.is_expired() && late.is_some(), "{error}");
}

#[tokio::test]
async fn nobody_else_is_late() {
    let world =
        World::with(|config| config.allow_if = Some("claims.repository == \"acme/app\"".into())).await;
    let expired = now() - 1000;
    let forged = |t: &mut Draft| {
        t.claim("exp", expired);
        t.signer = Signer::OtherRsa;
        t.header("kid", "rsa");
    };
    let unknown = |t: &mut Draft| {
        t.claim("exp", expired);
        t.claim("iss", "https://other.example");
    };
    let early = |t: &mut Draft| t.claim("nbf", now() + 1000);
    let forbidden = |t: &mut Draft| t.claim("repository", "evil/app");
    for token in [
        world.issuer.token_with(forged),
        world.issuer.token_with(unknown),
        world.issuer.token_with(early),
        world.issuer.token_with(forbidden),
        "a.b.c".into(),
        "junk".into(),
    ] {
        let (error, late) = judge(&world, &bearer(&token)).await.unwrap_err();
        assert!(!error.is_expired() && late.is_none(), "{error}");
    }
}
