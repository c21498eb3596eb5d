//! The section `oidc_providers`.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_yaml::Value;

use super::expression::{self, ExpressionCheck};
use super::field::Field;
use super::keys::PROVIDER;
use super::reader::ConfigReader;
use super::section::Section;
use super::suggest::nearest;
use super::weburl::{self, UrlRules};
use super::{Algorithm, ProviderConfig, TokenScopes, defaults};

const EXAMPLE: &str = "url: https://token.actions.githubusercontent.com";

/// Reads all providers. `None` when one of them has an error; all errors are reported.
pub(super) fn providers(
    reader: &mut ConfigReader<'_>,
    root: &Section<'_>,
    expressions: &dyn ExpressionCheck,
) -> Option<Vec<ProviderConfig>> {
    const ADVICE: &str = "without a provider nobody could use the cache";
    let Some(list) = root.field("oidc_providers") else {
        root.missing(
            reader,
            "oidc_providers",
            &format!("oidc_providers:` with an entry `- {EXAMPLE}"),
        );
        return None;
    };
    let entries = list.entries(reader, EXAMPLE)?;
    if entries.is_empty() {
        reader.error(
            list.path(),
            format!("the list is empty, and {ADVICE}; add an entry `- {EXAMPLE}`"),
        );
        return None;
    }
    let mut urls = HashMap::new();
    let read = entries.iter().map(|entry| {
        let provider = provider(reader, entry, expressions);
        refuse_duplicate(reader, entry, &mut urls);
        provider
    });
    // Collected in two steps: the first error must not keep the next entry from being read.
    let read: Vec<_> = read.collect();
    read.into_iter().collect()
}

/// Two entries with one issuer would leave open whose expressions count.
fn refuse_duplicate<'a>(
    reader: &mut ConfigReader<'_>,
    entry: &Field<'a>,
    urls: &mut HashMap<&'a str, Option<usize>>,
) {
    let Some(url) = entry.value().get("url").and_then(Value::as_str) else {
        return;
    };
    let path = entry.path().key("url");
    let line = reader.line(&path);
    if let Some(first) = urls.get(url) {
        let place = first.map_or_else(String::new, |line| format!(" on line {line}"));
        reader.error(
            &path,
            format!("this issuer is configured already{place}; merge both entries into one"),
        );
    } else {
        urls.insert(url, line);
    }
}

fn provider(
    reader: &mut ConfigReader<'_>,
    entry: &Field<'_>,
    expressions: &dyn ExpressionCheck,
) -> Option<ProviderConfig> {
    let section = Section::open(reader, entry.path().clone(), entry.value(), PROVIDER)?;
    let section = &section;
    let allow_insecure_http = section.optional(reader, "allow_insecure_http", Field::flag);
    let allow_trailing_slash = section.optional(reader, "allow_trailing_slash", Field::flag);
    let rules = UrlRules {
        insecure_http: allow_insecure_http.unwrap_or(false),
        trailing_slash: allow_trailing_slash.unwrap_or(false),
        ..UrlRules::default()
    };
    let url = section.required(reader, "url", EXAMPLE, |field| {
        weburl::issuer(field.text()?, rules)
    });
    let audiences = audiences(reader, section);
    let algorithms = algorithms(reader, section);
    let cache_key_exprs = expression::namespaces(reader, section, expressions);
    let scopes = section.optional(reader, "scopes", scopes);
    let allow_if = expression::condition(reader, section, "allow_if", expressions);
    let write_if = expression::condition(reader, section, "write_if", expressions);
    let leeway = section.optional(reader, "leeway", |field| field.duration(&defaults::LEEWAY_RANGE));
    let max_age = section.optional(reader, "max_age", |field| {
        field.duration(&defaults::MAX_AGE_RANGE)
    });
    let jwks_file = section.optional(reader, "jwks_file", |field| field.text().map(PathBuf::from));
    let default = ProviderConfig::new(url?, cache_key_exprs?);
    Some(ProviderConfig {
        audiences,
        algorithms: algorithms.unwrap_or(default.algorithms),
        scopes,
        allow_if,
        write_if,
        leeway: leeway.unwrap_or(default.leeway),
        max_age,
        jwks_file,
        allow_insecure_http: rules.insecure_http,
        ..default
    })
}

fn scopes(field: &Field<'_>) -> Result<TokenScopes, String> {
    field.word("is not accepted; write ac (the scopes in GitHub's runtime token), or remove the key")
}

/// Reads a list of which every faulty entry is reported.
fn list<'a, T>(
    reader: &mut ConfigReader<'_>,
    field: &Field<'a>,
    example: &str,
    read: impl Fn(&Field<'a>) -> Result<T, String>,
) -> Vec<T> {
    let entries = field.entries(reader, example).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| entry.read(reader, &read))
        .collect()
}

fn audiences(reader: &mut ConfigReader<'_>, section: &Section<'_>) -> Vec<String> {
    const WARNING: &str = "without `audiences` a token that was made for any other service is accepted; \
        add `audiences: [https://cache.example.com]` and request tokens with that audience";
    let Some(field) = section.field("audiences") else {
        reader.warn(section.path(), WARNING);
        return Vec::new();
    };
    if field.value().as_sequence().is_some_and(Vec::is_empty) {
        // A template that renders nothing must not open the cache to everybody.
        reader.error(
            field.path(),
            "the list is empty; name an audience, or remove the key to accept tokens for any audience",
        );
    }
    list(reader, &field, "https://cache.example.com", |entry| {
        entry.text().map(str::to_owned)
    })
}

fn algorithms(reader: &mut ConfigReader<'_>, section: &Section<'_>) -> Option<Vec<Algorithm>> {
    let field = section.field("algorithms")?;
    if field.value().as_sequence().is_some_and(Vec::is_empty) {
        reader.error(
            field.path(),
            "the list is empty, so no token could be accepted; name an algorithm or remove the key",
        );
    }
    let mut names = list(reader, &field, "RS256", |entry| {
        let name = entry.text()?;
        let known = Algorithm::ALL.iter().find(|algorithm| algorithm.as_str() == name);
        known.copied().ok_or_else(|| algorithm_fault(name))
    });
    let mut seen = Vec::new();
    names.retain(|name| {
        let new = !seen.contains(name);
        seen.push(*name);
        new
    });
    Some(names)
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
