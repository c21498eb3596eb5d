//! Sections, read key by key.
//!
//! Values are read through [`Field`], which knows how to show them.

use serde_yaml::{Mapping, Value};

use super::field::{Field, key_name};
use super::keypath::KeyPath;
use super::keys::Key;
use super::reader::ConfigReader;
use super::suggest::{home, listed, nearest, offered, quoted};

/// One section of the file: a mapping whose keys are all known.
pub(super) struct Section<'a> {
    path: KeyPath,
    values: Option<&'a Mapping>,
    keys: &'static [Key],
    /// Known keys for which an unknown one was probably meant; not reported as missing as well.
    guessed: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// Opens a section and reports every key that is not in `keys`. A section without any content
    /// (all of it commented out) counts as one without keys.
    pub(super) fn open(
        reader: &mut ConfigReader<'_>,
        path: KeyPath,
        value: &'a Value,
        keys: &'static [Key],
    ) -> Option<Self> {
        let values = match value {
            Value::Mapping(values) => Some(values),
            Value::Null => None,
            other => {
                let kind = Field::new(KeyPath::default(), other, false).shown();
                reader.error(
                    &path,
                    format!("{kind} is not a section; write keys below it: {}", listed(keys)),
                );
                return None;
            }
        };
        let mut section = Self {
            path,
            values,
            keys,
            guessed: Vec::new(),
        };
        for key in values.into_iter().flat_map(Mapping::keys) {
            section.know(reader, key);
        }
        Some(section)
    }

    fn know(&mut self, reader: &mut ConfigReader<'_>, key: &Value) {
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
        reader.error(
            &self.path.key(&name),
            format!("unknown key {}; {advice}", quoted(&name)),
        );
    }

    /// The path of this section.
    pub(super) fn path(&self) -> &KeyPath {
        &self.path
    }

    /// The value of a key, if the key is there.
    pub(super) fn field(&self, name: &str) -> Option<Field<'a>> {
        debug_assert!(
            self.keys.iter().any(|key| key.name == name),
            "{name} is not listed"
        );
        let value = self.values?.get(name)?;
        let secret = self.keys.iter().any(|key| key.name == name && key.secret);
        Some(Field::new(self.path.key(name), value, secret))
    }

    /// Reads a key that may be absent. `None` also when its fault has been reported.
    pub(super) fn optional<T>(
        &self,
        reader: &mut ConfigReader<'_>,
        name: &str,
        read: impl FnOnce(&Field<'a>) -> Result<T, String>,
    ) -> Option<T> {
        self.field(name)?.read(reader, read)
    }

    /// Reads a key that must be there; `example` completes the advice to add it.
    pub(super) fn required<T>(
        &self,
        reader: &mut ConfigReader<'_>,
        name: &str,
        example: &str,
        read: impl FnOnce(&Field<'a>) -> Result<T, String>,
    ) -> Option<T> {
        match self.field(name) {
            Some(field) => field.read(reader, read),
            None => {
                self.missing(reader, name, example);
                None
            }
        }
    }

    /// Reports that a key is missing, unless a key that was probably meant for it has been reported.
    pub(super) fn missing(&self, reader: &mut ConfigReader<'_>, name: &str, example: &str) {
        if !self.guessed.contains(&name) {
            reader.error(
                &self.path.key(name),
                format!("the key is missing; add `{example}`"),
            );
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
        let mut reader = ConfigReader::new("c.yaml", &lines);
        let section = Section::open(&mut reader, KeyPath::default(), &value, KEYS);
        if let Some(section) = section {
            section.optional(&mut reader, "token", Field::flag);
            section.required(&mut reader, "name", "name: true", Field::flag);
        }
        reader.errors.iter().map(ConfigError::to_string).collect()
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
