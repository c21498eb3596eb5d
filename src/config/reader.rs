//! What is wrong with a file, collected: one fault does not hide the next.

use std::cell::RefCell;

use super::error::ConfigError;
use super::keypath::{KeyLines, KeyPath};

/// Collects what is wrong with one file.
#[derive(Debug)]
pub(super) struct ConfigReader<'a> {
    file: &'a str,
    lines: &'a KeyLines,
    /// What keeps the file from being used.
    pub(super) errors: RefCell<Vec<ConfigError>>,
    /// What its author should know.
    pub(super) warnings: RefCell<Vec<ConfigError>>,
}

impl<'a> ConfigReader<'a> {
    /// A reader without any findings yet.
    pub(super) fn new(file: &'a str, lines: &'a KeyLines) -> Self {
        Self {
            file,
            lines,
            errors: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// The line of a key.
    pub(super) fn line(&self, path: &KeyPath) -> Option<usize> {
        self.lines.find(path)
    }

    /// Notes an error. `message` is whole: it names the value, unless that is secret, and the remedy.
    pub(super) fn error(&self, path: &KeyPath, message: impl AsRef<str>) {
        self.errors
            .borrow_mut()
            .push(self.finding(path, message.as_ref()));
    }

    /// Notes a warning.
    pub(super) fn warn(&self, path: &KeyPath, message: impl AsRef<str>) {
        self.warnings
            .borrow_mut()
            .push(self.finding(path, message.as_ref()));
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
