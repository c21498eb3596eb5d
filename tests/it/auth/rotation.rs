//! Keys come and go while the server runs.

use std::time::Duration;

use chacha::auth::{Authenticator, KeyTiming, KeysState};
use futures_util::future::join_all;
use serde_json::json;

use super::{World, on_demand, read, refused, unavailable};
use crate::support::issuer::{Behaviour, Issuer};
use crate::support::signer::Signer;

/// Refreshes every few milliseconds.
fn busy() -> KeyTiming {
    let moment = Duration::from_millis(5);
    KeyTiming {
        shortest_refresh: moment,
        longest_refresh: moment,
        first_retry: moment,
        longest_retry: moment,
        ..KeyTiming::default()
    }
}

#[tokio::test]
async fn a_key_published_after_the_first_use_is_fetched_on_demand() {
    let world = World::start().await;
    world.accepts(|_| {}).await;
    world.issuer.publish([Signer::Rsa.jwk(), Signer::P256.jwk()]);
    world.accepts(|t| t.signed_by(Signer::P256)).await;
    assert_eq!(world.issuer.requests().keys, 2);
}

#[tokio::test]
async fn a_key_removed_by_rotation_verifies_nothing_more() {
    let world = World::start().await;
    let (old, unseen) = (world.issuer.token(json!({})), world.issuer.token(json!({})));
    assert!(world.authenticate(&old).await.is_ok());
    world.issuer.rotate();
    world.accepts(|_| {}).await;
    refused(world.authenticate(&unseen).await, "unknown key");
    refused(world.authenticate(&old).await, "unknown key");
}

#[tokio::test]
async fn what_other_keys_verified_is_remembered_across_a_rotation() {
    let world = World::start().await;
    world.issuer.publish([Signer::Rsa.jwk(), Signer::P256.jwk()]);
    let token = world.issuer.token(json!({}));
    assert!(world.authenticate(&token).await.is_ok());
    world.issuer.publish([Signer::Rsa.jwk(), Signer::OtherRsa.jwk()]);
    world.accepts(|t| t.signed_by(Signer::OtherRsa)).await;
    assert!(world.authenticate(&token).await.is_ok());
    assert_eq!(read(&world.auth.stats().remembered), 1);
}

#[tokio::test]
async fn other_material_under_the_same_id_voids_what_was_verified() {
    let world = World::start().await;
    let token = world.issuer.token(json!({}));
    assert!(world.authenticate(&token).await.is_ok());
    let mut replaced = Signer::OtherRsa.jwk();
    replaced["kid"] = "rsa".into();
    world.issuer.publish([replaced]);
    world
        .refuses("unknown key", |t| t.header("kid", "asks for a refresh"))
        .await;
    refused(
        world.authenticate(&token).await,
        "signature of the token is wrong",
    );
}

#[tokio::test]
async fn withdrawn_keys_are_noticed_without_demand() {
    let world = World::timed(Issuer::start().await, busy(), |_| {});
    let token = world.issuer.token(json!({}));
    assert!(world.authenticate(&token).await.is_ok());
    world.issuer.publish([]);
    super::eventually("the key is dropped", || {
        world.auth.issuers().all(|(_, has_keys)| !has_keys)
    })
    .await;
    refused(world.authenticate(&token).await, "unknown key");
}

#[tokio::test]
async fn many_requests_with_unknown_keys_share_one_fetch() {
    let world = World::start().await;
    world.accepts(|_| {}).await;
    let before = world.issuer.requests().keys;
    world.issuer.publish([Signer::Rsa.jwk(), Signer::P256.jwk()]);
    let tokens: Vec<String> = (0..50)
        .map(|_| world.issuer.token_with(|t| t.signed_by(Signer::P256)))
        .collect();
    let outcomes = join_all(tokens.iter().map(|token| world.authenticate(token))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(world.issuer.requests().keys, before + 1);
}

#[tokio::test]
async fn random_key_ids_do_not_hammer_the_issuer() {
    let world = World::timed(Issuer::start().await, KeyTiming::default(), |_| {});
    world.accepts(|_| {}).await;
    for number in 0..200 {
        world
            .refuses("unknown key", |t| t.header("kid", format!("random-{number}")))
            .await;
    }
    assert_eq!(world.issuer.requests().keys, 1);
}

#[tokio::test]
async fn a_burst_of_unknown_keys_leaves_no_fetch_behind() {
    let timing = KeyTiming {
        demand: Duration::from_millis(100),
        ..KeyTiming::default()
    };
    let world = World::timed(Issuer::start().await, timing, |_| {});
    world.accepts(|_| {}).await;
    while world.issuer.requests().keys < 2 {
        let burst = (0..20).map(|number| world.send(move |t| t.header("kid", format!("random-{number}"))));
        assert!(join_all(burst).await.iter().all(Result::is_err));
    }
    // Another server's first fetch takes as long as a surplus one would have taken.
    let mut other = world.issuer.provider();
    other.audiences.clear();
    let auth = Authenticator::start(vec![other], &world.tasks).unwrap();
    super::authenticate(&auth, &world.issuer.token(json!({})))
        .await
        .unwrap();
    assert_eq!(world.issuer.requests().keys, 3);
}

#[tokio::test]
async fn known_keys_do_not_wait_for_a_refresh_that_hangs() {
    let world = World::start().await;
    world.accepts(|_| {}).await;
    world.issuer.behave(Behaviour::Slow);
    let asked = world.issuer.requests().discovery;
    let stuck = world.send(|t| t.header("kid", "unknown"));
    let known = async {
        world.issuer.wait_for(|requests| requests.discovery > asked).await;
        world.accepts(|_| {}).await;
    };
    tokio::select! {
        biased;
        _ = stuck => panic!("the refresh hangs, so this request cannot be first"),
        () = known => {}
    }
}

#[tokio::test]
async fn keys_are_kept_while_the_issuer_is_down() {
    let world = World::timed(Issuer::start().await, busy(), |_| {});
    world.accepts(|_| {}).await;
    world.issuer.down();
    let failed = &world.auth.stats().refreshes_failed;
    super::eventually("refreshes fail", || read(failed) > 3).await;
    world.accepts(|_| {}).await;
    unavailable(world.send(|t| t.header("kid", "unknown")).await);
    world.issuer.up();
    let asked = world.issuer.requests().keys;
    world.issuer.wait_for(|requests| requests.keys > asked + 1).await;
    world.refuses("unknown key", |t| t.header("kid", "unknown")).await;
}

#[tokio::test]
async fn keys_that_are_too_stale_are_not_believed() {
    let world = World::timed(
        Issuer::start().await,
        KeyTiming {
            stale: Duration::ZERO,
            ..on_demand()
        },
        |_| {},
    );
    unavailable(world.send(|_| {}).await);
    assert!(world.auth.issuers().all(|(_, has_keys)| !has_keys));
    let (_, state) = world.auth.keys().next().unwrap();
    assert!(matches!(state, KeysState::TooOld(_)), "{state}");
}

#[tokio::test]
async fn max_age_of_the_issuer_sets_the_pace() {
    let issuer = Issuer::start().await;
    issuer.cache_control("public, max-age=0");
    let timing = KeyTiming {
        shortest_refresh: Duration::from_millis(5),
        ..KeyTiming::default()
    };
    let world = World::timed(issuer, timing, |_| {});
    world.issuer.wait_for(|requests| requests.keys > 3).await;
}
