//! An OIDC issuer in this process, on a port of its own, with switches for everything that goes
//! wrong with real ones.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use chacha::config::{Algorithm, ProviderConfig};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, Uri};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::signer::Signer;
use super::token::{AUDIENCE, Draft};
use super::wait::TEST_TIMEOUT;

/// How the issuer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Good,
    /// 503.
    Down,
    /// Never answers.
    Slow,
    /// 2 MiB of valid JSON.
    Huge,
    /// 302 to a place where the right answer is.
    Redirect,
    /// The right answer with this content type, or with none.
    Typed(Option<&'static str>),
    /// The right answer, compressed with gzip though nobody asked.
    Gzip,
    /// 4 MiB of valid JSON, compressed with gzip to some KiB.
    Bomb,
    /// A discovery document of somebody else.
    WrongIssuer,
    /// Not JSON.
    Junk,
    /// A discovery document whose keys are at an address that is no loopback address, but leads here.
    InsecureKeys,
}

/// One of the two pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Discovery,
    Keys,
}

/// A running issuer; ends when it is dropped.
pub(crate) struct Issuer {
    url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    url: Mutex<String>,
    state: Mutex<Settings>,
    requests: watch::Sender<Requests>,
}

struct Settings {
    discovery: Behaviour,
    keys: Behaviour,
    published: Vec<Value>,
    cache_control: Option<String>,
    /// What `Authorization` must be.
    authorization: Option<String>,
    signer: Signer,
}

/// What was asked for so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Requests {
    pub(crate) discovery: u64,
    pub(crate) keys: u64,
    /// How many of them asked for an answer that is not compressed.
    pub(crate) plain: u64,
    /// Anything else: where redirects and headers of tokens point.
    pub(crate) elsewhere: u64,
}

impl Issuer {
    /// An issuer that publishes one RSA key.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}");
        let state = Mutex::new(Settings {
            discovery: Behaviour::Good,
            keys: Behaviour::Good,
            published: vec![Signer::Rsa.jwk()],
            cache_control: None,
            authorization: None,
            signer: Signer::Rsa,
        });
        let shared = Arc::new(Shared {
            url: Mutex::new(url.clone()),
            state,
            requests: watch::Sender::default(),
        });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            address,
            shared,
            server,
        }
    }

    /// The same under another name, which leads to [`Issuer::address`] on some way.
    pub(crate) fn named(mut self, url: &str) -> Self {
        self.url = url.to_owned();
        self.shared.url.lock().unwrap().clone_from(&self.url);
        self
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers 401 from now on unless `Authorization` is this.
    pub(crate) fn demand(&self, authorization: &str) {
        self.shared.state.lock().unwrap().authorization = Some(authorization.to_owned());
    }

    /// The issuer's URL, which is the `iss` of its tokens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A provider that accepts this issuer, with `claims.repository` as the only namespace.
    pub(crate) fn provider(&self) -> ProviderConfig {
        ProviderConfig {
            url: self.url.clone(),
            audiences: vec![AUDIENCE.into()],
            algorithms: vec![Algorithm::RS256, Algorithm::ES256],
            cache_key_exprs: vec!["claims.repository".into()],
            scopes: None,
            allow_if: None,
            write_if: None,
            tenant: None,
            group: None,
            protect_if: None,
            leeway: Duration::from_secs(30),
            max_age: None,
            jwks_file: None,
            jwks_url: None,
            jwks_token_file: None,
            ca_file: None,
            outbound_proxy_file: None,
            allow_insecure_http: false,
        }
    }

    /// What it publishes now.
    pub(crate) fn key_set(&self) -> String {
        self.shared.good(Page::Keys).to_string()
    }

    /// A good token with these claims set; `null` removes one.
    pub(crate) fn token(&self, claims: Value) -> String {
        self.token_with(|draft| draft.claims(claims))
    }

    /// A token that was changed before it was signed.
    pub(crate) fn token_with(&self, change: impl FnOnce(&mut Draft)) -> String {
        let signer = self.shared.state.lock().unwrap().signer.clone();
        let mut draft = Draft::new(&self.url, signer);
        change(&mut draft);
        draft.sign()
    }

    /// Publishes exactly these keys.
    pub(crate) fn publish(&self, keys: impl IntoIterator<Item = Value>) {
        self.shared.state.lock().unwrap().published = keys.into_iter().collect();
    }

    /// Replaces the only key by another; tokens are signed with that from now on.
    pub(crate) fn rotate(&self) {
        let mut state = self.shared.state.lock().unwrap();
        state.signer = if matches!(state.signer, Signer::Rsa) {
            Signer::OtherRsa
        } else {
            Signer::Rsa
        };
        state.published = vec![state.signer.jwk()];
    }

    /// Sets the `Cache-Control` of the key set.
    pub(crate) fn cache_control(&self, value: &str) {
        self.shared.state.lock().unwrap().cache_control = Some(value.into());
    }

    /// Answers both pages like this from now on.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.behave_at(Page::Discovery, behaviour);
        self.behave_at(Page::Keys, behaviour);
    }

    /// Answers one page like this from now on.
    pub(crate) fn behave_at(&self, page: Page, behaviour: Behaviour) {
        let mut state = self.shared.state.lock().unwrap();
        match page {
            Page::Discovery => state.discovery = behaviour,
            Page::Keys => state.keys = behaviour,
        }
    }

    /// Answers 503 until [`Issuer::up`].
    pub(crate) fn down(&self) {
        self.behave(Behaviour::Down);
    }

    /// Answers well again.
    pub(crate) fn up(&self) {
        self.behave(Behaviour::Good);
    }

    /// What was asked for so far.
    pub(crate) fn requests(&self) -> Requests {
        *self.shared.requests.borrow()
    }

    /// Waits until enough was asked for.
    pub(crate) async fn wait_for(&self, enough: impl FnMut(&Requests) -> bool) -> Requests {
        let mut requests = self.shared.requests.subscribe();
        let met = tokio::time::timeout(TEST_TIMEOUT, requests.wait_for(enough));
        *met.await.expect("the issuer is asked in time").unwrap()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap) -> Response {
    if headers
        .get("accept-encoding")
        .is_some_and(|coding| coding == "identity")
    {
        shared.requests.send_modify(|requests| requests.plain += 1);
    }
    let demanded = shared.state.lock().unwrap().authorization.clone();
    let sent = headers.get("authorization").map(|value| value.to_str().unwrap());
    if demanded.is_some() && demanded.as_deref() != sent {
        return status(401);
    }
    let page = match uri.path() {
        "/.well-known/openid-configuration" => Page::Discovery,
        "/keys" => Page::Keys,
        _ => {
            shared.requests.send_modify(|requests| requests.elsewhere += 1);
            let is_keys = uri.path().ends_with("Keys");
            return json_answer(
                &shared.good(if is_keys { Page::Keys } else { Page::Discovery }),
                "application/json",
            );
        }
    };
    shared.requests.send_modify(|requests| match page {
        Page::Discovery => requests.discovery += 1,
        Page::Keys => requests.keys += 1,
    });
    shared.page(page).await
}

impl Shared {
    async fn page(&self, page: Page) -> Response {
        let (behaviour, cache_control) = {
            let state = self.state.lock().unwrap();
            let behaviour = if page == Page::Keys {
                state.keys
            } else {
                state.discovery
            };
            (behaviour, state.cache_control.clone())
        };
        let mut body = self.good(page);
        let url = self.url.lock().unwrap().clone();
        match behaviour {
            Behaviour::Good => {}
            Behaviour::Down => return status(503),
            Behaviour::Slow => std::future::pending().await,
            Behaviour::Huge => body["padding"] = "x".repeat(2 * 1024 * 1024).into(),
            Behaviour::Redirect => {
                let mut answer = status(302);
                let place = format!("{url}/elsewhere/{page:?}");
                answer.headers_mut().insert("location", place.parse().unwrap());
                return answer;
            }
            Behaviour::Typed(content_type) => {
                let mut answer = Response::new(Body::from(body.to_string()));
                let content_type = content_type.map(|name| name.parse().unwrap());
                content_type.map(|name| answer.headers_mut().insert("content-type", name));
                return answer;
            }
            Behaviour::Gzip => return gzip(&body),
            Behaviour::Bomb => {
                body["padding"] = "x".repeat(4 << 20).into();
                return gzip(&body);
            }
            Behaviour::WrongIssuer => body["issuer"] = format!("{url}/").into(),
            Behaviour::InsecureKeys => {
                body["jwks_uri"] = format!("{url}/keys").replace("127.0.0.1", "0.0.0.0").into();
            }
            Behaviour::Junk => return Response::new(Body::from("<html>")),
        }
        let mut answer = json_answer(&body, "application/json; charset=utf-8");
        if let Some(value) = cache_control {
            answer
                .headers_mut()
                .insert("cache-control", value.parse().unwrap());
        }
        answer
    }

    /// Like GitHub's: no `authorization_endpoint`.
    fn good(&self, page: Page) -> Value {
        let url = self.url.lock().unwrap();
        match page {
            Page::Discovery => json!({
                "issuer": *url,
                "jwks_uri": format!("{url}/keys"),
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public", "pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }),
            Page::Keys => json!({ "keys": self.state.lock().unwrap().published }),
        }
    }
}

fn json_answer(body: &Value, content_type: &str) -> Response {
    let mut answer = Response::new(Body::from(body.to_string()));
    answer
        .headers_mut()
        .insert("content-type", content_type.parse().unwrap());
    answer
}

fn gzip(body: &Value) -> Response {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body.to_string().as_bytes()).unwrap();
    let mut answer = Response::new(Body::from(encoder.finish().unwrap()));
    let headers = answer.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("content-encoding", HeaderValue::from_static("gzip"));
    answer
}

fn status(code: u16) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = http::StatusCode::from_u16(code).unwrap();
    answer
}
