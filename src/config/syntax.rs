//! Faults of YAML itself, with the advice that fits what is seen on the line.

use super::keypath::KeyPath;

/// A file that cannot be read any further.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// Where.
    pub(super) line: usize,
    /// The key there; empty when the line alone is known.
    pub(super) key: KeyPath,
    /// Why, and what to do about it.
    pub(super) message: String,
}

impl SyntaxError {
    /// A fault of a line as a whole.
    pub(super) fn new(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            key: KeyPath::default(),
            message: message.into(),
        }
    }
}

/// Puts the message of a parser (`info`) and advice together.
pub(super) fn syntax_error(text: &str, line: Option<usize>, info: &str) -> SyntaxError {
    let line = line.unwrap_or(1).max(1);
    let at = |number: usize| text.lines().nth(number.wrapping_sub(1)).unwrap_or_default();
    // A tab is noticed on its own line, at the end of the one before, or when the next one does not fit.
    if let Some(tabbed) = [line, line + 1, line - 1]
        .into_iter()
        .find(|number| has_tab(at(*number)))
    {
        let message = "the line is indented with a tab, which YAML does not allow; use spaces";
        return SyntaxError::new(tabbed, message);
    }
    let advice = advice(info, at(line));
    SyntaxError::new(line, format!("not valid YAML: {info}; {advice}"))
}

/// The first character that no YAML may contain; parsers do not name its line.
pub(super) fn control_character(text: &str) -> Option<SyntaxError> {
    let illegal = |letter: char| letter.is_control() && !matches!(letter, '\t' | '\n' | '\r' | '\u{85}');
    let (at, letter) = text.char_indices().find(|(_, letter)| illegal(*letter))?;
    let (line, code) = (1 + text[..at].matches('\n').count(), u32::from(letter));
    let message = format!("the line holds the control character U+{code:04X}; remove it");
    Some(SyntaxError::new(line, message))
}

fn has_tab(line: &str) -> bool {
    line[..line.len() - line.trim_start().len()].contains('\t')
}

/// What to do about a line that cannot be read.
fn advice(info: &str, line: &str) -> &'static str {
    let value = line.trim_start().trim_start_matches("- ").trim_start();
    let value = value
        .split_once(": ")
        .map_or(value, |(_, value)| value.trim_start());
    if info.contains("recursion") {
        "it is nested deeper than any setting; check the brackets"
    } else if value.starts_with('"') && value.contains(['+', '=', '&', '|']) {
        "put the whole expression into single quotes, such as '\"github/\" + claims.repository'"
    } else if value.starts_with('[') && value.contains("]:") {
        "put an IPv6 address into quotes, such as \"[::1]:8080\""
    } else if info.contains("mapping values") && value.contains(": ") {
        "put the value into single quotes, because it contains a colon and a blank"
    } else if value.starts_with(['@', '`', '%', '*', '&', '!', '|', '>']) {
        "put the value into single quotes, because it begins with a sign of YAML's own"
    } else {
        "check the indentation, the quotes and the colons of this line and of the one before it"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_fits_the_line() {
        let check = |line, expected: &str| {
            let advice = advice("mapping values", line);
            assert!(advice.contains(expected), "{line}: {advice}");
        };
        check("  - \"a/\" + claims.b", "single quotes, such as");
        check("write_if: \"a\" == claims.b", "single quotes, such as");
        check("listen: [::1]:8080", "IPv6");
        check("allow_if: claims.a: 5", "a colon and a blank");
        check("dir: @home", "a sign of YAML's own");
        check("  limit 50GB", "check the indentation");
    }

    #[test]
    fn a_tab_is_found_on_the_line_before() {
        let error = syntax_error("disk:\n\tdir: x\n  limit: 1", Some(3), "bad");
        assert_eq!(error.line, 2);
        assert!(error.message.contains("use spaces"), "{}", error.message);
    }
}
