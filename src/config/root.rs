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
use super::{
    Config, DiskConfig, LimitsConfig, ListenAddr, S3Config, address, defaults, gha, job_tokens, provider,
    proxies, tenants, tiers,
};

/// Reads the whole file. `None` when something required is missing or wrong; every fault is reported.
pub(super) fn config(
    reader: &ConfigReader<'_>,
    value: &Value,
    expressions: &dyn ExpressionCheck,
) -> Option<Config> {
    let whole = Field {
        reader,
        path: KeyPath::default(),
        value,
        secret: false,
    };
    let root = Section::open(&whole, ROOT)?;
    let (listen, ops_listen) = listeners(&root);
    let insecure_http = root.optional("allow_insecure_http", Field::flag);
    let insecure_http = insecure_http.unwrap_or(false);
    let base_url = base_url(&root, insecure_http);
    let outbound_proxy_file = root.optional("outbound_proxy_file", Field::file_path);
    let trusted_proxies = proxies::trusted_proxies(&root);
    let mut providers = provider::providers(&root, expressions);
    for provider in providers.iter_mut().flatten() {
        provider.outbound_proxy_file.clone_from(&outbound_proxy_file);
    }
    let (disk, s3) = tiers::tiers(&root);
    let limits = limits(&root, disk.as_ref(), s3.as_ref());
    let tenants = tenants::tenants(
        &root,
        (disk.as_ref(), s3.as_ref()),
        providers.as_deref().unwrap_or_default(),
    );
    let gha = gha::gha(&root, insecure_http);
    let sealing = job_tokens::sealing(&root, gha.signing_key_file.as_ref());
    Some(Config {
        listen,
        ops_listen,
        base_url,
        outbound_proxy_file,
        trusted_proxies,
        signing_key_file: sealing.file,
        signing_key_file_former: sealing.former,
        job_tokens: sealing.job_tokens,
        providers: providers?,
        disk,
        s3,
        limits,
        tenants,
        gha,
    })
}

fn base_url(root: &Section<'_>, insecure_http: bool) -> Option<Url> {
    let field = root.field("base_url")?;
    let rules = UrlRules {
        insecure_http,
        ..UrlRules::default()
    };
    let url = field.read(|field| weburl::base(field.text()?, rules))?;
    if url.path() != "/" {
        field.warn(
            "has a path, which @actions/cache 4 and later drops from the URL of its requests; clients of GitHub's \
             cache need a base_url without one",
        );
    }
    Some(url)
}

fn listeners(root: &Section<'_>) -> (Vec<ListenAddr>, Option<ListenAddr>) {
    let listen = root.field("listen").map_or_else(defaults::listen, listen);
    let (name, ops) = match root.field("ops_listen") {
        Some(field) => ("ops_listen", field.read(ops_listen)),
        None => ("listen", Some(Some(defaults::ops_listen()))),
    };
    // An address that cannot be read has its own message and clashes with nothing.
    let ops = ops.flatten();
    if let Some(fault) = super::listen_fault(&listen, ops.as_ref()) {
        // The key that is written gets the message: the other one may stand nowhere in the file.
        root.error(name, fault);
    }
    (listen, ops)
}

/// One address or a list of them.
fn listen(field: Field<'_>) -> Vec<ListenAddr> {
    if !field.value.is_sequence() {
        return field.read(one_address).into_iter().collect();
    }
    if field.is_empty_list() {
        field.error("the list is empty; write an address or remove the key");
    }
    let mut read: Vec<ListenAddr> = Vec::new();
    for entry in field.entries("127.0.0.1:8080").unwrap_or_default() {
        let Some(address) = entry.read(one_address) else {
            continue;
        };
        if let Some(other) = read.iter().find(|other| address::clash(other, &address)) {
            entry.error(format!(
                "{address} is taken by {other} in this list; remove one of them"
            ));
        }
        read.push(address);
    }
    read
}

fn one_address(field: &Field<'_>) -> Result<ListenAddr, String> {
    match field.value {
        // `listen: 8080`
        Value::Number(port) => address::parse(&port.to_string()),
        _ => address::parse(field.text()?),
    }
}

fn ops_listen(field: &Field<'_>) -> Result<Option<ListenAddr>, String> {
    match field.value {
        _ if field.is_off() => Ok(None),
        Value::Sequence(_) | Value::Bool(true) => {
            Err("is not one address; write 127.0.0.1:9080, or off for none".to_owned())
        }
        _ => one_address(field).map(Some),
    }
}

fn limits(root: &Section<'_>, disk: Option<&DiskConfig>, s3: Option<&S3Config>) -> LimitsConfig {
    let mut limits = LimitsConfig::default();
    let Some(section) = root.section("limits", LIMITS) else {
        return limits;
    };
    let count = |field: &Field<'_>| field.count(&defaults::COUNT_RANGE);
    let idle = |field: &Field<'_>| field.duration(&defaults::IDLE_RANGE);
    let drain = |field: &Field<'_>| field.duration(&defaults::DRAIN_RANGE);
    limits.max_entry_size = section.optional("max_entry_size", |field| field.size(1));
    section.set(&mut limits.max_connections, "max_connections", count);
    limits.connections_per_address = section.optional("connections_per_address", count);
    section.set(&mut limits.body_idle_timeout, "body_idle_timeout", idle);
    section.set(&mut limits.keep_alive, "keep_alive", idle);
    section.set(&mut limits.drain_timeout, "drain_timeout", drain);
    limits.memory = section.optional("memory", |field| field.size(defaults::MIN_LIMITS_MEMORY));
    section.set(&mut limits.index_memory, "index_memory", |field| {
        field.size(defaults::MIN_INDEX_MEMORY)
    });
    if let (Some(disk), Some(memory), Some(field)) = (disk, limits.memory, section.field("memory"))
        && disk.memory > memory / 2
    {
        field.warn(
            "is less than twice disk.memory, which is a part of it; half of it is left to small bodies",
        );
    }
    // Nothing may be larger than everything together.
    let least = match (disk, s3) {
        (Some(disk), _) => Some(("disk.limit", disk.limit)),
        (None, s3) => s3.map(|s3| ("s3.staging_limit", s3.staging_limit)),
    };
    if let (Some((name, limit)), Some(field)) = (least, section.field("max_entry_size"))
        && limits.max_entry_size.is_some_and(|max| max > limit)
    {
        field.warn(format!(
            "is larger than {name}, so the largest accepted entries cannot be stored; lower it"
        ));
    }
    limits
}
