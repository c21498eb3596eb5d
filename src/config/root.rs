//! The top of the file, and the section `limits`.

use serde_yaml::Value;
use url::Url;

use super::expression::ExpressionCheck;
use super::field::Field;
use super::keypath::KeyPath;
use super::keys::{LIMITS, ROOT};
use super::reader::ConfigReader;
use super::section::Section;
use super::weburl::{self, UrlRules};
use super::{Config, LimitsConfig, ListenAddr, address, defaults, gha, provider, tiers};

/// Reads the whole file. `None` when something required is missing or wrong; every fault is reported.
pub(super) fn config(
    reader: &mut ConfigReader<'_>,
    value: &Value,
    expressions: &dyn ExpressionCheck,
) -> Option<Config> {
    let root = Section::open(reader, KeyPath::default(), value, ROOT)?;
    let (listen, ops_listen) = listeners(reader, &root);
    let insecure_http = root.optional(reader, "allow_insecure_http", Field::flag);
    let insecure_http = insecure_http.unwrap_or(false);
    let base_url = base_url(reader, &root, insecure_http);
    let providers = provider::providers(reader, &root, expressions);
    let (disk, s3) = tiers::tiers(reader, &root);
    let limits = limits(reader, &root);
    tiers::warn_of_entry_size(reader, disk.as_ref(), s3.as_ref(), limits.max_entry_size);
    let gha = gha::gha(reader, &root, insecure_http);
    Some(Config {
        listen,
        ops_listen,
        base_url,
        providers: providers?,
        disk,
        s3,
        limits,
        gha,
    })
}

fn base_url(reader: &mut ConfigReader<'_>, root: &Section<'_>, insecure_http: bool) -> Option<Url> {
    let field = root.field("base_url")?;
    let rules = UrlRules {
        insecure_http,
        ..UrlRules::default()
    };
    let url = field.read(reader, |field| weburl::base(field.text()?, rules))?;
    if url.path() != "/" {
        reader.warn(
            field.path(),
            "has a path, which @actions/cache 4 and later drops from the URL of its requests; clients of GitHub's \
             cache need a base_url without one",
        );
    }
    Some(url)
}

fn listeners(reader: &mut ConfigReader<'_>, root: &Section<'_>) -> (Vec<ListenAddr>, Option<ListenAddr>) {
    let listen = match root.field("listen") {
        Some(field) => listen(reader, &field),
        None => defaults::listen(),
    };
    let (name, ops) = match root.field("ops_listen") {
        Some(field) => ("ops_listen", field.read(reader, ops_listen)),
        None => ("listen", Some(Some(defaults::ops_listen()))),
    };
    // An address that cannot be read has its own message and clashes with nothing.
    let ops = ops.flatten();
    if let Some(fault) = super::listen_fault(&listen, ops.as_ref()) {
        // The key that is written gets the message: the other one may stand nowhere in the file.
        reader.error(&root.path().key(name), fault);
    }
    (listen, ops)
}

/// One address or a list of them.
fn listen(reader: &mut ConfigReader<'_>, field: &Field<'_>) -> Vec<ListenAddr> {
    if !field.value().is_sequence() {
        return field.read(reader, one_address).into_iter().collect();
    }
    let entries = field.entries(reader, "127.0.0.1:8080").unwrap_or_default();
    if entries.is_empty() {
        reader.error(
            field.path(),
            "the list is empty; write an address or remove the key",
        );
    }
    let mut read: Vec<ListenAddr> = Vec::new();
    for entry in &entries {
        let Some(address) = entry.read(reader, one_address) else {
            continue;
        };
        if let Some(other) = read.iter().find(|other| address::clash(other, &address)) {
            reader.error(
                entry.path(),
                format!("{address} is taken by {other} in this list; remove one of them"),
            );
        }
        read.push(address);
    }
    read
}

fn one_address(field: &Field<'_>) -> Result<ListenAddr, String> {
    match field.value() {
        // `listen: 8080`
        Value::Number(port) => address::parse(&port.to_string()),
        _ => address::parse(field.text()?),
    }
}

fn ops_listen(field: &Field<'_>) -> Result<Option<ListenAddr>, String> {
    match field.value() {
        // Whether a bare `off` is a text or a boolean depends on the version of YAML.
        Value::Bool(false) => Ok(None),
        Value::String(text) if text.eq_ignore_ascii_case("off") => Ok(None),
        Value::Sequence(_) | Value::Bool(true) => {
            Err("is not one address; write 127.0.0.1:9080, or off for none".to_owned())
        }
        _ => one_address(field).map(Some),
    }
}

fn limits(reader: &mut ConfigReader<'_>, root: &Section<'_>) -> LimitsConfig {
    let mut limits = LimitsConfig::default();
    let section = root
        .field("limits")
        .and_then(|field| Section::open(reader, field.path().clone(), field.value(), LIMITS));
    let Some(section) = section else {
        return limits;
    };
    limits.max_entry_size = section.optional(reader, "max_entry_size", |field| field.size(1));
    if let Some(count) = section.optional(reader, "max_connections", |field| {
        field.count(&defaults::COUNT_RANGE)
    }) {
        limits.max_connections = count;
    }
    for (name, range, target) in [
        (
            "body_idle_timeout",
            defaults::IDLE_RANGE,
            &mut limits.body_idle_timeout,
        ),
        ("keep_alive", defaults::IDLE_RANGE, &mut limits.keep_alive),
        ("drain_timeout", defaults::DRAIN_RANGE, &mut limits.drain_timeout),
    ] {
        if let Some(value) = section.optional(reader, name, |field| field.duration(&range)) {
            *target = value;
        }
    }
    limits
}
