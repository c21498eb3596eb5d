//! The section `gha`.

use url::Url;

use super::field::Field;
use super::keys::GHA;
use super::reader::ConfigReader;
use super::section::Section;
use super::weburl::{self, UrlRules};
use super::{GhaConfig, defaults};

/// Reads the section; what is absent or wrong keeps its default, and every fault is reported.
/// `insecure_http` is the switch at the top of the file.
pub(super) fn gha(reader: &mut ConfigReader<'_>, root: &Section<'_>, insecure_http: bool) -> GhaConfig {
    let mut config = GhaConfig::default();
    let section = root
        .field("gha")
        .and_then(|field| Section::open(reader, field.path().clone(), field.value(), GHA));
    let Some(section) = section else {
        return config;
    };
    config.signing_key_file = section.optional(reader, "signing_key_file", Field::file_path);
    for (name, target) in [
        ("link_lifetime", &mut config.link_lifetime),
        ("upload_timeout", &mut config.upload_timeout),
    ] {
        let read = section.optional(reader, name, |field| {
            field.duration(&defaults::GHA_LIFETIME_RANGE)
        });
        if let Some(read) = read {
            *target = read;
        }
    }
    let max_uploads = section.optional(reader, "max_uploads", |field| {
        field.count(&defaults::GHA_UPLOADS_RANGE)
    });
    config.max_uploads = max_uploads.unwrap_or(config.max_uploads);
    config.forward_unknown_to = section.optional(reader, "forward_unknown_to", |field| {
        weburl::results_service(field.text()?)
    });
    config.advertise_url = advertise_url(reader, root, &section, insecure_http);
    config
}

fn advertise_url(
    reader: &mut ConfigReader<'_>,
    root: &Section<'_>,
    section: &Section<'_>,
    insecure_http: bool,
) -> Option<Url> {
    let field = section.field("advertise_url")?;
    if root.field("s3").is_none() {
        reader.warn(
            field.path(),
            "is not used: without `s3` there are no other servers that share entries; remove it",
        );
    }
    let rules = UrlRules {
        insecure_http,
        at_top: true,
        ..UrlRules::default()
    };
    field.read(reader, |field| weburl::neighbour(field.text()?, rules))
}
