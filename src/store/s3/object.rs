//! The object of an entry: its name, and where its description is.
//!
//! The body begins at offset 0. The description is in one header of user metadata if it is short
//! ("inline": the object is the body), else the body is followed by the same [`trailer`] as a file of the
//! local tier, and the header says so. A second header names the upload, so that a writer whose answer was
//! lost can tell its own object from one of another writer.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::store::description;
use crate::store::spool::Checksums;
use crate::store::trailer::{self, EntryError};
use crate::store::{Meta, Result, StoreKey};

/// Longest inline description, in bytes of base64: S3 takes 2 KB of user metadata, names included.
const MAX_INLINE_BYTES: usize = 1400;
/// The header with the description.
const DESCRIPTION_HEADER: &str = "chacha";
/// The header with the name of the upload.
const UPLOAD_HEADER: &str = "chacha-upload";
/// The description of an object that ends with a trailer.
const TRAILER_DESCRIPTION: &str = "trailer";
/// In front of the versions of such objects; an ETag begins with a quote.
const TRAILER_MARK: char = 'T';
/// In front of the name of an upload that stands in the place of an ETag.
const UPLOAD_MARK: char = 'U';

/// The name of the object of an entry; `prefix` is [`crate::config::S3Config::object_prefix`].
pub(super) fn name(prefix: &str, key: &StoreKey) -> String {
    let hex = key.digest().to_string();
    let (folder, rest) = hex.split_at(2);
    format!("{prefix}{folder}/{rest}")
}

/// What an upload sends beside the body of the entry.
pub(super) struct Envelope {
    /// User metadata.
    pub(super) headers: HashMap<String, String>,
    /// What follows the body.
    pub(super) tail: Bytes,
}

impl Envelope {
    /// Describes an entry for the upload `upload`.
    pub(super) fn new(key: &StoreKey, meta: &Meta, sums: &Checksums, upload: &str) -> Self {
        match inline(key, meta) {
            Some(text) => Self {
                headers: headers(text, upload),
                tail: Bytes::new(),
            },
            None => Self::behind(key, meta, sums, upload),
        }
    }

    /// The same with a trailer, however short the description is: its headers are [`Envelope::headers_behind`].
    pub(super) fn behind(key: &StoreKey, meta: &Meta, sums: &Checksums, upload: &str) -> Self {
        Self {
            headers: Self::headers_behind(upload),
            tail: trailer::write(key, meta, sums),
        }
    }

    /// The user metadata of an object whose description will follow its body.
    pub(super) fn headers_behind(upload: &str) -> HashMap<String, String> {
        headers(TRAILER_DESCRIPTION.to_owned(), upload)
    }

    pub(super) fn is_inline(&self) -> bool {
        self.tail.is_empty()
    }
}

fn headers(description: String, upload: &str) -> HashMap<String, String> {
    HashMap::from([
        (DESCRIPTION_HEADER.to_owned(), description),
        (UPLOAD_HEADER.to_owned(), upload.to_owned()),
    ])
}

/// The description in base64, if it is short enough.
fn inline(key: &StoreKey, meta: &Meta) -> Option<String> {
    let text = STANDARD.encode(description::write(key, meta, true));
    (text.len() <= MAX_INLINE_BYTES).then_some(text)
}

/// Where the user metadata of an object says that the description is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ObjectForm {
    /// Everything; the object is the body.
    Inline(Meta),
    /// The object ends with a trailer.
    Trailer,
}

/// Reads the user metadata of an object, and holds it against `key`.
///
/// # Errors
/// [`EntryError`].
pub(super) fn form_of(
    key: &StoreKey,
    headers: Option<&HashMap<String, String>>,
) -> Result<ObjectForm, EntryError> {
    let text = find(headers, DESCRIPTION_HEADER).ok_or(EntryError::Foreign)?;
    if text == TRAILER_DESCRIPTION {
        return Ok(ObjectForm::Trailer);
    }
    let text = STANDARD.decode(text).map_err(|_| EntryError::Description)?;
    let told = description::read(&text)?;
    let (size, etag) = told.body.ok_or(EntryError::Description)?;
    if told.key != key.canonical() {
        return Err(EntryError::Foreign);
    }
    Ok(ObjectForm::Inline(Meta {
        size,
        etag,
        origin: told.origin,
        metadata: told.metadata,
    }))
}

/// Which upload made an object.
pub(super) fn upload_of(headers: Option<&HashMap<String, String>>) -> Option<String> {
    find(headers, UPLOAD_HEADER).map(str::to_owned)
}

/// Some servers change the case of names.
fn find<'a>(headers: Option<&'a HashMap<String, String>>, name: &str) -> Option<&'a str> {
    let mut pairs = headers?.iter();
    pairs
        .find(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// Whether an ETag stands for bytes. One without quotes, as some servers send, cannot be told from other tags.
pub(super) fn is_strong(etag: &str) -> bool {
    etag.len() > 2 && etag.starts_with('"')
}

/// What tells this state of an object from all others: the ETag of S3, or else the upload that made it.
pub(super) fn tag(etag: Option<&str>, headers: Option<&HashMap<String, String>>) -> Option<String> {
    match etag.filter(|etag| is_strong(etag)) {
        Some(etag) => Some(etag.to_owned()),
        None => Some(upload_tag(&upload_of(headers)?)),
    }
}

/// Whether an object was sent in parts: a store may say that it is as old as the beginning of that.
pub(super) fn is_of_parts(tag: &str) -> bool {
    let parts = tag.trim_matches('"').rsplit_once('-');
    parts.is_some_and(|(_, count)| !count.is_empty() && count.bytes().all(|digit| digit.is_ascii_digit()))
}

/// The [`tag`] of what an upload has made, for a store without ETags.
pub(super) fn upload_tag(upload: &str) -> String {
    format!("{UPLOAD_MARK}{upload}")
}

/// The tag as S3 can hold it against an object.
pub(super) fn condition(tag: &str) -> Option<String> {
    is_strong(tag).then(|| tag.to_owned())
}

/// The name of a version: its tag, and the form of the object.
pub(super) fn version(tag: &str, inline: bool) -> Arc<str> {
    match inline {
        true => tag.into(),
        false => format!("{TRAILER_MARK}{tag}").into(),
    }
}

/// The tag in a [`version`], and whether the object is inline.
pub(super) fn tag_of(version: &str) -> (&str, bool) {
    match version.strip_prefix(TRAILER_MARK) {
        Some(tag) => (tag, false),
        None => (version, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Metadata, Origin, Protocol, Rank, Tenancy, Tenant};
    use std::time::{Duration, UNIX_EPOCH};

    fn key(name: &str) -> StoreKey {
        StoreKey::new("i".into(), "n".into(), Protocol::Http, name.as_bytes())
    }

    fn meta(metadata: &str) -> Meta {
        let mut pairs = Metadata::default();
        pairs.insert("k", metadata).expect("short");
        let tenant = Tenant::new("https://issuer.test", "42", Some("7"));
        Meta {
            size: 3,
            etag: Checksums::of(b"abc").etag(),
            origin: Origin {
                issuer: "i".into(),
                subject: "s\u{fc}".into(),
                stored: UNIX_EPOCH + Duration::from_secs(7),
                tenancy: tenant.map(|tenant| Tenancy {
                    tenant,
                    rank: Rank::Pushed,
                }),
            },
            metadata: pairs,
        }
    }

    fn envelope(metadata: &str) -> Envelope {
        Envelope::new(&key("k"), &meta(metadata), &Checksums::of(b"abc"), "u1")
    }

    #[test]
    fn names_are_digests_in_256_folders() {
        let mut config = crate::config::S3Config::new("bucket");
        config.prefix = "ci/".into();
        let name = name(&config.object_prefix(), &key("k"));
        let (folder, rest) = name.rsplit_once('/').expect("folder");
        assert_eq!((folder.len(), rest.len()), (8, 62));
        assert!(name.starts_with("ci/v1/"));
        let hex = key("k").digest().to_string();
        assert_eq!(format!("{}{rest}", &folder[6..]), hex);
    }

    #[test]
    fn a_short_description_comes_back_from_one_header() {
        let envelope = envelope("\u{1f980}\n");
        assert!(envelope.is_inline());
        assert!(envelope.headers.values().all(|text| text.is_ascii()));
        let told = form_of(&key("k"), Some(&envelope.headers));
        assert_eq!(told, Ok(ObjectForm::Inline(meta("\u{1f980}\n"))));
        assert_eq!(upload_of(Some(&envelope.headers)).as_deref(), Some("u1"));
        let shouted = envelope
            .headers
            .into_iter()
            .map(|(name, text)| (name.to_uppercase(), text));
        assert!(super::form_of(&key("k"), Some(&shouted.collect())).is_ok());
    }

    #[test]
    fn the_header_of_a_former_version_is_read() {
        let text = include_str!("../../../tests/former/0.1.0/inline").to_owned();
        let told = form_of(&key("k"), Some(&headers(text, "u1")));
        assert!(
            matches!(&told, Ok(ObjectForm::Inline(told)) if told.etag == meta("v").etag && told.metadata == meta("v").metadata),
            "{told:?}"
        );
    }

    #[test]
    fn a_long_description_is_a_trailer() {
        let text = "\u{1}".repeat(8000);
        let envelope = envelope(&text);
        assert!(!envelope.is_inline());
        assert_eq!(
            form_of(&key("k"), Some(&envelope.headers)),
            Ok(ObjectForm::Trailer)
        );
        let length = 3 + envelope.tail.len() as u64;
        assert_eq!(trailer::begin(&envelope.tail, length), Ok(3));
        let described = trailer::parse(&envelope.tail, length, &key("k")).expect("trailer");
        assert_eq!(described.meta, meta(&text));
        assert_eq!(
            trailer::parse(&envelope.tail, length, &key("x")).err(),
            Some(EntryError::Foreign)
        );
    }

    #[test]
    fn a_short_description_may_follow_the_body_too() {
        let sums = Checksums::of(b"abc");
        let envelope = Envelope::behind(&key("k"), &meta("v"), &sums, "u1");
        assert!(!envelope.is_inline());
        assert_eq!(envelope.headers, Envelope::headers_behind("u1"));
        assert_eq!(
            form_of(&key("k"), Some(&envelope.headers)),
            Ok(ObjectForm::Trailer)
        );
        let described = trailer::parse(&envelope.tail, 3 + envelope.tail.len() as u64, &key("k"));
        assert_eq!(described.expect("trailer").meta, meta("v"));
    }

    #[test]
    fn what_is_not_the_entry_is_refused() {
        let headers = envelope("v").headers;
        assert_eq!(form_of(&key("other"), Some(&headers)), Err(EntryError::Foreign));
        assert_eq!(form_of(&key("k"), None), Err(EntryError::Foreign));
        assert_eq!(
            form_of(&key("k"), Some(&HashMap::new())),
            Err(EntryError::Foreign)
        );
        for text in ["", "%", "e30=", "bnVsbA=="] {
            let headers = HashMap::from([(DESCRIPTION_HEADER.to_owned(), text.to_owned())]);
            assert_eq!(
                form_of(&key("k"), Some(&headers)),
                Err(EntryError::Description),
                "{text}"
            );
        }
    }

    #[test]
    fn versions_tell_the_form() {
        for tag in ["\"a\"", "Uu1"] {
            for inline in [true, false] {
                assert_eq!(tag_of(&version(tag, inline)), (tag, inline));
            }
        }
    }

    #[test]
    fn what_has_no_strong_etag_is_told_by_its_upload() {
        let headers = Envelope::headers_behind("u1");
        assert_eq!(tag(Some("\"a\""), Some(&headers)).as_deref(), Some("\"a\""));
        for weak in [None, Some("W/\"a\""), Some("a"), Some("\"\"")] {
            assert_eq!(tag(weak, Some(&headers)).as_deref(), Some("Uu1"));
            assert_eq!(tag(weak, None), None);
        }
        assert!(is_of_parts("\"00ff-12\"") && !is_of_parts("\"00ff\"") && !is_of_parts("\"00ff-\""));
        assert_eq!(condition("\"a\"").as_deref(), Some("\"a\""));
        assert_eq!(condition("Uu1"), None);
    }
}
