//! Issuers with certificates of their own, behind proxies, and without discovery.

use std::path::{Path, PathBuf};

use chacha::auth::{Authenticator, SetupError};
use chacha::config::ProviderConfig;
use chacha::tasks::Tasks;

use super::{World, on_demand, unavailable};
use crate::support::issuer::{Behaviour, Issuer, Page};
use crate::support::proxy::Proxy;
use crate::support::tls::{Authority, TlsFront};

/// A folder with the files that a provider names.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn authority(&self, authority: &Authority) -> PathBuf {
        let path = self.path("ca.pem");
        authority.write(&path);
        path
    }
}

fn world(issuer: Issuer, change: impl FnOnce(&mut ProviderConfig)) -> World {
    World::timed(issuer, on_demand(), change)
}

#[tokio::test]
async fn a_private_authority_is_trusted_only_where_ca_file_names_it() {
    let (files, authority, other) = (Files::new(), Authority::new(), Authority::new());
    for (named, good) in [(Some(&authority), true), (Some(&other), false), (None, false)] {
        let issuer = Issuer::start().await;
        let front = TlsFront::start(&authority, &["localhost"], issuer.address()).await;
        let url = format!("https://localhost:{}", front.address().port());
        let ca_file = named.map(|authority| files.authority(authority));
        let world = world(issuer.named(&url), |config| config.ca_file = ca_file);
        match good {
            true => drop(world.accepts(|_| {}).await),
            false => unavailable(world.send(|_| {}).await),
        }
        world.tasks.finish().await;
    }
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused_also_with_ca_file() {
    let (files, authority) = (Files::new(), Authority::new());
    let issuer = Issuer::start().await;
    let front = TlsFront::start(&authority, &["other.test"], issuer.address()).await;
    let url = format!("https://localhost:{}", front.address().port());
    let ca_file = files.authority(&authority);
    let world = world(issuer.named(&url), |config| config.ca_file = Some(ca_file));
    unavailable(world.send(|_| {}).await);
}

/// What `me` with the password `p@ss` sends.
const SECRET: &str = "Basic bWU6cEBzcw==";

fn proxy_file(files: &Files, proxy: &Proxy, user: &str) -> PathBuf {
    files.write("proxy", &format!("# ours\nhttp://{user}{}\n", proxy.address()))
}

#[tokio::test]
async fn an_issuer_is_reached_through_a_tunnel_of_the_proxy() {
    let (files, authority) = (Files::new(), Authority::new());
    for (user, good) in [("me:p%40ss@", true), ("me:other@", false), ("", false)] {
        let issuer = Issuer::start().await;
        let front = TlsFront::start(&authority, &["issuer.test"], issuer.address()).await;
        let proxy = Proxy::start(front.address(), Some(SECRET)).await;
        let ca_file = files.authority(&authority);
        let file = proxy_file(&files, &proxy, user);
        let world = world(issuer.named("https://issuer.test"), |config| {
            config.ca_file = Some(ca_file);
            config.outbound_proxy_file = Some(file);
        });
        if good {
            world.accepts(|_| {}).await;
            assert_eq!(proxy.requests(), ["CONNECT issuer.test:443"; 2]);
        } else {
            unavailable(world.send(|_| {}).await);
            assert_eq!(proxy.requests(), [""; 0]);
        }
        world.tasks.finish().await;
    }
}

#[tokio::test]
async fn an_issuer_without_tls_is_asked_through_the_proxy_with_the_whole_target() {
    let files = Files::new();
    let issuer = Issuer::start().await;
    let proxy = Proxy::start(issuer.address(), Some(SECRET)).await;
    let file = proxy_file(&files, &proxy, "me:p%40ss@");
    let world = world(issuer.named("http://issuer.test"), |config| {
        config.allow_insecure_http = true;
        config.outbound_proxy_file = Some(file);
    });
    world.accepts(|_| {}).await;
    let expected = [
        "GET http://issuer.test/.well-known/openid-configuration",
        "GET http://issuer.test/keys",
    ];
    assert_eq!(proxy.requests(), expected);
}

#[tokio::test]
async fn loopback_and_named_exceptions_do_not_go_through_the_proxy() {
    let files = Files::new();
    let issuer = Issuer::start().await;
    let proxy = Proxy::start(issuer.address(), None).await;
    let file = proxy_file(&files, &proxy, "");
    let local = world(issuer, |config| config.outbound_proxy_file = Some(file));
    local.accepts(|_| {}).await;
    assert_eq!(proxy.requests(), [""; 0]);

    let text = format!("http://{}\n.internal, issuer.test\n", proxy.address());
    let file = files.write("proxy", &text);
    let named = world(Issuer::start().await.named("http://issuer.test"), |config| {
        config.allow_insecure_http = true;
        config.outbound_proxy_file = Some(file);
    });
    unavailable(named.send(|_| {}).await);
    assert_eq!(proxy.requests(), [""; 0]);
}

#[tokio::test]
async fn jwks_url_stands_in_for_discovery_and_url_stays_the_name() {
    let issuer = Issuer::start().await;
    issuer.behave_at(Page::Discovery, Behaviour::Down);
    let place = format!("http://{}/keys", issuer.address());
    let world = world(issuer.named("https://issuer.invalid"), |config| {
        config.jwks_url = Some(place.parse().unwrap());
    });
    let identity = world.accepts(|_| {}).await;
    assert_eq!(&*identity.issuer, "https://issuer.invalid");
    let requests = world.issuer.requests();
    assert_eq!((requests.discovery, requests.keys), (0, 1));
    for behaviour in [Behaviour::Down, Behaviour::Junk, Behaviour::Redirect] {
        world.issuer.behave_at(Page::Keys, behaviour);
        unavailable(world.send(|t| t.header("kid", "new")).await);
    }
    world.accepts(|_| {}).await;
    world.issuer.behave_at(Page::Keys, Behaviour::Gzip);
    world.refuses("unknown key", |t| t.header("kid", "new")).await;
}

#[tokio::test]
async fn the_token_for_the_keys_is_sent_with_both_requests_and_read_anew() {
    let files = Files::new();
    for with_url in [false, true] {
        let issuer = Issuer::start().await;
        issuer.demand("Bearer second");
        let token_file = files.write("token", "first\n");
        let place = format!("{}/keys", issuer.url()).parse().unwrap();
        let world = world(issuer, |config| {
            config.jwks_token_file = Some(token_file);
            config.jwks_url = with_url.then_some(place);
        });
        unavailable(world.send(|_| {}).await);
        std::fs::remove_file(files.path("token")).unwrap();
        unavailable(world.send(|_| {}).await);
        files.write("token", "second\n");
        world.accepts(|_| {}).await;
        world.tasks.finish().await;
    }
}

#[tokio::test]
async fn the_token_for_the_keys_never_goes_over_an_open_way() {
    let files = Files::new();
    let issuer = Issuer::start().await;
    issuer.behave_at(Page::Discovery, Behaviour::InsecureKeys);
    let token_file = files.write("token", "secret");
    let world = world(issuer, |config| {
        config.allow_insecure_http = true;
        config.jwks_token_file = Some(token_file);
    });
    unavailable(world.send(|_| {}).await);
    assert_eq!(world.issuer.requests().keys, 0);
}

#[tokio::test]
async fn files_that_cannot_be_used_stop_the_start_with_their_name() {
    let issuer = Issuer::start().await;
    let start = |change: &dyn Fn(&mut ProviderConfig)| {
        let mut provider = issuer.provider();
        provider.url = "https://issuer.test".into();
        change(&mut provider);
        Authenticator::start(vec![provider], &Tasks::new()).err().unwrap()
    };
    let missing = || Some(Path::new("/nowhere/at-all").to_owned());
    let error = start(&|provider| provider.ca_file = missing());
    assert!(matches!(error, SetupError::Certificates { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("ca_file: \"/nowhere/at-all\" does not exist"),
        "{text}"
    );
    let error = start(&|provider| provider.outbound_proxy_file = missing());
    assert!(matches!(error, SetupError::Proxy(_)), "{error}");
}
