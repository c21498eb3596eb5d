//! The nodes of calls: plain functions, and those that need more than their arguments' values.

use regex::RegexBuilder;

use super::error::{CompileError, shown};
use super::functions::{Function, FunctionForm};
use super::tree::Node;
use super::value::{ClaimPath, Value};
use super::value_kind::ValueKind;

/// Largest compiled pattern of `matches`, in bytes.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// A compiled argument and its column.
pub(super) type Argument = (usize, Node);

/// The node of a call; every argument comes with its column.
pub(super) fn form(
    function: &'static Function,
    column: usize,
    args: Vec<Argument>,
) -> Result<Node, CompileError> {
    match function.form {
        FunctionForm::Plain(call) => {
            for (index, argument) in args.iter().enumerate() {
                usable(function, index, argument)?;
            }
            let nodes = args.into_iter().map(|(_, node)| node).collect();
            Ok(Node::Call(function, call, nodes))
        }
        FunctionForm::Claim => claim_path(column, args),
        FunctionForm::Default => default(exactly(function, column, args)?),
        FunctionForm::If => conditional(exactly(function, column, args)?),
        FunctionForm::Matches => matches(exactly(function, column, args)?),
    }
}

/// Refuses an argument with which no token could make the call succeed.
fn usable(function: &Function, index: usize, (column, node): &Argument) -> Result<(), CompileError> {
    let refuse = |message: String| Err(CompileError::new(*column, message));
    let name = function.name;
    let wanted = match (name, index) {
        ("string", _) => return Ok(()),
        ("split", 2) => ValueKind::Number,
        _ => ValueKind::Text,
    };
    if let Some(found) = node.kind().filter(|found| *found != wanted) {
        let remedy = match wanted {
            ValueKind::Number => "write it without quotes, such as 0 or -1",
            _ => "string(x) makes text of it",
        };
        return refuse(format!(
            "{name}() needs {wanted} here, but this is {found}; {remedy}"
        ));
    }
    let empty = matches!(node, Node::Literal(Value::Text(text)) if text.is_empty());
    match (name, index) {
        ("split", 1) if empty => {
            refuse("the separator of split() must not be empty; write one, such as \"/\"".into())
        }
        ("replace", 1) if empty => {
            refuse("what replace() looks for must not be empty; write the text to replace".into())
        }
        ("join", _) if empty => refuse("a part of join() must not be empty; leave it out".into()),
        _ => Ok(()),
    }
}

fn exactly<const N: usize>(
    function: &Function,
    column: usize,
    args: Vec<Argument>,
) -> Result<[Argument; N], CompileError> {
    let message = || CompileError::new(column, format!("write {}{}", function.name, function.usage));
    args.try_into().map_err(|_| message())
}

fn claim_path(column: usize, args: Vec<Argument>) -> Result<Node, CompileError> {
    let mut segments = Vec::new();
    for (column, argument) in args {
        match argument {
            Node::Literal(Value::Text(name)) => segments.push(name.into_owned()),
            _ => return Err(CompileError::new(column, "claim() takes names in quotes only")),
        }
    }
    match ClaimPath::new(segments) {
        Some(path) => Ok(Node::Claim(path)),
        None => Err(CompileError::new(column, "the name of a claim must not be empty")),
    }
}

/// A text as the first argument names a claim, as if written behind `claims.`.
fn default([(column, subject), (_, fallback)]: [Argument; 2]) -> Result<Node, CompileError> {
    let subject = match subject {
        Node::Literal(Value::Text(name)) => {
            let plain = name.strip_prefix("claims.").unwrap_or(&name);
            let path = ClaimPath::dotted(plain).ok_or_else(|| {
                let name = shown(&name);
                CompileError::new(
                    column,
                    format!("`{name}` has to be written default(claim(\"...\"), ...)"),
                )
            })?;
            Node::Claim(path)
        }
        Node::Literal(_) => {
            let message = "default() takes the name of a claim in quotes";
            return Err(CompileError::new(column, message));
        }
        other => other,
    };
    Ok(Node::Default(Box::new([subject, fallback])))
}

fn conditional(
    [(column, condition), (_, then), (_, otherwise)]: [Argument; 3],
) -> Result<Node, CompileError> {
    match condition.kind() {
        Some(found) if found != ValueKind::Boolean => {
            let message = format!("if() needs a boolean, but this is {found}");
            Err(CompileError::new(column, message))
        }
        _ => Ok(Node::If(Box::new([condition, then, otherwise]))),
    }
}

fn matches([(start, text), (column, pattern)]: [Argument; 2]) -> Result<Node, CompileError> {
    if let Some(found) = text.kind().filter(|found| *found != ValueKind::Text) {
        let message = format!("matches() needs text here, but this is {found}; string(x) makes text of it");
        return Err(CompileError::new(start, message));
    }
    let Node::Literal(Value::Text(pattern)) = pattern else {
        let message = "the pattern of matches() has to be a text in quotes";
        return Err(CompileError::new(column, message));
    };
    let regex = RegexBuilder::new(&pattern)
        .size_limit(MAX_REGEX_BYTES)
        .dfa_size_limit(MAX_REGEX_BYTES)
        .build()
        .map_err(|error| {
            CompileError::new(column, format!("bad pattern: {}", last_line(&error.to_string())))
        })?;
    Ok(Node::Matches(Box::new(text), regex))
}

/// regex draws the pattern over several lines; the reason stands in the last one.
fn last_line(text: &str) -> &str {
    let line = text.lines().last().unwrap_or(text);
    line.strip_prefix("error: ").unwrap_or(line)
}
