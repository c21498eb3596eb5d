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

/// The name of a key in messages.
pub(super) fn key_name(key: &Value) -> String {
    match key {
        Value::String(name) => name.clone(),
        other => Field::new(KeyPath::default(), other, false).shown(),
    }
}

/// One value, where it stands, and whether it may be shown.
#[derive(Debug)]
pub(super) struct Field<'a> {
    path: KeyPath,
    value: &'a Value,
    secret: bool,
}

impl<'a> Field<'a> {
    /// The value of the key `path`, which is hidden in messages when it is `secret`.
    pub(super) fn new(path: KeyPath, value: &'a Value, secret: bool) -> Self {
        Self { path, value, secret }
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
        reader: &mut ConfigReader<'_>,
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
    pub(super) fn entries(&self, reader: &mut ConfigReader<'_>, example: &str) -> Option<Vec<Field<'a>>> {
        let path = &self.path;
        let entry = |(index, value)| Field {
            path: path.index(index),
            value,
            secret: self.secret,
        };
        self.read(reader, |field| match field.value {
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

    /// A path. What a shell would replace is refused, because here nothing is.
    ///
    /// # Errors
    /// For anything else.
    pub(super) fn file_path(&self) -> Result<PathBuf, String> {
        let path = self.text()?;
        if path.starts_with('~') || path.contains("${") || path.starts_with('$') {
            return Err(
                "is taken as it stands (~ and $NAME are not replaced); write the whole path".to_owned(),
            );
        }
        Ok(PathBuf::from(path))
    }

    /// One of the words of an enumeration.
    ///
    /// # Errors
    /// `fault`, for anything else.
    pub(super) fn word<T: DeserializeOwned>(&self, fault: &str) -> Result<T, String> {
        let word = self.value.as_str().unwrap_or_default();
        serde_yaml::from_value(Value::from(word)).map_err(|_| fault.to_owned())
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
