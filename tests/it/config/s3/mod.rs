//! The section `s3`: what it means, and what is said about it.

mod faults;
mod values;

use chacha::config::{LoadedConfig, S3Config};

use super::{DISK, PROVIDER, accepted, check_refused};

/// The section alone, with settings from line 7 on.
fn alone(settings: &str) -> String {
    let settings = settings.replace('\n', "\n  ");
    format!("{PROVIDER}s3:\n  bucket: my-bucket\n  {settings}\n")
}

/// The same, with a disk of 1 GB.
fn with_disk(settings: &str) -> String {
    format!("{}{DISK}", alone(settings))
}

/// What the section means; it has no warnings.
fn read(text: &str) -> S3Config {
    let LoadedConfig { config, warnings, .. } = accepted(text);
    assert_eq!(warnings, [], "{text}");
    config.s3.unwrap()
}

/// Checks that settings are refused for one reason, on line 7; all values stand behind `s3.`.
fn check(settings: &str, expected: &str) {
    check_refused(&alone(settings), &[&format!("c.yaml:7: s3.{expected}")]);
}

/// Checks that settings get one warning, on line 7.
fn check_warning(text: &str, key: &str, part: &str) {
    let warnings = accepted(text).warnings;
    let [warning] = warnings.as_slice() else {
        panic!("{text}\n{warnings:#?}");
    };
    assert_eq!((warning.line, warning.key.as_str()), (Some(7), key));
    assert!(warning.message.contains(part), "{warning}");
}
