//! What it costs to know who is asking, without a network. `cargo bench --bench auth`.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    dead_code,
    missing_docs,
    unused,
    reason = "a bench fails by panicking, is documented above, and uses a part of what the tests share"
)]

// What the tests have for peers.
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use chacha::auth::{Authenticator, Credentials, Identity, Rules};
use chacha::config::{Algorithm, ProviderConfig};
use chacha::store::{Protocol, StoreKey};
use chacha::tasks::Tasks;
use divan::Bencher;
use serde_json::json;
use support::signer::Signer;
use support::token::{AUDIENCE, Draft};
use tokio::runtime::Runtime;

const ISSUER: &str = "https://token.actions.githubusercontent.com";

fn main() {
    divan::main();
}

/// The documented expressions for GitHub Actions.
fn expressions() -> Vec<String> {
    vec![
        "join(\"repo\", claims.repository_id, claims.ref)".into(),
        "join(\"repo\", claims.repository_id, \"refs/heads/\" + nonempty(claims.base_ref))".into(),
        "join(\"repo\", claims.repository_id, \"refs/heads/main\")".into(),
    ]
}

const ALLOW_IF: &str = "claims.repository_owner_id == \"77\"";
const WRITE_IF: &str = "claims.event_name != \"pull_request_target\" && claims.event_name != \"issue_comment\" \
                        && claims.event_name != \"workflow_run\"";

/// A token with as many claims as those of GitHub Actions have; no two are equal.
fn draft(signer: Signer) -> Draft {
    let mut draft = Draft::new(ISSUER, signer);
    draft.claims(json!({
        "repository": "acme/app", "repository_id": "4242", "repository_owner": "acme",
        "repository_owner_id": "77", "repository_visibility": "private", "ref": "refs/heads/feature/speed",
        "ref_type": "branch", "ref_protected": "false", "base_ref": "main", "head_ref": "feature/speed",
        "event_name": "pull_request", "actor": "somebody", "actor_id": "12345", "workflow": "CI",
        "workflow_ref": "acme/app/.github/workflows/ci.yml@refs/heads/main", "run_id": "9876543210",
        "run_number": "1234", "run_attempt": "1", "runner_environment": "github-hosted",
        "sha": "0123456789abcdef0123456789abcdef01234567",
        "job_workflow_ref": "acme/app/.github/workflows/ci.yml@refs/heads/main",
    }));
    draft
}

fn provider() -> ProviderConfig {
    ProviderConfig {
        allow_if: Some(ALLOW_IF.into()),
        write_if: Some(WRITE_IF.into()),
        ..ProviderConfig::new(ISSUER, expressions())
    }
}

struct Rig {
    auth: Authenticator,
    runtime: Runtime,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys.json");
        let keys = json!({"keys": [Signer::Rsa.jwk(), Signer::P256.jwk()]});
        std::fs::write(&file, keys.to_string()).unwrap();
        let provider = ProviderConfig {
            audiences: vec![AUDIENCE.into()],
            jwks_file: Some(file),
            ..provider()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let auth = runtime.block_on(async { Authenticator::start(vec![provider], &Tasks::new()).unwrap() });
        let rig = Self {
            auth,
            runtime,
            _dir: dir,
        };
        // Its keys are read by now.
        rig.authenticate(&header(Signer::Rsa));
        rig
    }

    fn authenticate(&self, header: &str) -> Arc<Identity> {
        let credentials = Credentials::from_header_values([header.as_bytes()].into_iter()).unwrap();
        self.runtime
            .block_on(self.auth.authenticate(&credentials))
            .unwrap()
    }
}

fn header(signer: Signer) -> String {
    format!("Bearer {}", draft(signer).sign())
}

/// A digest of the credentials and one look-up.
#[divan::bench]
fn remembered_token(bencher: Bencher<'_, '_>) {
    let rig = Rig::new();
    let header = header(Signer::Rsa);
    rig.authenticate(&header);
    bencher.bench_local(|| rig.authenticate(&header));
}

#[divan::bench(sample_count = 200, sample_size = 1)]
fn fresh_rs256_token(bencher: Bencher<'_, '_>) {
    let rig = Rig::new();
    bencher
        .with_inputs(|| header(Signer::Rsa))
        .bench_local_values(|header| rig.authenticate(&header));
}

#[divan::bench(sample_count = 200, sample_size = 1)]
fn fresh_es256_token(bencher: Bencher<'_, '_>) {
    let rig = Rig::new();
    bencher
        .with_inputs(|| header(Signer::P256))
        .bench_local_values(|header| rig.authenticate(&header));
}

#[divan::bench]
fn github_expressions(bencher: Bencher<'_, '_>) {
    let rules = Rules::compile(&provider()).unwrap();
    let claims = draft(Signer::Nobody).claims;
    let issuer = ISSUER.into();
    let granted = rules.apply(&issuer, &claims).unwrap();
    assert!(granted.may_write && granted.scope.readable().len() == 2);
    bencher.bench_local(|| rules.apply(&issuer, &claims).unwrap());
}

#[divan::bench]
fn store_key(bencher: Bencher<'_, '_>) {
    let issuer: Arc<str> = ISSUER.into();
    let namespace: Arc<str> = "repo/4242/refs%2Fheads%2Fmain".into();
    let name: &[u8] = b"cas/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    bencher.bench_local(|| StoreKey::new(issuer.clone(), namespace.clone(), Protocol::Http, name));
}
