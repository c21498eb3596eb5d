//! Who is asking: from a credential to an [`Identity`] with its ordered namespaces.

mod identity;

pub use identity::{Identity, Namespace, Scope};
