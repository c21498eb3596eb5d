//! From a file to a checked [`Config`], or to the list of everything that is wrong with it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use super::defaults::MAX_FILE_BYTES;
use super::error::{ConfigError, ConfigErrors};
use super::expression::ExpressionCheck;
use super::key_places::KeyPlaces;
use super::locate::{self, DuplicateKey, LocatedKeys};
use super::reader::ConfigReader;
use super::syntax::{self, SyntaxError};
use super::value::TolerantValue;
use super::{Config, root};

/// A configuration that can be used, and what its author should know.
#[derive(Debug)]
pub struct LoadedConfig {
    /// The configuration.
    pub config: Config,
    /// What is allowed but probably not meant, in the order of the file's lines.
    pub warnings: Vec<ConfigError>,
    /// Where its keys stand, for what is found out later.
    pub places: KeyPlaces,
}

/// Reads and checks the file at `path`. Nothing else is opened: neither ports nor directories.
///
/// # Errors
/// All faults of the file at once; or the one that keeps it from being read: it is missing, a
/// directory, empty, larger than 1 MiB, not UTF-8 or not YAML.
pub fn load(path: &Path, expressions: &dyn ExpressionCheck) -> Result<LoadedConfig, ConfigErrors> {
    let file = path.display().to_string();
    let text = read(path).map_err(|(line, message)| {
        let key = String::new();
        one(&printable(&file), line, key, message)
    })?;
    parse(&file, &text, expressions)
}

/// Checks the text of a file; `file_name` is only printed.
///
/// # Errors
/// As [`load`].
pub fn parse(
    file_name: &str,
    text: &str,
    expressions: &dyn ExpressionCheck,
) -> Result<LoadedConfig, ConfigErrors> {
    let file_name = &*printable(file_name);
    let whole = |message| one(file_name, None, String::new(), message);
    let located = |error: SyntaxError| one(file_name, Some(error.line), error.key.to_string(), error.message);
    if text.len() > MAX_FILE_BYTES {
        return Err(whole(too_large()));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(error) = syntax::control_character(text) {
        return Err(located(error));
    }
    let LocatedKeys { lines, duplicates } = locate::locate(text).map_err(located)?;
    let TolerantValue(value) =
        serde_yaml::from_str(text).map_err(|error| located(unreadable(text, &error)))?;
    if value.is_null() {
        let message = "the file is empty; start from config.example.yaml, which shows every key";
        return Err(whole(message.to_owned()));
    }
    let reader = ConfigReader::new(file_name, &lines);
    let config = root::config(&reader, &value, expressions);
    let (mut errors, mut warnings) = (reader.errors.into_inner(), reader.warnings.into_inner());
    errors.extend(duplicates.iter().map(|DuplicateKey { path, line, first }| {
        let message = format!("the key stands on line {first} already; remove one of them");
        error(file_name, Some(*line), path.to_string(), message)
    }));
    warnings.sort_by_key(|warning| warning.line);
    match config {
        Some(config) if errors.is_empty() => {
            let places = KeyPlaces::new(file_name.to_owned(), lines);
            Ok(LoadedConfig {
                config,
                warnings,
                places,
            })
        }
        _ => Err(ConfigErrors::new(errors)),
    }
}

/// The name of the file for logs and terminals: it breaks no line and controls nothing.
fn printable(file_name: &str) -> String {
    let mut shown = String::with_capacity(file_name.len());
    for letter in file_name.chars() {
        match letter.is_control() {
            true => shown.extend(letter.escape_debug()),
            false => shown.push(letter),
        }
    }
    shown
}

fn one(file: &str, line: Option<usize>, key: String, message: String) -> ConfigErrors {
    ConfigErrors::new(vec![error(file, line, key, message)])
}

fn error(file: &str, line: Option<usize>, key: String, message: String) -> ConfigError {
    let file = file.to_owned();
    ConfigError {
        file,
        line,
        key,
        message,
    }
}

fn too_large() -> String {
    format!(
        "the file is larger than {} MiB; is it the right one?",
        MAX_FILE_BYTES >> 20
    )
}

/// What the first parser let pass and `serde_yaml` did not.
fn unreadable(text: &str, error: &serde_yaml::Error) -> SyntaxError {
    let line = error.location().map(|location| location.line());
    let info = error.to_string();
    let info = info.split(" at line ").next().unwrap_or_default();
    syntax::syntax_error(text, line, info)
}

/// The text of the file, or the line and the reason why there is none.
fn read(path: &Path) -> Result<String, (Option<usize>, String)> {
    let whole = |message: &str| (None, message.to_owned());
    if fs::metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        return Err(whole("is a directory; name the file in it, such as config.yaml"));
    }
    let mut bytes = Vec::new();
    // The length in the metadata says nothing about pipes, and a file may grow; so count while reading.
    let result =
        File::open(path).and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes));
    match result {
        Ok(_) if bytes.len() > MAX_FILE_BYTES => return Err((None, too_large())),
        Ok(_) => {}
        Err(error) => return Err((None, open_fault(&error))),
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..valid]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        (
            Some(line),
            "the text is not UTF-8 from here on; save the file as UTF-8".to_owned(),
        )
    })
}

fn open_fault(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such file; check the path, or start from config.example.yaml".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "may not be read by this user; change the permissions of the file and its directories".to_owned()
        }
        _ => format!("cannot be read ({error}); check the file and its file system"),
    }
}
