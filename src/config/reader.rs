//! What is wrong with a file, collected: one fault does not hide the next.

use super::error::ConfigError;
use super::keypath::{KeyLines, KeyPath};

/// Collects what is wrong with one file.
pub(super) struct ConfigReader<'a> {
    file: &'a str,
    lines: &'a KeyLines,
    /// What keeps the file from being used.
    pub(super) errors: Vec<ConfigError>,
    /// What its author should know.
    pub(super) warnings: Vec<ConfigError>,
}

impl<'a> ConfigReader<'a> {
    /// A reader without any findings yet.
    pub(super) fn new(file: &'a str, lines: &'a KeyLines) -> Self {
        Self {
            file,
            lines,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The line of a key.
    pub(super) fn line(&self, path: &KeyPath) -> Option<usize> {
        self.lines.find(path)
    }

    /// Notes an error. `message` is whole: it names the value, unless that is secret, and the remedy.
    pub(super) fn error(&mut self, path: &KeyPath, message: impl AsRef<str>) {
        let finding = self.finding(path, message.as_ref());
        self.errors.push(finding);
    }

    /// Notes a warning.
    pub(super) fn warn(&mut self, path: &KeyPath, message: impl AsRef<str>) {
        let finding = self.finding(path, message.as_ref());
        self.warnings.push(finding);
    }

    fn finding(&self, path: &KeyPath, message: &str) -> ConfigError {
        ConfigError {
            file: self.file.to_owned(),
            line: self.lines.find(path),
            key: path.to_string(),
            message: message.replace(['\n', '\r'], " "),
        }
    }
}
