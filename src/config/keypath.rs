//! Names of places in the file, and their lines.

use std::collections::HashMap;
use std::fmt;

/// The path of a key: `oidc_providers[0].url`. Empty for the top of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct KeyPath(String);

impl KeyPath {
    /// A path as messages show it.
    pub(super) fn raw(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The path of the key `name` below this.
    pub(super) fn key(&self, name: &str) -> Self {
        let dot = if self.0.is_empty() { "" } else { "." };
        Self(format!("{}{dot}{}", self.0, name.escape_debug()))
    }

    /// The path of an entry of the list at this.
    pub(super) fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The line of every key and list entry.
#[derive(Debug, Default)]
pub(super) struct KeyLines(HashMap<String, usize>);

impl KeyLines {
    /// Notes the line of a key. The first line of a key stays, because its first value is the one that is read.
    pub(super) fn note(&mut self, path: &KeyPath, line: usize) {
        self.0.entry(path.0.clone()).or_insert(line);
    }

    /// Whether the key itself stands in the file.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The line of the key, or of the nearest one around it: what comes through an alias has the line
    /// of the alias.
    pub(super) fn find(&self, path: &KeyPath) -> Option<usize> {
        let mut path = path.0.as_str();
        loop {
            if let Some(line) = self.0.get(path) {
                return Some(*line);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}
