//! From a text to a [`Node`]: own checks, evalexpr's parser, then a copy of its tree.

use std::cmp::Ordering;

use evalexpr::{Node as Parsed, Operator, Value as Constant};

use super::error::CompileError;
use super::functions::Function;
use super::tree::{Comparison, Node};
use super::value::{ClaimPath, Value};
use super::value_kind::ValueKind;
use super::{forms, functions, hints, shape, token};

/// Longest text of an expression in bytes. evalexpr's parser is recursive: a longer text could
/// overflow the stack, which ends the process.
pub(super) const MAX_BYTES: usize = 4096;

/// Deepest tree. Brackets are bounded by `shape`, this one also holds for chains like `a == b == c`.
const MAX_TREE_DEPTH: usize = 64;

/// Compiles `text`.
pub(super) fn compile(text: &str) -> Result<Node, CompileError> {
    if text.len() > MAX_BYTES {
        let message = format!("the expression has {} bytes; {MAX_BYTES} are allowed", text.len());
        return Err(CompileError::new(1, message));
    }
    let tokens = token::scan(text)?;
    hints::refuse_foreign(&tokens)?;
    let operands = shape::check(&tokens)?;
    // No error is expected, because `shape` is stricter than this parser.
    let parsed =
        evalexpr::build_operator_tree(text).map_err(|error| CompileError::new(1, error.to_string()))?;
    let mut lowering = Lowering { operands, next: 0 };
    lowering.node(&parsed, 0)
}

/// Copies evalexpr's tree. It visits literals, names and calls in the order of the text, so that
/// the columns from `shape` belong to them one by one.
struct Lowering {
    operands: Vec<usize>,
    next: usize,
}

impl Lowering {
    fn node(&mut self, parsed: &Parsed, depth: usize) -> Result<Node, CompileError> {
        if depth > MAX_TREE_DEPTH {
            return self.fail(format!("nested more than {MAX_TREE_DEPTH} levels deep"));
        }
        let depth = depth + 1;
        match (parsed.operator(), parsed.children()) {
            (Operator::RootNode, [inner]) => self.node(inner, depth),
            (Operator::Const { value }, []) => self.literal(value),
            (Operator::VariableIdentifierRead { identifier }, []) => self.claim(identifier),
            (Operator::FunctionIdentifier { identifier }, [arguments]) => {
                self.function(identifier, arguments, depth)
            }
            (Operator::Neg, [inner]) => self.negative(inner, depth),
            (Operator::Not, [inner]) => {
                let inner = self.typed("!", ValueKind::Boolean, inner, depth)?;
                Ok(Node::Not(Box::new(inner)))
            }
            (Operator::Add, [_, _]) => Ok(Node::Concat(self.chain("+", ValueKind::Text, parsed, depth)?)),
            (Operator::And, [_, _]) => Ok(Node::All(self.chain("&&", ValueKind::Boolean, parsed, depth)?)),
            (Operator::Or, [_, _]) => Ok(Node::Any(self.chain("||", ValueKind::Boolean, parsed, depth)?)),
            (operator, [a, b]) => match comparison(operator) {
                Some(holds) => self.compare(holds, a, b, depth),
                None => self.fail(format!("`{operator}` is not allowed")),
            },
            (operator, _) => self.fail(format!("`{operator}` is not allowed here")),
        }
    }

    /// The column of the next operand.
    fn column(&self) -> usize {
        self.operands.get(self.next).copied().unwrap_or(1)
    }

    fn fail<T>(&self, message: String) -> Result<T, CompileError> {
        Err(CompileError::new(self.column(), message))
    }

    fn literal(&mut self, constant: &Constant) -> Result<Node, CompileError> {
        let value = match constant {
            Constant::String(text) => Value::Text(text.clone().into()),
            Constant::Int(number) => Value::Number(*number),
            Constant::Boolean(boolean) => Value::Boolean(*boolean),
            other => return self.fail(format!("{other} is not allowed")),
        };
        self.next += 1;
        Ok(Node::Literal(value))
    }

    fn claim(&mut self, identifier: &str) -> Result<Node, CompileError> {
        match identifier.strip_prefix("claims.").and_then(ClaimPath::dotted) {
            Some(path) => {
                self.next += 1;
                Ok(Node::Claim(path))
            }
            None => self.fail(hints::unknown_name(identifier)),
        }
    }

    fn negative(&mut self, inner: &Parsed, depth: usize) -> Result<Node, CompileError> {
        let column = self.column();
        match self.node(inner, depth)? {
            Node::Literal(Value::Number(number)) => Ok(Node::Literal(Value::Number(-number))),
            _ => Err(CompileError::new(column, "`-` is allowed before a number only")),
        }
    }

    fn typed(
        &mut self,
        user: &str,
        wanted: ValueKind,
        parsed: &Parsed,
        depth: usize,
    ) -> Result<Node, CompileError> {
        let column = self.column();
        let node = self.node(parsed, depth)?;
        match node.kind() {
            Some(found) if found != wanted => {
                let help = match wanted {
                    ValueKind::Text => "; string(x) makes text of it",
                    _ => "",
                };
                let message = format!("`{user}` needs {wanted}, but this is {found}{help}");
                Err(CompileError::new(column, message))
            }
            _ => Ok(node),
        }
    }

    /// The parts of `a + b + c`, which the parser nests to the left. Flat, because 2,000 of them fit
    /// into a text and recursion would go as deep.
    fn chain(
        &mut self,
        sign: &str,
        kind: ValueKind,
        parsed: &Parsed,
        depth: usize,
    ) -> Result<Vec<Node>, CompileError> {
        let mut parts = Vec::new();
        let mut at = parsed;
        while at.operator() == parsed.operator() {
            let [left, right] = at.children() else { break };
            parts.push(right);
            at = left;
        }
        parts.push(at);
        let in_order = parts.into_iter().rev();
        in_order.map(|part| self.typed(sign, kind, part, depth)).collect()
    }

    fn compare(
        &mut self,
        holds: Comparison,
        a: &Parsed,
        b: &Parsed,
        depth: usize,
    ) -> Result<Node, CompileError> {
        let column = self.column();
        let pair = [self.node(a, depth)?, self.node(b, depth)?];
        if let (Some(a), Some(b)) = (pair[0].kind(), pair[1].kind())
            && a != b
        {
            let message = format!("{a} is compared with {b}, which is an error");
            return Err(CompileError::new(column, message));
        }
        Ok(Node::Compare(holds, Box::new(pair)))
    }

    fn function(&mut self, name: &str, arguments: &Parsed, depth: usize) -> Result<Node, CompileError> {
        let column = self.column();
        let Some(function) = functions::find(name) else {
            return self.fail(hints::unknown_function(name));
        };
        self.next += 1;
        let mut args = Vec::new();
        for argument in arguments_of(arguments) {
            args.push((self.column(), self.node(argument, depth)?));
        }
        if args.len() < function.least || args.len() > function.most {
            let message = format!(
                "write {}{}: it takes {}, not {}",
                function.name,
                function.usage,
                amount(function),
                args.len()
            );
            return Err(CompileError::new(column, message));
        }
        forms::form(function, column, args)
    }
}

/// The number of arguments in words.
fn amount(function: &Function) -> String {
    let least = match function.least < function.most {
        true => "at least ",
        false => "",
    };
    let plural = if function.least == 1 { "" } else { "s" };
    format!("{least}{} argument{plural}", function.least)
}

/// The arguments of a call: `f()`, `f(a)` and `f(a, b)` differ only below the bracket's node.
fn arguments_of(parsed: &Parsed) -> &[Parsed] {
    match (parsed.operator(), parsed.children()) {
        (Operator::RootNode, [inner]) if *inner.operator() == Operator::Tuple => inner.children(),
        (Operator::RootNode, inner) => inner,
        _ => std::slice::from_ref(parsed),
    }
}

fn comparison(operator: &Operator) -> Option<Comparison> {
    Some(match operator {
        Operator::Eq => Ordering::is_eq,
        Operator::Neq => Ordering::is_ne,
        Operator::Lt => Ordering::is_lt,
        Operator::Leq => Ordering::is_le,
        Operator::Gt => Ordering::is_gt,
        Operator::Geq => Ordering::is_ge,
        _ => return None,
    })
}
