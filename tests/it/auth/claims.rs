//! The registered claims: times, audience, issuer, repeated names.

use std::time::Duration;

use chacha::auth::KeyTiming;
use chacha::error::{Class, Classify as _};
use serde_json::json;

use super::{World, on_demand};
use crate::support::issuer::Issuer;
use crate::support::token::{AUDIENCE, now};

const LEEWAY: u64 = 30;

#[tokio::test]
async fn a_token_expires_after_the_leeway() {
    let world = World::start().await;
    world
        .refuses("expired", |t| t.claim("exp", now() - LEEWAY - 1))
        .await;
    world.refuses("expired", |t| t.claim("exp", 0)).await;
    world.accepts(|t| t.claim("exp", now() - LEEWAY + 10)).await;
}

#[tokio::test]
async fn exp_is_a_number_of_this_age() {
    let world = World::start().await;
    let text = (now() + 300).to_string();
    for exp in [
        json!(null),
        json!(text),
        json!(1e30),
        json!(-1),
        json!(true),
        json!(u64::MAX),
    ] {
        world.refuses("claim `exp`", |t| t.claim("exp", exp)).await;
    }
    for exp in [json!([now() + 300]), json!({"exp": now() + 300})] {
        world.refuses("registered claim", |t| t.claim("exp", exp)).await;
    }
    world
        .refuses("claim `exp`", |t| {
            let claims = serde_json::Value::from(t.claims.clone()).to_string();
            t.raw_claims = Some(claims.replace(&format!("\"exp\":{}", t.claims["exp"]), "\"exp\":null"));
        })
        .await;
}

#[tokio::test]
async fn exp_may_have_a_fraction() {
    let world = World::start().await;
    let exp = (now() + 300) as f64 + 0.5;
    let identity = world.accepts(|t| t.claim("exp", exp)).await;
    let expires = identity.expires.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(expires, Duration::from_secs(exp as u64 + LEEWAY));
}

#[tokio::test]
async fn nbf_is_checked_when_it_is_there() {
    let world = World::start().await;
    world
        .refuses("not valid yet", |t| t.claim("nbf", now() + LEEWAY + 60))
        .await;
    world.accepts(|t| t.claim("nbf", now() + LEEWAY - 10)).await;
    world.accepts(|t| t.claim("nbf", json!(null))).await;
    for nbf in [json!("0"), json!(-1), json!(1e30)] {
        world.refuses("claim `nbf`", |t| t.claim("nbf", nbf)).await;
    }
}

#[tokio::test]
async fn a_token_from_the_future_is_refused() {
    let world = World::start().await;
    world
        .refuses("in the future", |t| t.claim("iat", now() + LEEWAY + 60))
        .await;
    world.refuses("claim `iat`", |t| t.claim("iat", "0")).await;
    world.accepts(|t| t.claim("iat", json!(null))).await;
}

#[tokio::test]
async fn max_age_needs_a_young_iat() {
    let world = World::with(|config| config.max_age = Some(Duration::from_secs(60))).await;
    world
        .refuses("too old", |t| t.claim("iat", now() - LEEWAY - 61))
        .await;
    world
        .refuses("claim `iat`", |t| t.claim("iat", json!(null)))
        .await;
    let identity = world.accepts(|t| t.claim("iat", now() - 10)).await;
    let left = identity
        .expires
        .duration_since(std::time::SystemTime::now())
        .unwrap();
    assert!(left <= Duration::from_secs(60 - 10 + LEEWAY), "{left:?}");
}

#[tokio::test]
async fn the_audience_must_be_ours() {
    let world = World::start().await;
    for aud in [
        json!(null),
        json!(5),
        json!([AUDIENCE, 5]),
        json!({"a": AUDIENCE}),
        json!(true),
    ] {
        world.refuses("claim `aud`", |t| t.claim("aud", aud)).await;
    }
    let other = AUDIENCE.to_uppercase();
    for aud in [
        json!("https://other.example"),
        json!([]),
        json!(["a", "b"]),
        json!(""),
        json!(other),
    ] {
        world.refuses("another audience", |t| t.claim("aud", aud)).await;
    }
    world
        .accepts(|t| t.claim("aud", json!(["https://other.example", AUDIENCE])))
        .await;
}

#[tokio::test]
async fn without_audiences_any_token_of_the_issuer_is_accepted() {
    let world = World::with(|config| config.audiences.clear()).await;
    for aud in [
        json!(null),
        json!("https://other.example"),
        json!(["a"]),
        json!(5),
    ] {
        world.accepts(|t| t.claim("aud", aud)).await;
    }
}

#[tokio::test]
async fn the_issuer_is_compared_byte_for_byte() {
    let world = World::start().await;
    let url = world.issuer.url().to_owned();
    for iss in [
        format!("{url}/"),
        url.to_uppercase(),
        url.replace("http:", "https:"),
        format!(" {url}"),
        url.replace("127.0.0.1", "localhost"),
        String::new(),
    ] {
        world
            .refuses("not issued by a configured provider", |t| t.claim("iss", iss))
            .await;
    }
    for iss in [json!(null), json!([url]), json!({"a": url}), json!(5)] {
        world
            .refuses("does not name one issuer", |t| t.claim("iss", iss))
            .await;
    }
}

#[tokio::test]
async fn the_unknown_issuer_is_never_asked() {
    let (world, stranger) = (World::start().await, Issuer::start().await);
    let outcome = world.authenticate(&stranger.token(json!({}))).await;
    super::refused(outcome, "not issued by a configured provider");
    assert_eq!(stranger.requests(), Default::default());
}

#[tokio::test]
async fn repeated_claims_are_refused() {
    let world = World::start().await;
    for name in ["iss", "exp", "aud", "nbf", "sub", "repository"] {
        world
            .refuses("claims of the token are malformed", |t| {
                let claims = serde_json::Value::from(t.claims.clone()).to_string();
                let again = format!(",\"{name}\":{}}}", t.claims[name]);
                t.raw_claims = Some(claims.trim_end_matches('}').to_owned() + &again);
            })
            .await;
    }
}

#[tokio::test]
async fn claims_that_are_no_object_are_refused() {
    let world = World::start().await;
    for claims in ["[]", "5", "", "{", "\u{feff}{}", r#"{"iss":"\ud800"}"#, "{}{}"] {
        let error = world
            .send(|t| t.raw_claims = Some(claims.into()))
            .await
            .unwrap_err();
        assert!(error.is_invalid_token(), "{claims}");
    }
    let deep = format!("{}{}", "[".repeat(3000), "]".repeat(3000));
    world
        .refuses("claims of the token are malformed", |t| {
            t.raw_claims = Some(format!(r#"{{"iss":"x","deep":{deep}}}"#));
        })
        .await;
}

#[tokio::test]
async fn the_rules_decide_about_good_tokens() {
    let world = World::timed(Issuer::start().await, KeyTiming { ..on_demand() }, |config| {
        config.allow_if = Some("claims.repository == \"acme/app\"".into());
        config.write_if = Some("claims.ref == \"refs/heads/main\"".into());
        config.cache_key_exprs = vec![
            "claims.repository + \"/\" + claims.ref".into(),
            "claims.base_ref".into(),
        ];
    });
    let identity = world.accepts(|_| {}).await;
    assert!(identity.may_write);
    assert_eq!(&**identity.scope.writable().path(), "acme/app/refs/heads/main");
    assert_eq!(&**identity.scope.writable().issuer(), world.issuer.url());
    assert_eq!(&*identity.subject, "repo:acme/app:ref:refs/heads/main");
    assert!(
        !world
            .accepts(|t| t.claim("ref", "refs/pull/1/merge"))
            .await
            .may_write
    );
    let error = world
        .send(|t| t.claim("repository", "evil/app"))
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Forbidden);
    assert!(!error.is_invalid_token());
    let error = world.send(|t| t.claim("ref", json!(null))).await.unwrap_err();
    assert_eq!(error.class(), Class::Forbidden);
}
