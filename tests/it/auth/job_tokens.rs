//! No way leads to more than what a token was made of: exchanges, narrowing and reloads in any order.

use std::collections::BTreeSet;

use chacha::auth::{
    Authenticator, Credentials, ExchangeError, ExchangeRequest, Identity, IssuedToken, JobTokenForm,
    JobTokenKeys, JobTokens, NamespaceChoice, Restriction, RightsChoice, SigningKey,
};
use chacha::config::{JobTokensConfig, ProviderConfig};
use chacha::tasks::Tasks;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;

use super::{authenticate, on_demand};
use crate::support::issuer::Issuer;

/// What a reload makes of the rules.
#[derive(Debug, Clone)]
struct Reload {
    /// The order of the namespaces, some left out.
    namespaces: Vec<usize>,
    write_if: bool,
    allow_if: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Reload(Reload),
    /// Of the token with this number, a new one.
    Narrow(usize, Restriction, u64, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let order = prop::sample::subsequence(vec![0, 1, 2, 3], 1..=4).prop_shuffle();
    let reload = (order, any::<bool>(), prop::bool::weighted(0.9));
    let reload = reload.prop_map(|(namespaces, write_if, allow_if)| {
        Step::Reload(Reload {
            namespaces,
            write_if,
            allow_if,
        })
    });
    let rights = prop::option::of((any::<bool>(), any::<bool>()));
    let rights = rights.prop_map(|both| both.map(|(read, write)| RightsChoice { read, write }));
    let namespace = prop::option::of(prop_oneof![
        (0usize..5).prop_map(NamespaceChoice::Index),
        (0usize..5).prop_map(|nth| NamespaceChoice::Text(format!("n{nth}"))),
    ]);
    let restriction = (rights, namespace).prop_map(|(rights, namespace)| Restriction { rights, namespace });
    let narrow = (
        any::<prop::sample::Index>(),
        restriction,
        60u64..40_000,
        any::<bool>(),
    );
    let narrow = narrow
        .prop_map(|(token, restriction, ttl, jwt)| Step::Narrow(token.index(1 << 20), restriction, ttl, jwt));
    prop::collection::vec(prop_oneof![1 => reload, 3 => narrow], 1..12)
}

/// All that a caller may do.
fn rights(caller: &Identity) -> BTreeSet<String> {
    let mut rights: BTreeSet<_> = caller
        .scope
        .readable()
        .map(|one| format!("read {}", one.path()))
        .collect();
    if caller.may_write {
        rights.insert(format!("write {}", caller.scope.writable().path()));
    }
    rights
}

/// A token, the rights of the one it was made of when it was made, and its end.
struct Held {
    text: String,
    bound: BTreeSet<String>,
    expires: u64,
}

struct World {
    provider: ProviderConfig,
    job_tokens: JobTokens,
    tasks: Tasks,
}

impl World {
    fn load(&self, reload: &Reload) -> Authenticator {
        let mut provider = self.provider.clone();
        let text = |nth: &usize| format!("join(\"n{nth}\") + trimPrefix(claims.ref, claims.ref)");
        provider.cache_key_exprs = reload.namespaces.iter().map(text).collect();
        provider.write_if = Some(format!("{} == (claims.ref != \"\")", reload.write_if));
        provider.allow_if = Some(format!("{} == (claims.ref != \"\")", reload.allow_if));
        let auth = Authenticator::start_with(vec![provider], &self.tasks, on_demand()).unwrap();
        auth.with_job_tokens(self.job_tokens.clone())
    }

    async fn exchange(
        auth: &Authenticator,
        token: &str,
        (restriction, ttl, jwt): (&Restriction, u64, bool),
    ) -> Result<IssuedToken, ExchangeError> {
        let request = ExchangeRequest {
            subject: Credentials::from_token(token).unwrap(),
            restriction: restriction.clone(),
            ttl: Some(ttl),
            form: if jwt {
                JobTokenForm::Jwt
            } else {
                JobTokenForm::Opaque
            },
            targets: &[],
            base_url: None,
        };
        auth.exchange(&request).await
    }
}

async fn never_widened(world: &World, ci: &str, steps: &[Step]) {
    let all = Reload {
        namespaces: vec![0, 1, 2],
        write_if: true,
        allow_if: true,
    };
    let mut auth = world.load(&all);
    let first = World::exchange(&auth, ci, (&Restriction::default(), 40_000, false))
        .await
        .unwrap();
    let whole = rights(&authenticate(&auth, ci).await.unwrap());
    assert_eq!(rights(&first.identity), whole);
    let mut held = vec![Held {
        text: first.text,
        bound: whole,
        expires: first.expires,
    }];
    for step in steps {
        match step {
            Step::Reload(reload) => auth = world.load(reload),
            Step::Narrow(nth, restriction, ttl, jwt) => {
                let parent = &held[nth % held.len()];
                let now = authenticate(&auth, &parent.text).await;
                let made = World::exchange(&auth, &parent.text, (restriction, *ttl, *jwt)).await;
                let Ok(made) = made else { continue };
                let granted = rights(&made.identity);
                let of_parent = rights(&now.expect("who exchanges is let in"));
                assert!(granted.is_subset(&of_parent), "{granted:?} of {of_parent:?}");
                assert!(made.expires <= parent.expires);
                held.push(Held {
                    text: made.text,
                    bound: granted,
                    expires: made.expires,
                });
            }
        }
        for token in &held {
            if let Ok(caller) = authenticate(&auth, &token.text).await {
                let now = rights(&caller);
                assert!(now.is_subset(&token.bound), "{now:?} of {:?}", token.bound);
                let of_ci = rights(&authenticate(&auth, ci).await.unwrap());
                assert!(now.is_subset(&of_ci), "{now:?} beside {of_ci:?}");
            }
        }
    }
}

#[test]
fn no_sequence_of_exchange_narrowing_and_reload_widens_a_right() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (dir, issuer) = (tempfile::tempdir().unwrap(), runtime.block_on(Issuer::start()));
    let keys = dir.path().join("keys.json");
    std::fs::write(&keys, issuer.key_set()).unwrap();
    let ci = issuer.token(json!({"ref": "refs/heads/main"}));
    let key = JobTokenKeys::new(&SigningKey::generate().unwrap(), None);
    let world = World {
        provider: ProviderConfig {
            jwks_file: Some(keys),
            ..issuer.provider()
        },
        job_tokens: JobTokens::new(Some(key), Some(JobTokensConfig::default())),
        tasks: Tasks::new(),
    };
    let mut runner = TestRunner::new(ProptestConfig::with_cases(48));
    let outcome = runner.run(&steps(), |steps| {
        runtime.block_on(never_widened(&world, &ci, &steps));
        Ok(())
    });
    runtime.block_on(world.tasks.finish());
    outcome.unwrap();
}
