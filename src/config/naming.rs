//! Texts for which S3 has rules: buckets, prefixes, regions, storage classes. Faults are predicates, as
//! in [`super::size`].
//!
//! Only rules that all stores share are errors: buckets of earlier years, and those of compatible
//! stores, have names that AWS would refuse today.

use std::net::Ipv4Addr;

use super::defaults::MAX_PREFIX_BYTES;
use super::suggest::nearest;

/// The classes of S3.
const STORAGE_CLASSES: &[&str] = &[
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "REDUCED_REDUNDANCY",
    "GLACIER_IR",
    "EXPRESS_ONEZONE",
    "OUTPOSTS",
    "SNOW",
    "FSX_OPENZFS",
];

/// The classes of S3 whose objects have to be brought back, for hours, before they can be read.
const ARCHIVE_CLASSES: &[&str] = &["GLACIER", "DEEP_ARCHIVE"];

/// Checks the name of a bucket.
pub(super) fn bucket(name: &str) -> Result<&str, String> {
    const BARE: &str = "is not the name of a bucket; write the bare name, without s3:// and without a path";
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    let alphanumeric = |letter: char| letter.is_ascii_alphanumeric();
    if !name.chars().all(legal) {
        Err(BARE.to_owned())
    } else if name.len() < 3 {
        Err("is too short for a bucket; names have at least 3 characters".to_owned())
    } else if name.len() > 255 {
        Err("is too long for a bucket; names have at most 63 characters".to_owned())
    } else if !name.starts_with(alphanumeric) || !name.ends_with(alphanumeric) {
        Err("is not the name of a bucket; names begin and end with a letter or a digit".to_owned())
    } else if name.contains("..") {
        Err("is not the name of a bucket; no name has two dots in a row".to_owned())
    } else if name.parse::<Ipv4Addr>().is_ok() {
        Err("is an IP address, not the name of a bucket; the server belongs into `endpoint_url`".to_owned())
    } else {
        Ok(name)
    }
}

/// Checks a prefix, and gives it the form in which it goes in front of names: without slashes in front,
/// with one at the end. What is empty then stays empty.
pub(super) fn prefix(text: &str) -> Result<String, String> {
    let bare = text.trim_matches('/');
    if bare.is_empty() {
        return Ok(String::new());
    }
    if text.contains(char::is_control) {
        return Err("contains control characters; remove them".to_owned());
    }
    if text.trim() != text {
        return Err("begins or ends with a blank; remove it".to_owned());
    }
    if text.contains("://") {
        return Err(
            "is a URL; write only the folder in the bucket, such as ci/cache/, and the bucket into `bucket`"
                .to_owned(),
        );
    }
    match bare.split('/').find(|part| matches!(*part, "" | "." | "..")) {
        Some("") => return Err("contains two slashes in a row; write one".to_owned()),
        Some(dots) => {
            return Err(format!(
                "contains the part {dots:?}, which many tools resolve like a path; remove it"
            ));
        }
        None => {}
    }
    let prefix = format!("{bare}/");
    if prefix.len() > MAX_PREFIX_BYTES {
        return Err(format!(
            "is too long; write at most {MAX_PREFIX_BYTES} bytes, with the slash at the end"
        ));
    }
    Ok(prefix)
}

/// Checks the name of a region; `aws` when it is one of AWS, and not a word of a compatible store.
pub(super) fn region(text: &str, aws: bool) -> Result<&str, String> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    if text.len() > 63 || !text.chars().all(legal) || text.starts_with('-') || text.ends_with('-') {
        return Err(
            "is not the name of a region; write one such as eu-central-1 (letters, digits and hyphens)"
                .to_owned(),
        );
    }
    if !aws {
        return Ok(text);
    }
    if text.contains(|letter: char| letter.is_ascii_uppercase()) {
        return Err(format!(
            "is not the name of a region; write {}",
            text.to_lowercase()
        ));
    }
    match zone(text) {
        Some(region) => Err(format!("is an availability zone; write its region, {region}")),
        None => Ok(text),
    }
}

/// The region of an availability zone, such as eu-central-1 of eu-central-1a.
fn zone(text: &str) -> Option<&str> {
    let region = text.strip_suffix(|letter: char| letter.is_ascii_lowercase())?;
    let (place, number) = region.rsplit_once('-')?;
    let counted = !number.is_empty() && number.chars().all(|letter| letter.is_ascii_digit());
    (counted && place.contains('-')).then_some(region)
}

/// Checks a storage class, and says what is odd about it; `aws` when it is one of AWS.
pub(super) fn storage_class(text: &str, aws: bool) -> Result<(&str, Option<String>), String> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if !text.chars().all(legal) {
        return Err("is not a storage class; write one such as STANDARD_IA".to_owned());
    }
    if ARCHIVE_CLASSES.contains(&text) {
        let advice = "has to be brought back before it can be read, which a cache cannot wait for; write GLACIER_IR or STANDARD_IA";
        return if aws {
            Err(format!("is an archive: what is in it {advice}"))
        } else {
            Ok((text, Some(format!("on AWS, what is in {text} {advice}"))))
        };
    }
    if STORAGE_CLASSES.contains(&text) {
        return Ok((text, None));
    }
    let advice = match nearest(text, STORAGE_CLASSES.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => "writes fail if the store does not know it".to_owned(),
    };
    Ok((
        text,
        Some(format!("{text} is not a storage class of AWS; {advice}")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: std::fmt::Debug>(result: Result<T, String>, expected: &str) {
        let fault = result.expect_err(expected);
        assert!(fault.contains(expected), "{fault}");
    }

    #[test]
    fn buckets() {
        for name in ["my-bucket", "abc", "a.b.c", "Old_Bucket", &"a".repeat(63)] {
            assert_eq!(bucket(name), Ok(name));
        }
        refused(bucket("s3://bucket"), "without s3://");
        refused(bucket("bucket/a"), "without a path");
        refused(bucket("arn:aws:s3:::bucket"), "the bare name");
        refused(bucket("bücket"), "the bare name");
        refused(bucket("ab"), "at least 3");
        refused(bucket(&"a".repeat(256)), "too long");
        refused(bucket("-bucket"), "begin and end");
        refused(bucket("bucket."), "begin and end");
        refused(bucket("a..b"), "two dots");
        refused(bucket("10.0.0.1"), "`endpoint_url`");
    }

    #[test]
    fn prefixes() {
        let check = |text, expected: &str| assert_eq!(prefix(text).as_deref(), Ok(expected));
        check("", "");
        check("/", "");
        check("ci", "ci/");
        check("/ci/cache//", "ci/cache/");
        check("a b/é", "a b/é/");
        check(&"a".repeat(255), &format!("{}/", "a".repeat(255)));
        refused(prefix(&"a".repeat(256)), "at most 256 bytes");
        refused(prefix("a//b"), "two slashes");
        refused(prefix("a/../b"), "the part \"..\"");
        refused(prefix("./a"), "the part \".\"");
        refused(prefix("a\tb"), "control characters");
        refused(prefix(" a"), "blank");
        refused(prefix("s3://bucket/a"), "is a URL");
    }

    #[test]
    fn regions() {
        for (text, aws) in [
            ("eu-central-1", true),
            ("us-gov-west-1", true),
            ("auto", false),
            ("EU", false),
        ] {
            assert_eq!(region(text, aws), Ok(text));
        }
        refused(region("EU-Central-1", true), "write eu-central-1");
        refused(region("eu-central-1a", true), "write its region, eu-central-1");
        refused(region("Frankfurt (EU)", true), "such as eu-central-1");
        refused(region("eu_central_1", false), "such as eu-central-1");
        refused(region("-eu", false), "such as eu-central-1");
    }

    #[test]
    fn storage_classes() {
        assert_eq!(storage_class("STANDARD_IA", true), Ok(("STANDARD_IA", None)));
        let odd = |text, expected: &str| {
            let (_, warning) = storage_class(text, false).unwrap();
            assert!(
                warning.as_deref().is_some_and(|text| text.contains(expected)),
                "{warning:?}"
            );
        };
        odd("standard-ia", "did you mean STANDARD_IA?");
        odd("FAST", "if the store does not know it");
        odd("GLACIER", "cannot wait for");
        refused(storage_class("GLACIER", true), "is an archive");
        refused(storage_class("A B", true), "such as STANDARD_IA");
    }
}
