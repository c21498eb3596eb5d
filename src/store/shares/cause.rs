//! Why entries go.

use crate::named::named_enum;

named_enum! {
    /// Why an entry goes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum EvictionCause {
        /// Its tenant is above its share.
        Above = "above_share",
        /// Its own tenant needs the room, and nobody who is above can give any.
        Own = "own",
        /// Nobody is above: what belongs to no tenant has used up the room, or others have on the same volume.
        Nobody = "nobody_above",
        /// Its tenant is at a bound that a rule sets.
        Rule = "rule",
        /// Nobody has used it for as long as a rule allows.
        Unused = "unused",
    }
}
