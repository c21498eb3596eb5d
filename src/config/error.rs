//! What is wrong with a file, in the words that its author reads.

use std::fmt;

/// One error or warning, with the place where it can be corrected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as it was named by the caller.
    pub file: String,
    /// The line, counted from 1. `None` when the file as a whole is meant.
    pub line: Option<usize>,
    /// The path of the key, such as `oidc_providers[0].url`; empty when the file as a whole is meant.
    pub key: String,
    /// What is wrong and what to do about it, on one line. Never holds the value of a secret key.
    pub message: String,
}

/// `config.yaml:12: disk.limit: "50Gb" is ...`
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// All errors of a file, in the order of its lines. Printed with one line for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
}

impl ConfigErrors {
    /// Sorts the errors by line. Errors of the whole file come first.
    pub(super) fn new(mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by_key(|error| error.line);
        Self { errors }
    }

    /// The errors in the order of their lines; at least one.
    pub fn errors(&self) -> &[ConfigError] {
        &self.errors
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: Option<usize>, key: &str) -> ConfigError {
        ConfigError {
            file: "c.yaml".to_owned(),
            line,
            key: key.to_owned(),
            message: "is odd".to_owned(),
        }
    }

    #[test]
    fn an_error_names_what_it_knows() {
        let check = |line, key, expected: &str| assert_eq!(error(line, key).to_string(), expected);
        check(Some(3), "disk.dir", "c.yaml:3: disk.dir: is odd");
        check(Some(3), "", "c.yaml:3: is odd");
        check(None, "disk", "c.yaml: disk: is odd");
        check(None, "", "c.yaml: is odd");
    }

    #[test]
    fn errors_are_sorted_and_have_no_last_newline() {
        let errors = ConfigErrors::new(vec![error(Some(9), "b"), error(Some(2), "a"), error(None, "")]);
        assert_eq!(
            errors.to_string(),
            "c.yaml: is odd\nc.yaml:2: a: is odd\nc.yaml:9: b: is odd"
        );
    }
}
