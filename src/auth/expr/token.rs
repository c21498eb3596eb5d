//! Cuts a text into words, texts and signs, each with its column.
//!
//! evalexpr has its own tokenizer, but gives no positions, takes single quotes and question marks
//! for parts of names, and drops comments. So a text is cut here first, checked by `hints` and
//! `shape`, and only a text in which both tokenizers agree reaches evalexpr.

use super::error::{CompileError, shown};

/// Most tokens of one expression. Bounds the recursion of evalexpr's parser.
const MAX_TOKENS: usize = 1024;

/// Signs of more than one character, those of the Expr language included.
const LONG_SIGNS: [&str; 8] = ["==", "!=", "<=", ">=", "&&", "||", "??", "?."];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// `"text"`, with its quotes.
    Text,
    /// `'text'` or `` `text` ``: not of this language, but of Expr.
    ForeignText,
    /// A name or a number: a run of letters, digits, `_` and `.`.
    Word,
    /// Anything else: an operator, a bracket, an odd character.
    Sign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) kind: TokenKind,
    /// The text as written.
    pub(super) text: &'t str,
    /// The column of its first character, from 1, in characters.
    pub(super) column: usize,
    /// Whether blanks stand before it.
    pub(super) spaced: bool,
}

impl Token<'_> {
    pub(super) fn is(&self, sign: &str) -> bool {
        self.kind == TokenKind::Sign && self.text == sign
    }
}

/// Cuts `text` into tokens.
///
/// # Errors
/// Comments, texts without an end, unknown escapes and more than [`MAX_TOKENS`] tokens.
pub(super) fn scan(text: &str) -> Result<Vec<Token<'_>>, CompileError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut column = 1;
    loop {
        let trimmed = rest.trim_start();
        let spaced = trimmed.len() < rest.len();
        column += rest[..rest.len() - trimmed.len()].chars().count();
        let Some(first) = trimmed.chars().next() else {
            return Ok(tokens);
        };
        if tokens.len() == MAX_TOKENS {
            let message = format!("too long: more than {MAX_TOKENS} names, texts and signs");
            return Err(CompileError::new(column, message));
        }
        let (kind, length) = measure(trimmed, first, column)?;
        let (text, after) = trimmed.split_at(length);
        tokens.push(Token {
            kind,
            text,
            column,
            spaced,
        });
        column += text.chars().count();
        rest = after;
    }
}

/// The kind and the length in bytes of the token at the start of `rest`.
fn measure(rest: &str, first: char, column: usize) -> Result<(TokenKind, usize), CompileError> {
    match first {
        '"' => Ok((TokenKind::Text, text_length(rest, column)?)),
        '\'' | '`' => Ok((TokenKind::ForeignText, foreign_text_length(rest, first, column)?)),
        c if is_word(c) => {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            Ok((TokenKind::Word, length))
        }
        _ if rest.starts_with("//") || rest.starts_with("/*") => {
            let message = "comments are not allowed; a claim with `/` in its name is written claim(\"a//b\")";
            Err(CompileError::new(column, message))
        }
        _ => {
            let long = LONG_SIGNS.iter().find(|sign| rest.starts_with(**sign));
            Ok((TokenKind::Sign, long.map_or(first.len_utf8(), |sign| sign.len())))
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '.'
}

fn text_length(rest: &str, column: usize) -> Result<usize, CompileError> {
    let mut backslash = None;
    for (index, (at, c)) in rest.char_indices().enumerate().skip(1) {
        match (backslash.take(), c) {
            (Some(_), '"' | '\\') => {}
            (Some(column), escaped) => return Err(unknown_escape(escaped, column)),
            (None, '\\') => backslash = Some(column + index),
            (None, '"') => return Ok(at + 1),
            (None, _) => {}
        }
    }
    Err(CompileError::new(column, "this text has no closing `\"`"))
}

fn unknown_escape(escaped: char, column: usize) -> CompileError {
    let escape = shown(&format!("\\{escaped}"));
    let message = format!(
        "`{escape}` is not known: only \\\" and \\\\ are; write `\\{escape}` for a backslash, as in a pattern of matches()"
    );
    CompileError::new(column, message)
}

fn foreign_text_length(rest: &str, quote: char, column: usize) -> Result<usize, CompileError> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '\'' => escaped = true,
            c if c == quote => return Ok(at + 1),
            _ => {}
        }
    }
    let message = format!("`{quote}` does not start a text here; write \"text\"");
    Err(CompileError::new(column, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let tokens = scan(text).unwrap();
        let texts: Vec<&str> = tokens.iter().map(|token| token.text).collect();
        assert_eq!(texts, expected);
    }

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        let error = scan(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn cuts_at_signs_and_blanks() {
        check("", &[]);
        check(" \n\t", &[]);
        check(r#""a/" + claims.b_1"#, &[r#""a/""#, "+", "claims.b_1"]);
        check("!a&&b||c==-1", &["!", "a", "&&", "b", "||", "c", "==", "-", "1"]);
        check("a?.b??c?d:e", &["a", "?.", "b", "??", "c", "?", "d", ":", "e"]);
    }

    #[test]
    fn texts_keep_signs_and_escaped_quotes() {
        check(r#""// ' ? \" \\" "b""#, &[r#""// ' ? \" \\""#, r#""b""#]);
        check(r"'it\'s' `\`", &[r"'it\'s'", r"`\`"]);
    }

    #[test]
    fn columns_count_characters() {
        let tokens = scan("\"äöü\"  +claims.a").unwrap();
        let columns: Vec<usize> = tokens.iter().map(|token| token.column).collect();
        assert_eq!(columns, [1, 8, 9]);
    }

    #[test]
    fn refuses_what_has_no_token() {
        check_error("a // b", "column 3: comments are not allowed");
        check_error("a /* b */", "column 3: comments are not allowed");
        check_error(r#"a + "b"#, "column 5: this text has no closing");
        check_error(r#""ä\n""#, "column 3: `\\n` is not known");
        check_error(
            r#""\d+""#,
            "column 2: `\\d` is not known: only \\\" and \\\\ are; write `\\\\d`",
        );
        check_error("it's", "column 3: `'` does not start a text here");
        check_error(&"!".repeat(MAX_TOKENS + 1), "column 1025: too long");
    }
}
