//! What a rule says and can hardly mean. Nothing of it is an error.

use percent_encoding::percent_decode_str;

use super::super::ProviderConfig;
use super::super::section::Section;
use super::pattern;
use super::rule::TenantRule;
use super::share::Share;

/// What stands beside the rules in the file.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Beside<'c> {
    /// The issuers; none if they could not be read.
    pub(in crate::config) providers: &'c [ProviderConfig],
    /// Whether there is a remote tier.
    pub(in crate::config) has_remote: bool,
    /// The limit of the local tier, if it could be read.
    pub(in crate::config) limit: Option<u64>,
}

/// Warns of what is doubtful in a rule.
pub(super) fn warn(section: &Section<'_>, rule: &TenantRule, beside: &Beside<'_>) {
    let warn = |key: &str, text: &str| {
        if let Some(field) = section.field(key) {
            field.warn(text);
        }
    };
    if pattern::leaves_issuer_open(&rule.pattern) {
        warn(
            "match",
            "does not say which issuer is meant, so whoever controls another one can take such a name; write the issuer \
             before the `#`, or a lone * for everybody",
        );
    }
    if names_no_provider(&rule.pattern, beside.providers) {
        warn(
            "match",
            "names an issuer that is none of `oidc_providers`, so no tenant matches; write the `url` as it stands there",
        );
    }
    let nothing = TenantRule {
        pattern: rule.pattern.clone(),
        ..TenantRule::default()
    };
    if *rule == nothing {
        section.warn("has no key beside `match`, so it changes nothing; add one or remove the rule");
    }
    let Some(limit) = beside.limit else { return };
    if rule.max_entry_size.is_some_and(|largest| largest > limit) {
        warn(
            "max_entry_size",
            "is larger than the limit of the disk, so it bounds nothing; lower it",
        );
    }
    let bytes = |share: Option<Share>| share.map(|share| share.bytes(limit));
    if let (Some(least), Some(most)) = (bytes(rule.min_share), bytes(rule.max_bytes))
        && least > most
        && pattern::is_one_name(&rule.pattern)
    {
        warn(
            "min_share",
            "is more than the `max_bytes` of the same rule allow, so a part of it is kept from all others for nobody; \
             lower it, or raise `max_bytes`",
        );
    }
}

fn names_no_provider(pattern: &str, providers: &[ProviderConfig]) -> bool {
    let Some(issuer) = pattern::issuer(pattern) else {
        return false;
    };
    let issuer = percent_decode_str(issuer).decode_utf8_lossy();
    !providers.is_empty() && providers.iter().all(|provider| provider.url != issuer)
}
