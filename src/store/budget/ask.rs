//! Kinds of bodies that ask for room.

/// What kind of body asks for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// A new body: waits its turn, with patience.
    New,
    /// A body that holds room already: goes first, and fails at once when nothing can be evicted.
    Growth,
    /// A body of known length that grows: goes first, too, and waits with patience while others hold room that
    /// do not wait themselves.
    Announced,
}
