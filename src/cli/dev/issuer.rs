//! A small OIDC issuer on loopback: discovery, key set, signed tokens.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::tasks::Tasks;

/// The audience of every token; the configuration of `dev` asks for it.
pub(super) const AUDIENCE: &str = "chacha-dev";
/// Seconds that a token lives: longer than a day of trying things.
const TOKEN_LIFETIME_SECONDS: u64 = 7 * 24 * 3600;
const KEY_ID: &str = "dev-1";

/// Whom a token names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tenant {
    pub(super) name: &'static str,
    pub(super) repository: &'static str,
    pub(super) repository_id: &'static str,
}

/// The running issuer.
pub(super) struct Issuer {
    url: Arc<str>,
    key: EncodingKey,
}

impl Issuer {
    /// Makes a key and serves discovery and key set on a free port.
    pub(super) async fn start(tasks: &Tasks) -> anyhow::Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|_| anyhow::anyhow!("cannot make a signing key"))?;
        let private = pair
            .to_pkcs8v1()
            .map_err(|_| anyhow::anyhow!("cannot encode the signing key"))?;
        let key = EncodingKey::from_ec_der(private.as_ref());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("cannot start the issuer")?;
        let url: Arc<str> = format!("http://{}", listener.local_addr()?).into();
        let router = router(&url, pair.public_key().as_ref());
        let until = tasks.stopping().cancelled_owned();
        tasks.spawn(async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(until)
                .await
                .ok();
        });
        Ok(Self { url, key })
    }

    /// The `iss` of its tokens.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// A token with the claims of a GitHub Actions job on the default branch.
    pub(super) fn token(&self, tenant: &Tenant) -> anyhow::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = json!({
            "iss": &*self.url, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + TOKEN_LIFETIME_SECONDS,
            "sub": format!("repo:{}:ref:refs/heads/main", tenant.repository),
            "repository": tenant.repository, "repository_id": tenant.repository_id,
            "repository_owner": tenant.name, "ref": "refs/heads/main", "ref_type": "branch",
            "base_ref": "", "head_ref": "", "event_name": "push",
            // BuildKit sends no token without it; the namespaces come from the expressions all the same.
            "ac": r#"[{"Scope":"refs/heads/main","Permission":3}]"#,
        });
        let mut head = Header::new(Algorithm::ES256);
        head.kid = Some(KEY_ID.to_owned());
        jsonwebtoken::encode(&head, &claims, &self.key).context("cannot sign a token")
    }
}

fn router(url: &str, point: &[u8]) -> Router {
    let discovery = json!({
        "issuer": url, "jwks_uri": format!("{url}/keys"), "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"],
    });
    // An uncompressed point (SEC 1, 2.3.3): a tag, then both coordinates.
    let (x, y) = point.get(1..).unwrap_or_default().split_at(32);
    let keys = json!({"keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KEY_ID,
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    }]});
    Router::new()
        .route(
            "/.well-known/openid-configuration",
            get(move || document(discovery.clone())),
        )
        .route("/keys", get(move || document(keys.clone())))
}

async fn document(value: Value) -> ([(header::HeaderName, &'static str); 1], String) {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string())
}
