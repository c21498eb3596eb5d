//! Where the keys of a file stand, for errors that only show when its values are used.

use super::error::ConfigError;
use super::keypath::{KeyLines, KeyPath};

/// The lines of one file. See the module.
#[derive(Debug)]
pub struct KeyPlaces {
    file: String,
    lines: KeyLines,
}

impl KeyPlaces {
    pub(super) fn new(file: String, lines: KeyLines) -> Self {
        Self { file, lines }
    }

    /// An error in the value of `key`, such as `oidc_providers[0].jwks_file`.
    pub fn error(&self, key: &str, message: String) -> ConfigError {
        ConfigError {
            file: self.file.clone(),
            line: self.lines.find(&KeyPath::raw(key)),
            key: key.to_owned(),
            message,
        }
    }

    /// A message that begins with a key and a colon, with file and line in front of it. Any other, and one
    /// about a key that the file does not have, stays as it is.
    pub fn located(&self, message: &str) -> String {
        match message.split_once(": ") {
            Some((key, rest)) if self.lines.has(key) => self.error(key, rest.to_owned()).to_string(),
            _ => message.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_gets_the_line_of_its_key_only() {
        let mut lines = KeyLines::default();
        lines.note(&KeyPath::raw("disk.dir"), 7);
        let places = KeyPlaces::new("c.yaml".into(), lines);
        assert_eq!(places.located("disk.dir: x: y"), "c.yaml:7: disk.dir: x: y");
        for other in ["disk: x", "ops_listen: 127.0.0.1:1 is in use", "no key", ""] {
            assert_eq!(places.located(other), other);
        }
    }
}
