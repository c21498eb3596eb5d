//! What is wrong with a file, in the words that its author reads.

use std::fmt;

/// One fault, or one warning, with the place where it can be corrected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
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
impl fmt::Display for Problem {
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
pub struct Report {
    problems: Vec<Problem>,
}

impl Report {
    /// A report of these problems, sorted by line. Problems of the whole file come first.
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.line);
        Self { problems }
    }

    /// The problems in the order of their lines; at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: Option<usize>, key: &str) -> Problem {
        Problem {
            file: "c.yaml".to_owned(),
            line,
            key: key.to_owned(),
            message: "is odd".to_owned(),
        }
    }

    #[test]
    fn a_problem_names_what_it_knows() {
        let check = |line, key, expected: &str| assert_eq!(problem(line, key).to_string(), expected);
        check(Some(3), "disk.dir", "c.yaml:3: disk.dir: is odd");
        check(Some(3), "", "c.yaml:3: is odd");
        check(None, "disk", "c.yaml: disk: is odd");
        check(None, "", "c.yaml: is odd");
    }

    #[test]
    fn a_report_is_sorted_and_has_no_last_newline() {
        let report = Report::new(vec![
            problem(Some(9), "b"),
            problem(Some(2), "a"),
            problem(None, ""),
        ]);
        assert_eq!(
            report.to_string(),
            "c.yaml: is odd\nc.yaml:2: a: is odd\nc.yaml:9: b: is odd"
        );
    }
}
