//! The functions of the language, in one table.
//!
//! Each is total: it answers or fails, whatever it gets, and never builds more than
//! [`MAX_TEXT_BYTES`](super::value::MAX_TEXT_BYTES). Functions with a `FunctionForm` other than `Plain` are
//! nodes of their own in `tree`, because they need their arguments unevaluated or at load.

use std::fmt::Write as _;

use aws_lc_rs::digest;

use super::error::{ClaimErrorKind, EvalError};
use super::value::{Value, check_length};
use super::value_kind::ValueKind;

/// How a function gets its arguments.
#[derive(Debug, Clone, Copy)]
pub(super) enum FunctionForm {
    /// All evaluated, in order.
    Plain(FunctionBody),
    /// `claim("a", "b")`: literals, resolved at load.
    Claim,
    /// `default(x, fallback)`: the fallback only if `x` is missing.
    Default,
    /// `if(condition, a, b)`: only the branch that is taken.
    If,
    /// `matches(text, "regex")`: the pattern is compiled at load.
    Matches,
}

/// The body of a plain function. The number of arguments was checked at load.
pub(super) type FunctionBody = for<'c> fn(&[Value<'c>]) -> Result<Value<'c>, CallError>;

/// Why a plain function has no result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CallError {
    /// The claim in its first argument counts as missing.
    Missing(ClaimErrorKind),
    /// Any other reason.
    Error(EvalError),
}

impl From<EvalError> for CallError {
    fn from(error: EvalError) -> Self {
        Self::Error(error)
    }
}

#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    /// The arguments as written, for messages and the documentation.
    pub(super) usage: &'static str,
    pub(super) least: usize,
    pub(super) most: usize,
    /// `None` if it depends on the arguments.
    pub(super) gives: Option<ValueKind>,
    /// One sentence for `docs/expressions.md`; a test compares them.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "read by the test of the documentation")
    )]
    pub(super) doc: &'static str,
    pub(super) form: FunctionForm,
}

pub(super) fn find(name: &str) -> Option<&'static Function> {
    ALL.iter().find(|function| function.name == name)
}

/// A row of [`ALL`]; `args` holds the least and the greatest number of arguments.
const fn row(
    usage: (&'static str, &'static str),
    args: (usize, usize),
    gives: Option<ValueKind>,
    form: FunctionForm,
    doc: &'static str,
) -> Function {
    Function {
        name: usage.0,
        usage: usage.1,
        least: args.0,
        most: args.1,
        gives,
        doc,
        form,
    }
}

const ANY_COUNT: usize = usize::MAX;
const GIVES_TEXT: Option<ValueKind> = Some(ValueKind::Text);
const GIVES_BOOLEAN: Option<ValueKind> = Some(ValueKind::Boolean);

#[rustfmt::skip]
pub(super) static ALL: [Function; 18] = [
    row(("claim", r#"("name", "nested", ...)"#), (1, ANY_COUNT), None, FunctionForm::Claim,
        "The claim with exactly these names, one per level; for names with `.`, `/`, `:` or `-`."),
    row(("join", "(part, ...)"), (1, ANY_COUNT), GIVES_TEXT, FunctionForm::Plain(join),
        "The parts with `/` between them; `%` and `/` inside of a part become `%25` and `%2F`. An empty part counts as a missing claim."),
    row(("default", r#"("name", fallback)"#), (2, 2), None, FunctionForm::Default,
        "The claim, or `fallback` where it is missing or null; instead of a name, any expression."),
    row(("nonempty", "(text)"), (1, 1), GIVES_TEXT, FunctionForm::Plain(nonempty),
        "The text itself; an empty one counts as a missing claim."),
    row(("lower", "(text)"), (1, 1), GIVES_TEXT, FunctionForm::Plain(lower),
        "In lower case, by Unicode's rules."),
    row(("upper", "(text)"), (1, 1), GIVES_TEXT, FunctionForm::Plain(upper),
        "In upper case, by Unicode's rules."),
    row(("trim", "(text)"), (1, 1), GIVES_TEXT, FunctionForm::Plain(trim),
        "Without white space at both ends."),
    row(("trimPrefix", "(text, prefix)"), (2, 2), GIVES_TEXT, FunctionForm::Plain(trim_prefix),
        "Without `prefix`, once, if the text starts with it."),
    row(("trimSuffix", "(text, suffix)"), (2, 2), GIVES_TEXT, FunctionForm::Plain(trim_suffix),
        "Without `suffix`, once, if the text ends with it."),
    row(("replace", "(text, from, to)"), (3, 3), GIVES_TEXT, FunctionForm::Plain(replace),
        "With every `from` replaced by `to`; `from` must not be empty."),
    row(("startsWith", "(text, prefix)"), (2, 2), GIVES_BOOLEAN, FunctionForm::Plain(starts_with),
        "Whether the text starts with `prefix`."),
    row(("endsWith", "(text, suffix)"), (2, 2), GIVES_BOOLEAN, FunctionForm::Plain(ends_with),
        "Whether the text ends with `suffix`."),
    row(("contains", "(text, part)"), (2, 2), GIVES_BOOLEAN, FunctionForm::Plain(contains),
        "Whether the text has `part` in it."),
    row(("matches", r#"(text, "regex")"#), (2, 2), GIVES_BOOLEAN, FunctionForm::Matches,
        "Whether the pattern is found in the text; write `^` and `$` to match all of it."),
    row(("split", "(text, separator, index)"), (3, 3), GIVES_TEXT, FunctionForm::Plain(split),
        "The part with this index, from 0; from the end with -1 and below. No such part counts as a missing claim."),
    row(("string", "(value)"), (1, 1), GIVES_TEXT, FunctionForm::Plain(string),
        "A number or a boolean as text."),
    row(("sha256", "(text)"), (1, 1), GIVES_TEXT, FunctionForm::Plain(sha256),
        "The SHA-256 of the text, 64 hex digits."),
    row(("if", "(condition, then, else)"), (3, 3), None, FunctionForm::If,
        "`then` or `else`; the other one is not evaluated."),
];

fn join<'c>(args: &[Value<'c>]) -> Result<Value<'c>, CallError> {
    let mut joined = String::new();
    for index in 0..args.len() {
        let part = text(args, index)?;
        if part.is_empty() {
            return Err(CallError::Missing(ClaimErrorKind::Empty));
        }
        check_length(joined.len() + part.len())?;
        push_part(&mut joined, part);
    }
    Ok(Value::text(joined)?)
}

/// Appends a part, escaped so that the parts can be told apart again. None may be empty.
pub(in crate::auth) fn push_part(joined: &mut String, part: &str) {
    if !joined.is_empty() {
        joined.push('/');
    }
    for c in part.chars() {
        match c {
            '%' => joined.push_str("%25"),
            '/' => joined.push_str("%2F"),
            c => joined.push(c),
        }
    }
}

fn nonempty<'c>(args: &[Value<'c>]) -> Result<Value<'c>, CallError> {
    if text(args, 0)?.is_empty() {
        return Err(CallError::Missing(ClaimErrorKind::Empty));
    }
    Ok(args[0].clone())
}

fn lower<'c>(args: &[Value<'c>]) -> Result<Value<'c>, CallError> {
    Ok(Value::text(text(args, 0)?.to_lowercase())?)
}

fn upper<'c>(args: &[Value<'c>]) -> Result<Value<'c>, CallError> {
    Ok(Value::text(text(args, 0)?.to_uppercase())?)
}

fn trim<'c>(args: &[Value<'c>]) -> Result<Value<'c>, CallError> {
    Ok(Value::text(text(args, 0)?.trim().to_owned())?)
}

fn trim_prefix<'c>(args: &[Value<'c>]) -> Result<Value<'c>, CallError> {
    let (text, prefix) = (text(args, 0)?, text(args, 1)?);
    Ok(Value::text(text.strip_prefix(prefix).unwrap_or(text).to_owned())?)
}

fn trim_suffix<'c>(args: &[Value<'c>]) -> Result<Value<'c>, CallError> {
    let (text, suffix) = (text(args, 0)?, text(args, 1)?);
    Ok(Value::text(text.strip_suffix(suffix).unwrap_or(text).to_owned())?)
}

fn replace<'c>(args: &[Value<'c>]) -> Result<Value<'c>, CallError> {
    let (text, from, to) = (text(args, 0)?, nonempty_text(args, 1)?, text(args, 2)?);
    let found = text.matches(from).count();
    check_length(text.len() - found * from.len() + found * to.len())?;
    Ok(Value::text(text.replace(from, to))?)
}

fn starts_with<'c>(args: &[Value<'c>]) -> Result<Value<'c>, CallError> {
    Ok(Value::Boolean(text(args, 0)?.starts_with(text(args, 1)?)))
}

fn ends_with<'c>(args: &[Value<'c>]) -> Result<Value<'c>, CallError> {
    Ok(Value::Boolean(text(args, 0)?.ends_with(text(args, 1)?)))
}

fn contains<'c>(args: &[Value<'c>]) -> Result<Value<'c>, CallError> {
    Ok(Value::Boolean(text(args, 0)?.contains(text(args, 1)?)))
}

fn split<'c>(args: &[Value<'c>]) -> Result<Value<'c>, CallError> {
    let (text, separator) = (text(args, 0)?, nonempty_text(args, 1)?);
    let Value::Number(index) = args[2] else {
        return Err(wrong(2, "a number", args[2].kind()));
    };
    let part = match (usize::try_from(index), usize::try_from(!index)) {
        (Ok(index), _) => text.split(separator).nth(index),
        // `!-1` is 0.
        (_, Ok(back)) => text.rsplit(separator).nth(back),
        _ => None,
    };
    let part = part.ok_or(CallError::Missing(ClaimErrorKind::NoSuchPart))?;
    Ok(Value::text(part.to_owned())?)
}

fn string<'c>(args: &[Value<'c>]) -> Result<Value<'c>, CallError> {
    Ok(match &args[0] {
        Value::Text(_) => args[0].clone(),
        Value::Number(number) => Value::text(number.to_string())?,
        Value::Boolean(boolean) => Value::text(boolean.to_string())?,
    })
}

fn sha256<'c>(args: &[Value<'c>]) -> Result<Value<'c>, CallError> {
    let digest = digest::digest(&digest::SHA256, text(args, 0)?.as_bytes());
    let mut hex = String::with_capacity(64);
    for byte in digest.as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(Value::text(hex)?)
}

fn text<'a>(args: &'a [Value<'_>], index: usize) -> Result<&'a str, CallError> {
    match &args[index] {
        Value::Text(text) => Ok(text),
        other => Err(wrong(index, "text", other.kind())),
    }
}

fn nonempty_text<'a>(args: &'a [Value<'_>], index: usize) -> Result<&'a str, CallError> {
    let text = text(args, index)?;
    if text.is_empty() {
        let message = format!("argument {} must not be empty", index + 1);
        return Err(CallError::Error(EvalError::Failed(message)));
    }
    Ok(text)
}

fn wrong(index: usize, wanted: &str, found: ValueKind) -> CallError {
    let help = match wanted {
        "text" => "; string(x) makes text of it",
        _ => "",
    };
    let message = format!("argument {} has to be {wanted}, but is {found}{help}", index + 1);
    CallError::Error(EvalError::Failed(message))
}
