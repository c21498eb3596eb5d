//! The section `oidc_providers`.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_yaml::Value;

use super::expression::{self, ExpressionCheck};
use super::field::Field;
use super::keys::PROVIDER;
use super::section::Section;
use super::suggest::nearest;
use super::weburl::{self, UrlRules};
use super::{Algorithm, ProviderConfig, defaults};

/// Issuers whose tokens are known to name no repository or project.
const WITHOUT_PROJECTS: &[&str] = &["https://accounts.google.com"];

const EXAMPLE: &str = "url: https://token.actions.githubusercontent.com";

/// Reads all providers. `None` when one of them has an error; all errors are reported.
pub(super) fn providers(
    root: &Section<'_>,
    expressions: &dyn ExpressionCheck,
) -> Option<Vec<ProviderConfig>> {
    const ADVICE: &str = "without a provider nobody could use the cache";
    let Some(list) = root.field("oidc_providers") else {
        let example = format!("oidc_providers:` with an entry `- {EXAMPLE}");
        root.missing("oidc_providers", &example);
        return None;
    };
    let entries = list.entries(EXAMPLE)?;
    if entries.is_empty() {
        list.error(format!(
            "the list is empty, and {ADVICE}; add an entry `- {EXAMPLE}`"
        ));
        return None;
    }
    let mut urls = HashMap::new();
    let read = entries.iter().map(|entry| {
        let provider = provider(entry, expressions);
        refuse_duplicate(entry, &mut urls);
        provider
    });
    // Collected in two steps: the first error must not keep the next entry from being read.
    let read: Vec<_> = read.collect();
    read.into_iter().collect()
}

/// Two entries with one issuer would leave open whose expressions count.
fn refuse_duplicate<'a>(entry: &Field<'a>, urls: &mut HashMap<&'a str, Option<usize>>) {
    let Some(url) = entry.value.get("url").and_then(Value::as_str) else {
        return;
    };
    let (reader, path) = (entry.reader, entry.path.key("url"));
    if let Some(first) = urls.get(url) {
        let place = first.map_or_else(String::new, |line| format!(" on line {line}"));
        reader.error(
            &path,
            format!("this issuer is configured already{place}; merge both entries into one"),
        );
    } else {
        urls.insert(url, reader.line(&path));
    }
}

fn provider(entry: &Field<'_>, expressions: &dyn ExpressionCheck) -> Option<ProviderConfig> {
    let section = &Section::open(entry, PROVIDER)?;
    let mut rules = UrlRules::default();
    section.set(&mut rules.insecure_http, "allow_insecure_http", Field::flag);
    section.set(&mut rules.trailing_slash, "allow_trailing_slash", Field::flag);
    let url = section.required("url", EXAMPLE, |field| weburl::issuer(field.text()?, rules));
    let audiences = audiences(section);
    let algorithms = algorithms(section);
    let cache_key_exprs = expression::namespaces(section, expressions);
    let leeway = |field: &Field<'_>| field.duration(&defaults::LEEWAY_RANGE);
    let max_age = |field: &Field<'_>| field.duration(&defaults::MAX_AGE_RANGE);
    let complete = url.is_some() && cache_key_exprs.is_some();
    let mut config = ProviderConfig::new(url.unwrap_or_default(), cache_key_exprs.unwrap_or_default());
    config.audiences = audiences;
    config.algorithms = algorithms.unwrap_or(config.algorithms);
    config.scopes = section.optional("scopes", |field| {
        field.word("is not accepted; write ac (the scopes in GitHub's runtime token), or remove the key")
    });
    config.allow_if = expression::condition(section, "allow_if", expressions);
    config.write_if = expression::condition(section, "write_if", expressions);
    config.tenant = expression::tenant(section, "tenant", expressions);
    config.group = expression::tenant(section, "group", expressions);
    config.protect_if = expression::condition(section, "protect_if", expressions);
    if config.tenant.is_none() && WITHOUT_PROJECTS.contains(&&*config.url) {
        section.warn(
            "has no `tenant`, and tokens of this issuer name no repository or project: each first namespace is a tenant with \
             a share of its own; add `tenant`",
        );
    }
    section.set(&mut config.leeway, "leeway", leeway);
    config.max_age = section.optional("max_age", max_age);
    key_set(section, &mut config, rules);
    config.allow_insecure_http = rules.insecure_http;
    complete.then_some(config)
}

/// Where the keys come from, and how they are asked for.
fn key_set(section: &Section<'_>, config: &mut ProviderConfig, rules: UrlRules) {
    config.jwks_file = section.optional("jwks_file", |field| field.text().map(PathBuf::from));
    config.jwks_url = section.optional("jwks_url", |field| weburl::key_set(field.text()?, rules));
    config.jwks_token_file = section.optional("jwks_token_file", Field::file_path);
    config.ca_file = section.optional("ca_file", Field::file_path);
    if section.field("jwks_file").is_some() {
        for name in ["jwks_url", "jwks_token_file", "ca_file"] {
            if let Some(field) = section.field(name) {
                field.warn("is not used: the keys come from `jwks_file`; remove one of both");
            }
        }
    } else if let Some(field) = section.field("jwks_token_file").filter(|_| rules.insecure_http) {
        field.warn(
            "is sent over https and to loopback addresses only, whatever `allow_insecure_http` says; the keys of an \
             http:// issuer elsewhere cannot be fetched with it",
        );
    }
}

/// Reads a list of which every faulty entry is reported; `empty` is the fault of one without entries.
fn list<'a, T>(
    field: &Field<'a>,
    empty: &str,
    example: &str,
    read: impl Fn(&Field<'a>) -> Result<T, String>,
) -> Vec<T> {
    if field.is_empty_list() {
        field.error(empty);
    }
    let entries = field.entries(example).unwrap_or_default();
    entries.iter().filter_map(|entry| entry.read(&read)).collect()
}

fn audiences(section: &Section<'_>) -> Vec<String> {
    const WARNING: &str = "without `audiences` a token that was made for any other service is accepted; \
        add `audiences: [https://cache.example.com]` and request tokens with that audience";
    // A template that renders nothing must not open the cache to everybody.
    const EMPTY: &str =
        "the list is empty; name an audience, or remove the key to accept tokens for any audience";
    let Some(field) = section.field("audiences") else {
        section.warn(WARNING);
        return Vec::new();
    };
    list(&field, EMPTY, "https://cache.example.com", |entry| {
        entry.text().map(str::to_owned)
    })
}

fn algorithms(section: &Section<'_>) -> Option<Vec<Algorithm>> {
    const EMPTY: &str =
        "the list is empty, so no token could be accepted; name an algorithm or remove the key";
    let field = section.field("algorithms")?;
    let names = list(&field, EMPTY, "RS256", |entry| {
        let name = entry.text()?;
        let known = Algorithm::ALL.iter().find(|algorithm| algorithm.as_str() == name);
        known.copied().ok_or_else(|| algorithm_fault(name))
    });
    let mut unique = Vec::new();
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    Some(unique)
}

fn algorithm_fault(name: &str) -> String {
    let upper = name.to_uppercase();
    if upper == "NONE" || upper.starts_with("HS") {
        return "can never be accepted: whoever can check such a signature can also forge it; write RS256 or ES256"
            .to_owned();
    }
    let names: Vec<&str> = Algorithm::ALL
        .iter()
        .map(|algorithm| algorithm.as_str())
        .collect();
    match nearest(name, names.iter().copied()) {
        Some(near) if near.eq_ignore_ascii_case(name) => format!("is not an algorithm; write {near}"),
        _ => format!("is not an algorithm; write one of {}", names.join(", ")),
    }
}
