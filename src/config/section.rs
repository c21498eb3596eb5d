//! Sections, read key by key.
//!
//! Values are read through [`Field`], which knows how to show them.

use serde_yaml::{Mapping, Value};

use super::field::{Field, key_name, shown};
use super::keypath::KeyPath;
use super::keys::Key;
use super::reader::ConfigReader;
use super::suggest::{home, listed, nearest, offered, quoted};

/// One section of the file: a mapping whose keys are all known.
pub(super) struct Section<'a> {
    reader: &'a ConfigReader<'a>,
    path: KeyPath,
    values: Option<&'a Mapping>,
    keys: &'static [Key],
    /// Known keys for which an unknown one was probably meant; not reported as missing as well.
    guessed: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// Opens a section and reports every key that is not in `keys`. A section without any content
    /// (all of it commented out) counts as one without keys.
    pub(super) fn open(field: &Field<'a>, keys: &'static [Key]) -> Option<Self> {
        let values = match field.value {
            Value::Mapping(values) => Some(values),
            Value::Null => None,
            other => {
                let (kind, known) = (shown(other), listed(keys));
                field.error(format!("{kind} is not a section; write keys below it: {known}"));
                return None;
            }
        };
        let mut section = Self {
            reader: field.reader,
            path: field.path.clone(),
            values,
            keys,
            guessed: Vec::new(),
        };
        for key in values.into_iter().flat_map(Mapping::keys) {
            section.know(key);
        }
        Some(section)
    }

    fn know(&mut self, key: &Value) {
        let name = key_name(key);
        if self.keys.iter().any(|key| key.name == name) {
            return;
        }
        let advice = if name == "<<" {
            "merge keys are not supported; repeat the keys here".to_owned()
        } else if let Some(home) = home(&name) {
            format!("it belongs to {home}; check the indentation")
        } else if let Some(near) = nearest(&name, offered(self.keys)) {
            self.guessed.push(near);
            format!("did you mean {near:?}?")
        } else {
            format!("known here: {}", listed(self.keys))
        };
        self.error(&name, format!("unknown key {}; {advice}", quoted(&name)));
    }

    /// Notes an error of a key.
    pub(super) fn error(&self, name: &str, message: impl AsRef<str>) {
        self.reader.error(&self.path.key(name), message);
    }

    /// Notes a warning about the section as a whole.
    pub(super) fn warn(&self, message: impl AsRef<str>) {
        self.reader.warn(&self.path, message);
    }

    /// The value of a key, if the key is there.
    pub(super) fn field(&self, name: &str) -> Option<Field<'a>> {
        let key = self.keys.iter().find(|key| key.name == name);
        debug_assert!(key.is_some(), "{name} is not listed");
        Some(Field {
            reader: self.reader,
            path: self.path.key(name),
            value: self.values?.get(name)?,
            secret: key.is_some_and(|key| key.secret),
        })
    }

    /// Opens the section below a key of this one.
    pub(super) fn section(&self, name: &str, keys: &'static [Key]) -> Option<Self> {
        Self::open(&self.field(name)?, keys)
    }

    /// Reads a key that may be absent. `None` also when its fault has been reported.
    pub(super) fn optional<T>(
        &self,
        name: &str,
        read: impl FnOnce(&Field<'a>) -> Result<T, String>,
    ) -> Option<T> {
        self.field(name)?.read(read)
    }

    /// Reads a key into `target`, which keeps its default if the key is absent or wrong.
    pub(super) fn set<T>(
        &self,
        target: &mut T,
        name: &str,
        read: impl FnOnce(&Field<'a>) -> Result<T, String>,
    ) {
        if let Some(value) = self.optional(name, read) {
            *target = value;
        }
    }

    /// Reads a key that must be there; `example` completes the advice to add it.
    pub(super) fn required<T>(
        &self,
        name: &str,
        example: &str,
        read: impl FnOnce(&Field<'a>) -> Result<T, String>,
    ) -> Option<T> {
        let field = self.field(name);
        if field.is_none() {
            self.missing(name, example);
        }
        field?.read(read)
    }

    /// Reports that a key is missing, unless a key that was probably meant for it has been reported.
    pub(super) fn missing(&self, name: &str, example: &str) {
        if !self.guessed.contains(&name) {
            self.error(name, format!("the key is missing; add `{example}`"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigError;
    use crate::config::keypath::KeyLines;

    const KEYS: &[Key] = &[
        Key {
            name: "token",
            secret: true,
        },
        Key {
            name: "name",
            secret: false,
        },
    ];

    /// The errors of a section with the keys `token` and `name`, both read as switches.
    fn errors(text: &str) -> Vec<String> {
        let value: Value = serde_yaml::from_str(text).unwrap();
        let lines = KeyLines::default();
        let reader = ConfigReader::new("c.yaml", &lines);
        let root = Field {
            reader: &reader,
            path: KeyPath::default(),
            value: &value,
            secret: false,
        };
        if let Some(section) = Section::open(&root, KEYS) {
            section.optional("token", Field::flag);
            section.required("name", "name: true", Field::flag);
        }
        let errors = reader.errors.take();
        errors.iter().map(ConfigError::to_string).collect()
    }

    #[test]
    fn secret_values_are_never_shown() {
        let check = |text: &str| {
            let errors = errors(text).join("\n");
            assert!(
                errors.contains("token: the value (hidden) is not a switch"),
                "{errors}"
            );
            assert!(!errors.contains("12345"), "{errors}");
        };
        check("token: s12345\nname: true");
        check("token: 12345\nname: true");
    }

    #[test]
    fn faults_of_a_section() {
        let check = |text, expected: &[&str]| assert_eq!(errors(text), expected, "{text}");
        check("name: true", &[]);
        check(
            "name: x",
            &["c.yaml: name: \"x\" is not a switch; write true or false, without quotes"],
        );
        check(
            "name:",
            &["c.yaml: name: has no value; write one or remove the key"],
        );
        check("{}", &["c.yaml: name: the key is missing; add `name: true`"]);
        check("~", &["c.yaml: name: the key is missing; add `name: true`"]);
        check(
            "nam: true",
            &["c.yaml: nam: unknown key \"nam\"; did you mean \"name\"?"],
        );
        check(
            "[1]",
            &["c.yaml: a list is not a section; write keys below it: name"],
        );
        check(
            "{name: true, 7: 1}",
            &["c.yaml: 7: unknown key \"7\"; known here: name"],
        );
        check(
            "{name: true, bucket: b}",
            &["c.yaml: bucket: unknown key \"bucket\"; it belongs to `s3`; check the indentation"],
        );
        check(
            "{name: true, <<: {}}",
            &["c.yaml: <<: unknown key \"<<\"; merge keys are not supported; repeat the keys here"],
        );
    }
}
