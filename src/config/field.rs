//! One value of the file, and the ways to read it.
//!
//! A function that reads a value gives a *predicate* as its fault ("is not a size; write ..."). The
//! value is put in front here, in one place, so that secret ones are never printed.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_yaml::Value;

use super::keypath::KeyPath;
use super::reader::ConfigReader;
use super::suggest::quoted;
use super::{duration, size};

/// How a variable in braces begins, for a shell.
const SHELL_VARIABLE: &str = "${";

/// The name of a key in messages.
pub(super) fn key_name(key: &Value) -> String {
    match key {
        Value::String(name) => name.clone(),
        other => shown(other),
    }
}

/// A value that is no secret for a message: short and on one line.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Sequence(_) => "a list".to_owned(),
        Value::Mapping(_) | Value::Tagged(_) => "a section with keys".to_owned(),
        Value::Null => "an empty value".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(text) => quoted(text),
    }
}

/// One value, where it stands, and whether it may be shown.
#[derive(Debug)]
pub(super) struct Field<'a> {
    pub(super) reader: &'a ConfigReader<'a>,
    pub(super) path: KeyPath,
    /// The value as YAML has it.
    pub(super) value: &'a Value,
    /// Hidden in messages.
    pub(super) secret: bool,
}

impl<'a> Field<'a> {
    /// Notes an error of this value; as [`ConfigReader::error`].
    pub(super) fn error(&self, message: impl AsRef<str>) {
        self.reader.error(&self.path, message);
    }

    /// Notes a warning.
    pub(super) fn warn(&self, message: impl AsRef<str>) {
        self.reader.warn(&self.path, message);
    }

    /// Reads the value and reports the fault, if there is one.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Self) -> Result<T, String>) -> Option<T> {
        let fault = if self.value.is_null() {
            "has no value; write one or remove the key".to_owned()
        } else {
            match read(self) {
                Ok(value) => return Some(value),
                Err(fault) => format!("{} {fault}", self.shown()),
            }
        };
        self.error(fault);
        None
    }

    /// The entries of a list. `example` is one entry, for the advice when it is no list.
    pub(super) fn entries(&self, example: &str) -> Option<Vec<Field<'a>>> {
        let entry = |(index, value)| Field {
            path: self.path.index(index),
            value,
            ..*self
        };
        self.read(|field| match field.value {
            Value::Sequence(values) => Ok(values.iter().enumerate().map(entry).collect()),
            _ => Err(format!(
                "is not a list; write each entry on its own line below the key: `- {example}`"
            )),
        })
    }

    /// Whether it is a list without entries.
    pub(super) fn is_empty_list(&self) -> bool {
        self.value.as_sequence().is_some_and(Vec::is_empty)
    }

    /// The value for a message: short, on one line, or hidden.
    pub(super) fn shown(&self) -> String {
        match self.value {
            Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => shown(self.value),
            _ if self.secret => "the value (hidden)".to_owned(),
            value => shown(value),
        }
    }

    /// A text that is not blank. Quotes are the remedy for numbers and booleans.
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

    /// A path. What a shell would replace is refused, because here nothing is.
    pub(super) fn file_path(&self) -> Result<PathBuf, String> {
        let path = self.text()?;
        if path.starts_with(['~', '$']) || path.contains(SHELL_VARIABLE) {
            return Err(
                "is taken as it stands (~ and $NAME are not replaced); write the whole path".to_owned(),
            );
        }
        Ok(PathBuf::from(path))
    }

    /// One of the words of an enumeration; `fault` for anything else.
    pub(super) fn word<T: DeserializeOwned>(&self, fault: &str) -> Result<T, String> {
        let word = self.value.as_str().unwrap_or_default();
        serde_yaml::from_value(Value::from(word)).map_err(|_| fault.to_owned())
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Result<bool, String> {
        let fault = || "is not a switch; write true or false, without quotes".to_owned();
        self.value.as_bool().ok_or_else(fault)
    }

    /// Whether it says `off`: whether a bare `off` is a text or a boolean depends on the version of YAML.
    pub(super) fn is_off(&self) -> bool {
        match self.value {
            Value::Bool(switch) => !switch,
            Value::String(text) => text.eq_ignore_ascii_case("off"),
            _ => false,
        }
    }

    /// A whole number in `range`.
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
    pub(super) fn size(&self, min: u64) -> Result<u64, String> {
        size::parse(&self.scalar("size")?, min)
    }

    /// A duration in `range`.
    pub(super) fn duration(&self, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
        duration::parse(&self.scalar("duration")?, range)
    }

    /// A number or a text, as text: sizes and durations are written both ways.
    pub(super) fn scalar(&self, what: &str) -> Result<String, String> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(format!("is not a {what}; write one value")),
        }
    }
}
