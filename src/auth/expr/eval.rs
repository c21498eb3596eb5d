//! Evaluates a compiled expression for the claims of one token.
//!
//! evalexpr's own evaluation is not used: it evaluates both branches of every function and
//! operator, so an unused branch with a missing claim would fail, its errors print the values of
//! claims, and it has no limit on the size of a result. The grammar and the tree are evalexpr's.

use serde_json::{Map, Value as Json};

use super::error::{ClaimErrorKind, EvalError};
use super::functions::{CallError, Function, FunctionBody};
use super::tree::{Comparison, Node};
use super::value::{Value, check_length};
use super::value_kind::ValueKind;

type Claims = Map<String, Json>;
type Outcome<'c> = Result<Value<'c>, EvalError>;

impl Node {
    pub(super) fn value<'c>(&'c self, claims: &'c Claims) -> Outcome<'c> {
        match self {
            Self::Literal(value) => Ok(value.reborrow()),
            Self::Claim(path) => {
                let value = path.value(claims)?;
                if let Value::Text(text) = &value {
                    check_length(text.len())?;
                }
                Ok(value)
            }
            Self::Not(inner) => Ok(Value::Boolean(!inner.boolean("!", claims)?)),
            Self::Compare(holds, pair) => compare(*holds, &pair[0].value(claims)?, &pair[1].value(claims)?),
            Self::All(parts) => until(parts, "&&", false, claims),
            Self::Any(parts) => until(parts, "||", true, claims),
            Self::Concat(parts) => concat(parts, claims),
            Self::If(parts) => {
                let [condition, then, otherwise] = &**parts;
                match condition.boolean("if()", claims)? {
                    true => then.value(claims),
                    false => otherwise.value(claims),
                }
            }
            Self::Default(pair) => match pair[0].value(claims) {
                Err(EvalError::MissingClaim { reason, .. }) if reason.has_default() => pair[1].value(claims),
                outcome => outcome,
            },
            Self::Matches(text, regex) => match text.value(claims)? {
                Value::Text(text) => Ok(Value::Boolean(regex.is_match(&text))),
                other => Err(needs("matches()", ValueKind::Text, other.kind())),
            },
            Self::Call(function, call, parts) => invoke(function, *call, parts, claims),
        }
    }

    fn boolean(&self, user: &str, claims: &Claims) -> Result<bool, EvalError> {
        match self.value(claims)? {
            Value::Boolean(boolean) => Ok(boolean),
            other => Err(needs(user, ValueKind::Boolean, other.kind())),
        }
    }
}

/// `&&` and `||`: the rest is not evaluated behind the first part that decides.
fn until<'c>(parts: &[Node], sign: &str, decisive: bool, claims: &Claims) -> Outcome<'c> {
    for part in parts {
        if part.boolean(sign, claims)? == decisive {
            return Ok(Value::Boolean(decisive));
        }
    }
    Ok(Value::Boolean(!decisive))
}

fn concat<'c>(parts: &[Node], claims: &Claims) -> Outcome<'c> {
    let mut text = String::new();
    for part in parts {
        match part.value(claims)? {
            Value::Text(next) => {
                check_length(text.len() + next.len())?;
                text.push_str(&next);
            }
            other => return Err(needs("+", ValueKind::Text, other.kind())),
        }
    }
    Value::text(text)
}

/// Values of two types are never compared: `claims.ref_protected != true` would always hold where
/// the issuer sends the text "true".
fn compare<'c>(holds: Comparison, a: &Value<'_>, b: &Value<'_>) -> Outcome<'c> {
    let order = match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => a.cmp(b),
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        _ => {
            let message = format!("{} cannot be compared with {}", a.kind(), b.kind());
            return Err(EvalError::Failed(message));
        }
    };
    Ok(Value::Boolean(holds(order)))
}

fn invoke<'c>(function: &Function, call: FunctionBody, parts: &'c [Node], claims: &'c Claims) -> Outcome<'c> {
    let args = parts.iter().map(|part| part.value(claims));
    let args: Vec<Value<'c>> = args.collect::<Result<_, _>>()?;
    call(&args).map_err(|fault| match fault {
        CallError::Missing(reason) => missing(function, parts, &args, reason),
        CallError::Error(EvalError::Failed(message)) => {
            EvalError::Failed(format!("{}(): {message}", function.name))
        }
        CallError::Error(error) => error,
    })
}

/// Names the claim in the argument that was empty (`join` has many), else the first one.
fn missing(function: &Function, parts: &[Node], args: &[Value<'_>], reason: ClaimErrorKind) -> EvalError {
    let empty = |value: &Value<'_>| matches!(value, Value::Text(text) if text.is_empty());
    let index = args.iter().position(empty).unwrap_or(0);
    let claim = parts.get(index).and_then(Node::first_claim);
    let name = claim.map_or_else(|| format!("{}()", function.name), |path| path.name());
    EvalError::MissingClaim { name, reason }
}

fn needs(user: &str, wanted: ValueKind, found: ValueKind) -> EvalError {
    EvalError::Failed(format!("{user} needs {wanted}, but got {found}"))
}
