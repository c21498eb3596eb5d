//! Reading sections key by key, so that one fault does not hide the next.
//!
//! A function that reads a value gives a *predicate* as its fault ("is not a size; write ..."). The
//! value is put in front here, in one place, so that secret ones are never printed.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_yaml::{Mapping, Value};

use super::keys::Key;
use super::locate::{KeyPath, Lines};
use super::problem::Problem;
use super::suggest::{home, listed, nearest, quoted};
use super::{duration, size};

/// Collects what is wrong with one file.
pub(super) struct Reader<'a> {
    file: &'a str,
    lines: &'a Lines,
    /// What keeps the file from being used.
    pub(super) errors: Vec<Problem>,
    /// What its author should know.
    pub(super) warnings: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// A reader without any findings yet.
    pub(super) fn new(file: &'a str, lines: &'a Lines) -> Self {
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
        let problem = self.problem(path, message.as_ref());
        self.errors.push(problem);
    }

    /// Notes a warning.
    pub(super) fn warn(&mut self, path: &KeyPath, message: impl AsRef<str>) {
        let problem = self.problem(path, message.as_ref());
        self.warnings.push(problem);
    }

    fn problem(&self, path: &KeyPath, message: &str) -> Problem {
        Problem {
            file: self.file.to_owned(),
            line: self.lines.find(path),
            key: path.to_string(),
            message: message.replace(['\n', '\r'], " "),
        }
    }
}

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
        reader: &mut Reader<'_>,
        path: KeyPath,
        value: &'a Value,
        keys: &'static [Key],
    ) -> Option<Self> {
        let values = match value {
            Value::Mapping(values) => Some(values),
            Value::Null => None,
            other => {
                let kind = Leaf::of(other).shown();
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

    fn know(&mut self, reader: &mut Reader<'_>, key: &Value) {
        let name = match key {
            Value::String(name) => name.clone(),
            other => Leaf::of(other).shown(),
        };
        if self.keys.iter().any(|key| key.name == name) {
            return;
        }
        let here = nearest(&name, self.keys.iter().map(|key| key.name));
        self.guessed.extend(here);
        let advice = match (home(&name), here) {
            _ if name == "<<" => "merge keys are not supported; repeat the keys here".to_owned(),
            (Some(section), _) => format!("it belongs into `{section}`; check the indentation"),
            (None, Some(near)) => format!("did you mean {near:?}?"),
            (None, None) => format!("known here: {}", listed(self.keys)),
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
    pub(super) fn leaf(&self, name: &str) -> Option<Leaf<'a>> {
        debug_assert!(
            self.keys.iter().any(|key| key.name == name),
            "{name} is not listed"
        );
        let value = self.values?.get(name)?;
        Some(Leaf {
            path: self.path.key(name),
            value,
            secret: self.keys.iter().any(|key| key.name == name && key.secret),
        })
    }

    /// Reads a key that may be absent. `None` also when its fault has been reported.
    pub(super) fn optional<T>(
        &self,
        reader: &mut Reader<'_>,
        name: &str,
        read: impl FnOnce(&Leaf<'a>) -> Result<T, String>,
    ) -> Option<T> {
        self.leaf(name)?.read(reader, read)
    }

    /// Reads a key that must be there; `example` completes the advice to add it.
    pub(super) fn required<T>(
        &self,
        reader: &mut Reader<'_>,
        name: &str,
        example: &str,
        read: impl FnOnce(&Leaf<'a>) -> Result<T, String>,
    ) -> Option<T> {
        match self.leaf(name) {
            Some(leaf) => leaf.read(reader, read),
            None => {
                self.missing(reader, name, example);
                None
            }
        }
    }

    /// Reports that a key is missing, unless a key that was probably meant for it has been reported.
    pub(super) fn missing(&self, reader: &mut Reader<'_>, name: &str, example: &str) {
        if !self.guessed.contains(&name) {
            reader.error(&self.path, format!("{name:?} is missing; add `{example}`"));
        }
    }
}

/// One value, where it stands, and whether it may be shown.
#[derive(Debug)]
pub(super) struct Leaf<'a> {
    path: KeyPath,
    value: &'a Value,
    secret: bool,
}

impl<'a> Leaf<'a> {
    fn of(value: &'a Value) -> Self {
        Self {
            path: KeyPath::default(),
            value,
            secret: false,
        }
    }

    /// Where it stands.
    pub(super) fn path(&self) -> &KeyPath {
        &self.path
    }

    /// The value as YAML has it.
    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    /// Reads the value and reports the fault, if there is one.
    pub(super) fn read<T>(
        &self,
        reader: &mut Reader<'_>,
        read: impl FnOnce(&Self) -> Result<T, String>,
    ) -> Option<T> {
        let fault = if self.value.is_null() {
            "has no value; write one or remove the key".to_owned()
        } else {
            match read(self) {
                Ok(value) => return Some(value),
                Err(fault) => format!("{} {fault}", self.shown()),
            }
        };
        reader.error(&self.path, fault);
        None
    }

    /// The entries of a list. `example` is one entry, for the advice when it is no list.
    pub(super) fn entries(&self, reader: &mut Reader<'_>, example: &str) -> Option<Vec<Leaf<'a>>> {
        let path = &self.path;
        let entry = |(index, value)| Leaf {
            path: path.index(index),
            value,
            secret: self.secret,
        };
        self.read(reader, |leaf| match leaf.value {
            Value::Sequence(values) => Ok(values.iter().enumerate().map(entry).collect()),
            _ => Err(format!(
                "is not a list; write each entry on its own line below the key: `- {example}`"
            )),
        })
    }

    /// The value for a message: short, on one line, or hidden.
    pub(super) fn shown(&self) -> String {
        match self.value {
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) | Value::Tagged(_) => "a section with keys".to_owned(),
            _ if self.secret => "the value (hidden)".to_owned(),
            Value::Null => "an empty value".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(value) => value.to_string(),
            Value::String(text) => quoted(text),
        }
    }

    /// A text that is not blank.
    ///
    /// # Errors
    /// For anything else, with quotes as the remedy for numbers and booleans.
    pub(super) fn text(&self) -> Result<&'a str, String> {
        match self.value {
            Value::String(text) if text.trim().is_empty() => Err("is empty; write a text".to_owned()),
            Value::String(text) if text.contains('\0') => {
                Err("contains a NUL character; remove it".to_owned())
            }
            Value::String(text) => Ok(text),
            Value::Bool(_) | Value::Number(_) => Err("is not a text; put it into quotes".to_owned()),
            _ => Err("is not a text; write one value".to_owned()),
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// For anything else.
    pub(super) fn flag(&self) -> Result<bool, String> {
        match self.value {
            Value::Bool(flag) => Ok(*flag),
            _ => Err("is not a switch; write true or false, without quotes".to_owned()),
        }
    }

    /// A whole number in `range`.
    ///
    /// # Errors
    /// For anything else.
    pub(super) fn count(&self, range: &RangeInclusive<u64>) -> Result<usize, String> {
        let count = self.value.as_u64().filter(|count| range.contains(count));
        count
            .and_then(|count| usize::try_from(count).ok())
            .ok_or_else(|| {
                format!(
                    "is not accepted; write a whole number from {} to {}, without quotes",
                    range.start(),
                    range.end()
                )
            })
    }

    /// A size of at least `min` bytes.
    ///
    /// # Errors
    /// As [`size::parse`].
    pub(super) fn size(&self, min: u64) -> Result<u64, String> {
        size::parse(&self.scalar("size")?, min)
    }

    /// A duration in `range`.
    ///
    /// # Errors
    /// As [`duration::parse`].
    pub(super) fn duration(&self, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
        duration::parse(&self.scalar("duration")?, range)
    }

    /// A number or a text, as text: sizes and durations are written both ways.
    fn scalar(&self, what: &str) -> Result<String, String> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(format!("is not a {what}; write one value")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let lines = Lines::default();
        let mut reader = Reader::new("c.yaml", &lines);
        let section = Section::open(&mut reader, KeyPath::default(), &value, KEYS);
        if let Some(section) = section {
            section.optional(&mut reader, "token", Leaf::flag);
            section.required(&mut reader, "name", "name: true", Leaf::flag);
        }
        reader.errors.iter().map(Problem::to_string).collect()
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
        check("{}", &["c.yaml: \"name\" is missing; add `name: true`"]);
        check("~", &["c.yaml: \"name\" is missing; add `name: true`"]);
        check(
            "nam: true",
            &["c.yaml: nam: unknown key \"nam\"; did you mean \"name\"?"],
        );
        check(
            "[1]",
            &["c.yaml: a list is not a section; write keys below it: token, name"],
        );
        check(
            "{name: true, 7: 1}",
            &["c.yaml: 7: unknown key \"7\"; known here: token, name"],
        );
        check(
            "{name: true, bucket: b}",
            &["c.yaml: bucket: unknown key \"bucket\"; it belongs into `s3`; check the indentation"],
        );
        check(
            "{name: true, <<: {}}",
            &["c.yaml: <<: unknown key \"<<\"; merge keys are not supported; repeat the keys here"],
        );
    }
}
