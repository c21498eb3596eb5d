//! Tokens that have expired while an upload was running.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha::auth::{Authenticator, Credentials, Error, TokenDigest};
use chacha::config::ProviderConfig;
use serde_json::json;

use super::{World, on_demand};
use crate::support::signer::Signer;
use crate::support::token::{Draft, now};

/// How the request is judged: whether the token has expired, and who sends it nevertheless.
async fn judge(world: &World, value: &str) -> Result<TokenDigest, (bool, Result<TokenDigest, Error>)> {
    late_by(&world.auth, value, Duration::from_secs(10_000)).await
}

async fn late_by(
    auth: &Authenticator,
    value: &str,
    grace: Duration,
) -> Result<TokenDigest, (bool, Result<TokenDigest, Error>)> {
    let credentials = Credentials::from_header_values([value.as_bytes()].into_iter()).unwrap();
    match auth.authenticate(&credentials).await {
        Ok(identity) => Ok(identity.token),
        Err(error) => {
            let expired = error.is_expired();
            let late = auth.late(&credentials, error, grace).await;
            Err((expired, late.map(|late| late.former().token)))
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
        let (expired, late) = judge(&world, &value).await.unwrap_err();
        assert!(expired);
        assert_eq!(late.unwrap(), identity.token);
    }
}

#[tokio::test]
async fn a_token_that_is_too_old_is_late_as_well() {
    let world = World::with(|config| config.max_age = Some(Duration::from_secs(60))).await;
    let old = world.issuer.token(json!({"iat": now() - 1000}));
    let (expired, late) = judge(&world, &bearer(&old)).await.unwrap_err();
    assert!(expired && late.is_ok());
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
        let (expired, late) = judge(&world, &bearer(&token)).await.unwrap_err();
        assert!(!expired && late.is_err());
    }
}

#[tokio::test]
async fn a_token_is_late_for_a_while_only() {
    let world = World::start().await;
    let token = bearer(&world.issuer.token(json!({"exp": now() - 500})));
    let leeway = world.issuer.provider().leeway;
    for (grace, is_late) in [(450, false), (550, true)] {
        let grace = Duration::from_secs(grace) - leeway;
        let (expired, late) = late_by(&world.auth, &token, grace).await.unwrap_err();
        assert!(expired);
        assert_eq!(late.is_ok(), is_late, "{grace:?}");
        assert!(late.is_ok() || late.is_err_and(|error| error.is_expired()));
    }
}

/// What a reload has changed since the token was good.
#[tokio::test]
async fn the_rules_of_now_hold_for_a_late_token() {
    let world = World::start().await;
    let token = bearer(&world.issuer.token(json!({"exp": now() - 500})));
    let judge = async |change: &dyn Fn(&mut ProviderConfig)| {
        let mut provider = world.issuer.provider();
        change(&mut provider);
        let auth = Authenticator::start_with(vec![provider], &world.tasks, on_demand()).unwrap();
        let credentials = Credentials::from_header_values([token.as_bytes()].into_iter()).unwrap();
        let error = auth.authenticate(&credentials).await.unwrap_err();
        assert!(error.is_expired(), "{error}");
        auth.late(&credentials, error, Duration::from_secs(10_000)).await
    };
    let former = judge(&|_| {}).await.unwrap();
    assert!(former.former().may_write);
    let locked_out = judge(&|provider| provider.allow_if = Some("false".into())).await;
    assert!(
        matches!(locked_out, Err(Error::Forbidden { .. })),
        "{locked_out:?}"
    );
    let reads = judge(&|provider| provider.write_if = Some("false".into())).await;
    assert!(!reads.unwrap().former().may_write);
    let audience = judge(&|provider| provider.audiences = vec!["https://other.example".into()]).await;
    assert!(matches!(audience, Err(Error::Rejected { .. })), "{audience:?}");
}
