//! Checks the order of tokens and every name, so that each error has its column.
//!
//! After this pass the text holds only names, operators and calls that the language knows, values
//! and operators take turns, and brackets match: evalexpr's parser cannot fail on it, and its
//! recursion is bounded.

use super::error::{CompileError, shown};
use super::functions;
use super::hints;
use super::token::{Token, TokenKind};
use super::value::ClaimPath;

/// Deepest nesting of brackets, and longest run of `!`.
const MAX_BRACKET_DEPTH: usize = 32;

const OPERATORS: [&str; 9] = ["+", "==", "!=", "<=", ">=", "<", ">", "&&", "||"];

/// Checks `tokens`. The answer holds the columns of all literals, names and calls in their order.
///
/// # Errors
/// The first token that cannot stand where it stands.
pub(super) fn check(tokens: &[Token<'_>]) -> Result<Vec<usize>, CompileError> {
    let mut shape = ShapeCheck {
        tokens,
        at: 0,
        open: Vec::new(),
        operands: Vec::new(),
    };
    shape.operand()?;
    while let Some(token) = shape.next() {
        shape.behind_operand(token)?;
    }
    match shape.open.last() {
        Some(bracket) => Err(CompileError::new(bracket.column, "this `(` has no `)`")),
        None => Ok(shape.operands),
    }
}

struct ShapeCheck<'a, 't> {
    tokens: &'a [Token<'t>],
    at: usize,
    open: Vec<Bracket>,
    operands: Vec<usize>,
}

/// An open bracket.
struct Bracket {
    column: usize,
    /// Whether it belongs to a call, where `,` may stand.
    call: bool,
}

impl<'t> ShapeCheck<'_, 't> {
    fn next(&mut self) -> Option<Token<'t>> {
        let token = self.tokens.get(self.at).copied();
        self.at += usize::from(token.is_some());
        token
    }

    fn peek_is(&self, sign: &str) -> bool {
        self.tokens.get(self.at).is_some_and(|token| token.is(sign))
    }

    /// Reads up to the end of one value: its prefixes, then a literal, a name or an empty call.
    fn operand(&mut self) -> Result<(), CompileError> {
        let mut prefixes = 0;
        loop {
            let Some(token) = self.next() else {
                return Err(self.ends_too_early());
            };
            match token.kind {
                TokenKind::Text => return self.literal(token),
                TokenKind::Word if self.peek_is("(") => {
                    if self.call(token)? {
                        return Ok(());
                    }
                }
                TokenKind::Word => return self.name(token),
                _ if token.is("(") => self.open(token, false)?,
                _ if token.is("!") && prefixes < MAX_BRACKET_DEPTH => prefixes += 1,
                _ if token.is("-") => return self.negative(token),
                _ => return Err(unexpected(token, "a value")),
            }
        }
    }

    /// Reads what follows a value.
    fn behind_operand(&mut self, token: Token<'t>) -> Result<(), CompileError> {
        match token.kind {
            TokenKind::Sign if OPERATORS.contains(&token.text) => self.operand(),
            TokenKind::Sign if token.is(")") => match self.open.pop() {
                Some(_) => Ok(()),
                None => Err(CompileError::new(token.column, "this `)` has no `(`")),
            },
            TokenKind::Sign if token.is(",") => match self.open.last() {
                Some(bracket) if bracket.call => self.operand(),
                _ => Err(CompileError::new(
                    token.column,
                    "`,` is allowed between the arguments of a function only",
                )),
            },
            TokenKind::Sign => Err(unexpected(token, "an operator")),
            _ => {
                let message = format!("an operator is missing before `{}`", shown(token.text));
                Err(CompileError::new(token.column, message))
            }
        }
    }

    fn literal(&mut self, token: Token<'t>) -> Result<(), CompileError> {
        self.operands.push(token.column);
        Ok(())
    }

    /// The name and the `(` of a call; `true` if `)` follows at once.
    fn call(&mut self, name: Token<'t>) -> Result<bool, CompileError> {
        if functions::find(name.text).is_none() {
            return Err(CompileError::new(name.column, hints::unknown_function(name.text)));
        }
        self.operands.push(name.column);
        if let Some(bracket) = self.next() {
            self.open(bracket, true)?;
        }
        if !self.peek_is(")") {
            return Ok(false);
        }
        self.next();
        self.open.pop();
        Ok(true)
    }

    fn open(&mut self, token: Token<'t>, call: bool) -> Result<(), CompileError> {
        if self.open.len() == MAX_BRACKET_DEPTH {
            let message = format!("more than {MAX_BRACKET_DEPTH} nested brackets");
            return Err(CompileError::new(token.column, message));
        }
        self.open.push(Bracket {
            column: token.column,
            call,
        });
        Ok(())
    }

    fn name(&mut self, token: Token<'t>) -> Result<(), CompileError> {
        let known = match token.text.strip_prefix("claims.") {
            Some(name) => ClaimPath::dotted(name).is_some(),
            None => matches!(token.text, "true" | "false"),
        };
        if !known && !token.text.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(CompileError::new(token.column, hints::unknown_name(token.text)));
        }
        if !known {
            self.number(token)?;
        }
        self.literal(token)
    }

    fn negative(&mut self, sign: Token<'t>) -> Result<(), CompileError> {
        match self.next() {
            Some(token) if token.text.starts_with(|c: char| c.is_ascii_digit()) => {
                self.number(token)?;
                self.literal(token)
            }
            _ => Err(unexpected(sign, "a value")),
        }
    }

    /// Only decimal whole numbers: evalexpr would also read `0x1f`, `1e3`, `inf` and `nan`.
    fn number(&self, token: Token<'t>) -> Result<(), CompileError> {
        let digits = token.text.bytes().all(|b| b.is_ascii_digit());
        if digits && token.text.parse::<i64>().is_ok() {
            return Ok(());
        }
        let message = format!("`{}` is not a whole number of 64 bits", shown(token.text));
        Err(CompileError::new(token.column, message))
    }

    fn ends_too_early(&self) -> CompileError {
        match self.tokens.last() {
            Some(last) => {
                let column = last.column + last.text.chars().count();
                CompileError::new(column, "a value is missing at the end")
            }
            None => CompileError::new(1, "the expression is empty"),
        }
    }
}

fn unexpected(token: Token<'_>, wanted: &str) -> CompileError {
    let message = match token.text {
        "=" => "`=` is not allowed: values cannot be assigned; `==` compares".to_owned(),
        "-" | "*" | "/" | "%" | "^" => format!("`{}` is not allowed: there is no arithmetic", token.text),
        ";" => "`;` is not allowed: an expression is one value".to_owned(),
        other => format!("{wanted} is expected instead of `{}`", shown(other)),
    };
    CompileError::new(token.column, message)
}

#[cfg(test)]
mod tests {
    use super::super::token::scan;
    use super::*;

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        let error = check(&scan(text).unwrap()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }

    #[test]
    fn columns_of_operands_are_in_order() {
        let tokens = scan(r#"join("a", claims.b) == -1 && !(true)"#).unwrap();
        assert_eq!(check(&tokens).unwrap(), [1, 6, 11, 25, 32]);
    }

    #[test]
    fn values_and_operators_take_turns() {
        check_error("", "column 1: the expression is empty");
        check_error("claims.a +", "column 11: a value is missing at the end");
        check_error(
            "claims.a claims.b",
            "column 10: an operator is missing before `claims.b`",
        );
        check_error(r#"claims.a "x""#, "column 10: an operator is missing");
        check_error(
            "(claims.a) (claims.b)",
            "column 12: an operator is expected instead of `(`",
        );
        check_error("&& claims.a", "column 1: a value is expected instead of `&&`");
        check_error(
            "claims.a + + claims.b",
            "column 12: a value is expected instead of `+`",
        );
        check_error("lower(,)", "column 7: a value is expected");
        check_error("()", "column 2: a value is expected instead of `)`");
    }

    #[test]
    fn brackets_match_and_are_not_deep() {
        check_error("(claims.a", "column 1: this `(` has no `)`");
        check_error("lower(claims.a", "column 6: this `(` has no `)`");
        check_error("claims.a)", "column 9: this `)` has no `(`");
        check_error(&"(".repeat(40), "column 33: more than 32 nested brackets");
        check_error(&"!".repeat(40), "column 33: a value is expected instead of `!`");
    }

    #[test]
    fn no_assignment_chain_tuple_or_arithmetic() {
        check_error("claims.a = true", "column 10: `=` is not allowed");
        check_error("claims.a += true", "column 11: `=` is not allowed");
        check_error("claims.a; claims.b", "column 9: `;` is not allowed");
        check_error("claims.a, claims.b", "column 9: `,` is allowed between");
        check_error("(claims.a, claims.b)", "column 10: `,` is allowed between");
        for sign in ["-", "*", "/", "%", "^"] {
            check_error(
                &format!("1 {sign} 2"),
                &format!("column 3: `{sign}` is not allowed"),
            );
        }
        check_error("-claims.a", "column 1: `-` is not allowed");
    }

    #[test]
    fn numbers_are_whole_and_decimal() {
        for number in ["1.5", "0x1f", "1e3", "9223372036854775808", "1_000"] {
            check_error(number, &format!("column 1: `{number}` is not a whole number"));
        }
    }

    #[test]
    fn names_have_to_be_known() {
        check_error("claims", "column 1:");
        check_error("claims.", "column 1:");
        check_error("claims..a", "column 1:");
        check_error("nan", "column 1: `nan` is not known");
        check_error("true && ref", "column 9: `ref` is not known; write claims.ref");
        check_error(
            "lowr(claims.a)",
            "column 1: there is no function `lowr`; write lower(text)",
        );
    }
}
