//! The section `gha`.

use url::Url;

use super::field::Field;
use super::keys::GHA;
use super::remote;
use super::section::Section;
use super::weburl::{self, UrlRules};
use super::{GhaConfig, defaults};

/// Reads the section; what is absent or wrong keeps its default, and every fault is reported.
/// `insecure_http` is the switch at the top of the file.
pub(super) fn gha(root: &Section<'_>, insecure_http: bool) -> GhaConfig {
    let mut config = GhaConfig::default();
    let Some(section) = root.section("gha", GHA) else {
        return config;
    };
    let lifetime = |field: &Field<'_>| field.duration(&defaults::GHA_LIFETIME_RANGE);
    let uploads = |field: &Field<'_>| field.count(&defaults::GHA_UPLOADS_RANGE);
    config.signing_key_file = section.optional("signing_key_file", Field::file_path);
    let at_top = root.field("signing_key_file").is_some();
    if let Some(field) = section.field("signing_key_file").filter(|_| at_top) {
        field.warn("is not used: `signing_key_file` at the top of the file stands above it; remove it");
    }
    section.set(&mut config.link_lifetime, "link_lifetime", lifetime);
    section.set(&mut config.upload_timeout, "upload_timeout", lifetime);
    section.set(&mut config.upload_age, "upload_age", lifetime);
    section.set(&mut config.max_uploads, "max_uploads", uploads);
    config.forward_unknown_to = section.optional("forward_unknown_to", |field| {
        weburl::results_service(field.text()?)
    });
    config.advertise_url = advertise_url(root, &section, insecure_http);
    let in_bucket = config.signing_key_file.is_none() && !at_top && remote::has_section(root);
    if config.advertise_url.is_some() && in_bucket {
        section.warn(
            "has no signing_key_file: the key by which servers know each other lies in the bucket, so whoever can read or write \
             the bucket can pass for one of them; give all servers the same file",
        );
    }
    config
}

fn advertise_url(root: &Section<'_>, section: &Section<'_>, insecure_http: bool) -> Option<Url> {
    let field = section.field("advertise_url")?;
    if !remote::has_section(root) {
        field.warn("is not used: without `s3` there are no other servers that share entries; remove it");
    }
    let rules = UrlRules {
        insecure_http,
        at_top: true,
        ..UrlRules::default()
    };
    field.read(|field| weburl::neighbour(field.text()?, rules))
}
