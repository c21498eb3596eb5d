//! What `chacha dev` prints: lines to copy for each client.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use super::issuer::AUDIENCE;
use crate::config::ListenAddr;

/// The configuration of a `dev` server; also kept in its directory, as an example.
pub(super) fn configuration(listen: SocketAddr, issuer: &str, dir: &Path) -> String {
    format!(
        "listen: '{listen}'\n\
         ops_listen: '127.0.0.1:0'\n\
         oidc_providers:\n\
         \x20 - url: {issuer}\n\
         \x20   audiences: [{AUDIENCE}]\n\
         \x20   algorithms: [ES256]\n\
         \x20   cache_key_exprs:\n\
         \x20     - 'join(\"repo\", claims.repository_id, claims.ref)'\n\
         disk:\n\
         \x20 dir: {}\n\
         \x20 limit: 2GB\n",
        // JSON strings are YAML strings: any path is safe.
        serde_json::Value::from(dir.join("cache").to_string_lossy().as_ref()),
    )
}

/// Everything a person needs to try the server.
pub(super) fn text(
    address: SocketAddr,
    ops: Option<&ListenAddr>,
    issuer: &str,
    dir: &Path,
    tokens: &[(&str, String)],
) -> String {
    let mut text = format!("\nchacha dev serves http://{address}\n  issuer  {issuer}\n");
    if let Some(ListenAddr::Tcp(ops)) = ops {
        let _ = writeln!(
            text,
            "  health  http://{ops}/readyz   metrics  http://{ops}/metrics"
        );
    }
    let _ = writeln!(text, "  files   {} (config.yaml, tokens, cache)\n", dir.display());
    text.push_str("Tokens of two tenants (each sees only its own entries):\n\n");
    for (name, token) in tokens {
        let _ = writeln!(text, "export {}_TOKEN={token}\n", name.to_uppercase());
    }
    text.push_str("export CHACHA_TOKEN=$ACME_TOKEN\n\n");
    text.push_str(&clients(address));
    text.push_str("\nCtrl-C stops the server.\n");
    text
}

fn clients(address: SocketAddr) -> String {
    let url = format!("http://{address}");
    format!(
        "# curl: store, read, and see that the other tenant misses
curl -f -T Cargo.toml -H \"Authorization: Bearer $CHACHA_TOKEN\" {url}/hello
curl -f -H \"Authorization: Bearer $CHACHA_TOKEN\" {url}/hello
curl -i -H \"Authorization: Bearer $GLOBEX_TOKEN\" {url}/hello

# Bazel
bazel build //... --remote_cache={url}/bazel --remote_header=\"Authorization=Bearer $CHACHA_TOKEN\"

# Gradle, settings.gradle
buildCache {{ remote(HttpBuildCache) {{ url = '{url}/cache/'; push = true; allowInsecureProtocol = true
  credentials {{ username = 'jwt'; password = System.getenv('CHACHA_TOKEN') }} }} }}

# ccache 4.7 and later (4.6: CCACHE_SECONDARY_STORAGE)
export CCACHE_REMOTE_STORAGE=\"{url}/ccache|bearer-token=$CHACHA_TOKEN\"

# sccache
export RUSTC_WRAPPER=sccache SCCACHE_WEBDAV_ENDPOINT={url} SCCACHE_WEBDAV_KEY_PREFIX=/sccache SCCACHE_WEBDAV_TOKEN=$CHACHA_TOKEN

# GitHub Actions cache: @actions/cache, act; then sccache, BuildKit
export ACTIONS_CACHE_URL={url}/ ACTIONS_RESULTS_URL={url}/ ACTIONS_RUNTIME_TOKEN=$CHACHA_TOKEN ACTIONS_CACHE_SERVICE_V2=on
export RUSTC_WRAPPER=sccache SCCACHE_GHA_ENABLED=on
docker buildx build --cache-to type=gha,url_v2={url}/,version=2,token=$CHACHA_TOKEN --cache-from type=gha,url_v2={url}/,version=2,token=$CHACHA_TOKEN .

# Turborepo
export TURBO_API={url} TURBO_TOKEN=$CHACHA_TOKEN TURBO_TEAM=my-team

# Nx
export NX_SELF_HOSTED_REMOTE_CACHE_SERVER={url} NX_SELF_HOSTED_REMOTE_CACHE_ACCESS_TOKEN=$CHACHA_TOKEN
"
    )
}
