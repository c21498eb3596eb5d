//! Who is asking: from a credential to an [`Identity`] with its ordered namespaces.

mod expr;
mod identity;
mod scope;

pub use expr::{Absence, CompileError, EvalError, Expression, Kind};
pub use identity::{Identity, Namespace, Scope};
pub use scope::{Granted, Place, Refused, Rules, RulesError};
