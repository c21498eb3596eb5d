//! Issuers that are down, slow or hostile.

use std::time::Duration;

use chacha::auth::{Authenticator, KeyTiming, SetupError};
use chacha::tasks::Tasks;

use super::{World, authenticate, on_demand, read, unavailable};
use crate::support::issuer::{Behaviour, Issuer, Page};
use crate::support::wait::TEST_TIMEOUT;

async fn behaving(page: Page, behaviour: Behaviour) -> World {
    let issuer = Issuer::start().await;
    issuer.behave_at(page, behaviour);
    World::timed(
        issuer,
        KeyTiming {
            fetch: Duration::from_secs(60),
            ..on_demand()
        },
        |_| {},
    )
}

/// The keys cannot be fetched while the issuer behaves like this, and can afterwards.
async fn recovers_from(behaviour: Behaviour, pages: &[Page]) {
    for page in pages {
        let world = behaving(*page, behaviour).await;
        unavailable(world.send(|_| {}).await);
        assert!(read(&world.auth.stats().refreshes_failed) > 0);
        assert_eq!(world.issuer.requests().elsewhere, 0, "no redirect is followed");
        world.issuer.up();
        world.accepts(|_| {}).await;
        world.tasks.finish().await;
    }
}

const BOTH: &[Page] = &[Page::Discovery, Page::Keys];

#[tokio::test]
async fn an_issuer_that_is_down_at_the_start_is_tried_again() {
    recovers_from(Behaviour::Down, BOTH).await;
}

#[tokio::test]
async fn an_issuer_that_answers_junk_is_tried_again() {
    recovers_from(Behaviour::Junk, BOTH).await;
}

#[tokio::test]
async fn a_huge_answer_is_cut_off() {
    recovers_from(Behaviour::Huge, BOTH).await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    recovers_from(Behaviour::Redirect, BOTH).await;
}

#[tokio::test]
async fn keys_are_told_by_their_content_whatever_its_type_says() {
    for content_type in [
        None,
        Some("binary/octet-stream"),
        Some("text/plain; charset=utf-8"),
        Some("text/json"),
        Some("text/html"),
        Some("application/jwk-set+json"),
        Some("/"),
    ] {
        let world = behaving(Page::Keys, Behaviour::Typed(content_type)).await;
        world
            .issuer
            .behave_at(Page::Discovery, Behaviour::Typed(content_type));
        world.accepts(|_| {}).await;
        world.tasks.finish().await;
    }
}

#[tokio::test]
async fn answers_are_asked_for_plain_and_understood_compressed() {
    for page in BOTH {
        let world = behaving(*page, Behaviour::Gzip).await;
        world.accepts(|_| {}).await;
        assert_eq!(world.issuer.requests().plain, 2);
        world.tasks.finish().await;
    }
}

#[tokio::test]
async fn a_small_answer_that_stands_for_a_huge_one_is_cut_off() {
    recovers_from(Behaviour::Bomb, BOTH).await;
}

#[tokio::test]
async fn a_document_of_another_issuer_is_refused() {
    recovers_from(Behaviour::WrongIssuer, &[Page::Discovery]).await;
}

#[tokio::test]
async fn a_slow_issuer_makes_requests_wait_for_a_bounded_time() {
    for page in BOTH {
        let issuer = Issuer::start().await;
        issuer.behave_at(*page, Behaviour::Slow);
        let timing = KeyTiming {
            wait: Duration::from_millis(20),
            fetch: Duration::from_secs(3600),
            ..on_demand()
        };
        let world = World::timed(issuer, timing, |_| {});
        let outcome = tokio::time::timeout(Duration::from_secs(5), world.send(|_| {}));
        unavailable(outcome.await.expect("the wait is bounded"));
    }
}

#[tokio::test]
async fn keys_are_not_fetched_over_plain_http_from_elsewhere() {
    let insecure = behaving(Page::Discovery, Behaviour::InsecureKeys).await;
    unavailable(insecure.send(|_| {}).await);
    assert_eq!(insecure.issuer.requests().keys, 0);
}

#[tokio::test]
async fn plain_http_from_elsewhere_can_be_permitted() {
    let issuer = Issuer::start().await;
    issuer.behave_at(Page::Discovery, Behaviour::InsecureKeys);
    let world = World::timed(issuer, on_demand(), |config| config.allow_insecure_http = true);
    world.accepts(|_| {}).await;
}

#[tokio::test]
async fn a_fetch_ends_when_the_issuer_does_not_answer() {
    let issuer = Issuer::start().await;
    issuer.behave(Behaviour::Slow);
    let world = World::timed(
        issuer,
        KeyTiming {
            fetch: Duration::from_millis(20),
            ..on_demand()
        },
        |_| {},
    );
    unavailable(world.send(|_| {}).await);
    world.issuer.up();
    // A loaded machine may need several attempts of so short a time.
    let good = async { while world.send(|_| {}).await.is_err() {} };
    tokio::time::timeout(TEST_TIMEOUT, good)
        .await
        .expect("the issuer answers again");
}

#[tokio::test]
async fn the_first_requests_wait_for_the_first_fetch_and_share_it() {
    let world = World::start().await;
    let waiting = futures_util::future::join_all((0..20).map(|_| world.send(|_| {})));
    assert!(waiting.await.iter().all(Result::is_ok));
    assert_eq!(world.issuer.requests().discovery, 1);
    assert_eq!(
        world.auth.issuers().collect::<Vec<_>>(),
        [(world.issuer.url(), true)]
    );
}

#[tokio::test]
async fn an_issuer_that_is_gone_does_not_hurt_the_others() {
    let (good, gone) = (Issuer::start().await, Issuer::start().await);
    let (token, provider) = (gone.token(serde_json::json!({})), gone.provider());
    drop(gone);
    let tasks = Tasks::new();
    let auth = Authenticator::start_with(vec![provider, good.provider()], &tasks, on_demand()).unwrap();
    let mine = good.token(serde_json::json!({}));
    assert!(authenticate(&auth, &mine).await.is_ok());
    unavailable(authenticate(&auth, &token).await);
    tasks.finish().await;
}

#[tokio::test]
async fn tls_to_something_else_fails_without_a_panic() {
    let issuer = Issuer::start().await;
    let mut provider = issuer.provider();
    provider.url = issuer.url().replace("http:", "https:");
    let token = issuer.token(serde_json::json!({"iss": provider.url}));
    let tasks = Tasks::new();
    let auth = Authenticator::start_with(vec![provider], &tasks, on_demand()).unwrap();
    unavailable(authenticate(&auth, &token).await);
    unavailable(authenticate(&auth, &token).await);
    assert_eq!(
        read(&auth.stats().refreshes_failed),
        2,
        "the first attempt, and one on demand"
    );
    tasks.finish().await;
}

#[tokio::test]
async fn the_start_never_waits_and_the_end_waits_for_nothing_but_tasks() {
    let issuer = Issuer::start().await;
    issuer.behave(Behaviour::Slow);
    let world = World::timed(issuer, KeyTiming::default(), |_| {});
    world.issuer.wait_for(|requests| requests.discovery == 1).await;
    let end = tokio::time::timeout(Duration::from_secs(3), world.tasks.finish());
    end.await.expect("a fetch that hangs does not hold up the end");
}

#[tokio::test]
async fn configurations_that_cannot_work_are_refused() {
    let issuer = Issuer::start().await;
    let start = |change: &dyn Fn(&mut chacha::config::ProviderConfig)| {
        let mut provider = issuer.provider();
        change(&mut provider);
        Authenticator::start(vec![provider], &Tasks::new()).err()
    };
    assert!(start(&|_| {}).is_none());
    for url in [
        "http://issuer.example",
        "not a url",
        "ftp://127.0.0.1",
        "https://a.example?x",
        "https://a.example#x",
    ] {
        let error = start(&|provider| provider.url = url.into());
        assert!(matches!(error, Some(SetupError::Url { .. })), "{url}");
    }
    let error = start(&|provider| provider.cache_key_exprs = vec!["?".into()]);
    assert!(matches!(error, Some(SetupError::Rules { .. })));
    let twice = Authenticator::start(vec![issuer.provider(), issuer.provider()], &Tasks::new());
    assert!(matches!(twice.err(), Some(SetupError::Duplicate { .. })));
}
