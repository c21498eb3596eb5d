//! Closed sets whose members have names: a type, the list of its values and their names, from one list.

/// Declares an enum whose variants have names.
///
/// The variants stand once: a new one is in `ALL` and has a name, or it does not compile.
macro_rules! named_enum {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $type:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $name:literal, )+
        }
    ) => {
        $(#[$meta])*
        $visibility enum $type {
            $( $(#[$variant_meta])* $variant, )+
        }

        impl $type {
            /// Every value, in the order of the discriminants.
            $visibility const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name of the value.
            $visibility const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }
    };
}
pub(crate) use named_enum;
