//! The one write primitive: a body on its way into a tier.

/// A whole body that waits to be put into a tier.
#[derive(Debug)]
pub struct Spool {}
