//! `config.example.yaml` and the code say the same.

use super::expression::{ExpressionCheck, ExpressionKind};
use super::keys::{ROOT, SECTIONS};
use super::suggest::offered;
use super::{
    Config, DiskConfig, GhaConfig, JobTokensConfig, LimitsConfig, LoadedConfig, S3Config, WriteMode,
    defaults, parse,
};

const EXAMPLE: &str = include_str!("../../config.example.yaml");

struct Accept;

impl ExpressionCheck for Accept {
    fn check(&self, _: ExpressionKind, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

fn read(text: &str) -> LoadedConfig {
    parse("config.example.yaml", text, &Accept).unwrap_or_else(|report| panic!("{report}\n{text}"))
}

/// The example with every optional setting switched on: `#key: value` and `#- key: value` at any depth, but not
/// `# a comment`.
fn uncommented() -> String {
    let line = |line: &str| {
        let start = line.len() - line.trim_start().len();
        let is_setting = |text: &str| text.starts_with(|letter: char| letter.is_ascii_lowercase());
        match line[start..].strip_prefix('#') {
            Some(setting) if is_setting(setting.strip_prefix("- ").unwrap_or(setting)) => {
                format!("{}{setting}\n", &line[..start])
            }
            _ => format!("{line}\n"),
        }
    };
    EXAMPLE.lines().map(line).collect()
}

/// All of the example at once. A queue only goes with writes that it delays.
fn everything_text() -> String {
    uncommented().replace("  write: through\n", "  write: back\n")
}

fn everything() -> LoadedConfig {
    read(&everything_text())
}

/// The example with every setting switched on, for tests that change one of them.
pub(crate) fn with_every_key() -> serde_yaml::Value {
    serde_yaml::from_str(&everything_text()).unwrap()
}

/// The configuration of such a file.
pub(crate) fn config(file: &serde_yaml::Value) -> Config {
    read(&serde_yaml::to_string(file).unwrap()).config
}

/// Every key below the top that a file may hold, such as `disk.limit`, and those of the top that are no section.
pub(crate) fn every_key() -> Vec<String> {
    let is_section = |key: &&str| SECTIONS.iter().any(|(name, _)| name == key);
    let top = offered(ROOT).filter(|key| !is_section(key)).map(str::to_owned);
    let below = SECTIONS
        .iter()
        .flat_map(|(section, keys)| offered(keys).map(move |key| format!("{section}.{key}")));
    top.chain(below).collect()
}

#[test]
fn the_example_runs_without_warnings() {
    let LoadedConfig { config, warnings, .. } = read(EXAMPLE);
    assert_eq!(warnings, []);
    assert!(config.disk.is_some_and(|disk| disk.dir.is_relative()));
}

#[test]
fn shown_defaults_are_the_defaults_of_the_code() {
    let LoadedConfig { config, warnings, .. } = everything();
    // Some settings only count without others; the example shows them all.
    let odd: Vec<_> = warnings.iter().map(|warning| warning.key.as_str()).collect();
    let expected = [
        "oidc_providers[0].jwks_url",
        "oidc_providers[0].jwks_token_file",
        "oidc_providers[0].ca_file",
        "s3.staging_dir",
        "s3.staging_limit",
        "gha.signing_key_file",
    ];
    assert_eq!(odd, expected, "{warnings:?}");
    let absent = read(EXAMPLE).config;

    assert_eq!(config.listen, absent.listen);
    assert_eq!(config.listen, defaults::listen());
    assert_eq!(config.ops_listen, absent.ops_listen);
    assert_eq!(config.ops_listen, Some(defaults::ops_listen()));

    assert_eq!(config.job_tokens, Some(JobTokensConfig::default()));
    assert_eq!(absent.job_tokens, config.job_tokens);
    let keys = (&absent.signing_key_file, &absent.signing_key_file_former);
    assert_eq!(keys, (&None, &None));

    let (shown, default) = (&config.providers[0], &absent.providers[0]);
    assert_eq!(shown.algorithms, default.algorithms);
    assert_eq!(shown.leeway, default.leeway);
    assert_eq!(shown.allow_insecure_http, default.allow_insecure_http);
    assert_eq!(default.max_age, None);
    assert_eq!(default.jwks_file, None);
    let elsewhere = (&default.jwks_url, &default.jwks_token_file, &default.ca_file);
    assert_eq!(elsewhere, (&None, &None, &None));
    assert_eq!(absent.outbound_proxy_file, None);
    assert_eq!(default.scopes, None);

    // Whole structs, so that a new key has to be shown with its default.
    let default = absent.disk.unwrap();
    let without_default = DiskConfig {
        dir: default.dir.clone(),
        limit: default.limit,
        open_files: None,
        revalidate_after: None,
        ..config.disk.unwrap()
    };
    assert_eq!(without_default, default);

    assert_eq!(config.limits.memory, Some(defaults::LIMITS_MEMORY));
    let without_default = LimitsConfig {
        max_entry_size: None,
        connections_per_address: None,
        memory: None,
        ..config.limits
    };
    assert_eq!(without_default, absent.limits);
}

#[test]
fn shown_defaults_of_s3_are_the_defaults_of_the_code() {
    let shown = everything().config.s3.unwrap();
    let default = S3Config::new("my-bucket");
    // What is shown for AWS; with another server these two differ.
    assert_eq!(shown.force_path_style, default.force_path_style);
    assert_eq!(shown.checksums, default.checksums);
    let without_default = S3Config {
        region: shown.region.clone(),
        endpoint_url: shown.endpoint_url.clone(),
        ca_file: shown.ca_file.clone(),
        storage_class: shown.storage_class.clone(),
        server_side_encryption: shown.server_side_encryption,
        sse_kms_key_id: shown.sse_kms_key_id.clone(),
        credentials: shown.credentials.clone(),
        queue_limit: shown.queue_limit,
        staging_dir: shown.staging_dir.clone(),
        write: WriteMode::Back,
        ..default
    };
    assert_eq!(shown, without_default);
    assert!(uncommented().contains("\n  write: through\n"));
    assert_eq!(WriteMode::default(), WriteMode::Through);
}

#[test]
fn shown_defaults_of_gha_are_the_defaults_of_the_code() {
    let shown = everything().config.gha;
    let default = GhaConfig::default();
    assert_eq!(read(EXAMPLE).config.gha, default);
    assert!(shown.signing_key_file.is_some());
    assert!(shown.forward_unknown_to.is_some() && shown.advertise_url.is_some());
    let without_default = GhaConfig {
        signing_key_file: None,
        forward_unknown_to: None,
        advertise_url: None,
        ..shown
    };
    assert_eq!(without_default, default);
}

#[test]
fn switches_are_shown_off() {
    for line in uncommented().lines().map(str::trim) {
        if line.starts_with("allow_") && !line.starts_with("allow_if") {
            assert!(line.ends_with(": false"), "{line}");
        }
    }
}

#[test]
fn every_known_key_is_shown() {
    let value: serde_yaml::Value = serde_yaml::from_str(&uncommented()).unwrap();
    for key in ROOT {
        assert!(value.get(key.name).is_some(), "{}", key.name);
    }
    for (name, keys) in SECTIONS {
        let section = &value[*name];
        let section = section.get(0).unwrap_or(section);
        for key in offered(keys) {
            assert!(section.get(key).is_some(), "{name}.{key}");
        }
    }
}
